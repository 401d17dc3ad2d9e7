"""Rates x usage = bill. Pure; amounts are USD, rates USD per million tokens as models.dev gives them. The sums are
decimal, so a bill is what a person gets who adds it up by hand.

A tier reprices the whole request: the rates of the largest tier whose size is below the prompt's tokens count
(models.dev `cost.tiers`; its `context_over_200k` says the same again for one size, and is not read). So does the lane
in which the provider worked, as it says itself: priority, flex, fast.

A bill is exact, or it says in `source` and `notes` that it is not, and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import Bill, BillLine, Usage

# What a bucket costs where neither models.dev nor a rule of the provider says it, and whether that is how all
# providers bill (reasoning is billed as output) or an assumption that makes the bill an estimate.
FALLBACK = {
    "reasoning": ("output", True),
    "output_audio": ("output", False),
    "input_audio": ("input", False),
    "cache_read": ("input", False),
    "cache_write": ("input", False),
}
BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output",
    "reasoning",
    "output_audio",
)
MOST_TOKENS = 1_000_000_000
"""A larger count is not one."""

# Words for the lane that the catalog's prices are those of: OpenAI, Anthropic, Groq, Google.
_USUAL_LANES = {"default", "auto", "standard", "standard_only", "on_demand", "unspecified", "service_tier_unspecified"}


@dataclass(frozen=True, slots=True)
class Cost:
    """A model's rates in USD per million tokens, by bucket. What is missing is unknown, never 0."""

    rates: Mapping[str, float] = field(default_factory=dict)
    tiers: Sequence[tuple[int, Mapping[str, float]]] = ()
    """(size, rates) pairs for prompts of more than `size` tokens; a tier's missing rates are those of the base."""
    request: float = 0.0
    """USD per call, on top."""
    lanes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Rates in another lane than the usual one, by its name as the provider says it in answers: "priority", "fast"."""
    lane_factors: Mapping[str, float] = field(default_factory=dict)
    """By what all rates are multiplied in a lane, as the provider's rule is: {"flex": 0.5}."""
    derived: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Rates that follow from another one, as the provider's rule is: {"cache_write_1h": {"input": 2}}."""
    source: str = "catalog"
    """Who says these rates: "catalog", or "user"."""

    @property
    def prompt(self) -> float | None:
        """USD per prompt token."""
        return _per_token(self.rates.get("input"))

    @property
    def completion(self) -> float | None:
        """USD per answer token."""
        return _per_token(self.rates.get("output"))

    @property
    def is_free(self) -> bool:
        """Whether the model costs nothing, however many tokens are counted."""
        every = [self.rates, *(rates for _, rates in self.tiers), *self.lanes.values()]
        known = [rate for rates in every for rate in rates.values()]
        return {"input", "output"} <= self.rates.keys() and not any(known) and not self.request


class Lane(NamedTuple):
    """The lane in which a provider worked, in its own word, and whether it was only requested, not confirmed."""

    name: str
    requested: bool = False


class _Price(NamedTuple):
    """The rates of one request, and what of them is an assumption, in words."""

    tier: int | None
    rates: Mapping[str, float]
    notes: tuple[str, ...] = ()


def _per_token(rate: float | None) -> float | None:
    return None if rate is None else rate / 1e6


def bill(
    usage: Usage | None,
    cost: Cost | None,
    *,
    reported: float | None = None,
    catalog_date: str | None = None,
    partial: bool = False,
    lane: Lane | None = None,
    notes: Sequence[str] = (),
) -> Bill:
    """Price one usage.

    `reported` is the price that the provider itself named: it wins. `partial`: the answer broke off. `notes` say what
    else makes the bill inexact: searches that tokens do not explain, counts that were estimated.
    """
    price = _find_rates(usage, cost, lane)
    free = cost is not None and cost.is_free
    priced = [_price_bucket(bucket, usage, price.rates, cost) for bucket in BUCKETS if usage and getattr(usage, bucket)]
    if free:
        priced = [(replace(line, rate=0.0, usd=0.0), "") for line, _ in priced]
    lines = tuple(line for line, _ in priced)
    if reported is not None:
        return Bill(reported, "provider", lines, catalog_date, price.tier)
    total = sum_usd((cost.request, *(line.usd for line in lines))) if cost and (usage or free) else None
    every = (*(() if free else price.notes), *(note for _, note in priced if note), *notes)
    source = _find_source(total, cost, exact=not every, partial=partial)
    return Bill(total, source, lines, catalog_date, price.tier, every)


def _find_source(total: float | None, cost: Cost | None, *, exact: bool, partial: bool) -> str:
    if partial:
        return "partial"
    if total is None or cost is None:
        return "unknown"
    return cost.source if exact else "estimate"


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: four characters each (OpenAI's rule of thumb for English)."""
    return -(-len(text) // 4)


def _find_rates(usage: Usage | None, cost: Cost | None, lane: Lane | None) -> _Price:
    """Find the rates of the tier and of the lane."""
    if cost is None:
        return _Price(None, {})
    size, rates = _find_tier(usage, cost)
    name = lane.name.strip().lower().removeprefix("on_demand_") if lane else ""  # Vertex: ON_DEMAND_PRIORITY
    if lane is None or not name or name in _USUAL_LANES or cost.lane_factors.get(name) == 1:
        return _Price(size, rates)
    notes = (f"the provider did not say whether it worked in the lane {name!r}",) if lane.requested else ()
    if own := cost.lanes.get(name):
        if size is None:
            return _Price(size, own, notes)
        scaled = {bucket: _scale(rate, rates.get(bucket), cost.rates.get(bucket)) for bucket, rate in own.items()}
        return _Price(size, scaled, (*notes, f"the lane {name!r} has no known price for prompts of this size"))
    if factor := cost.lane_factors.get(name):
        scaled = {bucket: _scale(rate, factor) for bucket, rate in rates.items()}
        return _Price(size, scaled, (*notes, f"the lane {name!r} at {factor:g} x the usual rates"))
    return _Price(size, rates, (*notes, f"the lane {name!r} has no known price"))


def _scale(rate: float, by: float | None, over: float | None = 1) -> float:
    """Multiply a rate as by hand; it stays as it is where a factor is unknown."""
    return float(Decimal(str(rate)) * Decimal(str(by)) / Decimal(str(over))) if by is not None and over else rate


def _find_tier(usage: Usage | None, cost: Cost) -> tuple[int | None, Mapping[str, float]]:
    if usage is not None:
        for size, rates in sorted(cost.tiers, key=lambda tier: tier[0], reverse=True):
            if size < usage.prompt_tokens:
                return size, {**cost.rates, **rates}
    return None, cost.rates


def _price_bucket(bucket: str, usage: Usage, rates: Mapping[str, float], cost: Cost | None) -> tuple[BillLine, str]:
    """Price one bucket, and say what of its price is an assumption."""
    tokens: int = getattr(usage, bucket)
    rate, note = rates.get(bucket), ""
    if rate is None and cost is not None:
        rate, note = _derive_rate(bucket, rates, cost)
    if rate is None or type(tokens) is not int or not 0 <= tokens <= MOST_TOKENS:
        return BillLine(bucket, tokens, rate, None), note
    return BillLine(bucket, tokens, rate, float(tokens * Decimal(str(rate)) / 1_000_000)), note


def _derive_rate(bucket: str, rates: Mapping[str, float], cost: Cost) -> tuple[float | None, str]:
    """Find a rate that is not given: by the provider's rule, else by that of the bucket that it counts as."""
    for other, factor in cost.derived.get(bucket, {}).items():
        if other in rates:
            return _scale(rates[other], factor), f"{bucket} at {factor:g} x {other}"
    other, rule = FALLBACK.get(bucket, ("", True))
    return rates.get(other), "" if rule else f"{bucket} at the rate of {other}"
