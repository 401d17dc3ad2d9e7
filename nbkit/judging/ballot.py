"""The votes on the answers of one panel, by people and by judge models, as they come in. No Jupyter here."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.panel import Panel
from nbkit.errors import ArgumentError
from nbkit.judging.judge import Pair

if TYPE_CHECKING:
    import pandas as pd

HUMAN = "human"
NOBODY = ("tie", "bad")
"""Choices without a winner: all answers are equally good, or none is good."""


class Tally(NamedTuple):
    """Votes on one model, of which it won so many; a tie is half a win."""

    votes: int = 0
    wins: float = 0.0

    def __str__(self) -> str:
        return f"{self.wins:g} of {self.votes}" if self.votes else ""


class Ballot:
    """Votes on pairs of answers."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._choices: dict[tuple[int, str], tuple[str, str | None]] = {}

    def vote(self, winner: str | None, loser: str | None = None, turn: int = -1) -> None:
        """Take a person's vote on a turn (from 0; -1: the last), which replaces the one before.

        `winner`: the label of the best answer, which wins against each of the others, or against `loser` alone; "tie"
        or "bad" (none is good) is a vote on each pair; None takes the vote back. Answers that failed are left out.
        Raises ArgumentError where a label is unknown or has no answer.
        """
        answers = self._find_answers(turn)
        number, prompt = self._name_turn(turn)
        for label in (winner, loser):
            if label not in (*answers, *NOBODY, None):
                raise ArgumentError(f"vote(): {_explain_label(str(label), self._panel.panes, answers)}")
        if loser in NOBODY or (loser is not None and winner in (loser, None)):
            raise ArgumentError(f"vote(): {winner!r} against {loser!r} is not a pair of answers")
        if winner is not None and len(answers) < 2:
            raise ArgumentError("vote(): two answers are needed to choose between")
        if loser is None:
            self._rows = {key: row for key, row in self._rows.items() if key[:3] != (HUMAN, number, prompt)}
            self._choices.pop((number, prompt), None)
        if winner is None:
            return
        self._choices[number, prompt] = (winner, loser)
        for left, right in combinations(answers, 2):
            if winner in NOBODY or {left, right} == {winner, loser or (right if left == winner else left)}:
                who = winner if winner in NOBODY else "left" if winner == left else "right"
                self.add(left, right, who, turn)

    def add(self, left: str, right: str, winner: str, turn: int = -1, voter: str = HUMAN, reason: str = "") -> None:
        """Add a vote on one pair, "left", "right", "tie" or "bad", with what it was about: prompt, answers, costs."""
        pair = self._make_pair(left, right, turn)
        row = pair._asdict() | {"turn": pair.turn + 1, "winner": winner, "voter": voter, "reason": reason}
        self._rows[voter, pair.turn, pair.prompt, left, right] = row

    def find_choice(self, turn: int = -1) -> str | None:
        """Return a person's vote on a turn: the winner's label, "tie", "bad", or None without a vote."""
        if not any(pane.answers for pane in self._panel.panes):
            return None
        return self._choices.get(self._name_turn(turn), (None, None))[0]

    def list_pairs(self, turn: int = -1) -> list[Pair]:
        """List the pairs of answers of a turn, with all that a judge reads."""
        return [self._make_pair(left, right, turn) for left, right in combinations(self._find_answers(turn), 2)]

    def list_answers(self, turn: int = -1) -> list[str]:
        """List the texts of the answers of a turn that can be voted on."""
        return [answer.text for answer in self._find_answers(turn).values()]

    def has_answer(self, label: str, turn: int = -1) -> bool:
        """Tell whether a model has an answer that can be voted on."""
        return label in self._find_answers(turn)

    def read_answer(self, label: str, turn: int = -1) -> str:
        """Return the text of a model's answer. Raises ArgumentError where there is none."""
        self._name_turn(turn)
        answers = self._find_answers(turn)
        if label not in answers:
            raise ArgumentError(_explain_label(label, self._panel.panes, answers))
        return answers[label].text

    def tally(self, label: str, voter: str | None = HUMAN) -> Tally:
        """Count what a model got from one voter; from all but people where `voter` is None."""
        rows = [row for row in self._rows.values() if label in (row["left"], row["right"])]
        rows = [row for row in rows if (row["voter"] == voter if voter else row["voter"] != HUMAN)]
        wins = [0.5 if row["winner"] in NOBODY else float(row[row["winner"]] == label) for row in rows]
        return Tally(len(rows), sum(wins))

    @property
    def prompts(self) -> int:
        """How many prompts a person has voted on."""
        return len(self._choices)

    def __len__(self) -> int:
        """Count the votes on pairs, of all voters."""
        return len(self._rows)

    def to_frame(self) -> pd.DataFrame:
        """One row for each vote on a pair: the columns of `read_votes`, then `turn` (from 1), the answers, a reason."""
        import pandas as pd

        from nbkit.judging.votes import COLUMNS, TEXTS, read_votes

        return read_votes(pd.DataFrame(list(self._rows.values()), columns=[*COLUMNS, "turn", *TEXTS, "reason"]))

    def _make_pair(self, left: str, right: str, turn: int) -> Pair:
        answers = self._find_answers(turn)
        one, other = answers[left], answers[right]
        costs = [answer.completion.cost if answer.completion else None for answer in (one, other)]
        return Pair(*self._name_turn(turn), left, right, one.text, other.text, *costs)

    def _find_answers(self, turn: int) -> dict[str, Answer]:
        """Find the answers of a turn by label: those that have a text."""
        answers = {
            pane.label: pane.answers[turn]
            for pane in self._panel.panes
            if -len(pane.answers) <= turn < len(pane.answers)
        }
        return {label: answer for label, answer in answers.items() if answer.text and not answer.error}

    def _name_turn(self, turn: int) -> tuple[int, str]:
        """Name a turn by its number and its prompt."""
        lengths = [len(pane.answers) for pane in self._panel.panes]
        number = turn if turn >= 0 else max(lengths, default=0) + turn
        prompts = [pane.answers[number].prompt for pane in self._panel.panes if 0 <= number < len(pane.answers)]
        if not prompts:
            raise ArgumentError(f"turn: expected one of the {max(lengths, default=0)} turns, got {turn}")
        return number, prompts[0]


def _explain_label(label: str, panes: Iterable[Pane], answers: Iterable[str]) -> str:
    """Say why a label cannot be voted on."""
    labels = [pane.label for pane in panes]
    if label in labels:
        return f"{label} has no answer in this turn"
    near = get_close_matches(label, labels, 1)
    return f"no model {label!r} here; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(answers)}")
