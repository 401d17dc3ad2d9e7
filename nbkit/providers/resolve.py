"""Which model a name means: models.dev's ids, the seed's paths, bare model names, and registered providers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from nbkit.billing.money import blend_prices
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.credentials import has_key
from nbkit.providers.registered import registered_provider
from nbkit.providers.spelling import key, own_providers, vendor_called
from nbkit.providers.vendors import record_path, vendor


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a name means. `record` is None for a model that the catalog does not know."""

    provider: Provider
    model: str
    record: Record | None
    address: Callable[[], str] | None = None


_FEW = 6  # names in an error


def resolve_model(name: str, *, anywhere: bool = False) -> ResolvedModel:
    """What `name` means: an id, a path, or a bare model, which its own vendor serves or one provider alone.

    Case and separators count only where they tell two models apart. An id comes before a path of the same letters. A
    model that models.dev does not list at its provider is found all the same, without a record; so is one of an unknown
    provider with `anywhere` (a base URL is given), where names are taken as they are written. Raises
    ModelNotFoundError with the nearest names, or with those among which the name does not decide.
    """
    provider_id, _, model = name.partition("/")
    own = registered_provider(provider_id)
    if own is not None and model:
        known = {record.model: record for record in own.records}
        record = known.get(model) or _by_path(name, known)
        if record is None:
            raise ModelNotFoundError(name, _nearest(name, [record.id for record in own.records]))
        return ResolvedModel(record.provider, record.model, record, own.address)
    records = current_snapshot()
    if exact := records.record(name):
        return ResolvedModel(exact.provider, exact.model, exact)
    by_path = records.record(f"{provider_id}/{model.partition('/')[2]}")
    if by_path and record_path(by_path) == name:
        return ResolvedModel(by_path.provider, by_path.model, by_path)
    listed = (provider for provider in records.distinct("provider") if provider.id == provider_id.strip().lower())
    if model and (provider := next(listed, None)):
        alike = None if anywhere else _alike(provider, model, records)
        return ResolvedModel(provider, alike.model if alike else model, alike)
    if anywhere and model:
        unlisted = Provider(provider_id, provider_id, "@ai-sdk/openai-compatible", None, (), None)
        return ResolvedModel(unlisted, model, None)
    record = _bare(name, records)
    return ResolvedModel(record.provider, record.model, record)


def find_candidates(name: str) -> list[Record]:
    """The models that a bare name, or one with its vendor before it, may mean, at every provider."""
    prefix, _, _ = name.strip().rpartition("/")
    made_by = vendor_called(prefix)
    return [
        record
        for record in _keyed(name, current_snapshot())
        if not prefix or key(record.model) == key(name) or _made_by(record) == made_by
    ]


def _by_path(name: str, known: dict[str, Record]) -> Record | None:
    return next((record for record in known.values() if record_path(record) == name), None)


def _alike(provider: Provider, model: str, records: Snapshot) -> Record | None:
    """The one model of this provider that differs from the name in case, separators or a left out prefix only."""
    wanted = key(model)
    found = [
        record
        for record in _keyed(model, records)
        if record.provider.id == provider.id
        and wanted in (key(record.model), _last(record.model), key(record_path(record)).partition("/")[2])
    ]
    found = [record for record in found if key(record.model) == wanted] or found
    if len(found) > 1:
        few = ", ".join(record.id for record in found[:_FEW])
        raise ModelNotFoundError(model, why=f"{len(found)} models of {provider.id} go by {model!r}: name one of {few}")
    return next(iter(found), None)


def _bare(name: str, records: Snapshot) -> Record:
    found = find_candidates(name)
    own: dict[str, list[tuple[int, Record]]] = {}
    for record in found:
        made_by = _made_by(record)
        if record.provider.id in (order := own_providers(made_by)):
            own.setdefault(made_by, []).append((order.index(record.provider.id), record))
    if len(own) == 1:  # else two vendors have a model of that name
        return min(next(iter(own.values())), key=lambda choice: choice[0])[1]
    if len(found) == 1:
        return found[0]
    raise ModelNotFoundError(name, why=_undecided(name, found)) if found else _missing(name, records)


def _undecided(name: str, found: list[Record]) -> str:
    """Why none of these is meant: those with a key first, then the cheapest, which is named."""
    price = {record.id: _price(record) for record in found}
    by_price = sorted(found, key=lambda record: (not has_key(record.provider), price[record.id]))
    few = ", ".join(record.id for record in by_price[:_FEW]) + (", ..." if len(found) > _FEW else "")
    text = f"{len({record.provider.id for record in found})} providers serve {name!r}: name one of {few}"
    cheapest = min(found, key=lambda record: price[record.id])
    if price[cheapest.id] < inf:
        rates = cheapest.rates
        text += f"; the cheapest is {cheapest.id}: ${rates['input']:g} in, ${rates['output']:g} out per million tokens"
    return text


def _price(record: Record) -> float:
    """The blended price; infinite where it is unknown, or 0 as that of a plan."""
    rates = record.rates
    return blend_prices(rates["input"], rates["output"]) or inf if {"input", "output"} <= rates.keys() else inf


def _missing(name: str, records: Snapshot) -> ModelNotFoundError:
    """The nearest names, each at the vendor's own provider if there is one."""
    by_key = _rows_by_key(records)
    ids = [[records.ids[row] for row in by_key[near]] for near in _nearest(_last(name), list(by_key))]
    return ModelNotFoundError(name, tuple(min(same, key=lambda model_id: _foreign(model_id, records)) for same in ids))


def _foreign(model_id: str, records: Snapshot) -> bool:
    record = records.record(model_id)
    return record is None or record.provider.id not in own_providers(_made_by(record))


def _nearest(name: str, names: list[str]) -> tuple[str, ...]:
    from rapidfuzz import fuzz, process

    return tuple(found for found, _, _ in process.extract(name, names, scorer=fuzz.WRatio, limit=3, score_cutoff=70))


def _made_by(record: Record) -> str:
    return vendor(record.canonical, record.model, record.provider)


def _last(model: str) -> str:
    return key(model.rpartition("/")[2])


def _keyed(name: str, records: Snapshot) -> list[Record]:
    """The models, at any provider, whose name without prefixes has the same key."""
    found = (records.record(records.ids[row]) for row in _rows_by_key(records).get(_last(name), ()))
    return [record for record in found if record is not None]


@lru_cache(1)
def _rows_by_key(records: Snapshot) -> dict[str, list[int]]:
    models = records.factor("model")
    keys = [_last(model) for model in models.values]
    found: dict[str, list[int]] = {}
    for row, code in enumerate(models.codes):
        found.setdefault(keys[code], []).append(row)
    return found
