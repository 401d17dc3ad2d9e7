"""Which providers nbkit can call, how, and why not the others: the route to each model, counted by provider."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.routes import Route, find_routes
from nbkit.providers.tables import table

if TYPE_CHECKING:
    import pandas as pd

_VARIABLE = re.compile(r"\$\{(\w+)\}")
CREDENTIAL_CHAINS = {  # credentials that are no key in a variable: what they are called, and the extra that reads them
    "aws": ("AWS's own chain of credentials", "bedrock"),
    "google": ("Google's application default credentials", "vertex"),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """One provider, as far as nbkit can reach it."""

    provider: Provider
    protocols: tuple[str, ...]
    """What its models are called with, the most frequent first."""
    hosts: tuple[str, ...]
    """Where requests go; `${NAME}` stands for an environment variable."""
    variables: tuple[str, ...]
    """Environment variables of which one must hold the key."""
    needs: tuple[str, ...]
    """Environment variables that the addresses are filled with."""
    auths: tuple[str, ...]
    models: int
    callable: int
    """How many of the models."""
    why_not: tuple[str, ...]

    @property
    def credentials(self) -> str:
        """What has to be there before a call, in words."""
        schemes = dict.fromkeys(auth.partition(":")[0] for auth in self.auths if auth != "none")
        keys = [
            *(self.variables if schemes else ()),
            *(CREDENTIAL_CHAINS[scheme][0] for scheme in schemes if scheme in CREDENTIAL_CHAINS),
        ]
        return ", and ".join([" or ".join(keys) or "none", *self.needs])


def reachable(snapshot: Snapshot) -> list[Reach]:
    """Every provider of a snapshot, by id. Looks at no environment variable."""
    return [_reach(provider, ways) for provider, ways in routes_by_provider(snapshot)]


def unreachable(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The id of each model that nbkit cannot call, and why."""
    return [(record.id, way.why_not) for _, ways in routes_by_provider(snapshot) for record, way in ways if way.why_not]


def provider_table() -> pd.DataFrame:
    """Every provider that models.dev lists, one row each, the index its id: how nbkit calls it, or why it cannot.

    `protocols`, `hosts` and `credentials` are text; `models` and `callable` count its models.
    """
    import pandas as pd

    rows = reachable(current_snapshot())
    index = pd.Index([row.provider.id for row in rows], name="provider", dtype="str")
    columns = {
        "name": [row.provider.name for row in rows],
        "protocols": [", ".join(row.protocols) for row in rows],
        "hosts": [", ".join(row.hosts) for row in rows],
        "credentials": [row.credentials for row in rows],
        "models": [row.models for row in rows],
        "callable": [row.callable for row in rows],
        "why_not": ["; ".join(row.why_not) for row in rows],
    }
    return pd.DataFrame(columns, index=index)


def routes_by_provider(snapshot: Snapshot) -> list[tuple[Provider, list[tuple[Record, Route]]]]:
    """Every provider, by id, with its models and the route to each."""
    by_provider: dict[str, list[tuple[Record, Route]]] = {}
    for model_id, route in zip(snapshot.ids, find_routes(snapshot).rows, strict=True):
        record = snapshot.record(model_id)
        if record is not None:
            by_provider.setdefault(record.provider.id, []).append((record, route))
    return [(ways[0][0].provider, ways) for _, ways in sorted(by_provider.items())]


def _reach(provider: Provider, ways: list[tuple[Record, Route]]) -> Reach:
    routes = [way for _, way in ways]
    open_ways = [way for way in routes if not way.why_not]
    addresses = [way.address for way in open_ways if way.address]
    return Reach(
        provider=provider,
        protocols=_frequent(way.protocol for way in open_ways if way.protocol),
        hosts=_frequent(_host(address) for address in addresses),
        variables=_frequent(name for way in open_ways for name in way.variables),
        needs=_frequent(name for way in open_ways for name in _needs(way)),
        auths=_frequent(way.auth for way in open_ways),
        models=len(routes),
        callable=len(open_ways),
        why_not=_frequent(way.why_not for way in routes if way.why_not),
    )


def _needs(way: Route) -> list[str]:
    """The variables that address and headers are filled with; where one follows from another, that one."""
    names = _VARIABLE.findall(" ".join([way.address or "", *way.headers.values()]))
    return [table("variables").get(name, {}).get("of", name) for name in names]


def _frequent(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word, _ in Counter(words).most_common())


def _host(address: str) -> str:
    return urlsplit(address).netloc or address.partition("/")[0]
