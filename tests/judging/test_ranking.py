"""Votes and what they say, beside evalica's Bradley-Terry, and beside human votes where they are at hand."""

import json
import math
from pathlib import Path

import evalica
import numpy as np
import pandas as pd
import pytest

import nbkit
from nbkit.errors import ArgumentError
from nbkit.judging.votes import COLUMNS, read_votes

HUMAN_VOTES = Path(__file__).parents[3] / "shared" / "outside" / "votes"


def vote(left="a", right="b", winner="left", **more):
    return {"left": left, "right": right, "winner": winner, **more}


def draw_votes(count, strengths, seed=0, ties=0.2):
    """Draw votes on models of known strengths; a share of them are ties."""
    generator, names = np.random.default_rng(seed), list(strengths)
    rows = []
    for _ in range(count):
        left, right = generator.choice(names, 2, replace=False)
        if generator.random() < ties:
            rows.append(vote(left, right, "tie"))
            continue
        chance = strengths[left] / (strengths[left] + strengths[right])
        rows.append(vote(left, right, "left" if generator.random() < chance else "right"))
    return pd.DataFrame(rows)


def compute_elsewhere(votes):
    kinds = {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    scores = evalica.bradley_terry(
        votes["left"], votes["right"], votes["winner"].map(kinds), tolerance=1e-12, limit=10_000
    ).scores
    return scores / scores.sum()


@pytest.mark.parametrize("seed", range(3))
def test_strengths_are_those_of_another_program(seed):
    votes = draw_votes(300, {"a": 8, "b": 4, "c": 2, "d": 1}, seed)
    ranking = nbkit.rank(votes, samples=20)
    assert (ranking["strength"] - compute_elsewhere(votes)).abs().max() < 1e-6


@pytest.mark.skipif(not HUMAN_VOTES.exists(), reason="the human votes are not at hand")
def test_strengths_are_those_that_8931_human_votes_are_known_for():
    golden = pd.read_csv(HUMAN_VOTES / "llmfao-golden.csv")
    known = golden[golden["algorithm"] == "bradley_terry"].set_index("item")["score"]
    ranking = nbkit.rank(pd.read_csv(HUMAN_VOTES / "llmfao.csv"), samples=50)
    assert len(ranking) == len(known) == 59
    assert (ranking["strength"] - known).abs().max() < 1e-6
    assert ranking.index[0] == "GPT 4"


def test_the_interval_holds_the_strength_that_votes_were_drawn_with():
    strengths = {"a": 6, "b": 3, "c": 1}
    inside = 0
    for seed in range(40):
        ranking = nbkit.rank(draw_votes(120, strengths, seed, ties=0), samples=200)
        inside += all(
            ranking.loc[name, "low"] <= strengths[name] / 10 <= ranking.loc[name, "high"] for name in strengths
        )
    assert inside >= 32  # 95 % each; of three that depend on each other, at least 85


@pytest.mark.parametrize(
    ("wins", "losses", "sure"),
    [(1, 0, False), (3, 0, False), (4, 0, False), (5, 0, True), (6, 4, False), (60, 40, False), (70, 30, True)],
)
def test_few_votes_are_not_taken_for_certainty(wins, losses, sure):
    ranking = nbkit.rank([vote()] * wins + [vote(winner="b")] * losses)
    assert list(ranking.index) == ["a", "b"]
    assert list(ranking["rank"]) == ([1, 2] if sure else [1, 1])
    assert list(ranking["unclear"]) == (["", ""] if sure else ["b", "a"])


def test_what_a_win_costs():
    """a: 2 wins and a tie for $0.06; b: a win and a tie for $0.30; c: never won."""
    votes = [
        vote("a", "b", "left", left_cost=0.02, right_cost=0.1),
        vote("b", "a", "right", left_cost=0.1, right_cost=0.02),
        vote("a", "b", "bad", left_cost=0.02, right_cost=0.1),
        vote("b", "c", "left", left_cost=0.0, right_cost=0.01),
    ]
    ranking = nbkit.rank(votes)
    counts = ranking.loc[["a", "b", "c"], ["votes", "wins", "losses", "ties"]]
    assert counts.to_numpy().tolist() == [[3, 2, 0, 1], [4, 1, 2, 1], [1, 0, 1, 0]]
    assert ranking.loc[["a", "b", "c"], "win_rate"].tolist() == pytest.approx([2.5 / 3, 1.5 / 4, 0])
    assert ranking.loc[["a", "b"], "cost_per_win"].tolist() == pytest.approx([0.06 / 2.5, 0.3 / 1.5])
    assert math.isnan(ranking.loc["c", "cost_per_win"])


def test_a_cost_that_is_unknown_is_not_zero():
    ranking = nbkit.rank([vote(left_cost=0.1, right_cost=0.2), vote(left_cost=0.1)])
    assert ranking.loc["a", "cost"] == pytest.approx(0.2)
    assert ranking.loc[["b"], ["cost", "cost_per_win"]].isna().all(axis=None)


def test_the_same_votes_give_the_same_ranking_in_every_form(tmp_path):
    rows = [vote(prompt="p", voter="demo/sage"), vote("b", "a", "a"), vote(winner="tie")]
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    frame = pd.DataFrame(rows, index=["x", "y", "z"])
    before = frame.copy()
    rankings = [nbkit.rank(votes) for votes in (rows, tuple(rows), frame, path, str(path))]
    for ranking in rankings[1:]:
        pd.testing.assert_frame_equal(ranking, rankings[0])
    pd.testing.assert_frame_equal(frame, before)
    votes = read_votes(rows)
    assert tuple(votes.columns) == COLUMNS
    assert votes["winner"].tolist() == ["left", "right", "tie"]
    assert votes["voter"].tolist() == ["demo/sage", "human", "human"]


def test_no_votes_are_an_empty_ranking():
    assert nbkit.rank([]).empty
    assert list(nbkit.rank([]).columns) == list(nbkit.rank([vote()]).columns)


@pytest.mark.parametrize(
    ("votes", "problem"),
    [
        (None, "expected a DataFrame, a list of dicts or the path of a JSONL file, got None"),
        (5, "got 5"),
        ({"left": "a"}, "got a dict"),
        (["a"], "got a list of 1 value"),
        ("missing.jsonl", "'missing.jsonl' cannot be read: No such file"),
        ([{"left": "a", "right": "b"}], "no column 'winner'"),
        ([vote(), vote(winner="c")], r"row 1 is not a vote: 'a' against 'b', winner 'c'"),
        ([vote(winner=None)], "row 0 is not a vote"),
        ([vote(right=None)], "row 0 is not a vote"),
        ([vote(right="a")], "row 0 is not a vote: 'a' against 'a'"),
        ([vote(left=5)], "row 0 is not a vote: 5 against 'b', winner 'left'; expected two models"),
    ],
)
def test_what_is_not_a_vote_is_named(votes, problem):
    with pytest.raises(ArgumentError, match=problem):
        nbkit.rank(votes)


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "votes.jsonl").write_text("{", "utf-8")
    with pytest.raises(ArgumentError, match="a line is not JSON"):
        nbkit.rank(tmp_path / "votes.jsonl")


def test_samples_are_counted():
    with pytest.raises(ArgumentError, match="samples: expected 1 or more, got 0"):
        nbkit.rank([vote()], samples=0)
