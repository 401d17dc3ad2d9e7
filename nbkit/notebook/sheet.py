"""The messages between a grid and its views, in the manner of `nbkit.notebook.deltas`. No Jupyter here.

A view sends `ready` and gets a snapshot; from then on it gets deltas, whose `seq` counts by one; a view that sees a gap
sends `resync` and gets a snapshot again. Its other messages: `ping` (gets a `pong`), `start`, `stop`, `retry`, `open`
(with `row`), and `vote` (with `row`, and `choice`: a column's number, "tie", "bad", or null to take the vote back).

    {"type": "snapshot", "seq", "title", "columns": [{"name", "model"}], "prompts": [text], "cells", "votes", "foot"}
    {"type": "delta", "seq", "cells", "votes", "foot"}
    {"type": "answers", "row", "prompt": HTML, "cells": [...]}      the answer to `open`; not numbered

    cells   {"row", "column", "status"}; with an answer also its first words as `html`, its `key`, which equal
            answers share, and `figures`: cost, seconds, tokens as (number, text); while a rate limit holds it up
            `limited`, as in `deltas`. A cell that is not listed waits
    votes   {"row", "choice"}
    foot    {"busy", "done", "failed", "total", "elapsed", "spent", "totals", "start", "retry", "columns"}: `start` and
            `retry` say what it would cost to ask for the rest, or again; "" where there is nothing to ask.
            `columns` are `sum_columns`
    cells of `answers`: {"status", "html", "end"}; `end` is `facts.describe_end`

All HTML is clean; everything else is text, in which hidden characters are spelled out. Not thread-safe: all calls come
from the portal.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from nbkit.adapters.run import ToolResult
from nbkit.billing.total import TOTAL, Sum
from nbkit.bookkeeping.budgets import describe_fit
from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.table import Table, get_status
from nbkit.judging.ballot import Ballot
from nbkit.notebook.deltas import find_deadline
from nbkit.notebook.export import write_tool
from nbkit.notebook.facts import describe_end, explain_error, list_figures
from nbkit.rendering.markdown import render
from nbkit.rendering.sanitize import plain_html, visible
from nbkit.rendering.words import render_beginning

Message = dict[str, Any]
Choices = Mapping[int, str]
"""Votes by row: the winner's label, "tie" or "bad"."""

_WORDS = 260  # characters of an answer in its cell
_PROMPT = 4000  # characters of a prompt that a view holds, and searches
_FIGURES = ("cost", "seconds", "out")


class Sheet:
    """The state of a grid as its views have it."""

    def __init__(self, title: str, table: Table, ballot: Ballot) -> None:
        self._title, self._table, self._ballot = title, table, ballot
        self._changed: dict[Pane, None] = {}
        self._held: dict[Pane, float] = {}  # until when; 0: nobody knows
        self._voted: dict[int, None] = {}
        self._seq = 0
        self._began: float | None = None  # while answers are asked for
        self._took = 0.0
        self._foot: Message = {}

    def change(self, cell: Pane) -> None:
        """Note that a cell has changed. The first one starts the clock."""
        if self._began is None:
            self._began = time.monotonic() - self._took
        self._changed[cell] = None

    def hold(self, cell: Pane, seconds: float | None) -> None:
        """Note that a cell waits for a rate limit."""
        former = self._held.get(cell)
        until = find_deadline(former, seconds)
        if until is None:
            self._held.pop(cell, None)
        else:
            self._held[cell] = until
        if until != former:
            self.change(cell)

    def rest(self) -> None:
        """Stop the clock."""
        self._time()
        self._began = None

    def vote(self, row: int) -> None:
        """Note that the vote on a row has changed."""
        self._voted[row] = None

    def delta(self) -> Message | None:
        """Make the next message for all views, or None where nothing is new."""
        foot = self._write_foot()
        if not (self._changed or self._voted) and foot == self._foot:
            return None
        self._seq += 1
        cells, votes = (
            [self._write_cell(cell) for cell in self._changed],
            [self._write_vote(row) for row in self._voted],
        )
        self._changed, self._voted, self._foot = {}, {}, foot
        return {"type": "delta", "seq": self._seq, "cells": cells, "votes": votes, "foot": foot | self._time()}

    def snapshot(self) -> Message:
        """Write everything. Only right after `delta()`, or the next delta would repeat a part of it."""
        table = self._table
        return {
            "type": "snapshot",
            "seq": self._seq,
            "title": visible(self._title),
            "columns": [{"name": visible(column.name), "model": visible(column.label)} for column in table.columns],
            "prompts": [visible(prompt[-1].text[:_PROMPT]) for prompt in table.prompts],
            "cells": [self._write_cell(cell) for cell in table.places if cell.answers],
            "votes": [self._write_vote(row) for row in self._ballot.choices],
            "foot": self._write_foot() | self._time(),
        }

    def write_answers(self, row: int) -> Message:
        """Write the answers of a row in full."""
        cells = [_write_answer(cell) for cell in self._table.cells[row]]
        prompt = plain_html("\n\n".join(turn.text for turn in self._table.prompts[row]))
        return {"type": "answers", "row": row, "prompt": prompt, "cells": cells}

    def _write_cell(self, cell: Pane) -> Message:
        row, column = self._table.places[cell]
        message: Message = {"row": row, "column": column, "status": get_status(cell)}
        answer = cell.answers[-1]
        if answer.status in ("waiting", "streaming"):
            until = self._held.get(cell)
            return message if until is None else message | {"limited": max(0.0, until - time.monotonic())}
        self._held.pop(cell, None)
        if problem := explain_error(answer):
            message["html"] = plain_html(problem[0][:_WORDS])
        elif answer.completion:
            message |= {"html": render_beginning(answer.text, _WORDS), "key": compute_key(answer.text)}
        figures = list_figures(answer)
        return message | {"figures": {name: figures[name] for name in _FIGURES if name in figures}}

    def _write_vote(self, row: int) -> Message:
        choice = self._ballot.choices.get(row)
        labels = [column.label for column in self._table.columns]
        return {"row": row, "choice": labels.index(choice) if choice in labels else choice}

    def _time(self) -> Message:
        if self._began is not None:
            self._took = time.monotonic() - self._began
        return {"elapsed": self._took}

    def _write_foot(self) -> Message:
        table, busy = self._table, self._table.busy
        counts = {status: len(table.list_cells([status])) for status in ("done", "failed")}
        return {
            "busy": busy,
            **counts,
            "total": len(table.places),
            "spent": str(table.spent),
            "totals": f"this grid {table.spent}{' so far' if busy else ''} · notebook {TOTAL.total()}",
            "start": "" if busy else describe_start(table),
            "retry": "" if busy or not counts["failed"] else describe_retry(table),
            "columns": sum_columns(table, self._ballot.choices),
        }


def compute_key(text: str) -> int:
    """Compute a number that answers share which are equal but for case, white space and a full stop at the end."""
    return crc32(" ".join(text.casefold().split()).rstrip(".").encode("utf-8", "replace"))


def describe_start(table: Table) -> str:
    """Say what it would cost to ask for the answers that are not there; "" where all are."""
    cells = table.list_cells(["waiting", "stopped"])
    if not cells:
        return ""
    estimate = table.estimate(cells)
    fit = describe_fit(estimate.usd, table.blocks)
    length = f" if an answer takes {table.answer_tokens} tokens" if len(cells) == len(table.places) else ""
    return _describe_cost(len(cells), estimate) + length + (f", {fit}" if fit else "")


def describe_retry(table: Table) -> str:
    """Say what it would cost to ask for the failed answers again."""
    cells = table.list_cells(["failed"])
    return _describe_cost(len(cells), table.estimate(cells))


def _describe_cost(calls: int, cost: Sum) -> str:
    about = "cost not known" if cost.unknown == cost.calls else f"about {cost}"
    return f"{calls:,} call{'' if calls == 1 else 's'}, {about}"


def sum_columns(table: Table, choices: Choices) -> list[Message]:
    """Sum up each model: what its answers cost, as (USD or None, text), how many failed, their seconds on average (None
    where no answer is complete), and how many of the `votes` on its rows it won, a tie for half."""
    sums = []
    for number, column in enumerate(table.columns):
        answers = [line[number].answers[-1] for line in table.cells if line[number].answers]
        times = [answer.completion.timing.total for answer in answers if _is_timed(answer)]  # type: ignore[union-attr]
        spent = table.totals[number].total()
        on = [choice for row, choice in choices.items() if get_status(table.cells[row][number]) == "done"]
        sums.append(
            {
                "cost": (spent.cost, str(spent)),
                "failed": sum(answer.status == "failed" for answer in answers),
                "seconds": round(sum(times) / len(times), 2) if times else None,
                "won": sum(1.0 if choice == column.label else 0.5 * (choice in ("tie", "bad")) for choice in on),
                "votes": len(on),
            }
        )
    return sums


def _is_timed(answer: Answer) -> bool:
    return answer.status == "done" and answer.completion is not None and answer.completion.timing is not None


def _write_answer(cell: Pane) -> Message:
    if not cell.answers:
        return {"status": "waiting", "html": "", "end": None}
    answer = cell.answers[-1]
    html = "".join(write_tool(part) if isinstance(part, ToolResult) else render(part) for part in answer.parts)
    ended = answer.status not in ("waiting", "streaming")
    return {"status": answer.status, "html": html, "end": describe_end(answer) if ended else None}
