"""All offers of one model: which providers serve it, and at what price."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbkit.arguments import read_model
from nbkit.billing.money import blend_prices
from nbkit.choose.frame import catalog
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.providers.resolve import find_candidates, resolve_model, vendor_of
from nbkit.providers.spelling import has_day, list_spellings, normalize

_COLUMNS = (
    *("provider", "match", "input_cost", "output_cost", "blended_cost", "extra", "plan", "caching", "cache_read_cost"),
    *("context", "max_output", "has_key", "protocol", "status", "name"),
)


def offers(model: str) -> pd.DataFrame:
    """List every offer of a model in the catalog, one row each, cheapest first. The index is the id at its provider.

    `model` is an id, a path, a canonical id ("openai/gpt-oss-120b") or a bare name. Prices are USD per million tokens
    of the first tier, lengths are tokens. Besides columns of the catalog there are

    - `match`, how the offer was recognized. "canonical": models.dev says that it is this model; variants ("-fast",
      ":free") are among them. "name": models.dev says nothing, and vendor and name agree but for case, separators, a
      prefix of the vendor or a region, and the day of its release if `model` names none. Offers by name are listed only
      of providers that have no canonical one.
    - `blended_cost`, (3 x input + output) / 4, and `extra`, how many percent that is above the cheapest.
    - `plan`, whether both prices are 0, so that it is free or part of a subscription. Plans have no `extra`; they come
      after the offers that have a price and before those of unknown price.
    - `caching`, whether there is a price for input that is read from a cache.

    Raises ModelNotFoundError where the catalog has no model of this name, or several.
    """
    canonical, made_by, name = _identify(read_model(model))
    rows = catalog()
    match = _match_rows(rows, canonical, made_by, name)
    offered = rows[match != ""].assign(match=match[match != ""])
    price: Any = blend_prices(offered["input_cost"], offered["output_cost"])
    plan = (offered["input_cost"] == 0) & (offered["output_cost"] == 0)
    paid = price.mask(plan)
    extra = ((paid / paid.min() - 1) * 100).round(1)
    offered = offered.assign(blended_cost=price, extra=extra, plan=plan, caching=offered["cache_read_cost"].notna())
    order = np.lexsort((offered.index, price, plan + 2 * price.isna()))
    result: pd.DataFrame = offered[list(_COLUMNS)].iloc[order]
    return result


def _identify(model: str) -> tuple[str | None, str, str]:
    """Find the canonical id of a model, None where it has none; its vendor and its name."""
    canonicals = {normalize(one): one for one in current_snapshot().distinct("canonical") if one}
    if model in canonicals.values():
        made_by, _, name = model.partition("/")
        return model, made_by, name
    records = _find_records(model)
    named = {canonical for record in records if (canonical := _find_canonical(record, canonicals))}
    wanted = normalize(model.rpartition("/")[2])
    same = {canonical for canonical in named if normalize(canonical.partition("/")[2]) == wanted} or named
    makers = {vendor_of(record) for record in records}
    if len(same) > 1 or (not same and len(makers) > 1):
        few = ", ".join(sorted(same or {record.id for record in records})[:6])
        raise ModelNotFoundError(model, why=f"{model!r} may mean several models: name one of {few}")
    if same:
        made_by, _, name = next(iter(same)).partition("/")
        return next(iter(same)), made_by, name
    return None, makers.pop(), records[0].model


def _find_records(model: str) -> list[Record]:
    """Find the record that a name means, or those that it may mean. Raises ModelNotFoundError where there is none."""
    candidates = find_candidates(model)
    try:
        resolved = resolve_model(model)
    except ModelNotFoundError:
        if not candidates:
            raise
        return candidates
    if resolved.record is None and not candidates:
        raise ModelNotFoundError(model, why=f"the catalog does not list {model!r}")
    return [resolved.record] if resolved.record else candidates


def _find_canonical(record: Record, canonicals: dict[str, str]) -> str | None:
    """Find a record's canonical id: the vendor's own has none, but others' may name its vendor and model."""
    return record.canonical or canonicals.get(normalize(f"{vendor_of(record)}/{record.model.rpartition('/')[2]}"))


def _match_rows(rows: pd.DataFrame, canonical: str | None, made_by: str, name: str) -> Any:
    """For each row "canonical", "name" or "", as `offers` says in `match`."""
    match = np.where((rows["canonical"] == canonical) | (rows.index == canonical), "canonical", "").astype(object)
    dated = has_day(name)
    wanted = list_spellings(name, made_by, dated=dated)
    uncovered = (rows["vendor"] == made_by) & ~rows["provider"].isin(rows["provider"][match != ""])
    for place in np.flatnonzero(uncovered):
        # a row whose canonical id is of another model is not an offer, even if its name matches
        names = (rows["model"].iloc[place], rows["canonical"].iloc[place])
        if all(wanted & list_spellings(one, made_by, dated=dated) for one in names if isinstance(one, str)):
            match[place] = "name"
    return match
