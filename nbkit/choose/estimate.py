"""The cost of a workload at each of some models.

The formula is the bill's (`billing.cost`): tokens x rate / 1e6. The rates are those of the largest tier whose size is
below the prompt's tokens, a tier's missing rates those of the base; a bucket without a rate of its own costs what
`FALLBACK` says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from nbkit.arguments import check_arguments
from nbkit.billing.cost import FALLBACK
from nbkit.errors import ArgumentError

NOTES = (
    *("", "cache priced as input", "0: free, or a plan"),
    *("longer than its context", "does not read and write text", "price unknown"),
)
"""The values of `note`. Rows with one of the first two are offers for the workload; the others follow in this order."""
_BUCKETS = ("input", "cache_read", "cache_write", "output", "reasoning")


@check_arguments
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
    part of a subscription plan), a prompt and answer longer than the model's context, a model that does not read text
    or does not write it, and last an unknown price, whose cost is NaN. Tokens of a kind that the workload does not use
    need no price. Of the frame's columns only `input_cost` and `output_cost` must be there; what the others would say
    is taken as unknown.

    Raises TypeError unless exactly one of `input_tokens` and `prompt` is given, ValueError for negative numbers, more
    cached tokens than the prompt has or a frame without prices, ConversationError for a prompt that cannot be read.
    """
    if (input_tokens is None) == (prompt is None):
        raise ArgumentError("estimate() takes either input_tokens or a prompt to count")
    if missing := [name for name in ("input_cost", "output_cost") if name not in frame.columns]:
        raise ArgumentError(f"estimate() takes rows of the catalog; these have no column {missing[0]!r}")
    prompt_tokens = np.full(len(frame), input_tokens) if prompt is None else _count_prompt(prompt, _list_models(frame))
    cached = cached_tokens + cache_write_tokens
    given = (cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, calls)
    if min(*given, prompt_tokens.min(initial=0)) < 0 or cached > prompt_tokens.min(initial=cached):
        raise ArgumentError("tokens and calls must not be negative, and cached tokens must not exceed the prompt")
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
    long = prompt_tokens + output_tokens + reasoning_tokens > _read_numbers(frame, "context", np.inf)
    long |= prompt_tokens > _read_numbers(frame, "input_limit", np.inf)
    free = (cost == 0) & bool(calls) & (prompt_tokens + output_tokens + reasoning_tokens > 0)
    other = np.minimum(_read_numbers(frame, "text_in", 1), _read_numbers(frame, "text_out", 1)) == 0  # whisper, sora
    group = np.select([np.isnan(cost), long, other, free, assumed], [5, 3, 4, 2, 1], 0)
    counted = {} if prompt is None else {"input_tokens": prompt_tokens}
    note = pd.array(NOTES, dtype="str").take(group)
    estimated = frame.assign(**counted, cost=cost * calls / 1e6, note=note)
    return estimated.iloc[np.lexsort((cost, np.maximum(group, 1)))]


def _read_rates(frame: pd.DataFrame, prompt_tokens: Any) -> dict[str, Any]:
    """Read the rates of each row by bucket, of the tier that the prompt falls into; NaN where unknown."""
    rates = {name: _read_numbers(frame, f"{name}_cost", np.nan) for name in _BUCKETS}
    for row, text in enumerate(frame.get("tiers", ())):
        if isinstance(text, str) and text.startswith("["):
            for name, rate in _choose_tier(_read_tiers(text), prompt_tokens[row]).items():
                if name in rates:
                    rates[name][row] = rate
    return rates


def _read_numbers(frame: pd.DataFrame, name: str, unknown: float) -> Any:
    """Read a column as numbers of its own, also where it came back from a file as text; `unknown` where it is not."""
    if name not in frame.columns:
        return np.full(len(frame), unknown)
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.replace({"True": 1, "False": 0, True: 1, False: 0}), errors="coerce")
    numbers = column.to_numpy("float64", na_value=np.nan, copy=True)
    numbers[np.isnan(numbers)] = unknown
    return numbers


@cache
def _read_tiers(text: str) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = json.loads(text)
    return tiers


def _list_models(frame: pd.DataFrame) -> pd.Series:
    """List the models' names; their ids where the frame has no such column."""
    return frame["model"] if "model" in frame else frame.index.to_series()


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
