"""Votes, differences and judge models of a comparison, and what is left of them in the static twin."""

import pytest
from scripted_models import Scripted

import nbkit
from nbkit.errors import ArgumentError
from nbkit.notebook.differences import Differences
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


def describe(answers, labels=(A, B), differences=None):
    texts = answers._ballot.list_answers()
    return describe_votes(answers._ballot, texts, list(labels), differences or Differences())


def test_the_views_get_the_choice_and_the_counts(answers):
    answers.wait()
    cast_vote(answers._ballot, [A, B], 1)
    assert describe(answers) == {
        "ready": True,
        "choice": 1,
        "figures": [
            {"agrees": (1.0, "base"), "won": (0.0, "0 of 1")},
            {"agrees": (2 / 3, "67%"), "won": (1.0, "1 of 1")},
        ],
        "agreement": "67% of the words agree",
    }
    cast_vote(answers._ballot, [A, B], "tie")
    assert describe(answers)["choice"] == "tie"
    cast_vote(answers._ballot, [A, B], None)
    assert describe(answers)["choice"] is None
    assert "won" not in describe(answers)["figures"][0]


NAMES = {"m/a": "<b>A</b>", "m/b": "B", "m/c": "C"}


def test_differences_are_escaped_and_stand_against_the_base():
    texts = {"m/a": "one <img src=x> two", "m/b": "one <script> two"}
    differences = Differences(on=True)
    slots = differences.write_slots(texts, NAMES)
    assert slots["differences0"] == slots["differences2"] == ""
    assert "from &lt;b&gt;A&lt;/b&gt;" in slots["differences1"]
    assert "<ins>script</ins>" in slots["differences1"]
    assert "<del>img src=x</del>" in slots["differences1"]
    assert "<img" not in slots["differences1"]
    differences.set({"base": "1"}, list(NAMES))
    assert differences.write_slots(texts, NAMES)["differences1"] == ""
    assert [share and share[1] for share in differences.list_shares(texts, list(NAMES))] == ["50%", "base", None]
    assert '<option value="1" selected>' in differences.write_tools(texts, NAMES)
    assert "m/c" not in differences.write_tools(texts, NAMES)


def test_equal_paragraphs_are_folded_and_what_a_view_sends_is_checked():
    texts = {"m/a": "a b\n\nc d\n\ne f", "m/b": "a b\n\nc d\n\ne x"}
    differences = Differences()
    for odd in ({"base": "7"}, {"base": None}, {"base": "-1"}, {}):
        differences.set(odd, list(NAMES))
        assert differences.find_base(texts) == "m/a"
    differences.set({"on": True}, list(NAMES))
    differences.set({"base": "0", "only": "on"}, list(NAMES))
    html = differences.write_slots(texts, NAMES)["differences1"]
    assert "<details><summary>2 equal paragraphs</summary>a b\n\nc d</details>e <del>f</del><ins>x</ins>" in html
    assert differences.write_tools({"m/a": "alone"}, NAMES) == ""
