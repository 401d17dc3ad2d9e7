"""Rows of the ledger, added up; calls that no sum of money may hold are a kind of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbkit.billing.money import sum_usd

if TYPE_CHECKING:
    import pandas as pd

SIMULATED = "demo/"
"""How the model ids of the simulated provider begin: its prices are made up, and nothing was paid."""
GROUPS = ("model", "day", "tag", "notebook", "user")

_TOKENS = {
    "input_tokens": ["input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "cache_read_audio"],
    "output_tokens": ["output", "reasoning", "output_audio", "output_image"],
}


def name_kinds(frame: pd.DataFrame) -> pd.Series[str]:
    """Name the kind of each row: `simulated`, `replayed` (for $0), `unpriced` (of unknown cost), else `paid`."""
    kinds = frame["cost"].isna().map({True: "unpriced", False: "paid"}).astype("str")
    kinds = kinds.mask((frame["source"] == "replay").fillna(False), "replayed")
    return kinds.mask(frame["model"].str.startswith(SIMULATED).fillna(False), "simulated")


def add_up(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Add up calls by one of GROUPS: a row for each group and kind, the paid ones first, then the dearest.

    The columns are the group, `kind`, `calls`, `cost` and `saved` in USD, `input_tokens` with those read from and
    written to a cache, and `output_tokens` with those of reasoning. Days are of UTC, in their order. A call with
    several tags counts for each of them.
    """
    tokens = {name: frame[parts].fillna(0).sum(axis=1) for name, parts in _TOKENS.items()}
    rows = group_calls(frame.assign(kind=name_kinds(frame), **tokens), by)
    sums = (
        rows.groupby([by, "kind"], sort=True)
        .agg(
            calls=("call", "size"),
            cost=("cost", _add_known),
            saved=("saved", _add_known),
            input_tokens=("input_tokens", "sum"),
            output_tokens=("output_tokens", "sum"),
        )
        .reset_index()
    )
    sums.loc[sums["kind"] == "unpriced", "cost"] = math.nan
    order = sums.assign(apart=sums["kind"] != "paid", falling=0.0 if by == "day" else -sums["cost"])
    return sums.loc[order.sort_values(["apart", "kind", "falling"], kind="stable").index].reset_index(drop=True)


def group_calls(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the rows with the column `by`, a text in each: one of GROUPS, or another column of the ledger."""
    if by == "tag":
        frame = frame.assign(tag=frame["tags"].map(list)).explode("tag")
    elif by == "day":
        frame = frame.assign(day=frame["time"].dt.strftime("%Y-%m-%d"))
    return frame.assign(**{by: frame[by].astype("object").where(frame[by].notna(), "none").astype("str")})


def _add_known(amounts: pd.Series[float]) -> float | None:
    return sum_usd(amounts.dropna())
