"""Prices of models: models.dev's prices, the provider's own rules for what models.dev does not list, and over both
the prices of the user, from the overrides file (`cost`) or from `get_adapter(..., cost=)`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Protocol

from msgspec.structs import replace

from nbkit.billing.cost import BUCKETS, Cost, ToolPrice
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import RATES, Provider, Record
from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.key_shapes import find_keys, mask_keys
from nbkit.providers.tables import Row, all_model_overrides, collect_rows, model_overrides, user_rows

_LANES = ("service_tier", "speed")
"""The fields of a request that choose a lane, at OpenAI and its relatives and at Anthropic."""
PRICE_PARTS = ("lanes", "derived", "regions", "tool_prices", "rates")
"""The keys of a row that say how a provider bills beside models.dev's rates; those of a later row win, one by one."""
_DATE = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$")
"""The end of a model's name that says which version of it answered."""
_PRICING = {"cost", "same_as"}
"""The keys of a model's row that change its columns of prices."""


class Priced(Protocol):
    """Source of a price: a record, or the three fields of one."""

    @property
    def rates(self) -> Mapping[str, float]:
        """As `Record.rates`."""

    @property
    def tiers(self) -> tuple[Mapping[str, Any], ...]:
        """As `Record.tiers`."""

    @property
    def experimental(self) -> Mapping[str, Any] | None:
        """As `Record.experimental`."""


def find_cost(
    record: Priced | None, rows: Iterable[Mapping[str, Any]], given: Cost | Mapping[str, Any] | None = None
) -> Cost | None:
    """Find what a model costs; None where nothing says it.

    `rows` are those of `collect_rows`, the last one wins; `given` wins over all of them. A rate of the user is the
    price whatever the size of the prompt, unless the user gives `tiers` too.
    """
    if isinstance(given, Cost):
        return given
    own: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {name: {} for name in PRICE_PARTS}
    for row in rows:
        own |= row.get("cost", {})
        for name in PRICE_PARTS:
            if name in row:
                parts[name] |= row[name]
    own |= given or {}
    rates = {bucket: float(own[bucket]) for bucket in BUCKETS if bucket in own}
    listed = {**record.rates, **parts["rates"]} if record and record.rates else {}
    if not own and not listed:
        return None
    by_factor = {lane: value for lane, value in parts["lanes"].items() if not isinstance(value, dict)}
    lanes = {lane: value for lane, value in parts["lanes"].items() if isinstance(value, dict)}
    return Cost(
        rates={**listed, **rates},
        tiers=_find_tiers(record, own),
        request=float(own.get("request", 0)),
        lanes={} if rates or record is None else lanes | _read_lanes(record),
        lane_factors=by_factor,
        derived=parts["derived"],
        source="user" if own else "catalog",
        tools={name: _read_tool_price(price) for name, price in parts["tool_prices"].items()},
        regions=parts["regions"],
    )


def _read_tool_price(price: float | Mapping[str, Any]) -> ToolPrice:
    """Read USD per call, or a table: `{ call = 0.014, note = "..." }`, `{ request = 0.035 }`."""
    if isinstance(price, Mapping):
        per = "request" if "request" in price else "call"
        return ToolPrice(float(price[per]), per, price.get("note", ""))
    return ToolPrice(float(price))


def find_listed_cost(provider: str, name: str, protocol: str) -> Cost | None:
    """Find what a listed model costs by the name that an answer gives it; None where the provider lists no such model.

    The name may be an ARN (Bedrock's routers), and have the date of a version that is not listed apart.
    """
    snapshot = current_snapshot()
    name = name.rpartition("/")[2] if name.startswith("arn:") else name
    for spelling in (name, _DATE.sub("", name)):
        if record := snapshot.record(f"{provider}/{spelling}"):
            return find_cost(record, collect_rows(protocol, provider, spelling))
    return None


def _find_tiers(record: Priced | None, own: Mapping[str, Any]) -> tuple[tuple[int, Mapping[str, float]], ...]:
    if "tiers" in own:
        return tuple((tier["size"], {key: float(tier[key]) for key in BUCKETS if key in tier}) for tier in own["tiers"])
    listed = record.tiers if record else ()
    tiers = ((tier["size"], {key: tier["rates"][key] for key in tier["rates"] if key not in own}) for tier in listed)
    return tuple((size, rates) for size, rates in tiers if rates)


def _read_lanes(record: Priced) -> dict[str, dict[str, float]]:
    """Read the rates of models.dev's modes, by the lane that a request for the mode names."""
    modes = (record.experimental or {}).get("modes")
    lanes: dict[str, dict[str, float]] = {}
    for mode in modes.values() if isinstance(modes, dict) else ():
        cost, body = _walk(mode, "cost"), _walk(mode, "provider", "body")
        name = next((body[key] for key in _LANES if isinstance(body.get(key), str)), None)
        rates = {rate: float(cost[rate]) for rate in RATES if type(cost.get(rate)) in (int, float) and cost[rate] >= 0}
        if name and rates:
            lanes[name.lower()] = rates
    return lanes


def _walk(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


# ---- deployments and fine-tunes


def stand_in(
    provider: Provider, model: str, record: Record | None, same_as: str | None = None
) -> tuple[Record | None, str]:
    """Return the record that counts for a model, and the name of the model that it is a deployment or fine-tune of.

    The name is "" for most models, whose own record counts. `same_as` is a model id, and wins over the user's rows.
    Raises ModelNotFoundError where the catalog does not list that one.
    """
    twin = find_twin(model_overrides(f"{provider.id}/{model}"), same_as)
    if twin is None:
        return record, ""
    overrides = twin.overrides if twin.provider.id == provider.id else {}  # they say how the twin's provider is called
    return replace(twin, provider=provider, model=model, overrides=overrides), twin.model


def find_twin(rows: Iterable[Row], given: str | None = None) -> Record | None:
    """Find the listed model that one is the same as; None where no row says it. Raises ModelNotFoundError."""
    name = given or next((row["same_as"] for row in reversed(list(rows)) if "same_as" in row), None)
    if name is None:
        return None
    if twin := current_snapshot().record(name):
        return twin
    from nbkit.providers.known_models import load_known_models  # needs numpy; a call does without

    name = mask_keys(name, find_keys(name))
    why = f"same_as: the catalog does not list {name!r}; give a model id, provider/model"
    raise ModelNotFoundError(name, load_known_models().suggest(name), why=why)


# ---- the catalog's columns


def find_prices(snapshot: Snapshot, name: str) -> Factor:
    """Return a column of prices (`input_cost`, `tiers` ...) of a snapshot with the user's corrections in it."""
    column, corrected = (
        snapshot.factor(name),
        _find_corrected(snapshot, repr([user_rows(k) for k in ("providers", "models")])),
    )
    if not corrected:
        return column
    values, codes = list(column.values), array("H", column.codes)
    for place, cost in corrected.items():
        if name == "tiers":
            values.append(tuple({"size": size, "rates": dict(rates)} for size, rates in cost.tiers))
        else:
            values.append(cost.rates.get(name.removesuffix("_cost")))
        codes[place] = len(values) - 1
    return Factor(values, codes)


@lru_cache(2)
def _find_corrected(snapshot: Snapshot, _user_text: str) -> dict[int, Cost]:
    """Find the prices of the models that a row is about, by their places in the snapshot."""
    patterns = [pattern for pattern, row in all_model_overrides() if _PRICING & row.keys()]
    patterns += [f"{provider}/*" for provider, row in user_rows("providers").items() if "cost" in row]
    starts = tuple(re.split(r"[*?[]", pattern)[0] for pattern in patterns)
    corrected = {}
    for place, model_id in enumerate(snapshot.ids if patterns else ()):
        if model_id.startswith(starts) and any(fnmatchcase(model_id, pattern) for pattern in patterns):
            record, (provider, _, model) = snapshot.record(model_id), model_id.partition("/")
            rows = collect_rows("", provider, model)
            if cost := find_cost(find_twin(rows) or record, rows):
                corrected[place] = cost
    return corrected
