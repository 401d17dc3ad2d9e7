"""Votes on the answers to prompts, by people and by judge models, as they come in. No Jupyter here."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from nbkit.errors import ArgumentError
from nbkit.judging.cases import Case
from nbkit.judging.judge import Pair

if TYPE_CHECKING:
    import pandas as pd

HUMAN = "human"
NOBODY = ("tie", "bad")
"""Choices without a winner: all answers are equally good, or none is good."""
_FIRST = {"turn": 1, "row": 0}
"""What the first case is numbered in a frame of votes."""


class Tally(NamedTuple):
    """Votes on one model, of which it won so many; a tie is half a win."""

    votes: int = 0
    wins: float = 0.0

    def __str__(self) -> str:
        return f"{self.wins:g} of {self.votes}" if self.votes else ""


class Ballot:
    """Votes on pairs of answers. `find_case`: finds the answers by the number of a turn or a row, which `kind` says."""

    def __init__(self, find_case: Callable[[int], Case], kind: str = "turn") -> None:
        self._find_case, self._kind = find_case, kind
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._choices: dict[tuple[int, str], str] = {}

    def vote(self, winner: str | None, loser: str | None = None, number: int = -1, blind: bool = False) -> None:
        """Take a person's vote on a turn (from 0; -1: the last) or a row, which replaces the one before.

        `winner`: the label of the best answer, which wins against each of the others, or against `loser` alone; "tie"
        or "bad" (none is good) is a vote on each pair; None takes the vote back. Answers that failed are left out.
        `blind`: the voter did not see the models. Raises ArgumentError where a label is unknown or has no answer.
        """
        case = self._find_case(number)
        for label in (winner, loser):
            if label not in (*case.answers, *NOBODY, None):
                raise ArgumentError(f"vote(): {self._explain_label(str(label), case)}")
        if loser in NOBODY or (loser is not None and winner in (loser, None)):
            raise ArgumentError(f"vote(): {winner!r} against {loser!r} is not a pair of answers")
        if winner is not None and len(case.answers) < 2:
            raise ArgumentError("vote(): two answers are needed to choose between")
        if loser is None:
            place = (HUMAN, case.number, case.prompt)
            self._rows = {key: row for key, row in self._rows.items() if key[:3] != place}
            self._choices.pop((case.number, case.prompt), None)
        if winner is None:
            return
        self._choices[case.number, case.prompt] = winner
        for left, right in combinations(case.answers, 2):
            if winner in NOBODY or {left, right} == {winner, loser or (right if left == winner else left)}:
                who = winner if winner in NOBODY else "left" if winner == left else "right"
                self.add(left, right, who, number, blind=blind)

    def add(
        self,
        left: str,
        right: str,
        winner: str,
        number: int = -1,
        voter: str = HUMAN,
        reason: str = "",
        blind: bool = False,
    ) -> None:
        """Add a vote on one pair, "left", "right", "tie" or "bad", with what it was about: prompt, answers, costs."""
        case = self._find_case(number)
        row = _make_pair(case, left, right)._asdict()
        del row["turn"]
        places = [1 + case.labels.index(label) for label in (left, right)]
        about = {self._kind: case.number + _FIRST[self._kind], "winner": winner, "voter": voter, "reason": reason}
        about |= {"blind": blind, "left_place": places[0], "right_place": places[1]}
        self._rows[voter, case.number, case.prompt, left, right] = row | about

    def find_choice(self, number: int = -1) -> str | None:
        """Return a person's vote on a turn or a row: the winner's label, "tie", "bad", or None without a vote."""
        try:
            case = self._find_case(number)
        except ArgumentError:  # nothing is asked yet
            return None
        return self._choices.get((case.number, case.prompt))

    @property
    def choices(self) -> dict[int, str]:
        """A person's votes by turn or row, from 0: the winner's label, "tie" or "bad"."""
        return {number: choice for (number, _), choice in self._choices.items()}

    def list_pairs(self, number: int = -1) -> list[Pair]:
        """List the pairs of answers of a turn or a row, with all that a judge reads."""
        case = self._find_case(number)
        return [_make_pair(case, left, right) for left, right in combinations(case.answers, 2)]

    def list_answers(self, number: int = -1) -> dict[str, str]:
        """List the texts of the answers that can be voted on, by label, in the order in which they stand."""
        try:
            case = self._find_case(number)
        except ArgumentError:  # nothing is asked yet
            return {}
        return {label: answer.text for label, answer in case.answers.items()}

    def read_answer(self, label: str, number: int = -1) -> str:
        """Return the text of a model's answer. Raises ArgumentError where there is none."""
        case = self._find_case(number)
        if label not in case.answers:
            raise ArgumentError(self._explain_label(label, case))
        return case.answers[label].text

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
        """One row for each vote on a pair: the columns of `read_votes`, then `turn` (from 1) or `row` (from 0), the
        answers, a reason, whether the vote was `blind`, and at which place (from 1) each answer stood."""
        import pandas as pd

        from nbkit.judging.votes import COLUMNS, TEXTS, read_votes

        more = (self._kind, *TEXTS, "reason", "blind", "left_place", "right_place")
        rows = list(self._rows.values())
        if self._kind == "row":
            rows.sort(key=lambda row: row["row"])
        return read_votes(pd.DataFrame(rows, columns=[*COLUMNS, *more]))

    def _explain_label(self, label: str, case: Case) -> str:
        """Say why a label cannot be voted on."""
        if label in case.labels:
            return f"{label} has no answer in this {self._kind}"
        near = get_close_matches(label, case.labels, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(case.answers)}"
        return f"no model {label!r} here; {hint}"


def _make_pair(case: Case, left: str, right: str) -> Pair:
    one, other = case.answers[left], case.answers[right]
    costs = [answer.completion.cost if answer.completion else None for answer in (one, other)]
    return Pair(case.number, case.prompt, left, right, one.text, other.text, *costs)
