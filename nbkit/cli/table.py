"""Frames on standard output: a table that fits the terminal, tab-separated text in a pipe, or JSON.

Catalog text is hostile: a name may hold terminal escapes, direction marks, tabs, or what rich would read as markup.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nbkit.billing.money import format_price, format_usd
from nbkit.rendering.sanitize import visible

_TITLES = {
    "input_cost": "in $/M",
    "output_cost": "out $/M",
    "cache_read_cost": "cached $/M",
    "cost": "cost $",
    "saved": "saved $",
}
_AMOUNTS = {
    "cost": format_usd,
    "input_cost": format_price,
    "output_cost": format_price,
    "cache_read_cost": format_price,
}
"""How people read a column of USD; in a pipe it has all its digits."""
_NESTED = ("tiers", "experimental")
_NUMBERS = {
    *_TITLES,
    "context",
    "max_output",
    "input_tokens",
    "output_tokens",
    "calls",
    "extra",
    "blended_cost",
    "score",
}


def print_rows(frame: pd.DataFrame, columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print rows: with `as_json` all columns as JSON, else the index and those of `columns` that the frame has.

    On a terminal, columns that do not fit beside the index are left out.
    """
    named = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    if as_json:
        rows = [{name: _to_json(name, value) for name, value in row.items()} for row in named.to_dict("records")]
        sys.stdout.write(json.dumps(rows, indent=1, allow_nan=False) + "\n")
        return
    shown = list(dict.fromkeys((named.columns[0], *(name for name in columns if name in named))))
    cells = named[shown].itertuples(index=False, name=None)
    if sys.stdout.isatty():
        _print_table(
            shown, [[_read_cell(name, value) for name, value in zip(shown, row, strict=True)] for row in cells]
        )
    else:
        texts = [[_format_cell(value) for value in row] for row in cells]
        sys.stdout.writelines("\t".join(row) + "\n" for row in [shown, *texts])


def _to_json(name: Any, value: Any) -> Any:
    """Convert a cell for JSON; what the catalog holds as JSON text is nested there."""
    return json.loads(value) if name in _NESTED and isinstance(value, str) else _to_plain(value)


def _to_plain(value: Any) -> Any:
    """Convert a cell to plain values for JSON: None where unknown, dates as YYYY-MM-DD."""
    if isinstance(value, Mapping):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return value.item() if hasattr(value, "item") else value


def _format_cell(value: Any) -> str:
    """Format a cell as one line of text; "" where unknown."""
    plain = _to_plain(value)
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:.6g}" if abs(plain) >= 1e-4 or not plain else f"{plain:.10f}".rstrip("0")
    text = "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain)
    return " ".join(visible(text).split())


def _read_cell(name: str, value: Any) -> str:
    """Format a cell of a terminal's table: the heads have the sign of the dollar."""
    is_amount = name in _AMOUNTS and isinstance(value, float) and not math.isnan(value)
    return _AMOUNTS[name](value).removeprefix("$") if is_amount else _format_cell(value)


def _print_table(names: list[str], cells: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    titles = [_TITLES.get(name, name.replace("_", " ")) for name in names]
    columns = [list(map(Text, column)) for column in zip(titles, *cells, strict=True)]
    widths = [3 + max(text.cell_len for text in column) for column in columns]
    room = console.width - min(widths[0], 40)
    fitting = [0, *(place for place in range(1, len(names)) if sum(widths[1 : place + 1]) <= room)]
    for place in fitting:
        table.add_column(
            columns[place][0],
            justify="right" if names[place] in _NUMBERS else "left",
            no_wrap=place > 0,
            overflow="fold",
        )
    for row in zip(*(columns[place][1:] for place in fitting), strict=True):
        table.add_row(*row)  # rich reads markup and emoji codes in a str, not in a Text
    console.print(table)
