"""The cost of a workload at each of some models.

The formula is the bill's (`billing.cost`): tokens x rate / 1e6. The rates are those of the largest tier whose size is
below the prompt's tokens, a tier's missing rates those of the base; a bucket without a rate of its own costs what
`FALLBACK` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.billing.cost import FALLBACK

NOTES = ("", "cache priced as input", "0: free, or a plan", "longer than its context", "price unknown")
"""The values of `note`. Rows with one of the first two are offers for the workload; the others follow in this order."""
_BUCKETS = ("input", "cache_read", "cache_write", "output", "reasoning")


def estimate(
    frame: pd.DataFrame,
    *,
    input_tokens: int | None = None,
    output_tokens: int,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
    reasoning_tokens: int = 0,
    calls: int = 1,
    prompt: Any = None,
) -> pd.DataFrame:
    """Estimate what a workload costs at each model: the rows with two more columns, `cost` and `note`, cheapest first.

    `cost` is USD for all `calls`; the tokens are those of one call.

    - `input_tokens` is the whole prompt. `cached_tokens` of it are read from the provider's cache, and
      `cache_write_tokens` of it are written there.
    - `reasoning_tokens` come on top of `output_tokens`, at every model, also at those that do not reason: leave these
      out with `frame[frame.reasoning]`.
    - Instead of `input_tokens`, give a `prompt` to count: a string, a Conversation or OpenAI-style dicts. It is counted
      as each model's tokenizer would; the column `input_tokens` holds the result of `nbkit.count_tokens`.

    Rows that are not an offer for this workload stand behind the others, and `note` says why: a price of 0 (free, or
    part of a subscription plan), a prompt and answer longer than the model's context, and last an unknown price, whose
    cost is NaN. Tokens of a kind that the workload does not use need no price.

    Raises TypeError unless exactly one of `input_tokens` and `prompt` is given, ValueError for negative numbers or more
    cached tokens than the prompt has, ConversationError for a prompt that cannot be read.
    """
    if (input_tokens is None) == (prompt is None):
        raise TypeError("estimate() takes either input_tokens or a prompt to count")
    prompt_tokens = np.full(len(frame), input_tokens) if prompt is None else _count_prompt(prompt, frame["model"])
    cached = cached_tokens + cache_write_tokens
    given = (cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, calls)
    if min(*given, prompt_tokens.min(initial=0)) < 0 or cached > prompt_tokens.min(initial=cached):
        raise ValueError("tokens and calls must not be negative, and cached tokens must not exceed the prompt")
    tokens = dict(zip(_BUCKETS, (prompt_tokens - cached, *given[:4]), strict=True))
    rates = _read_rates(frame, prompt_tokens)
    assumed = np.zeros(len(frame), bool)
    cost = np.zeros(len(frame))
    for bucket, count in tokens.items():
        rate = rates[bucket]
        if bucket in FALLBACK:
            instead, rule = FALLBACK[bucket]
            assumed |= np.isnan(rate) & (not rule) & (count > 0)
            rate = np.where(np.isnan(rate), rates[instead], rate)
        cost += np.where(np.equal(count, 0), 0, count * rate)
    long = prompt_tokens + output_tokens + reasoning_tokens > frame["context"].to_numpy("float64", na_value=np.inf)
    long |= prompt_tokens > frame["input_limit"].to_numpy("float64", na_value=np.inf)
    free = (cost == 0) & bool(calls) & (prompt_tokens + output_tokens + reasoning_tokens > 0)
    group = np.select([np.isnan(cost), long, free, assumed], [4, 3, 2, 1], 0)
    counted = {} if prompt is None else {"input_tokens": prompt_tokens}
    note = pd.Categorical.from_codes(group, pd.Index(NOTES, dtype="str"))
    estimated = frame.assign(**counted, cost=cost * calls / 1e6, note=note)
    return estimated.iloc[np.lexsort((cost, np.maximum(group, 1)))]


def _read_rates(frame: pd.DataFrame, prompt_tokens: Any) -> dict[str, Any]:
    """Read the rates of each row by bucket, of the tier that the prompt falls into; NaN where unknown."""
    rates = {name: frame[f"{name}_cost"].to_numpy("float64", copy=True) for name in _BUCKETS}
    for row, tiers in enumerate(frame["tiers"]):
        if tiers:
            for name, rate in _choose_tier(tiers, prompt_tokens[row]).items():
                if name in rates:
                    rates[name][row] = rate
    return rates


def _choose_tier(tiers: Sequence[Mapping[str, Any]], prompt_tokens: int) -> Mapping[str, float]:
    """Choose the rates of the largest tier below the prompt's length; empty where the base applies."""
    rates: Mapping[str, float] = {}
    for tier in tiers:  # by size
        if tier["size"] < prompt_tokens:
            rates = tier["rates"]
    return rates


def _count_prompt(prompt: Any, models: pd.Series) -> Any:
    """Count the prompt's tokens at each model."""
    from nbkit.billing.tokens import count_tokens, find_family

    counts: dict[Any, int] = {}
    rows = []
    for model in models:
        kind = find_family(model)
        if kind not in counts:
            counts[kind] = count_tokens(prompt, model).tokens
        rows.append(counts[kind])
    return np.array(rows, "int64")
