"""Rates x usage = bill. Pure; amounts are USD, rates USD per million tokens as models.dev gives them. The sums are
decimal, so a bill is what a person gets who adds it up by hand.

A tier reprices the whole request: the rates of the largest tier whose size is below the prompt's tokens count
(models.dev `cost.tiers`; its `context_over_200k` says the same again for one size, and is not read). So do the lane
in which the provider worked, as it says itself (priority, flex, fast), and the region in which it computed.

A bill is exact, or it says in `source` and `notes` that it is not, and why. A rate that a price list has is exact; one
that follows from a rule is an estimate, for a provider may except a model from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import compress
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import astuple, force_setattr

from nbkit.conversation.completion import NO_CHARGES, Bill, BillLine, Charges, Usage
from nbkit.secret import hide_fields

# What a bucket costs where neither models.dev nor a rule of the provider says it, and whether that is how all
# providers bill (reasoning is billed as output) or an assumption that makes the bill an estimate.
FALLBACK = {
    "reasoning": ("output", True),
    "output_audio": ("output", False),
    "output_image": ("output", False),
    "input_audio": ("input", False),
    "cache_read": ("input", False),
    "cache_read_audio": ("cache_read", False),
    "cache_write": ("input", False),
}
BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cache_read_audio",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
)
_read_buckets: Callable[[Usage], tuple[int, ...]] = attrgetter(*BUCKETS)
MOST_TOKENS = 1_000_000_000
"""A larger count is not one."""

# Words for the lane that the catalog's prices are those of: OpenAI, Anthropic, Groq, Google.
_USUAL_LANES = {"default", "auto", "standard", "standard_only", "on_demand", "unspecified", "service_tier_unspecified"}
_USUAL_REGIONS = {"", "global", "not_available"}
"""Anthropic's words for the places whose prices are the catalog's."""
_ANY = "*"
"""The key of the factor for all regions that have none of their own."""
_CACHED = {"cache_read": "input", "cache_write": "input", "cache_write_1h": "input", "cache_read_audio": "input_audio"}
"""Buckets of a prompt cache -> what the same tokens cost without one."""
_read_cached: Callable[[Usage], tuple[int, ...]] = attrgetter(*_CACHED)
_MOST_CARDS = 50
"""Kinds of requests of a model whose rates are kept; providers name few lanes and regions."""
_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


class ToolPrice(NamedTuple):
    """Price of a tool that the provider runs itself."""

    usd: float
    per: str = "call"
    """"call": of the tool; "request": once for an answer that used it, however often."""
    note: str = ""
    """What makes the price an estimate: a free allowance, another price in some case."""


class Lane(NamedTuple):
    """The lane in which a provider worked, in its own word, and whether it was only requested, not confirmed."""

    name: str
    requested: bool = False


class _Rate(NamedTuple):
    """A rate as it is shown and as it is multiplied, and what of it is an assumption, in words."""

    rate: float | None = None
    """USD per million tokens."""
    usd: Decimal | None = None
    """USD per token."""
    note: str = ""


class _Card(NamedTuple):
    """The rates of one kind of request: of a tier, a lane and a region."""

    rates: Mapping[str, _Rate]
    tier: int | None = None
    lane: str | None = None
    notes: tuple[str, ...] = ()


_NOTHING = _Card(dict.fromkeys(BUCKETS, _Rate()))
_FREE = _Card(dict.fromkeys(BUCKETS, _Rate(0.0, _ZERO)))


class Cost(Struct, frozen=True):
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
    tools: Mapping[str, ToolPrice] = field(default_factory=dict)
    """What the provider's own tools cost, by their names in `Charges.tools`."""
    regions: Mapping[str, float] = field(default_factory=dict)
    """By what all rates are multiplied where the provider computed in a region: {"us": 1.1}; "*": in any other."""
    _cards: dict[tuple[int | None, Lane | None, str], _Card] = field(default_factory=dict)

    __repr__ = hide_fields("_cards")

    def __post_init__(self) -> None:
        force_setattr(self, "_cards", {})  # its own, also where it was made from another one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cost) and astuple(self)[:-1] == astuple(other)[:-1]

    __hash__ = None  # type: ignore[assignment]

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

    def find_highest_rate(
        self, buckets: Iterable[str], prompt_tokens: int, lanes: Iterable[Lane | None] = (None,)
    ) -> Decimal | None:
        """Find the most USD that a token may cost in one of some buckets, for any prompt of up to so many tokens.

        In any of some lanes, wherever the provider computes. None where one of the rates is not known.
        """
        sizes = [0, *(size + 1 for size, _ in self.tiers if size < prompt_tokens)]
        cards = [
            self._find_card(size, lane, region) for size in sizes for lane in lanes for region in ("", *self.regions)
        ]
        rates = [card.rates[bucket].usd for card in cards for bucket in buckets]
        known = [rate for rate in rates if rate is not None]
        return max(known) if len(known) == len(rates) else None

    def _find_card(self, prompt_tokens: int, lane: Lane | None, region: str) -> _Card:
        """Find the rates of a request; they are worked out once."""
        tier = max((size for size, _ in self.tiers if size < prompt_tokens), default=None)
        card = self._cards.get((tier, lane, region))
        if card is None:
            card = _FREE if self.is_free else _make_card(self, tier, lane, region)
            if len(self._cards) < _MOST_CARDS:
                self._cards[tier, lane, region] = card
        return card


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
    charges: Charges = NO_CHARGES,
    others: Mapping[str, Cost | None] | None = None,
    notes: Sequence[str] = (),
    model: str = "",
) -> Bill:
    """Price one usage.

    `reported` is the price that the provider itself named: it wins. `partial`: the answer broke off. `charges`: what
    else is paid for; `others` has the rates of the models that are named there. `notes` say what else makes the bill
    inexact. `model`: the model whose rates these are, where it is not the one that was called.
    """
    card = _NOTHING
    if cost is not None:
        card = cost._find_card(charges.longest_prompt or (usage.prompt_tokens if usage else 0), lane, charges.region)
    known, vague = list[Decimal](), [*card.notes]
    lines, complete = list[BillLine](), cost is not None and (usage is not None or card is _FREE)
    for line, usd, note in _price_usage(usage, card) if usage else ():
        lines.append(line)
        complete = complete and usd is not None
        known.append(usd or _ZERO)
        if note:
            vague.append(note)
    explained = complete  # whether there is a price for all that was used
    for line, usd, note in _price_rest(cost, lane, charges, others or {}):
        lines.append(line)
        explained = explained and usd is not None
        known.append(usd or _ZERO)
        if note:
            vague.append(note)
    ours = sum(known, _ZERO)
    vague += [*charges.notes, *notes]
    facts = (tuple(lines), catalog_date, card.tier)
    saved = (_sum_saved(usage, card) if any(_read_cached(usage)) else 0.0) if usage and cost else None
    if reported is not None:
        difference = float(Decimal(str(reported)) - ours) if explained else None
        return Bill(reported, "provider", *facts, lane=card.lane, model=model, saved=saved, difference=difference)
    total = float(ours) if complete else None
    source = _find_source(total, cost, exact=not vague, partial=partial)
    return Bill(total, source, *facts, tuple(vague), card.lane, model, saved)


def _find_source(total: float | None, cost: Cost | None, *, exact: bool, partial: bool) -> str:
    if partial:
        return "partial"
    if total is None or cost is None:
        return "unknown"
    return cost.source if exact else "estimate"


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: four characters each (OpenAI's rule of thumb for English)."""
    return -(-len(text) // 4)


# ---- lines

_Priced = tuple[BillLine, Decimal | None, str]
"""A line, its exact USD, and what of it is an assumption."""


def _price_usage(usage: Usage, card: _Card, model: str = "") -> Iterator[_Priced]:
    """Price each bucket that has tokens."""
    counts = _read_buckets(usage)
    for bucket, tokens in compress(zip(BUCKETS, counts, strict=True), counts):
        rate, per_token, note = card.rates[bucket]
        absurd = type(tokens) is not int or not 0 <= tokens <= MOST_TOKENS
        usd = None if per_token is None or absurd else tokens * per_token
        yield BillLine(bucket, tokens, rate, None if usd is None else float(usd), model=model), usd, note


def _price_rest(
    cost: Cost | None, lane: Lane | None, charges: Charges, others: Mapping[str, Cost | None]
) -> Iterator[_Priced]:
    """Price what is paid beside the model's own tokens."""
    if cost is not None and cost.request:
        usd = Decimal(str(cost.request))
        yield BillLine("request", 0, cost.request, cost.request, calls=1), usd, ""
    for name, calls in charges.tools.items():
        words = f"{calls} {name.replace('_', ' ')}"
        price = cost.tools.get(name) if cost else None
        if price is None:
            yield BillLine(name, 0, None, None, calls=calls), None, f"{words}: not in the price"
            continue
        usd = Decimal(str(price.usd)) * (calls if price.per == "call" else 1)
        yield BillLine(name, 0, price.usd, float(usd), calls=calls), usd, f"{words}: {price.note}" if price.note else ""
    for name, usage in charges.models:
        other = others.get(name)
        card = _NOTHING if other is None else other._find_card(usage.prompt_tokens, lane, charges.region)
        for line, known, note in _price_usage(usage, card, name):
            why = note or ("" if known is not None else f"{line.bucket} has no known price, and is not in the total")
            yield line, known, f"{name}: {why}" if why else ""


def _sum_saved(usage: Usage, card: _Card) -> float | None:
    """Sum what the cached tokens would have cost more without a cache; None where a rate is not known."""
    saved = _ZERO
    for bucket, uncached in _CACHED.items():
        if tokens := getattr(usage, bucket):
            full, paid = card.rates[uncached].usd, card.rates[bucket].usd
            if full is None or paid is None:
                return None
            saved += tokens * (full - paid)
    return float(saved)


# ---- rates


def _make_card(cost: Cost, tier: int | None, lane: Lane | None, region: str) -> _Card:
    """Work out all rates of a request."""
    rates: Mapping[str, float] = cost.rates
    if tier is not None:
        rates = {**rates, **next(own for size, own in cost.tiers if size == tier)}
    name = lane.name.strip().lower().removeprefix("on_demand_") if lane else ""  # Vertex: ON_DEMAND_PRIORITY
    if lane is None or not name or name in _USUAL_LANES or cost.lane_factors.get(name) == 1:
        name, notes = "", list[str]()
    else:
        notes = [f"the provider did not say whether it worked in the lane {name!r}"] if lane.requested else []
        rates, note = _apply_lane(cost, name, rates, tiered=tier is not None)
        notes += [note] if note else []
    if region.lower() not in _USUAL_REGIONS:
        factor = cost.regions.get(region.lower(), cost.regions.get(_ANY))
        if factor is None:
            notes.append(f"the region {region!r} has no known price")
        else:
            rates = {bucket: _scale(rate, factor) for bucket, rate in rates.items()}
    return _Card({bucket: _find_rate(bucket, rates, cost) for bucket in BUCKETS}, tier, name or None, tuple(notes))


def _apply_lane(cost: Cost, name: str, rates: Mapping[str, float], *, tiered: bool) -> tuple[Mapping[str, float], str]:
    """Return the rates of a lane, and what of them is an assumption."""
    if own := cost.lanes.get(name):
        if not tiered:
            return own, ""
        scaled = {bucket: _scale(rate, rates.get(bucket), cost.rates.get(bucket)) for bucket, rate in own.items()}
        return scaled, f"the lane {name!r} has no known price for prompts of this size"
    if factor := cost.lane_factors.get(name):
        scaled = {bucket: _scale(rate, factor) for bucket, rate in rates.items()}
        return scaled, f"the lane {name!r} at {factor:g} x the usual rates"
    return rates, f"the lane {name!r} has no known price"


def _scale(rate: float, by: float | None, over: float | None = 1) -> float:
    """Multiply a rate as by hand; it stays as it is where a factor is unknown."""
    return float(Decimal(str(rate)) * Decimal(str(by)) / Decimal(str(over))) if by is not None and over else rate


def _find_rate(bucket: str, rates: Mapping[str, float], cost: Cost) -> _Rate:
    """Find the rate of a bucket: its own, else one by the provider's rule, else that of what it counts as."""
    rate, notes, name = rates.get(bucket), list[str](), bucket
    if rate is None:
        for other, factor in cost.derived.get(bucket, {}).items():
            if rate is None and other in rates:
                rate = _scale(rates[other], factor)
                notes.append(f"{bucket} at {factor:g} x {other}")
    while rate is None and name in FALLBACK:
        name, is_rule = FALLBACK[name]
        rate = rates.get(name)
        if rate is not None and not is_rule:
            notes.append(f"{bucket} at the rate of {name}")
    return _Rate(rate, None if rate is None else Decimal(str(rate)) / _MILLION, "; ".join(notes))
