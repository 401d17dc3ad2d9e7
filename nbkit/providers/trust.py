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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from nbkit.errors import ConfigError, UntrustedEndpointError
from nbkit.files import check_owner, write_atomically
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import BUNDLED, Snapshot, read
from nbkit.providers.credentials import SECRET, VARIABLE
from nbkit.providers.registered import list_registered
from nbkit.providers.routes import Route, find_route
from nbkit.settings import settings

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
_CREDENTIALS = {"aws": "AWS credentials", "google": "Google credentials"}  # what a scheme uses where no key is set
_KEY_SCHEMES = {"aws": "bearer", "google": "x-goog-api-key"}  # the same provider's scheme for a key alone


@dataclass(frozen=True, slots=True)
class Trusted:
    """Hosts of a provider that the user trusts, and the variables whose values may go there."""

    provider: str
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def trust(provider: str, *, forget: bool = False) -> Trusted:
    """Let a provider that is not as it came with nbkit have your calls and key at the hosts that the catalog names now.

    Kept for this user in `trust.json`, beside the overrides file, until `forget`. When the catalog names another host
    or another variable, it must be trusted anew. Returns what is trusted from now on, beside what came with nbkit.
    Raises ConfigError where the catalog has no such provider or the file cannot be read, OSError where it cannot be
    written.
    """
    trusted = Trusted(provider)
    if not forget:
        routes = list(_list_routes(provider, _sample_records(current_snapshot()).get(provider, ())))
        trusted = Trusted(provider, tuple(sorted(_list_hosts(routes))), tuple(sorted(_list_names(routes))))
        if not trusted.hosts:
            raise ConfigError(
                f"the catalog has no provider {provider!r} whose address is one that a key may be sent to: https://host/..."
            )
    others = {name: entry for name, entry in _read_file().items() if name != provider}
    _write_file(others if forget else others | {provider: trusted})
    return trusted


def restrict_route(provider: str, route: Route, *, given: bool, keyed: bool) -> Route:
    """Keep only those variables and credentials of a route that may be sent to its host. Raises UntrustedEndpointError.

    `given`: the caller names the host. `keyed`: the caller passes a key; it may go to the same hosts only, because such
    a key often comes from the environment too. A provider that needs no key is checked as well: otherwise it could get
    what is meant for a server on this machine. A registered provider is the user's own and may have everything.
    """
    if provider in list_registered():
        return route
    reviewed = list(_list_routes(provider, _sample_bundled_records().get(provider, ())))
    hosts, names = _list_hosts(reviewed), _list_names(reviewed)
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


def find_host(address: str) -> str | None:
    """Find the host of a base URL, in the form in which hosts are compared; None where no key may be sent there.

    The form: ASCII, lower case, with the port unless it is 443. Keys go to https only, except on this machine (there
    with `http://` in front), and to no address with a user, query or fragment. `${NAME}` stays as it is; one that
    stands for the whole URL is the host.
    """
    whole = re.match(r"\$\{\w+\}(?=/|$)", address, re.ASCII)
    try:
        url = httpx2.URL(f"https://host{address[whole.end() :]}" if whole else address)
    except httpx2.InvalidURL:
        return None
    plain = url.scheme == "http" and _LOOPBACK.fullmatch(url.host)
    if not url.host or url.userinfo or set("?#\\") & set(address) or not (url.scheme == "https" or plain):
        return None
    host = url.netloc.decode("ascii")
    return whole[0] if whole else f"http://{host}" if plain else host


# ---- what is reviewed


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


def _sample_records(snapshot: Snapshot) -> dict[str, list[Record]]:
    """Choose, for each provider, one model for each set of overrides: all others have a route of the same host."""
    first_rows: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(snapshot.factor("provider").codes, snapshot.factor("overrides").codes, strict=True)):
        first_rows.setdefault(key, row)
    samples: dict[str, list[Record]] = {}
    for record in (snapshot.record(snapshot.ids[row]) for row in first_rows.values()):
        if record is not None:
            samples.setdefault(record.provider.id, []).append(record)
    return samples


@cache
def _sample_bundled_records() -> dict[str, list[Record]]:
    return _sample_records(read(BUNDLED))  # 15 ms, when the first adapter is made


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
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as broken:
        problem = f"{path}: {broken}; correct or delete it"
    raise ConfigError(problem)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError("expected lists of text")
    return tuple(value)


def _write_file(trusted: dict[str, Trusted]) -> None:
    data = {name: {"hosts": entry.hosts, "variables": entry.variables} for name, entry in sorted(trusted.items())}
    write_atomically(_path(), json.dumps(data, indent=2).encode())
