"""Prints the tables of the documentation: docs/{columns,providers,quirks,settings,benchmarks}.md, and the README's.

`python docs/tables.py` writes them again; the tests compare what it would write with what is there.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import fields
from quirks import render_quirks  # beside this file

from benchmarks.libraries import LIBRARIES
from benchmarks.tables import load, render_markdown
from nbkit import settings
from nbkit.choose.columns import list_columns
from nbkit.choose.coverage import CREDENTIAL_CHAINS, Reach, group_routes, list_reach
from nbkit.modelsdev.snapshot import BUNDLED, Snapshot, read

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "benchmarks.json"
_COLUMNS = """# Columns

The {count} columns of `nbkit.catalog`, in their order; the index, `id`, is `provider/model`. What models.dev does not
say is missing: NaN, NA (dtypes `Int64` and `boolean`) or NaT, never False or 0; a `bool` is always known. `str` is
text, some of it JSON: `json.loads(catalog.loc[id, "tiers"])`. No cell holds a list or a dictionary, so that a frame can
be compared, counted, and written to CSV, Parquet or a database. Prices are USD per million tokens, limits tokens.

The last ten columns are those that a notebook shows at the right end of a wide frame. `nbkit.show(catalog.loc[id])`
shows one model as a card.

"""
_PROVIDERS = """# Providers

The {providers} providers that models.dev listed on {date}, and how nbkit calls them. It can call
{callable:,} of their {models:,} models ({share:.1%}). `${{NAME}}` stands for an environment variable.
`nbkit.provider_table()` is the same as a DataFrame, of the catalog in force; [quirks.md](quirks.md) says what differs.

Lines that work, and what is special: {pages}.

"""

_SETTINGS = """# Settings

Settings are read from environment variables when nbkit first needs one: in a script, set them before that, or call
`nbkit.settings.renew()` after it. In a notebook with `%load_ext nbkit`, what a cell sets (`%env NBKIT_BUDGET=5/day`,
`os.environ[...] = ...`, `load_dotenv()`) holds from the next cell on; a wrong value is said once, and its setting
stays. API keys are read by each call. In code, `with nbkit.settings.override(offline=True): ...` changes settings for
a block; the names are those of the variables in lower case, without `NBKIT_`.

"""
_BENCHMARKS = """# Benchmarks

{facts}

Times are CPU time where a row does not name another. In brackets stands the ratio to the baseline, the median of the
ratios within rounds. "bare httpx2" is a loop that reads lines and JSON; "SDK" is the package of the protocol's own
provider. A whole answer comes 2 ms after its request, so that every client waits for it, as for a model's. An aim is
the bound that nbkit has set itself. `python -m benchmarks` measures again;
`python -m benchmarks soak` looks for what thousands of calls, streams and errors leave behind.
"""
_SPEED = """{facts}
CPU time where a row does not name another; in brackets the ratio to a loop on httpx2 that reads lines and JSON. "SDK"
is the provider's own package. [docs/benchmarks.md](docs/benchmarks.md) has all rows.

"""
_HEADLINES = {  # rows of the README's table, by subject
    "first_call": ["first call"],
    "calls": [
        f"{protocol}, {call}"
        for protocol in ("openai-chat", "anthropic-messages")
        for call in ("call", "async call", "stream, a chunk", "async stream, a chunk")
    ],
    "streams": ["100 streams, wall time", "500 streams, wall time", "500 streams, first chunk (95%), wall time"],
    "kernel": ["8 panes, CPU in a second"],
}
_PLACES = {  # settings whose default depends on the machine
    "cache_dir": "`nbkit` in the user's cache directory",
    "overrides": "`nbkit/overrides.toml` in the user's configuration directory",
}


def render_documents() -> dict[Path, str]:
    """The files that hold a table -> their text with the table as it is now, of the bundled models."""
    snapshot = read(BUNDLED)
    readme = _put((ROOT / "README.md").read_text("utf-8"), "providers", _render_protocols(snapshot))
    return {
        ROOT / "docs" / "columns.md": _render_columns(),
        ROOT / "docs" / "providers.md": _render_providers(snapshot),
        ROOT / "docs" / "quirks.md": render_quirks(),
        ROOT / "docs" / "settings.md": _render_settings(),
        ROOT / "docs" / "benchmarks.md": _render_benchmarks(),
        ROOT / "README.md": _put(readme, "benchmarks", _render_headlines()),
    }


def _put(text: str, mark: str, table: str) -> str:
    """The text with the table between its two marks."""
    head, begin, rest = text.partition(f"<!-- {mark} -->\n")
    _, end, tail = rest.partition(f"<!-- /{mark} -->\n")
    return f"{head}{begin}{table}{end}{tail}"


def _render_columns() -> str:
    columns = list_columns()
    lines = [[f"`{column.name}`", column.dtype, column.doc] for column in columns]
    return _COLUMNS.format(count=len(columns)) + _table(["column", "dtype", ""], lines)


def _render_settings() -> str:
    texts = dict(_read_field_docs(settings.Settings.__name__, Path(settings.__file__).read_text("utf-8")))
    lines = [
        [f"`NBKIT_{entry.name.upper()}`", _PLACES.get(entry.name) or _default(entry.default), texts[entry.name]]
        for entry in fields(settings.Settings)
    ]
    return _SETTINGS + _table(["variable", "default", ""], lines)


def _render_benchmarks() -> str:
    facts, tables = load(FIGURES)
    parts = (f"\n## {subject}\n\n{render_markdown(rows)}" for subject, rows in tables.items())
    return _BENCHMARKS.format(facts=_write_facts(facts)) + "".join(parts)


def _render_headlines() -> str:
    facts, tables = load(FIGURES)
    rows = {(subject, row.what): row.keep(LIBRARIES) for subject, rows in tables.items() for row in rows}
    chosen = [rows[subject, what] for subject, names in _HEADLINES.items() for what in names] if rows else []
    return _SPEED.format(facts=_write_facts(facts)) + render_markdown(chosen) if chosen else ""


def _write_facts(facts: dict[str, Any]) -> str:
    """One sentence about a run; nothing before the first."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    text = f"Measured on {facts['date']}: {facts['machine']}; {packages}." if facts["date"] else "Not measured yet."
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _read_field_docs(name: str, source: str) -> Iterator[tuple[str, str]]:
    """The fields of a class and the texts that stand under them."""
    (owner,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    for entry, text in zip(owner.body, owner.body[1:], strict=False):
        if isinstance(entry, ast.AnnAssign) and isinstance(text, ast.Expr):
            yield ast.unparse(entry.target), " ".join(ast.literal_eval(text.value).split()).rstrip(".")


def _default(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, int | float) else f"`{value}`"  # False is 0, as in the variable


def _render_providers(snapshot: Snapshot) -> str:
    rows = list_reach(snapshot)
    can, models = sum(row.callable for row in rows), sum(row.models for row in rows)
    head = _PROVIDERS.format(
        providers=len(rows),
        date=snapshot.meta.date,
        callable=can,
        models=models,
        share=can / models,
        pages=_list_pages(),
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


def _list_pages() -> str:
    """List the pages about one provider each, by their titles."""
    pages = sorted((ROOT / "docs" / "providers").glob("*.md"))
    titles = (page.read_text("utf-8").partition("\n")[0].removeprefix("# ") for page in pages)
    return ", ".join(f"[{title}](providers/{page.name})" for title, page in zip(titles, pages, strict=True))


def _render_protocols(snapshot: Snapshot) -> str:
    rows = [row for row in list_reach(snapshot) if row.callable]
    routes = [route for _, of_one in group_routes(snapshot) for _, route in of_one if not route.why_not]
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
