"""Which providers have a key and answer: one request each, for a list that costs nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from nbkit.errors import AdapterError, ConfigError, ProviderNotSupportedError
from nbkit.http.bounded import read_limited
from nbkit.http.clients import sync_client
from nbkit.http.failures import FAILURES, transport_error
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.credentials import authorize, key_variables
from nbkit.providers.endpoints import Endpoint, resolve_endpoint
from nbkit.providers.registered import find_registered, list_registered
from nbkit.providers.routes import find_route
from nbkit.providers.tables import provider_defaults

if TYPE_CHECKING:
    import pandas as pd

_LISTS = {  # protocol -> where its list of models is, seen from the base URL
    "openai-chat": "models",
    "openai-responses": "models",
    "anthropic-messages": "models",
    "gemini-generate": "models",
    "cohere-v2": "../v1/models",
    "ollama-chat": "api/tags",
}
_SIGNED = ("aws", "google")  # no key that a list could test
_VERSION = {"anthropic-version": "2023-06-01"}  # without it Anthropic refuses; to others it says nothing


@dataclass(frozen=True, slots=True)
class _Checked:
    provider: str
    variable: str | None
    status: str
    seconds: float | None
    detail: str


def health(providers: Iterable[str] | None = None, *, seconds: float = 5.0) -> pd.DataFrame:
    """Ask the providers that have a key, or need none, for the list of their models, which is free.

    One row a provider, the index its id: `variable`, the environment variable that the key was found in (never the
    key); `status`: ok, unauthorized (the key was refused), unreachable, or not checked (no key, an address that is not
    filled in, or no list to ask for); `seconds` that the answer took; `detail`. Some providers show their list to
    anyone: there ok says that they answer. A key goes only to the host that a call would go to.

    Without `providers` (ids), those with a key are listed, and of those that need none the ones that answer. All are
    asked at once, each for at most `seconds`. Raises ConfigError for an id that no provider has.
    """
    import pandas as pd

    chosen = None if providers is None else list(providers)
    found = list(_endpoints(chosen))
    if unknown := set(chosen or ()) - {endpoint.provider for endpoint in found}:
        raise ConfigError(f"health(): no provider goes by {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(32) as pool:
        checked = list(pool.map(lambda endpoint: _check(endpoint, seconds), found))
    rows = [row for row in checked if chosen is not None or row.variable or row.status == "ok"]
    index = pd.Index([row.provider for row in rows], name="provider", dtype="str")
    dtypes = {"variable": "str", "status": "str", "seconds": "float64", "detail": "str"}
    columns = {name: pd.Series([getattr(row, name) for row in rows], index, dtype) for name, dtype in dtypes.items()}
    return pd.DataFrame(columns, index=index)


def _endpoints(chosen: list[str] | None) -> Iterator[Endpoint | _Checked]:
    """One endpoint of each provider, or why there is none."""
    for name in chosen or ():
        find_registered(name)  # those that come with nbkit are registered when they are asked for
    for record, address in _firsts(current_snapshot()):
        provider = record.provider
        if chosen is None or provider.id in chosen:
            try:
                yield resolve_endpoint(provider, record.model, record, address=address)
            except (ConfigError, ProviderNotSupportedError) as reason:
                yield _Checked(provider.id, _variable(key_variables(provider.env)), "not checked", None, str(reason))


def _firsts(listed: Snapshot) -> Iterator[tuple[Record, Callable[[], str] | None]]:
    """One model of each provider, and its registered address; the first whose endpoint has a list, if any has."""
    own = list_registered()
    yield from ((registered.records[0], registered.address) for registered in own.values())
    chosen: dict[str, tuple[Record, bool]] = {}
    for model_id in listed.ids:
        provider = model_id.partition("/")[0]
        _, done = chosen.get(provider, (None, provider in own))
        record = None if done else listed.record(model_id)
        if record is not None and ((has_list := _has_list(record)) or provider not in chosen):
            chosen[provider] = record, has_list
    yield from ((record, None) for record, _ in chosen.values())


def _has_list(record: Record) -> bool:
    route = find_route(record.provider, record.model, record)
    return route.protocol in _LISTS and route.auth.partition(":")[0] not in _SIGNED


def _check(found: Endpoint | _Checked, seconds: float) -> _Checked:
    if isinstance(found, _Checked):
        return found
    variable = _variable(found.variables)
    path = provider_defaults(found.provider).get("health") or _LISTS.get(found.protocol)
    if found.auth.partition(":")[0] in _SIGNED or path is None:
        return _Checked(found.provider, variable, "not checked", None, "it has no list of models to ask for")
    if variable is None and found.auth != "none":
        return _Checked(found.provider, None, "not checked", None, f"set {' or '.join(found.variables)}")
    began = time.monotonic()
    try:
        status, detail = _ask(found, path, seconds)
    except FAILURES as failure:
        status, detail = "unreachable", transport_error(failure, urlsplit(found.base_url).netloc).message
    except AdapterError as failure:  # the body was too long, or too slow
        status, detail = "unreachable", failure.message
    except ConfigError as unfit:  # a key that no header can carry
        return _Checked(found.provider, variable, "not checked", None, str(unfit))
    return _Checked(found.provider, variable, status, time.monotonic() - began, detail)


def _ask(endpoint: Endpoint, path: str, seconds: float) -> tuple[str, str]:
    auth = authorize(endpoint.provider, endpoint.variables, endpoint.auth, None)
    client, url = sync_client(endpoint.base_url, auth), urljoin(f"{endpoint.base_url}/", path)
    with client.stream("GET", url, headers=_VERSION | endpoint.headers, timeout=seconds) as response:
        read_limited(response, time.monotonic() + seconds)
    if response.is_success:
        return "ok", ""
    refused, broken = response.status_code in (401, 403), response.is_server_error
    status = "unauthorized" if refused else "unreachable" if broken else "not checked"
    return status, f"HTTP {response.status_code}"


def _variable(names: Iterable[str]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)
