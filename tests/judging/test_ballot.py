"""Votes on the answers of a panel, their forms, and the agreement of voters."""

import json
from functools import partial

import pandas as pd
import pytest
from scripted_models import Scripted

import nbkit
from nbkit.bulk.panel import Panel
from nbkit.errors import ArgumentError, RateLimitError
from nbkit.judging.agreement import compare_voters
from nbkit.judging.ballot import Ballot
from nbkit.judging.cases import find_turn
from nbkit.judging.votes import COLUMNS, read_votes, write_pairs


def make_panel(*names, prompts=("One", "Two")):
    panel = Panel([Scripted(name, [f"{name} says one"], [f"{name} says two"]) for name in names])
    for prompt in prompts:
        panel.ask(prompt)
    return panel.wait()


@pytest.fixture(scope="module")
def panel():
    return make_panel("a", "b", "c")


def make_ballot(panel):
    return Ballot(partial(find_turn, panel))


def list_winners(ballot):
    return [tuple(row) for row in ballot.to_frame()[["turn", "left", "right", "winner"]].to_numpy().tolist()]


A, B, C = (f"scripted/{name}" for name in "abc")


def test_one_winner_is_a_vote_against_each_of_the_others(panel):
    ballot = make_ballot(panel)
    ballot.vote(B, number=0)
    assert list_winners(ballot) == [(1, A, B, "right"), (1, B, C, "left")]
    ballot.vote("tie")
    assert list_winners(ballot)[2:] == [(2, A, B, "tie"), (2, A, C, "tie"), (2, B, C, "tie")]
    assert [str(ballot.tally(label)) for label in (A, B, C)] == ["1 of 3", "3 of 4", "1 of 3"]
    assert [ballot.find_choice(turn) for turn in (0, 1)] == [B, "tie"]
    frame = ballot.to_frame()
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert frame.loc[0, ["prompt", "voter", "left_answer", "right_answer"]].tolist() == [
        "One",
        "human",
        "a says one",
        "b says one",
    ]
    assert frame["left_cost"].tolist() == pytest.approx([1.1e-5] * 5)
    assert nbkit.rank(frame).index[0] == B


def test_a_vote_replaces_the_one_before_and_can_be_taken_back(panel):
    ballot = make_ballot(panel)
    ballot.vote(A)
    ballot.vote(C)
    assert list_winners(ballot) == [(2, A, C, "right"), (2, B, C, "right")]
    ballot.vote(C, A)
    ballot.vote(A, B)  # the other pairs stay
    assert list_winners(ballot) == [(2, A, C, "right"), (2, B, C, "right"), (2, A, B, "left")]
    ballot.vote(None)
    assert len(ballot) == ballot.prompts == 0
    assert ballot.find_choice() is None
    assert ballot.to_frame().empty


def test_an_answer_that_failed_is_not_voted_on():
    panel = Panel([Scripted("a"), Scripted("b", [RateLimitError("no")]), Scripted("c")]).ask("Hi").wait()
    ballot = make_ballot(panel)
    ballot.vote(A)
    assert list_winners(ballot) == [(1, A, C, "left")]
    with pytest.raises(ArgumentError, match="scripted/b has no answer in this turn"):
        ballot.vote(B)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("scripted/aa",), "no model 'scripted/aa' here; did you mean scripted/a"),
        (("x",), "no model 'x' here; there are scripted/a, scripted/b, scripted/c"),
        ((A, A), "is not a pair of answers"),
        ((A, "tie"), "is not a pair of answers"),
        ((A, None, 7), "turn: expected one of the 2 turns, got 7"),
    ],
)
def test_what_cannot_be_voted_on_is_named(panel, arguments, problem):
    with pytest.raises(ArgumentError, match=problem):
        make_ballot(panel).vote(*arguments)


def test_votes_are_written_as_lines_and_read_back(panel, tmp_path):
    ballot = make_ballot(panel)
    ballot.vote(B, number=0)
    ballot.vote("bad")
    frame = ballot.to_frame()
    pairs = [json.loads(line) for line in write_pairs(frame).splitlines()]
    assert pairs == [
        {"prompt": "One", "chosen": "b says one", "rejected": "a says one"},
        {"prompt": "One", "chosen": "b says one", "rejected": "c says one"},
    ]
    path = tmp_path / "votes.jsonl"
    frame.to_json(path, orient="records", lines=True)
    pd.testing.assert_frame_equal(read_votes(path), frame)
    assert write_pairs(make_ballot(panel).to_frame()) == ""
    with pytest.raises(ArgumentError, match="no column 'left_answer'"):
        write_pairs([{"left": "a", "right": "b", "winner": "left"}])


def test_voters_agree_as_often_as_they_do_and_beyond_chance_by_cohen():
    """20 times both yes, 15 both no, 5 and 10 times not: Cohen's kappa of that is 0.4."""
    table = {("left", "left"): 20, ("left", "right"): 5, ("right", "left"): 10, ("right", "right"): 15}
    rows = []
    for (person, judge), count in table.items():
        for _ in range(count):
            pair = {"prompt": str(len(rows)), "left": "a", "right": "b"}
            swapped = {"left": "b", "right": "a", "winner": {"left": "right", "right": "left"}[judge]}
            rows += [pair | {"winner": person}, pair | swapped | {"voter": "judge"}]
    agreement = compare_voters(rows)
    assert (agreement.pairs, agreement.rate, agreement.kappa) == (50, pytest.approx(0.7), pytest.approx(0.4))
    assert str(agreement) == "70% of 50 pairs alike, kappa 0.40"
    assert compare_voters(rows, "judge", "human").kappa == pytest.approx(0.4)


def test_voters_without_a_common_pair_or_with_one_opinion_have_no_kappa():
    row = {"prompt": "p", "left": "a", "right": "b", "winner": "left"}
    assert compare_voters([row, row | {"prompt": "q", "voter": "j"}]) == (0, None, None)
    assert str(compare_voters([row])) == "no pair that both judged"
    assert compare_voters([row, row | {"voter": "j"}]) == (1, 1.0, None)
    assert compare_voters([row | {"winner": "bad"}, row | {"winner": "tie", "voter": "j"}]).rate == 1
