"""A check of providers: one request each, for the list of models, which costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from msgspec import Struct

from nbkit.arguments import check_arguments, suggest
from nbkit.errors import AdapterError, ConfigError, ProviderNotSupportedError
from nbkit.http.bounded import is_success, read_limited
from nbkit.http.clients import Authorization, sync_client
from nbkit.http.exchange import Exchange, Failure, Request
from nbkit.http.failures import transport_error
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.protocols import PROTOCOLS
from nbkit.providers.circuits import describe_circuits, list_providers
from nbkit.providers.credentials import authorize, find_key_variable, key_variables
from nbkit.providers.endpoints import Endpoint, resolve_endpoint
from nbkit.providers.keys import Keys
from nbkit.providers.registered import find_registered, list_registered
from nbkit.providers.routes import find_route
from nbkit.providers.tables import provider_defaults, table
from nbkit.providers.trust import is_local
from nbkit.settings import settings

if TYPE_CHECKING:
    import pandas as pd

_SIGNED = ("aws", "google")  # ways to authorize without a key that a list could test
_VERSION = {"anthropic-version": "2023-06-01"}  # Anthropic refuses without it; others ignore it


class _Result(Struct, frozen=True):
    """One row of the table."""

    provider: str
    variable: str | None
    status: str
    seconds: float | None
    detail: str


@check_arguments
def health(providers: Iterable[str] | None = None, *, seconds: float = 5.0) -> pd.DataFrame:
    """Ask the providers that have a key, or need none, for the list of their models, which is free.

    One row a provider, the index its id: `variable`, the environment variable that holds the key (never the key);
    `status`: ok, unauthorized (the key was refused), unreachable, or not checked (no key, an address that is not filled
    in, no list to ask for, or the setting `offline` and not on this machine); `seconds` that the answer took; `detail`;
    `circuit`: closed, or how often calls of which models have failed in a row since they last answered, and whether
    calls with fallbacks pass them by now.
    Some providers show their list to anyone: then ok says only that they answer. A key is sent only to the host that a
    call would go to.

    Without `providers` (ids), the table has those with a key, of those that need none the ones that answer, and those
    whose calls have failed, also such as the catalog does not know, which are not asked. All others are asked at once,
    each for at most `seconds`. Raises ConfigError for an unknown id.
    """
    import pandas as pd

    chosen = None if providers is None else list(providers)
    endpoints = list(_list_endpoints(chosen))
    if unknown := set(chosen or ()) - {endpoint.provider for endpoint in endpoints}:
        first = min(unknown)
        other = table("aliases")["providers"].get(first)  # another library's name for it
        known = [other] if other else [endpoint.provider for endpoint in _list_endpoints(None)]
        raise ConfigError(f"health(): unknown provider {first!r}{suggest(other or first, known, listed=True)}")
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda endpoint: _check(endpoint, seconds), endpoints))
    failed = list_providers() if chosen is None else set()
    rows = [
        row for row in results if chosen is not None or row.variable or row.status == "ok" or row.provider in failed
    ]
    unlisted = failed - {row.provider for row in rows}
    rows += [_Result(name, None, "not checked", None, "not in the catalog") for name in sorted(unlisted)]
    index = pd.Index([row.provider for row in rows], name="provider", dtype="str")
    dtypes = {"variable": "str", "status": "str", "seconds": "float64", "detail": "str"}
    columns = {name: pd.Series([getattr(row, name) for row in rows], index, dtype) for name, dtype in dtypes.items()}
    columns["circuit"] = pd.Series([describe_circuits(row.provider) for row in rows], index, "str")
    return pd.DataFrame(columns, index=index)


def _list_endpoints(chosen: list[str] | None) -> Iterator[Endpoint | _Result]:
    """List one endpoint of each provider, or the result that it has none, and why."""
    for name in chosen or ():
        find_registered(name)  # those that come with nbkit are registered when they are asked for
    for record, address in _list_models(current_snapshot()):
        provider = record.provider
        if chosen is None or provider.id in chosen:
            try:
                yield resolve_endpoint(provider, record.model, record, address=address)
            except (ConfigError, ProviderNotSupportedError) as reason:
                yield _Result(
                    provider.id, find_key_variable(key_variables(provider.env)), "not checked", None, str(reason)
                )


def _list_models(snapshot: Snapshot) -> Iterator[tuple[Record, str | Callable[[], str] | None]]:
    """List one model of each provider, and its registered address; the first whose endpoint has a list, if any has."""
    own = list_registered()
    for registered in own.values():
        first = next(iter(registered.models.values()))
        yield first.record, first.address
    chosen: dict[str, tuple[Record, bool]] = {}
    for model_id in snapshot.ids:
        provider = model_id.partition("/")[0]
        _, done = chosen.get(provider, (None, provider in own))
        record = None if done else snapshot.record(model_id)
        if record is not None and ((has_list := _has_list(record)) or provider not in chosen):
            chosen[provider] = record, has_list
    yield from ((record, None) for record, _ in chosen.values())


def _has_list(record: Record) -> bool:
    route = find_route(record.provider, record.model, record)
    return bool(_list_path(route.protocol)) and route.auth.partition(":")[0] not in _SIGNED


def _list_path(protocol: str | None) -> str:
    """Return the path of the protocol's list of models; "" where it has none."""
    return PROTOCOLS[protocol].models if protocol in PROTOCOLS else ""


def _check(endpoint: Endpoint | _Result, seconds: float) -> _Result:
    if isinstance(endpoint, _Result):
        return endpoint
    variable = find_key_variable(endpoint.variables)
    path = provider_defaults(endpoint.provider).get("health") or _list_path(endpoint.protocol)
    if endpoint.auth.partition(":")[0] in _SIGNED or not path:
        return _Result(endpoint.provider, variable, "not checked", None, "it has no list of models to ask for")
    if variable is None and endpoint.auth != "none":
        return _Result(endpoint.provider, None, "not checked", None, f"set {' or '.join(endpoint.variables)}")
    if settings().offline and not is_local(endpoint.base_url):
        return _Result(endpoint.provider, variable, "not checked", None, "offline (NBKIT_OFFLINE)")
    started = time.monotonic()
    try:
        status, detail = _ask(endpoint, path, seconds)
    except AdapterError as failure:  # the body was too long, or too slow
        status, detail = "unreachable", failure.message
    except ConfigError as unfit:  # a key that no header can carry
        return _Result(endpoint.provider, variable, "not checked", None, str(unfit))
    return _Result(endpoint.provider, variable, status, time.monotonic() - started, detail)


def _ask(endpoint: Endpoint, path: str, seconds: float) -> tuple[str, str]:
    """Ask with each key; return the first that is not accepted, by its number, or that all are."""
    auth = authorize(endpoint.provider, endpoint.variables, endpoint.auth, None)
    each = auth.each if isinstance(auth, Keys) else (auth,)
    for number, one in enumerate(each, 1):
        status, detail = _ask_with(one, endpoint, path, seconds)
        if status != "ok":
            return status, f"key {number} of {len(each)}: {detail}" if len(each) > 1 else detail
    return "ok", ""


def _ask_with(auth: Authorization | None, endpoint: Endpoint, path: str, seconds: float) -> tuple[str, str]:
    base, _, query = endpoint.base_url.partition("?")
    url, exchange = urljoin(f"{base}/", path) + (query and f"?{query}"), Exchange.within(seconds)
    request = Request("GET", url, exchange, _VERSION | endpoint.headers)
    try:
        with closing(sync_client(endpoint.base_url, auth).send(request)) as reply:
            read_limited(reply, exchange)
    except Failure as failure:
        return "unreachable", transport_error(failure, endpoint.base_url, exchange).message
    if is_success(reply.status):
        return "ok", ""
    refused, broken = reply.status in (401, 403), reply.status >= 500
    status = "unauthorized" if refused else "unreachable" if broken else "not checked"
    return status, f"HTTP {reply.status}"
