"""`nbkit ledger`: what was paid, added up, for people, spreadsheets and programs."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from typing import TYPE_CHECKING, Any

import nbkit
from nbkit.billing.money import sum_usd
from nbkit.bookkeeping.spending import GROUPS, add_up, name_kinds
from nbkit.cli.commands import JSON, Command, print_frame
from nbkit.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\n]")
"""How a text begins that a spreadsheet takes for a formula, and would run."""


def _ledger(options: argparse.Namespace) -> bool:
    """Add up the paid calls of all notebooks, by model, day (UTC), tag, notebook or user, in USD.

    Unpriced, replayed and simulated calls have lines of their own, and are in no total. `--by call` lists the calls.
    """
    if options.csv and options.json:
        raise ArgumentError("either --csv or --json")
    choice = ("since", "until", "model", "tag", "notebook", "user")
    frame = nbkit.ledger(**{name: getattr(options, name) for name in choice})
    if options.by == "call":
        rows = frame.assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), tags=frame["tags"].map(", ".join))
        shown = ("time", "model", "cost", "input", "output", "status", "tags")
    else:
        rows = add_up(frame, options.by)
        shown = (options.by, "kind", "calls", "cost", "saved", "input_tokens", "output_tokens")
    if options.csv:
        _write_csv(rows)
        return bool(len(rows))
    if not options.json:
        rows = _lay_out(rows, frame[name_kinds(frame) == "paid"]["cost"])
    return print_frame(rows, shown, options, "no calls in the ledger")


def _lay_out(rows: pd.DataFrame, paid: pd.Series[float]) -> pd.DataFrame:
    """Add a line with the total, and write USD with six decimals, so that the points stand below each other."""
    import pandas as pd

    if "calls" in rows and len(paid):
        total = rows.head(1).assign(calls=len(paid), cost=sum_usd(paid)).loc[:, ["kind", "calls", "cost"]]
        total.insert(0, rows.columns[0], "total")
        last = int((rows["kind"] == "paid").sum())
        rows = pd.concat([rows.head(last), total, rows.tail(len(rows) - last)], ignore_index=True)
    money = [name for name in ("cost", "saved") if name in rows]
    return rows.assign(**{name: rows[name].map("{:.6f}".format, na_action="ignore") for name in money})


def _write_csv(rows: pd.DataFrame) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.columns)
    cells = rows.astype("object").where(rows.notna(), "")
    writer.writerows(map(_write_cell, row) for row in cells.itertuples(index=False, name=None))


def _write_cell(value: Any) -> Any:
    """Write a cell: a number as it is, a text with LF for ends of lines, and never as a formula."""
    if isinstance(value, str):
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


_CHOICES = {
    "--since": "from this date, as in 2026-11-01 or 2026-11-01T12:00+01:00; UTC without an offset",
    "--until": "before this date",
    "--model": "one model: its id",
    "--tag": "calls with this tag",
    "--notebook": "one notebook: its path, or the end of it",
    "--user": "whose calls, where a team keeps one ledger",
}

COMMANDS = (
    Command(
        "ledger",
        "what was paid, by model, day, tag, notebook or user",
        _ledger,
        {
            "--by": {"choices": (*GROUPS, "call"), "default": "model", "help": "what to add up by; default: model"},
            **{name: {"metavar": name[2:].upper(), "help": text} for name, text in _CHOICES.items()},
            "--csv": {"action": "store_true", "help": "all columns as CSV, in which no text is a formula"},
            **JSON,
        },
    ),
)
