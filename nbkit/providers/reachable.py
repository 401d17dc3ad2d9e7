"""Which providers nbkit can call, how, and why not the others: the way to each model, counted by provider.

`python -m nbkit.providers.reachable`, in the root of the repository, prints docs/providers.md and the README's table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Snapshot, bundled, read
from nbkit.providers import registry
from nbkit.providers.routes import Route, route
from nbkit.providers.tables import table

if TYPE_CHECKING:
    import pandas as pd

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_OWN = {  # credentials that are no key in a variable: what they are called, and the extra that reads them
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
        keys = [*(self.variables if schemes else ()), *(_OWN[scheme][0] for scheme in schemes if scheme in _OWN)]
        return ", and ".join([" or ".join(keys) or "none", *self.needs])


def reachable(snapshot: Snapshot) -> list[Reach]:
    """Every provider of a snapshot, by id. Looks at no environment variable."""
    return [_reach(provider, ways) for provider, ways in _ways(snapshot)]


def unreachable(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The id of each model that nbkit cannot call, and why."""
    return [(record.id, way.why_not) for _, ways in _ways(snapshot) for record, way in ways if way.why_not]


def provider_table() -> pd.DataFrame:
    """Every provider that models.dev lists, one row each, the index its id: how nbkit calls it, or why it cannot.

    `protocols`, `hosts` and `credentials` are text; `models` and `callable` count its models.
    """
    import pandas as pd

    rows = reachable(registry.snapshot())
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


def _ways(snapshot: Snapshot) -> list[tuple[Provider, list[tuple[Record, Route]]]]:
    by_provider: dict[str, list[tuple[Record, Route]]] = {}
    for model_id in snapshot.ids:
        record = snapshot.record(model_id)
        if record is not None:
            way = route(record.provider, record.model, record)
            by_provider.setdefault(record.provider.id, []).append((record, way))
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


# ---- the tables of the documentation


def documents(root: Path) -> dict[Path, str]:
    """The files that hold a table of the bundled models' providers -> their text with the table as it is now."""
    snapshot, readme = read(bundled()), root / "README.md"
    head, mark, rest = readme.read_text("utf-8").partition("<!-- providers -->\n")
    _, end, tail = rest.partition("<!-- /providers -->\n")
    return {
        root / "docs" / "providers.md": _by_provider(snapshot),
        readme: f"{head}{mark}{_by_protocol(snapshot)}{end}{tail}",
    }


def _by_provider(snapshot: Snapshot) -> str:
    rows = reachable(snapshot)
    can, models = sum(row.callable for row in rows), sum(row.models for row in rows)
    head = f"""# Providers

The {len(rows)} providers that models.dev listed on {snapshot.meta.date}, and how nbkit calls them. It can call
{can:,} of their {models:,} models ({can / models:.1%}). `${{NAME}}` stands for an environment variable.
`nbkit.provider_table()` is the same as a DataFrame, of the catalog in force.

"""
    lines = [
        [row.provider.id, ", ".join(row.protocols), _code(row.hosts), _said(row.credentials), _count(row)]
        for row in rows
    ]
    reasons = [
        f"- {row.provider.id} ({row.models - row.callable} of {row.models} models): {'; '.join(row.why_not)}"
        for row in rows
        if row.why_not
    ]
    table = _table(["provider", "protocol", "host", "credentials", "models"], lines)
    return head + table + "\n## Not callable\n\n" + "\n".join(reasons) + "\n"


def _by_protocol(snapshot: Snapshot) -> str:
    rows = [row for row in reachable(snapshot) if row.callable]
    ways = [way for _, found in _ways(snapshot) for _, way in found if not way.why_not]
    lines = []
    for protocol, models in Counter(way.protocol for way in ways).most_common():
        serve = sorted((row for row in rows if protocol in row.protocols), key=lambda row: _prominence(row, protocol))
        examples = ", ".join(row.provider.name for row in serve[:5]) + (" ..." if len(serve) > 5 else "")
        schemes = {way.auth.partition(":")[0] for way in ways if way.protocol == protocol}
        lines.append([f"`{protocol}`", str(len(serve)), f"{models:,}", examples, _asked(schemes)])
    return _table(["protocol", "providers", "models", "such as", "credentials"], lines)


def _asked(schemes: set[str]) -> str:
    keys = ["a key"] if schemes - {"google", "none"} else []
    return " or ".join([*keys, *(f"{_OWN[name][0]} (extra `{_OWN[name][1]}`)" for name in _OWN if name in schemes)])


def _prominence(row: Reach, protocol: str | None) -> tuple[bool, bool, int]:
    """First those that speak it most, and have an npm package of their own; then by the number of their models."""
    return row.protocols[0] != protocol, row.provider.npm == "@ai-sdk/openai-compatible", -row.models


def _count(row: Reach) -> str:
    return str(row.models) if row.callable == row.models else f"{row.callable} of {row.models}"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _said(credentials: str) -> str:
    return re.sub(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", lambda name: f"`{name[0]}`", credentials)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


if __name__ == "__main__":
    for path, text in documents(Path.cwd()).items():
        path.write_text(text, "utf-8")
