"""Coverage of models.dev's providers: how nbkit calls each, or why it cannot; the routes to its models, counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.known import load_known_snapshot
from nbkit.providers.routes import Route
from nbkit.providers.tables import table
from nbkit.providers.trust import find_safe_routes

if TYPE_CHECKING:
    import pandas as pd

_VARIABLE = re.compile(r"\$\{(\w+)\}")
CREDENTIAL_CHAINS = {  # credentials other than a key in a variable: their name, and the extra that reads them
    "aws": ("AWS's own chain of credentials", "bedrock"),
    "google": ("Google's application default credentials", "vertex"),
}


class Reach(Struct, frozen=True):
    """How nbkit reaches one provider."""

    provider: Provider
    protocols: tuple[str, ...]
    """The protocols of its models, the most frequent first."""
    hosts: tuple[str, ...]
    """Where requests go; `${NAME}` stands for an environment variable."""
    variables: tuple[str, ...]
    """Environment variables of which one must hold the key."""
    needs: tuple[str, ...]
    """Environment variables that the addresses are filled with."""
    auths: tuple[str, ...]
    models: int
    callable: int
    """How many of the models nbkit can call."""
    why_not: tuple[str, ...]

    @property
    def credentials(self) -> str:
        """The keys and variables that a call needs, in words."""
        schemes = dict.fromkeys(auth.partition(":")[0] for auth in self.auths if auth != "none")
        keys = [
            *(self.variables if schemes else ()),
            *(CREDENTIAL_CHAINS[scheme][0] for scheme in schemes if scheme in CREDENTIAL_CHAINS),
        ]
        return ", and ".join([" or ".join(keys) or "none", *self.needs])


def list_reach(snapshot: Snapshot) -> list[Reach]:
    """List how nbkit reaches every provider of a snapshot, by id. Reads no environment variables."""
    return [_summarize(provider, [route for _, route in routes]) for provider, routes in group_routes(snapshot)]


def provider_table() -> pd.DataFrame:
    """List every provider of the catalog, one row each: how nbkit calls its models, or why it cannot.

    The index is the provider's id. `name`, `protocols`, `hosts` and `credentials` are text: what to call, where, and
    what must be set before. `models` counts its models, `callable` those that nbkit can call; `why_not` is the reason
    for the others, "" where there are none. `doc` is the address of the provider's documentation.
    """
    import pandas as pd

    rows = list_reach(load_known_snapshot())
    index = pd.Index([row.provider.id for row in rows], name="provider", dtype="str")
    columns = {
        "name": [row.provider.name for row in rows],
        "protocols": [", ".join(row.protocols) for row in rows],
        "hosts": [", ".join(row.hosts) for row in rows],
        "credentials": [row.credentials for row in rows],
        "models": [row.models for row in rows],
        "callable": [row.callable for row in rows],
        "why_not": ["; ".join(row.why_not) for row in rows],
        "doc": [row.provider.doc or "" for row in rows],
    }
    return pd.DataFrame(columns, index=index)


def group_routes(snapshot: Snapshot) -> list[tuple[Provider, list[tuple[Record, Route]]]]:
    """Group models, each with its route, by provider; providers by id."""
    by_provider: dict[str, list[tuple[Record, Route]]] = {}
    for model_id, route in zip(snapshot.ids, find_safe_routes(snapshot).rows, strict=True):
        record = snapshot.record(model_id)
        if record is not None:
            by_provider.setdefault(record.provider.id, []).append((record, route))
    return [(routes[0][0].provider, routes) for _, routes in sorted(by_provider.items())]


def _summarize(provider: Provider, routes: list[Route]) -> Reach:
    usable = [route for route in routes if not route.why_not]
    return Reach(
        provider=provider,
        protocols=_rank(route.protocol for route in usable if route.protocol),
        hosts=_rank(_host(route.address) for route in usable if route.address),
        variables=_rank(name for route in usable for name in route.variables),
        needs=_rank(name for route in usable for name in _list_needs(route)),
        auths=_rank(route.auth for route in usable),
        models=len(routes),
        callable=len(usable),
        why_not=_rank(route.why_not for route in routes if route.why_not),
    )


def _list_needs(route: Route) -> list[str]:
    """List the variables that address and headers are filled with; where one follows from another, that one."""
    names = _VARIABLE.findall(" ".join([route.address or "", *route.headers.values()]))
    return [table("variables").get(name, {}).get("of", name) for name in names]


def _rank(words: Iterable[str]) -> tuple[str, ...]:
    """Sort the distinct words, the most frequent first."""
    return tuple(word for word, _ in Counter(words).most_common())


def _host(address: str) -> str:
    return urlsplit(address).netloc or address.partition("/")[0]
