"""The hosts that a call and its key may go to: those that came with nbkit, that the user trusts, or the caller names.

models.dev's rows are fetched, so a row may come to name another host, another provider's key variable, or a `${NAME}`
that holds a secret. What is reviewed is the snapshot in the wheel, read with nbkit's tables and the user's own rows:
for each provider its hosts, the variables of its key and those of its address. Prices, limits and names may change.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nbkit.arguments import check_arguments, suggest
from nbkit.errors import ConfigError, UntrustedEndpointError
from nbkit.files import check_owner, make_private_directory, write_atomically
from nbkit.http.exchange import split_url
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import BUNDLED, Factor, Snapshot, read
from nbkit.providers.credentials import SECRET, VARIABLE
from nbkit.providers.registered import is_registered, list_registered_models
from nbkit.providers.routes import Route, find_route, find_routes
from nbkit.providers.tables import user_rows
from nbkit.settings import settings

_LABEL = r"(?:[a-z0-9-]|\$\{[A-Z0-9_]+\})+"
_PLAIN = re.compile(
    rf"https://((?!.*xn--){_LABEL}(?:\.{_LABEL})*\.[a-z]+)(?:/(?:[a-zA-Z0-9_~/.-]|\$\{{[A-Z0-9_]+\}})*)?"
)
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
_CREDENTIALS = {"aws": "AWS credentials", "google": "Google credentials"}  # what a scheme uses where no key is set
_KEY_SCHEMES = {"aws": "bearer", "google": "x-goog-api-key"}  # the same provider's scheme for a key alone


class Trusted(Struct, frozen=True):
    """Hosts of a provider that the user trusts, and the variables whose values may go there."""

    provider: str
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@check_arguments
def trust(provider: str, *, forget: bool = False) -> Trusted:
    """Let a provider that is not as it came with nbkit have your calls and key at the hosts that the catalog names now.

    Kept for this user in `trust.json`, beside the overrides file, until `forget`. When the catalog names another host
    or another variable, it must be trusted anew. Returns what is trusted from now on, beside what came with nbkit.
    Raises ConfigError where the catalog has no such provider, or the file cannot be read or written.
    """
    trusted = Trusted(provider)
    if not forget:
        routes = list(_list_routes(provider, _sample_records(current_snapshot(), provider)))
        trusted = Trusted(provider, tuple(sorted(_list_hosts(routes))), tuple(sorted(_list_names(routes))))
        if not trusted.hosts:
            hint = suggest(provider, [one.id for one in current_snapshot().distinct("provider")], listed=True)
            where = "whose address is one that a key may be sent to: https://host/..."
            raise ConfigError(f"the catalog has no provider {provider!r} {where}{hint}")
    others = {name: entry for name, entry in _read_file().items() if name != provider}
    _write_file(others if forget else others | {provider: trusted})
    return trusted


def restrict_route(provider: str, model: str, route: Route, *, given: bool, keyed: bool) -> Route:
    """Keep only those variables and credentials of a route that may be sent to its host. Raises UntrustedEndpointError.

    `given`: the caller names the host. `keyed`: the caller passes a key; it may go to the same hosts only, because such
    a key often comes from the environment too. A provider that needs no key is checked as well: otherwise it could get
    what is meant for a server on this machine. A registered model is the user's own and may have everything.
    """
    if is_registered(provider, model):
        return route
    hosts, names = _review(provider, _user_text())
    own = _read_file().get(provider, Trusted(provider))
    host = find_host(route.address or "")
    allowed = (names if given or host in hosts else set()) | set(own.variables if given or host in own.hosts else ())
    scheme = route.auth.partition(":")[0]
    variables = tuple(name for name in route.variables if name in allowed)
    auth = route.auth if _CREDENTIALS.get(scheme, "") in {"", *allowed} else _KEY_SCHEMES[scheme]
    if not given:
        in_address = set(VARIABLE.findall(route.address or ""))
        unfit = {name for name in in_address if name not in allowed or SECRET.search(name)}
        needs_key = auth != route.auth or (route.variables and scheme not in (*_CREDENTIALS, "none"))
        if host not in {*hosts, *own.hosts} or unfit or (needs_key and not variables and not keyed):
            unknown = unfit | _list_names([route]) - allowed - names
            raise UntrustedEndpointError(
                provider, host or repr(route.address)[:120], tuple(sorted(hosts)), tuple(sorted(unknown))
            )
    return replace(route, variables=variables, auth=auth)


def find_safe_routes(snapshot: Snapshot) -> Factor:
    """Find the route to every model of a snapshot; where a call would raise UntrustedEndpointError, `why_not` says so.

    The bundled snapshot is the one that was reviewed.
    """
    if snapshot.meta.source == "bundled":
        return find_routes(snapshot)
    return _find_safe_routes(snapshot, (_user_text(), tuple(list_registered_models()), _stamp()))


@lru_cache(1)
def _find_safe_routes(snapshot: Snapshot, made_of: tuple[str, object, float]) -> Factor:
    routes = find_routes(snapshot)
    first_rows: dict[int, int] = {}
    for row, code in enumerate(routes.codes):
        first_rows.setdefault(code, row)
    safe = list(routes.values)
    for code, row in first_rows.items():
        provider, _, model = snapshot.ids[row].partition("/")
        if not safe[code].why_not and safe[code] not in _list_reviewed(provider, made_of[0]):
            try:
                restrict_route(provider, model, safe[code], given=False, keyed=False)
            except UntrustedEndpointError as untrusted:
                safe[code] = replace(safe[code], why_not=_explain(untrusted))
            except ConfigError as broken:  # the user's file: a call says so, too
                safe[code] = replace(safe[code], why_not=str(broken))
    return Factor(safe, routes.codes)


def _explain(untrusted: UntrustedEndpointError) -> str:
    """Say in one sentence why a model is not called until its provider is trusted."""
    if not untrusted.shipped:
        news = "new"
    elif untrusted.host in untrusted.shipped:
        news = f"wants {' and '.join(untrusted.variables) or 'other credentials'}"
    else:
        news = f"moved to {untrusted.host}"
    return (
        f"{news} since this release: nbkit.trust({untrusted.provider!r}) lets calls and your key go to {untrusted.host}"
    )


def _stamp() -> float:
    """Return the time of the last change of the user's file; 0 without one."""
    try:
        return _path().stat().st_mtime_ns
    except OSError:
        return 0


def list_news(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """List the providers that came since this release of nbkit, and those that moved: none of them is called yet."""
    closed = {}
    for model_id, route in zip(snapshot.ids, find_safe_routes(snapshot).rows, strict=True):
        if "nbkit.trust(" in route.why_not:
            closed[model_id.partition("/")[0]] = True
    shipped = _load_bundled().providers
    return [name for name in closed if name not in shipped], [name for name in closed if name in shipped]


def find_host(address: str) -> str | None:
    """Find the host of a base URL, in the form in which hosts are compared; None where no key may be sent there.

    The form: ASCII, lower case, with the port unless it is 443. Keys go to https only, except on this machine (there
    with `http://` in front), and to no address with a user, query or fragment. `${NAME}` stays as it is; one that
    stands for the whole URL is the host.
    """
    if plain := _PLAIN.fullmatch(address):  # most of them: httpx2, 70 ms of CPU, is not needed to read these
        return plain[1].lower()
    import httpx2

    whole = re.match(r"\$\{\w+\}(?=/|$)", address, re.ASCII)
    try:
        url = httpx2.URL(f"https://host{address[whole.end() :]}" if whole else address)
    except httpx2.InvalidURL:
        return None
    local = url.scheme == "http" and _LOOPBACK.fullmatch(url.host)
    if not url.host or url.userinfo or set("?#\\") & set(address) or not (url.scheme == "https" or local):
        return None
    host = url.netloc.decode("ascii")
    return whole[0] if whole else f"http://{host}" if local else host


def is_local(url: str) -> bool:
    """Tell whether a base URL is one of this machine."""
    return _LOOPBACK.fullmatch(split_url(url).host) is not None


# ---- what is reviewed


@lru_cache(512)
def _review(provider: str, user_text: str) -> tuple[set[str], set[str]]:
    """Collect the hosts of a provider that were reviewed, and what may be sent there."""
    routes = _list_reviewed(provider, user_text)
    return _list_hosts(routes), _list_names(routes)


@lru_cache(512)
def _list_reviewed(provider: str, _user_text: str) -> list[Route]:
    """List the routes to a provider's models that were reviewed; anew where the user's rows have changed."""
    return list(_list_routes(provider, _sample_records(_load_bundled(), provider)))


def _user_text() -> str:
    return repr([user_rows("providers"), user_rows("models")])


def _list_routes(provider: str, records: Sequence[Record]) -> Iterator[Route]:
    """List the routes to a provider's models: to each kind of them, and to one that the catalog does not list."""
    known = [record.provider for record in records]
    yield find_route(known[0] if known else Provider(provider, provider, "", None, (), None), "", None)
    yield from (find_route(record.provider, record.model, record) for record in records)


def _list_hosts(routes: Iterable[Route]) -> set[str]:
    addresses = {address for route in routes for address in (route.address, route.keyed_address) if address}
    return {host for address in addresses if (host := find_host(address))}


def _list_names(routes: Iterable[Route]) -> set[str]:
    """List what is read for routes: variables of keys and of addresses, and credentials that are in no variable."""
    names: set[str] = set()
    for route in routes:
        names |= {*route.variables, *VARIABLE.findall(route.address or "")}
        names |= {name for scheme, name in _CREDENTIALS.items() if scheme == route.auth.partition(":")[0]}
    return names


def _sample_records(snapshot: Snapshot, provider: str) -> list[Record]:
    """Choose one model of a provider for each set of overrides: all others have a route of the same host."""
    overrides = snapshot.factor("overrides").codes
    first_rows: dict[int, int] = {}
    for row in snapshot.find_rows(provider):
        first_rows.setdefault(overrides[row], row)
    return [snapshot.record_of(row) for row in first_rows.values()]


def _load_bundled() -> Snapshot:
    """Return the snapshot in the wheel; it is not read again where it is the one in force."""
    current = current_snapshot()
    return current if current.meta.source == "bundled" else _read_bundled()


@cache
def _read_bundled() -> Snapshot:
    return read(BUNDLED)


# ---- the user's file


def _path() -> Path:
    return settings().overrides.with_name("trust.json")


def _read_file() -> dict[str, Trusted]:
    """Read what the user trusts, by provider. Raises ConfigError where others can write to the file or it is broken."""
    path = _path()
    try:
        with path.open("rb") as file:
            check_owner(os.fstat(file.fileno()), closed=True)
            data = json.load(file)
        return {name: Trusted(name, _words(entry["hosts"]), _words(entry["variables"])) for name, entry in data.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as broken:
        problem = f"{path}: {broken}; correct or delete it"
    raise ConfigError(problem)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError("expected lists of text")
    return tuple(value)


def _write_file(trusted: dict[str, Trusted]) -> None:
    data = {name: {"hosts": entry.hosts, "variables": entry.variables} for name, entry in sorted(trusted.items())}
    try:
        make_private_directory(_path().parent)
        write_atomically(_path(), json.dumps(data, indent=2).encode())
    except OSError as failed:
        problem = f"{_path()} cannot be written ({failed}); pass base_url= and api_key= instead"
    else:
        return
    raise ConfigError(problem)
