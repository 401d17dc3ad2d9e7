"""Judging what a comparison shows: votes, differences by words, judge models, and what is left of them in the twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbkit.adapters.adapter import BaseAdapter
from nbkit.arguments import ModelName, check_arguments
from nbkit.billing.entry import at_origin, find_origin
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import ensure_adapter
from nbkit.judging.ballot import NOBODY, Ballot
from nbkit.judging.diff import Diff, diff_words, measure_agreement
from nbkit.judging.judge import Judgement, judge_pairs
from nbkit.notebook.cells import Bundle
from nbkit.notebook.ranking import write_ranking

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

        Raises ArgumentError where a model is unknown or has no answer in this turn.
        """
        self._panel.wait()
        texts = [self._ballot.read_answer(label, turn) for label in (base, other)]
        return Diff(base, other, diff_words(*texts))

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
        model: ModelName | BaseAdapter,
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
        for verdict in judgement.verdicts:
            if verdict.winner:
                pair, why = verdict.pair, " / ".join(verdict.reasons)
                self._ballot.add(pair.left, pair.right, verdict.winner, pair.turn, judgement.model, why)
        self._renew()
        return judgement


def describe_votes(ballot: Ballot, labels: Sequence[str], number: int = -1, named: bool = True) -> dict[str, Any]:
    """Say what the views show of the votes on a turn, whose answers stand in the order of the `labels`.

    `ready`: whether there are two answers to choose between. `choice`: the pane that won, by its index, "tie", "bad",
    or None. `tallies`: for each pane, its votes in words, once the models are named. `agreement`: how far the answers
    agree, in words.
    """
    answers, choice = list(ballot.list_answers(number).values()), ballot.find_choice(number)
    share = measure_agreement(answers)
    return {
        "ready": len(answers) > 1,
        "choice": labels.index(choice) if choice in labels else choice,
        "tallies": [_describe_tally(ballot, label) if named else "" for label in labels],
        "agreement": "" if share is None else f"{share:.0%} of the words agree",
    }


def _describe_tally(ballot: Ballot, label: str) -> str:
    own, judged = ballot.tally(label), ballot.tally(label, None)
    parts = [f"won {own}" if own.votes else "", f"judge: {judged}" if judged.votes else ""]
    return " · ".join(filter(None, parts))


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
        "text/html": f'{bundle["text/html"]}<div class="nbk-static">{ranking.html}</div>',
        "text/markdown": "{}\n\n```text\n{}\n```".format(bundle["text/markdown"], ranking.text.replace("`", "'")),
        "text/plain": f"{bundle['text/plain']}\n\n{ranking.text}",
    }
