"""Prints the tables of the documentation from the data: docs/columns.md, docs/providers.md, and the README's tables.

`python docs/tables.py` writes them again; the tests compare what it would write with what is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nbkit.choose.columns import ORDER, Column, ordered_columns
from nbkit.choose.coverage import CREDENTIAL_CHAINS, Reach, reachable, routes_by_provider
from nbkit.modelsdev.snapshot import Snapshot, bundled, read

ROOT = Path(__file__).parents[1]
_COLUMNS = """# Columns

The {count} columns of `nbkit.catalog`, in their order; the index, `id`, is `provider/model`. What models.dev does not
say is missing: NaN, NA (dtypes `Int64` and `boolean`) or NaT, never False or 0; a `bool` is always known. `str` and
`category` hold text, `object` a tuple, a dictionary or None. Prices are USD per million tokens, limits tokens.

"""
_PROVIDERS = """# Providers

The {providers} providers that models.dev listed on {date}, and how nbkit calls them. It can call
{callable:,} of their {models:,} models ({share:.1%}). `${{NAME}}` stands for an environment variable.
`nbkit.provider_table()` is the same as a DataFrame, of the catalog in force.

"""


def render_documents() -> dict[Path, str]:
    """The files that hold a table -> their text with the table as it is now, of the bundled models."""
    snapshot, columns = read(bundled()), ordered_columns()
    readme = (ROOT / "README.md").read_text("utf-8")
    readme = _put(readme, "columns", _columns(columns[: len(ORDER)]))
    return {
        ROOT / "docs" / "columns.md": _COLUMNS.format(count=len(columns)) + _columns(columns),
        ROOT / "docs" / "providers.md": _by_provider(snapshot),
        ROOT / "README.md": _put(readme, "providers", _by_protocol(snapshot)),
    }


def _put(text: str, mark: str, table: str) -> str:
    """The text with the table between its two marks."""
    head, begin, rest = text.partition(f"<!-- {mark} -->\n")
    _, end, tail = rest.partition(f"<!-- /{mark} -->\n")
    return f"{head}{begin}{table}{end}{tail}"


def _columns(columns: Iterable[Column]) -> str:
    return _table(["column", "dtype", ""], [[f"`{column.name}`", column.dtype, column.doc] for column in columns])


def _by_provider(snapshot: Snapshot) -> str:
    rows = reachable(snapshot)
    can, models = sum(row.callable for row in rows), sum(row.models for row in rows)
    head = _PROVIDERS.format(
        providers=len(rows), date=snapshot.meta.date, callable=can, models=models, share=can / models
    )
    lines = [
        [row.provider.id, ", ".join(row.protocols), _code(row.hosts), _code_names(row.credentials), _count(row)]
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
    routes = [route for _, of_one in routes_by_provider(snapshot) for _, route in of_one if not route.why_not]
    lines = []
    for protocol, models in Counter(route.protocol for route in routes).most_common():
        serve = sorted((row for row in rows if protocol in row.protocols), key=lambda row: _prominence(row, protocol))
        examples = ", ".join(row.provider.name for row in serve[:5]) + (" ..." if len(serve) > 5 else "")
        schemes = {route.auth.partition(":")[0] for route in routes if route.protocol == protocol}
        lines.append([f"`{protocol}`", str(len(serve)), f"{models:,}", examples, _credentials(schemes)])
    return _table(["protocol", "providers", "models", "such as", "credentials"], lines)


def _credentials(schemes: set[str]) -> str:
    keys = ["a key"] if schemes - {"google", "none"} else []
    chains = (f"{name} (extra `{extra}`)" for scheme, (name, extra) in CREDENTIAL_CHAINS.items() if scheme in schemes)
    return " or ".join([*keys, *chains])


def _prominence(row: Reach, protocol: str | None) -> tuple[bool, bool, int]:
    """First those that speak it most, and have an npm package of their own; then by the number of their models."""
    return row.protocols[0] != protocol, row.provider.npm == "@ai-sdk/openai-compatible", -row.models


def _count(row: Reach) -> str:
    return str(row.models) if row.callable == row.models else f"{row.callable} of {row.models}"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _code_names(credentials: str) -> str:
    return re.sub(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", lambda name: f"`{name[0]}`", credentials)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


if __name__ == "__main__":
    for path, text in render_documents().items():
        path.write_text(text, "utf-8")
