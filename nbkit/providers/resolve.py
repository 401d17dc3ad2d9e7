"""From a model's name to its record: models.dev's ids, the seed's paths, bare model names, and registered providers."""

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
from nbkit.providers.registered import RegisteredProvider, find_registered
from nbkit.providers.spelling import find_own_providers, find_vendor, normalize
from nbkit.providers.vendors import record_path, vendor


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The model that a name means."""

    provider: Provider
    model: str
    """Its name on the wire."""
    record: Record | None
    """None for a model that the catalog does not know."""
    address: Callable[[], str] | None = None
    """The base URL of a provider that was registered with one."""


_FEW = 6  # names in an error


def resolve_model(name: str, *, anywhere: bool = False) -> ResolvedModel:
    """Find the model that `name` means: an id, a path, or a bare model, which its own vendor serves or one provider.

    Case and separators count only where they tell two models apart. An id comes before a path of the same letters. A
    model that models.dev does not list at its provider is resolved all the same, without a record; so is one of an
    unknown provider with `anywhere` (a base URL is given), where names are taken as they are written. Raises
    ModelNotFoundError with the nearest names, or with those among which the name does not decide.
    """
    provider_id, _, model = name.partition("/")
    own = find_registered(provider_id)
    if own is not None and model:
        return _resolve_registered(name, own)
    snapshot = current_snapshot()
    if exact := snapshot.record(name):
        return ResolvedModel(exact.provider, exact.model, exact)
    by_path = snapshot.record(f"{provider_id}/{model.partition('/')[2]}")
    if by_path and record_path(by_path) == name:
        return ResolvedModel(by_path.provider, by_path.model, by_path)
    listed = (provider for provider in snapshot.distinct("provider") if provider.id == provider_id.strip().lower())
    if model and (provider := next(listed, None)):
        record = None if anywhere else _find_similar(provider, model, snapshot)
        return ResolvedModel(provider, record.model if record else model, record)
    if anywhere and model:
        unlisted = Provider(provider_id, provider_id, "@ai-sdk/openai-compatible", None, (), None)
        return ResolvedModel(unlisted, model, None)
    record = _choose_offer(name)
    return ResolvedModel(record.provider, record.model, record)


def find_candidates(name: str) -> list[Record]:
    """Find the models that a bare name, or one with its vendor before it, may mean, at every provider."""
    prefix, _, _ = name.strip().rpartition("/")
    made_by = find_vendor(prefix)
    return [
        record
        for record in _find_by_last_part(name, current_snapshot())
        if not prefix or normalize(record.model) == normalize(name) or vendor_of(record) == made_by
    ]


def vendor_of(record: Record) -> str:
    """The vendor of a record's model; "unknown" where nothing tells."""
    return vendor(record.canonical, record.model, record.provider)


def _resolve_registered(name: str, own: RegisteredProvider) -> ResolvedModel:
    """Find a model of a registered provider, which lists all that it has."""
    provider, _, model = name.partition("/")
    for record in own.records:
        if model == record.model or name == record_path(record):
            return ResolvedModel(record.provider, record.model, record, own.address)
    raise _not_found(name, provider)


def _find_similar(provider: Provider, model: str, snapshot: Snapshot) -> Record | None:
    """Find the one model of a provider whose name differs in case, separators or a prefix that is left out only."""
    wanted = normalize(model)
    records = [
        record
        for record in _find_by_last_part(model, snapshot)
        if record.provider.id == provider.id
        and wanted
        in (normalize(record.model), _last_part(record.model), normalize(record_path(record)).partition("/")[2])
    ]
    records = [record for record in records if normalize(record.model) == wanted] or records
    if len(records) > 1:
        few = ", ".join(record.id for record in records[:_FEW])
        why = f"{len(records)} models of {provider.id} go by {model!r}: name one of {few}"
        raise ModelNotFoundError(model, why=why)
    return next(iter(records), None)


def _choose_offer(name: str) -> Record:
    """Choose what a bare name means: the vendor's own offer, or the only one."""
    candidates = find_candidates(name)
    own: dict[str, list[tuple[int, Record]]] = {}
    for record in candidates:
        made_by = vendor_of(record)
        if record.provider.id in (order := find_own_providers(made_by)):
            own.setdefault(made_by, []).append((order.index(record.provider.id), record))
    if len(own) == 1:  # else two vendors have a model of that name
        return min(next(iter(own.values())), key=lambda choice: choice[0])[1]
    if len(candidates) == 1:
        return candidates[0]
    raise ModelNotFoundError(name, why=_explain_choice(name, candidates)) if candidates else _not_found(name)


def _explain_choice(name: str, candidates: list[Record]) -> str:
    """Say which models a name may mean: those with a key first, then the cheapest, which is named."""
    price = {record.id: _blend_rates(record) for record in candidates}
    by_price = sorted(candidates, key=lambda record: (not has_key(record.provider), price[record.id]))
    few = ", ".join(record.id for record in by_price[:_FEW]) + (", ..." if len(candidates) > _FEW else "")
    text = f"{len({record.provider.id for record in candidates})} providers serve {name!r}: name one of {few}"
    cheapest = min(candidates, key=lambda record: price[record.id])
    if price[cheapest.id] < inf:
        rates = cheapest.rates
        text += f"; the cheapest is {cheapest.id}: ${rates['input']:g} in, ${rates['output']:g} out per million tokens"
    return text


def _blend_rates(record: Record) -> float:
    """The blended price; infinite where it is unknown, or 0 as that of a plan."""
    rates = record.rates
    return blend_prices(rates["input"], rates["output"]) or inf if {"input", "output"} <= rates.keys() else inf


def _not_found(name: str, provider: str | None = None) -> ModelNotFoundError:
    """The error for a name that no model has, with the nearest ids, of this provider only if it is given."""
    from nbkit.providers.known_models import load_known_models  # needs numpy; a call does without

    return ModelNotFoundError(name, load_known_models().suggest(name, provider))


def _last_part(model: str) -> str:
    return normalize(model.rpartition("/")[2])


def _find_by_last_part(name: str, snapshot: Snapshot) -> list[Record]:
    """Find the models, at any provider, whose name without prefixes is the same but for case and separators."""
    rows = _rows_by_last_part(snapshot).get(_last_part(name), ())
    records = (snapshot.record(snapshot.ids[row]) for row in rows)
    return [record for record in records if record is not None]


@lru_cache(1)
def _rows_by_last_part(snapshot: Snapshot) -> dict[str, list[int]]:
    models = snapshot.factor("model")
    names = [_last_part(model) for model in models.values]
    rows: dict[str, list[int]] = {}
    for row, code in enumerate(models.codes):
        rows.setdefault(names[code], []).append(row)
    return rows
