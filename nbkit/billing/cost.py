"""Rates x usage = bill. Pure; amounts are USD, rates USD per million tokens as models.dev gives them. The sums are
decimal, so a bill is what a person gets who adds it up by hand.

A tier reprices the whole request: the rates of the largest tier whose size is below the prompt's tokens count
(models.dev `cost.tiers`; its `context_over_200k` says the same again for one size, and is not read).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import Bill, BillLine, Usage

# What a bucket costs where models.dev names no price of its own, and whether that is the provider's rule
# (reasoning is billed as output) or an assumption that makes the bill an estimate.
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


@dataclass(frozen=True, slots=True)
class Cost:
    """A model's rates in USD per million tokens, by bucket. What is missing is unknown, never 0.

    `tiers`: (size, rates) pairs; a tier's missing rates are those of the base.
    `request`: USD per call, on top.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    tiers: Sequence[tuple[int, Mapping[str, float]]] = ()
    request: float = 0.0

    @property
    def prompt(self) -> float | None:
        """USD per prompt token."""
        return _per_token(self.rates.get("input"))

    @property
    def completion(self) -> float | None:
        """USD per answer token."""
        return _per_token(self.rates.get("output"))


def _per_token(rate: float | None) -> float | None:
    return None if rate is None else rate / 1e6


def bill(
    usage: Usage | None,
    cost: Cost | None,
    *,
    reported: float | None = None,
    catalog_date: str | None = None,
    partial: bool = False,
) -> Bill:
    """Price one usage.

    `reported` is the price that the provider itself named: it wins. `partial`: the answer broke off.
    """
    tier, rates = _tier(usage, cost)
    priced = [_line(bucket, usage, rates) for bucket in BUCKETS if usage and getattr(usage, bucket)]
    lines = tuple(line for line, _ in priced)
    if reported is not None:
        return Bill(reported, "provider", lines, catalog_date, tier)
    total = sum_usd((cost.request, *(line.usd for line in lines))) if usage and cost else None
    assumed = total is not None and any(assumed for _, assumed in priced)
    return Bill(total, "partial" if partial else "estimate" if assumed else "catalog", lines, catalog_date, tier)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: four characters each (OpenAI's rule of thumb for English)."""
    return -(-len(text) // 4)


def _tier(usage: Usage | None, cost: Cost | None) -> tuple[int | None, Mapping[str, float]]:
    if cost is None:
        return None, {}
    if usage is not None:
        for size, rates in sorted(cost.tiers, key=lambda tier: tier[0], reverse=True):
            if size < usage.prompt_tokens:
                return size, {**cost.rates, **rates}
    return None, cost.rates


def _line(bucket: str, usage: Usage, rates: Mapping[str, float]) -> tuple[BillLine, bool]:
    """One line of the bill, and whether its rate is an assumption."""
    tokens: int = getattr(usage, bucket)
    instead, rule = FALLBACK.get(bucket, ("", True))
    rate = rates.get(bucket)
    assumed = rate is None and not rule
    rate = rates.get(instead) if rate is None else rate
    usd = None if rate is None else float(tokens * Decimal(str(rate)) / 1_000_000)
    return BillLine(bucket, tokens, rate, usd), assumed
