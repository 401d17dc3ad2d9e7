"""Agreement of voters: whether a judge model votes as people do."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from nbkit.arguments import check_arguments
from nbkit.judging.votes import read_votes


class Agreement(NamedTuple):
    """How far two voters agree on the pairs that both judged."""

    pairs: int
    """Comparisons of a vote of one with a vote of the other."""
    rate: float | None
    """Share of them in which both said the same, 0 to 1; None without any."""
    kappa: float | None
    """Cohen's kappa (1960): how much of the agreement is beyond chance. 1 always, 0 as by chance, below 0 less; None
    where chance alone would make them agree, or without a pair."""

    def __str__(self) -> str:
        if self.rate is None:
            return "no pair that both judged"
        beyond = "" if self.kappa is None else f", kappa {self.kappa:.2f}"
        return f"{self.rate:.0%} of {self.pairs} pair{'' if self.pairs == 1 else 's'} alike{beyond}"


@check_arguments
def compare_voters(votes: Any, one: str = "human", other: str | None = None) -> Agreement:
    """Compare what two voters say about the same pairs of answers: the same prompt, turn and models.

    `votes`: what `nbkit.rank` takes. `other`: a voter, all but `one` where it is None. "bad" counts as a tie. The two
    models of a pair are taken in the order of their names, so it does not matter which one stood at the left.
    """
    frame = _orient(read_votes(votes))
    is_other = frame["voter"] != one if other is None else frame["voter"] == other
    keys = ["prompt", "turn", "first", "second"]
    both = frame[frame["voter"] == one].merge(frame[is_other], on=keys, suffixes=("_one", "_other"))
    if both.empty:
        return Agreement(0, None, None)
    rate = float((both["winner_one"] == both["winner_other"]).mean())
    shares = [both[name].value_counts(normalize=True) for name in ("winner_one", "winner_other")]
    chance = float(shares[0].mul(shares[1], fill_value=0).sum())
    return Agreement(len(both), rate, None if chance > 1 - 1e-12 else (rate - chance) / (1 - chance))


def _orient(frame: pd.DataFrame) -> pd.DataFrame:
    """Name the two models of each vote `first` and `second`, in the order of their names."""
    left, right = frame["left"].astype(str), frame["right"].astype(str)
    swapped = left > right
    kinds = {(False, "left"): "first", (False, "right"): "second", (True, "left"): "second", (True, "right"): "first"}
    winner = [kinds.get(key, "tie") for key in zip(swapped, frame["winner"], strict=True)]
    return pd.DataFrame(
        {
            "prompt": frame["prompt"],
            "turn": frame.get("turn", 1),
            "first": left.where(~swapped, right),
            "second": right.where(~swapped, left),
            "winner": winner,
            "voter": frame["voter"],
        }
    )
