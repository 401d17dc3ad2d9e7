"""Where a call may go, with its key: to hosts that came with nbkit, that the user trusts, or that the caller names.

models.dev's rows are fetched, so a row may come to name another host, another provider's key variable, or a `${NAME}`
that holds a secret. What is reviewed is the snapshot in the wheel, read with nbkit's tables and the user's own rows:
for each provider its hosts, the variables of its key and those of its address. Prices, limits and names may change.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2

from nbkit.errors import ConfigError, UntrustedEndpointError
from nbkit.files import check_owner, write_atomically
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Snapshot, bundled, read
from nbkit.providers.credentials import SECRET, VARIABLE
from nbkit.providers.registered import list_registered
from nbkit.providers.routes import Route, find_route
from nbkit.settings import settings

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
_OWN = {"aws": "AWS credentials", "google": "Google credentials"}  # what is looked up where no key variable is set
_KEY_ONLY = {"aws": "bearer", "google": "x-goog-api-key"}  # the same, for a key that is given


@dataclass(frozen=True, slots=True)
class Trusted:
    """Hosts of a provider that the user trusts, and the variables whose values may go there."""

    provider: str
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def trust(provider: str, *, forget: bool = False) -> Trusted:
    """Let a provider that is not as it came with nbkit have your calls and key at the hosts that the catalog names now.

    Kept for this user in `trust.json`, beside the overrides file, until `forget`. When the catalog names another host
    or another variable, it has to be trusted anew. Returns what is trusted from now on, beside what came with nbkit.
    Raises ConfigError where the catalog has no such provider or the file cannot be read, OSError where it cannot be
    written.
    """
    found = Trusted(provider)
    if not forget:
        ways = list(_ways(provider, _samples(current_snapshot()).get(provider, ())))
        found = Trusted(provider, tuple(sorted(_hosts(ways))), tuple(sorted(_names(ways))))
        if not found.hosts:
            raise ConfigError(
                f"the catalog has no provider {provider!r} at an address to send a key to: https://host/..."
            )
    others = {name: entry for name, entry in _stored().items() if name != provider}
    _store(others if forget else others | {provider: found})
    return found


def restrict_route(provider: str, way: Route, *, given: bool, keyed: bool) -> Route:
    """The way with only those variables and credentials that may be sent along it.

    `given`: the caller names the host. `keyed`: the caller gives the key; where it may go is the same, because such a
    key often comes from the environment too. Nor does a provider that needs no key get what is meant for this machine.
    A provider that was registered is the user's own. Raises UntrustedEndpointError.
    """
    if provider in list_registered():
        return way
    ways = list(_ways(provider, _bundled_samples().get(provider, ())))
    hosts, names = _hosts(ways), _names(ways)
    mine = _stored().get(provider, Trusted(provider))
    host = find_host(way.address or "")
    allowed = (names if given or host in hosts else set()) | set(mine.variables if given or host in mine.hosts else ())
    scheme = way.auth.partition(":")[0]
    variables = tuple(name for name in way.variables if name in allowed)
    auth = way.auth if _OWN.get(scheme, "") in {"", *allowed} else _KEY_ONLY[scheme]
    if not given:
        filled = set(VARIABLE.findall(way.address or ""))
        unfit = {name for name in filled if name not in allowed or SECRET.search(name)}
        robbed = not variables and (auth != way.auth or (way.variables and scheme not in (*_OWN, "none")))
        if host not in {*hosts, *mine.hosts} or unfit or (robbed and not keyed):
            new = unfit | _names([way]) - allowed - names
            raise UntrustedEndpointError(
                provider, host or repr(way.address)[:120], tuple(sorted(hosts)), tuple(sorted(new))
            )
    return replace(way, variables=variables, auth=auth)


def find_host(address: str) -> str | None:
    """The host of a base URL that a key may be sent to, as it is compared: ASCII, lower case, with the port unless 443.

    https only, except on this machine (there with `http://` in front); no user, query or fragment. `${NAME}` stays; one
    that holds the whole URL is the host. None where the address is not of that form.
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


def _ways(provider: str, samples: Iterable[Record]) -> Iterator[Route]:
    """Every way to the provider's models: to each kind of them, and to one that the catalog does not know."""
    known = [record.provider for record in samples]
    yield find_route(known[0] if known else Provider(provider, provider, "", None, (), None), "", None)
    yield from (find_route(record.provider, record.model, record) for record in samples)


def _hosts(ways: Iterable[Route]) -> set[str]:
    addresses = {address for way in ways for address in (way.address, way.keyed_address) if address}
    return {host for address in addresses if (host := find_host(address))}


def _names(ways: Iterable[Route]) -> set[str]:
    """What is read for them: variables of keys and of addresses, and credentials that are in no variable."""
    names: set[str] = set()
    for way in ways:
        names |= {*way.variables, *VARIABLE.findall(way.address or "")}
        names |= {own for scheme, own in _OWN.items() if scheme == way.auth.partition(":")[0]}
    return names


def _samples(snapshot: Snapshot) -> dict[str, list[Record]]:
    """By provider, one model for each set of overrides: the others are reached in the same way."""
    keys = zip(snapshot.factor("provider").codes, snapshot.factor("overrides").codes, strict=True)
    firsts: dict[tuple[int, int], int] = {}
    for row, key in enumerate(keys):
        firsts.setdefault(key, row)
    found: dict[str, list[Record]] = {}
    for record in (snapshot.record(snapshot.ids[row]) for row in firsts.values()):
        if record is not None:
            found.setdefault(record.provider.id, []).append(record)
    return found


@lru_cache(1)
def _bundled_samples() -> dict[str, list[Record]]:
    return _samples(read(bundled()))  # 15 ms, when the first adapter is made


# ---- the user's file


def _path() -> Path:
    return settings().overrides.with_name("trust.json")


def _stored() -> dict[str, Trusted]:
    """What the user trusts, by provider. Raises ConfigError where others can write to the file, or it is broken."""
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


def _store(trusted: dict[str, Trusted]) -> None:
    """Write the file, whole or not at all, for this user only."""
    data = {name: {"hosts": entry.hosts, "variables": entry.variables} for name, entry in sorted(trusted.items())}
    write_atomically(_path(), json.dumps(data, indent=2).encode())
