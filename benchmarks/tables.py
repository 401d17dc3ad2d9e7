"""Rows as tables: on the terminal, and in the documentation (`docs/tables.py`), from figures that a run has saved."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmarks.libraries import LIBRARIES
from benchmarks.runner import NBKIT, Row, Value

PACKAGES = ("httpx2", "aiohttp", "openai", "anthropic", "google-genai", "cohere", "litellm", "pandas")
ORDER = (NBKIT, *LIBRARIES)
"""Columns that come first; the others keep the order in which they were measured."""
Tables = Mapping[str, Sequence[Row]]
"""Subjects and their rows."""


def make_table(subject: str, rows: Sequence[Row]) -> Table:
    """Make a table for the terminal."""
    head, *lines = _list_cells(rows)
    table = Table(title=subject, title_justify="left")
    for name in head:
        table.add_column(escape(name), justify="left" if name in ("", "baseline", "aim") else "right")
    for line in lines:
        table.add_row(*map(escape, line))
    return table


def render_markdown(rows: Sequence[Row]) -> str:
    """Write a table for a page."""
    head, *lines = _list_cells(rows)
    rules = [["---"] * len(head)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in [head, *rules, *lines])


def _list_cells(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The head of a table, then its lines."""
    names = dict.fromkeys(name for row in rows for name in list(row.values)[1:])
    columns = sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    yield ["", "baseline", *columns, "aim"]
    for row in rows:
        baseline = next(iter(row.values.values()))
        cells = [_format_value(row.values.get(name), row.unit) for name in columns]
        yield [row.what, f"{row.baseline}: {format_amount(baseline.amount, row.unit)}", *cells, row.aim]


def _format_value(value: Value | None, unit: str) -> str:
    if not value:
        return ""
    ratio = f" ({value.ratio:.2g} x)" if value.ratio is not None else ""
    return format_amount(value.amount, unit) + ratio


def format_amount(amount: float, unit: str) -> str:
    """Write seconds or bytes with a fitting unit."""
    if not unit:
        return f"{amount:g}"
    if unit == "B":
        return f"{amount / 1000:,.0f} kB"
    for name, factor in (("s", 1), ("ms", 1e3)):
        if amount * factor >= 1:
            return f"{_round(amount * factor)} {name}"
    return f"{_round(amount * 1e6)} µs"


def _round(number: float) -> str:
    return f"{float(f'{number:.3g}'):g}"


def save(path: Path, tables: Tables) -> None:
    """Write the figures of a run, with its date, machine and packages."""
    packages = {name: version for name in PACKAGES if (version := _find_version(name))}
    content = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": describe_machine(),
        "packages": packages,
        "tables": {subject: [asdict(row) for row in rows] for subject, rows in tables.items()},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load(path: Path) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Read the figures of a run: facts about it, and its tables."""
    content = json.loads(path.read_text("utf-8"))
    tables = content.pop("tables")
    return content, {subject: [_read_row(row) for row in rows] for subject, rows in tables.items()}


def _read_row(row: dict[str, Any]) -> Row:
    return Row(**row | {"values": {name: Value(**value) for name, value in row["values"].items()}})


def describe_machine() -> str:
    """Say what the figures were measured on."""
    return f"{_find_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _find_processor() -> str:
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text("utf-8").splitlines() if facts.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
