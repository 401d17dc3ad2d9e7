"""What a workload would cost at each model of a slice of the catalog.

The formula is the bill's: tokens x rate / 1e6. The rates are those of the largest tier whose size is below the prompt's
tokens, a tier's missing rates those of the base; cached tokens without a rate of their own cost as much as the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def estimate(
    frame: pd.DataFrame, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0, calls: int = 1
) -> pd.DataFrame:
    """The rows with a column `cost`, in USD for all calls, cheapest first; unknown costs (NaN) come last.

    Tokens are those of one call; `input_tokens` is the whole prompt, `cached_tokens` the part of it that is read from
    the provider's cache. What output the model thinks counts as output. Raises ValueError for negative numbers, or
    more cached tokens than the prompt has.
    """
    if min(input_tokens, output_tokens, cached_tokens, calls) < 0 or cached_tokens > input_tokens:
        raise ValueError("tokens and calls must not be negative, nor cached_tokens more than input_tokens")
    rates = {name: frame[f"{name}_cost"].to_numpy("float64", copy=True) for name in ("input", "output", "cache_read")}
    for row, tiers in enumerate(frame["tiers"]):
        if tiers:
            for name, rate in _tier(tiers, input_tokens).items():
                if name in rates:
                    rates[name][row] = rate
    cached = np.where(np.isnan(rates["cache_read"]), rates["input"], rates["cache_read"])
    buckets = (
        (input_tokens - cached_tokens, rates["input"]),
        (cached_tokens, cached),
        (output_tokens, rates["output"]),
    )
    # What is not used needs no price.
    cost = sum((tokens * rate for tokens, rate in buckets if tokens), start=np.zeros(len(frame)))
    return frame.assign(cost=cost * calls / 1e6).sort_values("cost", kind="stable", na_position="last")


def _tier(tiers: Sequence[Mapping[str, Any]], prompt_tokens: int) -> Mapping[str, float]:
    """The rates of the largest tier below the prompt's length; none where the base applies."""
    found: Mapping[str, float] = {}
    for tier in tiers:  # by size
        if tier["size"] < prompt_tokens:
            found = tier["rates"]
    return found
