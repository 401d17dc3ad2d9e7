"""Cases to vote on: the answers of several models to one prompt, in a turn of a panel or a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.panel import Panel
from nbkit.bulk.table import Table
from nbkit.errors import ArgumentError


class Case(NamedTuple):
    """Answers to one prompt."""

    number: int
    """Of the turn or the row, from 0."""
    prompt: str
    labels: list[str]
    """All models, in the order in which their answers stand."""
    answers: dict[str, Answer]
    """The answers that can be voted on, by label, in that order."""


def find_turn(panel: Panel, turn: int, order: Sequence[Pane] = ()) -> Case:
    """Find a turn of a panel (from 0; -1: the last). `order`: how its answers stand. Raises ArgumentError."""
    panes = order or panel.panes
    turns = max(len(pane.answers) for pane in panes)
    number = turn if turn >= 0 else turns + turn
    answers = {pane.label: pane.answers[number] for pane in panes if 0 <= number < len(pane.answers)}
    if not answers:
        raise ArgumentError(f"turn: expected one of the {turns} turns, got {turn}")
    prompt = next(iter(answers.values())).prompt
    usable = {label: answer for label, answer in answers.items() if answer.text and not answer.error}
    return Case(number, prompt, [pane.label for pane in panes], usable)


def find_row(table: Table, row: int) -> Case:
    """Find a row of a table. Raises ArgumentError."""
    if not 0 <= row < len(table.cells):
        raise ArgumentError(f"vote(): expected a row from 0 to {len(table.cells) - 1}, got {row!r}")
    cells = table.cells[row]
    answers = {cell.label: cell.answers[-1] for cell in cells if cell.answers and cell.answers[-1].status == "done"}
    return Case(row, table.prompts[row][-1].text, [cell.label for cell in cells], answers)
