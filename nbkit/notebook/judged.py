"""Judging what a comparison shows: votes, differences by words, judge models, and what is left of them in the twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbkit.adapters.factory import ModelChoice
from nbkit.arguments import check_arguments
from nbkit.billing.entry import at_origin, find_origin
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import ensure_adapter
from nbkit.judging.ballot import NOBODY, Ballot
from nbkit.judging.diff import Diff, diff_words, measure_agreement
from nbkit.judging.judge import Judgement, judge_pairs
from nbkit.notebook.cells import Bundle
from nbkit.notebook.differences import Differences
from nbkit.notebook.export import OPEN_TWIN
from nbkit.notebook.judge_form import add_votes
from nbkit.notebook.ranking import write_ranking
from nbkit.rendering.words import write_words

if TYPE_CHECKING:
    import pandas as pd


class Judged:
    """The judging side of a comparison."""

    _panel: Panel
    _ballot: Ballot

    def _renew(self) -> None:
        """Show the votes to all views, and in the static twin."""
        raise NotImplementedError

    @check_arguments
    def vote(self, winner: str | None, loser: str | None = None, turn: int = -1) -> None:
        """Vote on a turn (from 0; -1: the last); it replaces your vote before. Waits for the answers.

        `winner`: the model with the best answer, which wins against each of the others, or against `loser` alone: one
        winner among n models is n - 1 votes. "tie" or "bad" (none is good) is a vote on each pair; None takes the vote
        back. Answers that failed are left out. Raises ArgumentError where a model is unknown or has no answer.
        """
        self._panel.wait()
        self._ballot.vote(winner, loser, turn)
        self._renew()

    @property
    def votes(self) -> pd.DataFrame:
        """All votes on pairs, of people and judge models (`voter`), a row each, as `nbkit.rank` takes them."""
        return self._ballot.to_frame()

    @check_arguments
    def diff(self, base: str, other: str, turn: int = -1) -> Diff:
        """Compare the answers of two models word by word; the cell shows what is added and what is gone.

        The words are those that a reader sees, without the marks of Markdown.

        Raises ArgumentError where a model is unknown or has no answer in this turn.
        """
        self._panel.wait()
        words = [write_words(self._ballot.read_answer(label, turn)) for label in (base, other)]
        return Diff(base, other, diff_words(*words))

    @check_arguments
    def agreement(self, turn: int = -1) -> float | None:
        """Measure how far the answers of a turn agree: the mean share of words that two of them have in common, 0 to 1.

        It is Dice's coefficient, see `nbkit.judging.diff.measure_agreement`; None for fewer than two answers.
        """
        self._panel.wait()
        return measure_agreement(list(self._ballot.list_answers(turn).values()))

    @check_arguments
    def judge(
        self,
        criterion: str,
        model: ModelChoice,
        *,
        both_orders: bool = True,
        turn: int | None = -1,
        **options: Any,
    ) -> Judgement:
        """Let a model judge each pair of answers of a turn (None: of all turns); its votes join `votes`.

        `criterion`: in words, such as "correct and short". With `both_orders` each pair is read twice, the answers
        swapped; verdicts that contradict each other are a tie, counted as `flips`, and `position_bias` tells whether
        the judge prefers the first place. `options`: the fields of `ExecuteOptions` for the judge's calls. A call that
        fails, or does not answer in the form of a verdict, is among `failed` and is not a vote. The cost is the
        judgement's own. Interrupting the kernel stops the calls. Raises ModelNotFoundError, ConfigError.
        """
        self._panel.wait()
        adapter = ensure_adapter(model)
        turns = range(len(self._panel.panes[0].answers)) if turn is None else [turn]
        pairs = [pair for number in turns for pair in self._ballot.list_pairs(number)]
        with at_origin(find_origin()):
            work = judge_pairs(adapter, criterion, pairs, both_orders, **options)
            judgement = portal.wait(portal.submit(work))
        add_votes(self._ballot, judgement)
        self._renew()
        return judgement


def describe_votes(
    ballot: Ballot, answers: Mapping[str, str], labels: Sequence[str], differences: Differences, number: int = -1
) -> dict[str, Any]:
    """Say what the views show of the votes on the answers of a turn, which stand in the order of the `labels`.

    `ready`: whether there are two answers to choose between. `choice`: the pane that won, by its index, "tie", "bad",
    or None. `figures`: for each pane the numbers of the score line, as (number, text): how far its answer `agrees` with
    the base, and how many pairs it `won` by the votes of people, and by judges, its `score`. `agreement`: how far all
    answers agree, in words.
    """
    choice, share = ballot.find_choice(number), measure_agreement(list(answers.values()))
    shares = differences.list_shares(answers, labels)
    columns = [{"agrees": shares[place]} | count_wins(ballot, label) for place, label in enumerate(labels)]
    return {
        "ready": len(answers) > 1,
        "choice": labels.index(choice) if choice in labels else choice,
        "figures": [{name: figure for name, figure in column.items() if figure} for column in columns],
        "agreement": "" if share is None else f"{share:.0%} of the words agree",
    }


def count_wins(ballot: Ballot, label: str) -> dict[str, tuple[float, str] | None]:
    """Count the pairs that a model won by people (`won`) and by judge models (`score`), as (share, text)."""
    tallies = {"won": ballot.tally(label), "score": ballot.tally(label, None)}
    return {name: (one.wins / one.votes, str(one)) if one.votes else None for name, one in tallies.items()}


def cast_vote(ballot: Ballot, labels: Sequence[str], choice: Any, number: int = -1, blind: bool = False) -> bool:
    """Take the vote of a view on a turn or a row: the index of a label, "tie", "bad", or None, and tell so.

    Anything else is not a vote.
    """
    answers = ballot.list_answers(number)
    known = isinstance(choice, int) and not isinstance(choice, bool) and 0 <= choice < len(labels)
    winner = labels[choice] if known else choice
    allowed = winner is None or winner in NOBODY or (known and winner in answers)
    if len(answers) > 1 and allowed:
        ballot.vote(winner, number=number, blind=blind)
    return len(answers) > 1 and allowed


def append_votes(bundle: Bundle, ballot: Ballot) -> Bundle:
    """Append the votes to a static twin: who won against whom by whose vote, and the ranking by them."""
    if not len(ballot):
        return bundle
    ranking = write_ranking(ballot.to_frame())
    return bundle | {
        "text/html": f"{bundle['text/html']}{OPEN_TWIN}{ranking.html}</div>",
        "text/markdown": "{}\n\n```text\n{}\n```".format(bundle["text/markdown"], ranking.text.replace("`", "'")),
        "text/plain": f"{bundle['text/plain']}\n\n{ranking.text}",
    }
