"""Votes, differences and judge models of a comparison, and what is left of them in the static twin."""

import pytest
from scripted_models import Scripted

import nbkit
from nbkit.errors import ArgumentError
from nbkit.notebook.judged import append_votes, cast_vote, describe_votes

A, B = "scripted/a", "scripted/b"


@pytest.fixture
def answers():
    return nbkit.compare("Hi", [Scripted("a", ["one two three"]), Scripted("b", ["one two four"])])


def test_votes_of_a_person_and_of_a_judge_stand_in_one_frame(answers):
    answers.vote(A)
    before = answers.cost
    judgement = answers.judge("correct and short", "demo/sage")
    assert answers.cost == before
    assert judgement.cost > 0
    votes = answers.votes
    assert votes["voter"].tolist() == ["human", "demo/sage"]
    assert votes["winner"].tolist() == ["left", "tie"]
    assert "counts words" in votes.loc[1, "reason"]
    assert nbkit.rank(votes).index[0] == A


def test_a_judge_reads_one_turn_or_all(answers):
    answers.ask("Again")
    assert len(answers.judge("short", "demo/swift", both_orders=False).verdicts) == 1
    assert [verdict.pair.turn for verdict in answers.judge("short", "demo/swift", turn=None).verdicts] == [0, 1]
    assert answers.votes["turn"].tolist() == [2, 1]


def test_answers_are_compared_by_words(answers):
    assert repr(answers.diff(A, B)) == "one two [-three-]{+four+}"
    assert answers.agreement() == pytest.approx(2 / 3)
    with pytest.raises(ArgumentError, match="did you mean scripted/a"):
        answers.diff("scripted/aa", B)


def test_the_twin_has_the_ranking_by_the_votes(answers):
    bundle = {"text/html": "<p>H</p>", "text/markdown": "M", "text/plain": "P"}
    assert append_votes(bundle, answers._ballot) == bundle
    answers.vote(A)
    twin = append_votes(bundle, answers._ballot)
    assert "votes on pairs: 1 by people, 0 by judge models" in twin["text/plain"]
    for text in twin.values():
        assert A in text
        assert "1 of 1" in text
        assert "(0.00 to 1.00)" in text
    assert "too few votes to tell from" in twin["text/html"]


@pytest.mark.parametrize("choice", [7, -1, True, "scripted/a", "worst", 1.5, []])
def test_a_vote_of_a_view_that_is_not_one_changes_nothing(answers, choice):
    answers.wait()
    cast_vote(answers._ballot, [A, B], choice)
    assert answers.votes.empty


def test_the_views_get_the_choice_and_the_counts(answers):
    answers.wait()
    cast_vote(answers._ballot, [A, B], 1)
    shown = describe_votes(answers._ballot, [A, B])
    assert shown == {
        "ready": True,
        "choice": 1,
        "tallies": ["won 0 of 1", "won 1 of 1"],
        "agreement": "67% of the words agree",
    }
    cast_vote(answers._ballot, [A, B], "tie")
    assert describe_votes(answers._ballot, [A, B])["choice"] == "tie"
    cast_vote(answers._ballot, [A, B], None)
    assert describe_votes(answers._ballot, [A, B])["choice"] is None
