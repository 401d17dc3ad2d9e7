"""The most that a call may cost, worked out before it is sent: what a budget reserves for it. Pure.

Every doubt counts as the dearer case: the dearest tier that the prompt may reach, the dearest of the lanes that may
serve it, every prompt token as one that is written to a cache where that costs more, every answer token as the dearest
kind that the model has. What has no upper bound says so, and is never taken for 0.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from nbkit.billing.cost import Cost, Lane

_PROMPT = ("input", "cache_write")
_ANSWER = ("output", "reasoning")
_MEDIA_OUT = ("output_audio", "output_image")


class Demand(Struct, frozen=True):
    """The most that a call may use; None: it has no upper bound."""

    prompt: int | None
    """Tokens of the prompt, of all runs of the model where the provider's own tools make it run several times."""
    answer: int | None
    """Tokens of the answer, with its reasoning, of all answers to the prompt."""
    tool_calls: int = 0
    """Calls of tools that the provider runs itself."""
    lanes: tuple[str, ...] | None = ()
    """The lanes that may serve it beside the usual one; None: any."""
    has_audio: bool = False
    """Whether a part of the prompt is audio."""
    caches_hours: bool = False
    """Whether a part of it may be kept in a cache for an hour."""
    vague: str = ""
    """Why its price has no upper bound, in words."""


class Ceiling(Struct, frozen=True):
    """The most that a call may cost, in USD; `usd` is None where that is not known, and `why` says why."""

    usd: Decimal | None
    demand: Demand
    why: str = ""

    def __str__(self) -> str:
        used = self.demand
        parts = [f"{used.prompt:,} prompt" if used.prompt is not None else ""]
        parts.append(f"{used.answer:,} answer" if used.answer is not None else "")
        tokens = " and ".join(part for part in parts if part)
        searches = f", {used.tool_calls} calls of the provider's own tools" if used.tool_calls else ""
        return f"{tokens} tokens{searches}"


def compute_ceiling(cost: Cost | None, demand: Demand) -> Ceiling:
    """Compute the most that a call may cost at these rates."""
    if cost is None:
        return Ceiling(None, demand, "its price is not known")
    if demand.vague:
        return Ceiling(None, demand, demand.vague)
    chosen = demand.lanes if demand.lanes is not None else (*cost.lanes, *cost.lane_factors)
    lanes = (None, *map(Lane, chosen))
    reads = [*_PROMPT, *(["input_audio"] if demand.has_audio else []), *["cache_write_1h"] * demand.caches_hours]
    writes = [*_ANSWER, *(bucket for bucket in _MEDIA_OUT if bucket in cost.rates)]
    longest = demand.prompt or 0
    parts = [
        _multiply(demand.prompt, cost.find_highest_rate(reads, longest, lanes), "the prompt"),
        _multiply(demand.answer, cost.find_highest_rate(writes, longest, lanes), "the answer"),
        _multiply(demand.tool_calls, _find_dearest_tool(cost), "a call of the provider's own tools"),
    ]
    why = next((part for part in parts if isinstance(part, str)), "")
    if why:
        return Ceiling(None, demand, why)
    known = [part for part in parts if isinstance(part, Decimal)]
    return Ceiling(sum(known, Decimal(str(cost.request))), demand)


def _multiply(count: int | None, usd: Decimal | None, what: str) -> Decimal | str:
    """Multiply, or say what is not known; nothing of what has a price, and anything that is free, costs nothing."""
    if count == 0 or usd == 0:
        return Decimal(0)
    if usd is None:
        return f"the price of {what} is not known"
    return usd * count if count is not None else f"the length of {what} has no known limit: pass max_tokens="


def _find_dearest_tool(cost: Cost) -> Decimal | None:
    return max((Decimal(str(price.usd)) for price in cost.tools.values()), default=None)
