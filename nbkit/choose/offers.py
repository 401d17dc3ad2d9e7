"""The same model elsewhere: who serves it, and for how much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbkit.billing.money import blend_prices
from nbkit.choose.frame import catalog
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.providers.resolve import find_candidates, resolve_model
from nbkit.providers.spelling import has_day, list_spellings, normalize
from nbkit.providers.vendors import vendor

_COLUMNS = (
    *("provider", "match", "input_cost", "output_cost", "blended_cost", "extra", "plan", "caching", "cache_read_cost"),
    *("context", "max_output", "has_key", "protocol", "status", "name"),
)


def offers(model: str) -> pd.DataFrame:
    """Every offer of a model in the catalog, cheapest first; the index is the model id at its provider.

    `model`: an id, a path, a canonical id ("openai/gpt-oss-120b") or a bare name. `match` says how an offer was found.
    "canonical": models.dev says that it is this model; variants ("-fast", ":free") are among them. "name": models.dev
    says nothing, and vendor and name agree but for case, separators, a prefix of the vendor or a region, and the day of
    its release if `model` names none; this counts only at providers that have no "canonical" offer.

    Prices are USD per million tokens, those of the first tier. `blended_cost` is (3 x input + output) / 4, `extra` how
    many percent it is above the cheapest. `plan`: both prices are 0, so it is free or part of a subscription; these
    come after those that have a price and before those whose price is unknown, and have no `extra`. `caching`: there
    is a price for input that is read from a cache. Raises ModelNotFoundError, also where two models have the name.
    """
    canonical, made_by, name = _meant(model)
    rows = catalog()
    match = _matches(rows, canonical, made_by, name)
    found = rows[match != ""].assign(match=match[match != ""])
    price: Any = blend_prices(found["input_cost"], found["output_cost"])
    plan = (found["input_cost"] == 0) & (found["output_cost"] == 0)
    paid = price.mask(plan)
    extra = ((paid / paid.min() - 1) * 100).round(1)
    found = found.assign(blended_cost=price, extra=extra, plan=plan, caching=found["cache_read_cost"].notna())
    order = np.lexsort((found.index, price, plan + 2 * price.isna()))
    result: pd.DataFrame = found[list(_COLUMNS)].iloc[order]
    return result


def _meant(model: str) -> tuple[str | None, str, str]:
    """The canonical id of the model that is meant, if it has one; its vendor and its name."""
    told = {key(canonical): canonical for canonical in current_snapshot().distinct("canonical") if canonical}
    if model in told.values():
        made_by, _, name = model.partition("/")
        return model, made_by, name
    records = _records(model)
    named = {canonical for record in records if (canonical := _canonical(record, told))}
    same = {one for one in named if key(one.partition("/")[2]) == key(model.rpartition("/")[2])} or named
    makers = {_made_by(record) for record in records}
    if len(same) > 1 or (not same and len(makers) > 1):
        few = ", ".join(sorted(same or {record.id for record in records})[:6])
        raise ModelNotFoundError(model, why=f"{model!r} may mean several models: name one of {few}")
    if same:
        made_by, _, name = next(iter(same)).partition("/")
        return next(iter(same)), made_by, name
    return None, makers.pop(), records[0].model


def _records(model: str) -> list[Record]:
    """The row that a name means, or those that it may mean. Raises ModelNotFoundError where there is none."""
    candidates = find_candidates(model)
    try:
        found = resolve_model(model)
    except ModelNotFoundError:
        if not candidates:
            raise
        return candidates
    if found.record is None and not candidates:
        raise ModelNotFoundError(model, why=f"the catalog does not list {model!r}")
    return [found.record] if found.record else candidates


def _canonical(record: Record, told: dict[str, str]) -> str | None:
    """Its canonical id; the vendor's own row says none, but others may say its vendor and name."""
    return record.canonical or told.get(key(f"{_made_by(record)}/{record.model.rpartition('/')[2]}"))


def _made_by(record: Record) -> str:
    return vendor(record.canonical, record.model, record.provider)


def _matches(rows: pd.DataFrame, canonical: str | None, made_by: str, name: str) -> Any:
    """ "canonical", "name" or "" for each row."""
    match = np.where((rows["canonical"] == canonical) | (rows.index == canonical), "canonical", "").astype(object)
    dated = has_day(name)
    wanted = forms(name, made_by, dated=dated)
    uncovered = (rows["vendor"] == made_by) & ~rows["provider"].isin(rows["provider"][match != ""])
    for place in np.flatnonzero(uncovered):
        said = (rows["model"].iloc[place], rows["canonical"].iloc[place])  # a canonical id of another model counts
        if all(wanted & forms(one, made_by, dated=dated) for one in said if isinstance(one, str)):
            match[place] = "name"
    return match
