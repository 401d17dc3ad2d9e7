"""Rankings by votes: win rates, strengths with intervals, and what a win costs.

Strengths are Bradley-Terry's: a model of strength p beats one of strength q with probability p / (p + q). A tie is half
a win for both. They are computed by the plain iteration, p = wins / sum over its votes of 1 / (p + q), which also holds
where a model has won or lost all of them (D. R. Hunter, MM algorithms for generalized Bradley-Terry models, Annals of
Statistics 32, 2004, https://doi.org/10.1214/aos/1079120141).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nbkit.arguments import check_arguments
from nbkit.errors import ArgumentError
from nbkit.judging.votes import read_votes

_EXACT, _CLOSE = 1e-10, 1e-6
"""Largest change of a strength, all of which sum to 1, in the last iteration: of the votes, and of a sample of them."""
_MOST_ITERATIONS = 2000
_AT_ONCE = 4_000_000
"""Cells of the matrices that are worked on at once: 32 MB each."""
_INTERVAL = (2.5, 97.5)
"""Percentiles: 95 % of the samples lie between them."""


@check_arguments
def rank(votes: Any, *, samples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Rank models by votes, the strongest first: a frame with a row for each model.

    `votes`: a DataFrame, a list of dicts or a JSONL file with `left`, `right` and `winner` ("left", "right", "tie",
    "bad", or one of the two models). Columns: `rank`, 1 for every model that none is surely better than; `strength`,
    all sum to 1, and its 95 % interval `low` to `high` from `samples` bootstrap samples (Efron 1979: as many votes,
    drawn from these; `seed` makes them the same again); `win_rate`, a tie counts half; `votes`,
    `wins`, `losses`, `ties`; `cost` of its answers in USD and `cost_per_win`, NaN where a cost is unknown; `unclear`,
    the models whose interval overlaps with its own: too few votes to tell. Raises ArgumentError.
    """
    if samples < 1:
        raise ArgumentError(f"rank(): samples: expected 1 or more, got {samples}")
    frame = read_votes(votes)
    models = pd.Index(pd.unique(frame[["left", "right"]].to_numpy(str).ravel()), name="model")
    kinds = _list_kinds(frame, models)
    strength = _compute_strengths(_count_wins(kinds.counts[None], kinds, len(models)), _EXACT)[0]
    low, high = _sample_interval(kinds, len(models), samples, seed)
    result = _count_votes(frame, models)
    for place, (name, values) in enumerate((("strength", strength), ("low", low), ("high", high))):
        result.insert(place, name, values)
    result.insert(0, "rank", 1 + (low[None, :] > high[:, None]).sum(axis=1))
    result = result.sort_values(["rank", "strength"], ascending=[True, False], kind="stable")
    result["unclear"] = _list_overlaps(result)
    return result


class _Kinds(NamedTuple):
    """Votes of one kind each: two models by number, what the first gets of the win, how many there are, and what is
    added to that number for the samples."""

    left: Any
    right: Any
    share: Any
    counts: Any
    prior: Any


def _list_kinds(frame: pd.DataFrame, models: pd.Index) -> _Kinds:
    pairs = frame.groupby(["left", "right", "winner"], sort=True).size()
    left = models.get_indexer(pairs.index.get_level_values("left"))
    right = models.get_indexer(pairs.index.get_level_values("right"))
    share = pairs.index.get_level_values("winner").map({"left": 1.0, "right": 0.0}).fillna(0.5).to_numpy(float)
    # one more vote for each model, spread over its opponents, half of it won: three wins out of three are not certainty
    met = np.unique(np.sort(np.stack([left, right]), axis=0), axis=1) if len(left) else np.empty((2, 0), int)
    opponents = np.bincount(met.ravel(), minlength=len(models))
    added = (1 / opponents[met]).sum(axis=0) / 2
    none = np.zeros_like(added)
    return _Kinds(
        np.concatenate([left, met[0], met[0]]),
        np.concatenate([right, met[1], met[1]]),
        np.concatenate([share, none + 1, none]),
        np.concatenate([pairs.to_numpy(), none, none]),
        np.concatenate([np.zeros(len(left)), added, added]),
    )


def _count_wins(counts: Any, kinds: _Kinds, size: int) -> Any:
    """Build the matrices of wins, [sample, winner, loser], from the votes of each kind, [sample, kind]."""
    wins = np.zeros((len(counts), size * size))
    for winner, loser, share in ((kinds.left, kinds.right, kinds.share), (kinds.right, kinds.left, 1 - kinds.share)):
        for kind, cell in enumerate(winner * size + loser):
            wins[:, cell] += counts[:, kind] * share[kind]
    return wins.reshape(len(counts), size, size)


def _compute_strengths(wins: Any, tolerance: float) -> Any:
    """Compute the strengths, [sample, model], which sum to 1; 0 for a model that never won."""
    size = max(wins.shape[1], 1)
    strengths = np.full(wins.shape[:2], 1 / size)
    won, meetings = wins.sum(axis=2), wins + wins.transpose(0, 2, 1)
    for _ in range(_MOST_ITERATIONS):
        total = strengths[:, :, None] + strengths[:, None, :]
        total[total == 0] = 1  # two models that never won
        expected = np.einsum("sij,sij->si", meetings, 1 / total)
        new = np.divide(won, expected, out=np.full_like(won, 1 / size), where=expected > 0)
        new /= new.sum(axis=1, keepdims=True)
        change = np.abs(new - strengths).max(initial=0)
        strengths = new
        if change < tolerance:
            break
    return strengths


def _sample_interval(kinds: _Kinds, size: int, samples: int, seed: int) -> tuple[Any, Any]:
    """Compute the interval of each strength from bootstrap samples."""
    if not size:
        return np.array([]), np.array([])
    generator, mass = np.random.default_rng(seed), kinds.counts + kinds.prior
    drawn = generator.multinomial(int(kinds.counts.sum()), mass / mass.sum(), size=samples)
    step = max(1, _AT_ONCE // (size * size))
    parts = [
        _compute_strengths(_count_wins(drawn[start : start + step], kinds, size), _CLOSE)
        for start in range(0, samples, step)
    ]
    low, high = np.percentile(np.concatenate(parts), _INTERVAL, axis=0)
    return low, high


def _count_votes(frame: pd.DataFrame, models: pd.Index) -> pd.DataFrame:
    """Count what each model got: win rate, votes, wins, losses, ties, and the cost of its answers."""
    sides = [
        pd.DataFrame(
            {
                "model": frame[side].astype(str),
                "wins": frame["winner"] == side,
                "losses": frame["winner"] == other,
                "ties": frame["winner"].isin(["tie", "bad"]),
                "votes": 1,
                "cost": pd.to_numeric(frame[f"{side}_cost"]),
            }
        )
        for side, other in (("left", "right"), ("right", "left"))
    ]
    groups = pd.concat(sides).groupby("model")
    result = groups[["votes", "wins", "losses", "ties"]].sum().reindex(models)
    result.insert(0, "win_rate", (result["wins"] + result["ties"] / 2) / result["votes"])
    result["cost"] = groups["cost"].sum(min_count=1).where(groups["cost"].count() == groups.size()).reindex(models)
    result["cost_per_win"] = result["cost"] / (result["wins"] + result["ties"] / 2).replace(0, float("nan"))
    return result


def _list_overlaps(result: pd.DataFrame) -> list[str]:
    """Name, for each model, those whose intervals overlap with its own."""
    low, high = result["low"].to_numpy(), result["high"].to_numpy()
    return [
        ", ".join(
            name
            for other, name in enumerate(result.index)
            if other != number and low[other] <= high[number] and low[number] <= high[other]
        )
        for number in range(len(result))
    ]
