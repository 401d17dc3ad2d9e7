"""From a model's name to its record: models.dev's ids, the seed's paths, bare model names, registered models, and the
names that other libraries have for providers (`aliases.toml`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from nbkit.arguments import read_model
from nbkit.billing.money import blend_prices, format_price
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import CatalogWarning, Provider, Record
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.credentials import has_key
from nbkit.providers.key_shapes import find_keys, mask_keys
from nbkit.providers.known import load_known_snapshot
from nbkit.providers.registered import RegisteredProvider, find_registered
from nbkit.providers.spelling import (
    count_allowed_typos,
    find_own_providers,
    find_vendor,
    join_letters,
    list_digits,
    normalize,
)
from nbkit.providers.tables import table
from nbkit.providers.vendors import record_path, vendor


class ResolvedModel(Struct, frozen=True):
    """The model that a name means."""

    provider: Provider
    model: str
    """Its name on the wire."""
    record: Record | None
    """None for a model that the catalog does not know."""
    address: str | Callable[[], str] | None = None
    """The base URL of a model that was registered with one."""
    nearest: tuple[str, ...] = ()
    """For a name that its provider does not list, the ids of the listed models of which it may be a misspelling."""

    def warn_of_typo(self) -> None:
        """Warn (CatalogWarning) where the name is so near to listed ones that it is likely a misspelling."""
        if self.nearest:
            text = f"{self.provider.id} lists no model {self.model!r}; did you mean {', '.join(self.nearest)}?"
            warnings.warn(f"{text} It is called as it is written.", CatalogWarning, stacklevel=3)


_FEW = 6  # names in an error


def resolve_model(name: str, *, anywhere: bool = False) -> ResolvedModel:
    """Find the model that `name` means: an id, a path, or a bare model, which its own vendor serves or one provider.

    Case and separators count only where they tell two models apart. A registered model comes before models.dev's, an id
    before a path of the same letters. A model that models.dev does not list at its provider is resolved all the same,
    without a record; so is one of an unknown provider with `anywhere` (a base URL is given), where names are taken as
    they are written. Raises ModelNotFoundError with the nearest names, or with those among which the name does not
    decide.
    """
    snapshot, name = current_snapshot(), _replace_alias(read_model(name))
    provider_id, _, model = name.partition("/")
    own = find_registered(provider_id)
    if registered := _find_own(name, own):
        return registered
    if own is not None and model and not anywhere and provider_id not in snapshot.providers:
        raise _not_found(name, provider_id)  # a provider of one's own lists all that it has
    if exact := snapshot.record(name):
        return _as_listed(exact)
    by_path = snapshot.record(f"{provider_id}/{model.partition('/')[2]}")
    if by_path and record_path(by_path) == name:
        return _as_listed(by_path)
    listed = (provider for provider in snapshot.distinct("provider") if provider.id == provider_id.strip().lower())
    if model and (provider := next(listed, None)):
        record = None if anywhere else _find_similar(provider.id, model, _find_by_last_part(model, snapshot))
        near = () if record or anywhere else find_nearest(f"{provider.id}/{model}")
        return ResolvedModel(provider, record.model if record else model, record, nearest=near)
    if anywhere and model:
        unlisted = Provider(provider_id, provider_id, "@ai-sdk/openai-compatible", None, (), None)
        return ResolvedModel(unlisted, model, None)
    record = _choose_offer(name)
    return _find_own(record.id, find_registered(record.provider.id)) or _as_listed(record)


def find_candidates(name: str, snapshot: Snapshot | None = None) -> list[Record]:
    """Find the models that a bare name, or one with its vendor before it, may mean, at every provider.

    `snapshot`: where to look; by default at models.dev's models and the registered ones.
    """
    prefix, _, _ = name.strip().rpartition("/")
    made_by = find_vendor(prefix)
    return [
        record
        for record in _find_by_last_part(name, snapshot or load_known_snapshot())
        if not prefix or normalize(record.model) == normalize(name) or vendor_of(record) == made_by
    ]


def find_nearest(model_id: str) -> tuple[str, ...]:
    """Find the listed models of the same provider of which an id may be a misspelling, the nearest first.

    At most 3: without their separators the names differ by one or two letters, or not at all, and they have the same
    digits, because another version is not a misspelling.
    """
    from rapidfuzz.distance import OSA  # a name that is listed does without

    provider, _, model = model_id.partition("/")
    wanted, digits = join_letters(model), list_digits(model)
    allowed = count_allowed_typos(wanted)
    near = []
    for listed in load_known_snapshot().ids:
        if listed.startswith(f"{provider}/") and list_digits(name := listed[len(provider) + 1 :]) == digits:
            distance = OSA.distance(wanted, join_letters(name), score_cutoff=allowed)
            near += [(distance, listed)] if distance <= allowed and name != model else []
    return tuple(listed for _, listed in sorted(near)[:3])


def suggest_listed(model_id: str) -> str:
    """Say which listed models of the same provider have a name like that of one that is not listed; "" for none."""
    from rapidfuzz import fuzz, process  # a call that succeeds does without

    provider, _, model = model_id.partition("/")
    ids = load_known_snapshot().ids
    names = [listed[len(provider) + 1 :] for listed in ids if listed.startswith(f"{provider}/")]
    if model in names:
        return ""
    near = process.extract(model, names, scorer=fuzz.ratio, processor=normalize, score_cutoff=70, limit=3)
    suggestions = ", ".join(f"{provider}/{name}" for name, _, _ in near)
    return f"; the catalog does not list this model: did you mean {suggestions}?" if suggestions else ""


def vendor_of(record: Record) -> str:
    """The vendor of a record's model; "unknown" where nothing tells."""
    return vendor(record.canonical, record.model, record.provider)


def _replace_alias(name: str) -> str:
    """Replace another library's name for a provider, and for a vendor behind it, by models.dev's.

    A provider that models.dev lists or that was registered keeps its name.
    """
    provider, slash, model = name.partition("/")
    alias = table("aliases")["providers"].get(provider.strip().lower())
    if not slash or alias is None or provider in current_snapshot().providers or find_registered(provider):
        return name
    vendor, slash, rest = model.partition("/")
    return f"{alias}/{table('aliases')['vendors'].get(vendor, vendor)}{slash}{rest}"


def _as_listed(record: Record) -> ResolvedModel:
    return ResolvedModel(record.provider, record.model, record)


def _find_own(name: str, own: RegisteredProvider | None) -> ResolvedModel | None:
    """Find a registered model: by its id, by its path, else one whose name is the same but for case and separators."""
    if own is None:
        return None
    provider, _, model = name.partition("/")
    record = own.models[model].record if model in own.models else None
    record = record or next((record for record in own.records if record_path(record) == name), None)
    if record is None and current_snapshot().record(name) is None:
        record = _find_similar(provider, model, own.records)
    return replace(_as_listed(record), address=own.models[record.model].address) if record else None


def _find_similar(provider: str, model: str, records: Iterable[Record]) -> Record | None:
    """Find the one model of a provider whose name differs in case, separators, or a prefix that is left out or stands
    for its vendor, only.
    """
    wanted, (prefix, _, last) = normalize(model), model.rpartition("/")
    records = [
        record
        for record in records
        if record.provider.id == provider
        and (
            wanted in (normalize(record.model), _last_part(record.model), _normal_path(record))
            or (find_vendor(prefix) == vendor_of(record) and normalize(last) == _last_part(record.model))
        )
    ]
    records = [record for record in records if normalize(record.model) == wanted] or records
    if len(records) > 1:
        few = ", ".join(record.id for record in records[:_FEW])
        why = f"{len(records)} models of {provider} go by {model!r}: name one of {few}"
        raise ModelNotFoundError(model, why=why)
    return next(iter(records), None)


def _normal_path(record: Record) -> str:
    return normalize(record_path(record)).partition("/")[2]


def _choose_offer(name: str) -> Record:
    """Choose what a bare name means: the vendor's own offer, or the only one."""
    # what was registered is looked at last, so that it does not change what a name meant before
    candidates = find_candidates(name, current_snapshot()) or find_candidates(name)
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
        prompt, answer = (format_price(cheapest.rates[side]) for side in ("input", "output"))
        text += f"; the cheapest is {cheapest.id}: {prompt} in, {answer} out per million tokens"
    return text


def _blend_rates(record: Record) -> float:
    """The blended price; infinite where it is unknown, or 0 as that of a plan."""
    rates = record.rates
    return blend_prices(rates["input"], rates["output"]) or inf if {"input", "output"} <= rates.keys() else inf


def _not_found(name: str, provider: str | None = None) -> ModelNotFoundError:
    """The error for a name that no model has, with the nearest ids, of this provider only if it is given."""
    from nbkit.providers.known_models import load_known_models  # needs numpy; a call does without

    name = mask_keys(name, find_keys(name))  # given in the place of a model
    return ModelNotFoundError(name, load_known_models().suggest(name, provider))


def _last_part(model: str) -> str:
    return normalize(model.rpartition("/")[2])


def _find_by_last_part(name: str, snapshot: Snapshot) -> list[Record]:
    """Find the models, at any provider, whose name without prefixes is the same but for case and separators."""
    rows = _rows_by_last_part(snapshot).get(_last_part(name), ())
    records = (snapshot.record(snapshot.ids[row]) for row in rows)
    return [record for record in records if record is not None]


@lru_cache(2)
def _rows_by_last_part(snapshot: Snapshot) -> dict[str, list[int]]:
    models = snapshot.factor("model")
    names = [_last_part(model) for model in models.values]
    rows: dict[str, list[int]] = {}
    for row, code in enumerate(models.codes):
        rows.setdefault(names[code], []).append(row)
    return rows
