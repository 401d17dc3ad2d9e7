"""Which model a name means: models.dev's ids, the seed's paths, bare model names, and registered providers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from threading import RLock
from typing import Any

from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev import fetch
from nbkit.modelsdev.records import Provider, Record, parse
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.providers.tables import table
from nbkit.providers.vendors import record_path


@dataclass(frozen=True, slots=True)
class Registered:
    """A provider that was registered in this process: its models, and where it listens."""

    records: tuple[Record, ...]
    address: Callable[[], str] | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means. `record` is None for a model that the catalog does not know."""

    provider: Provider
    model: str
    record: Record | None
    address: Callable[[], str] | None = None


_lock = RLock()
_registered: dict[str, Registered] = {}
_snapshots: list[Snapshot] = []  # at most one: the one in force


def snapshot(refresh: bool = False) -> Snapshot:
    """The models.dev snapshot in force; `refresh` asks models.dev for a newer one."""
    with _lock:
        if refresh or not _snapshots:
            _snapshots[:] = [fetch.load(refresh=refresh)]
        return _snapshots[0]


def register(provider: dict[str, Any], base_url: str | Callable[[], str] | None = None) -> Registered:
    """Add a provider, in the form of one value of models.dev's api.json; it wins over models.dev's of the same id.

    `base_url` may be a function: it is called when the first call is made.
    """
    address = (lambda: base_url) if isinstance(base_url, str) else base_url
    added = Registered(tuple(parse({provider["id"]: provider})), address)
    with _lock:
        _registered[provider["id"]] = added
    return added


def registered(provider: str) -> Registered | None:
    """A registered provider; those that come with nbkit (`module` in provider_defaults.toml) are loaded on demand."""
    with _lock:
        if provider not in _registered and (module := table("provider_defaults").get(provider, {}).get("module")):
            own = import_module(module)
            register(own.PROVIDER, own.base_url)
        return _registered.get(provider)


def registered_here() -> dict[str, Registered]:
    """The providers that are registered in this process by now, by id."""
    with _lock:
        return dict(_registered)


def find(name: str, *, anywhere: bool = False) -> Found:
    """What `name` means: an id, a path, or a bare model that one provider serves.

    A model that models.dev does not list at its provider is found all the same, without a record; so is one of an
    unknown provider with `anywhere` (a base URL is given). Raises ModelNotFoundError with the nearest names.
    """
    provider_id, _, model = name.partition("/")
    own = registered(provider_id)
    if own is not None and model:
        known = {record.model: record for record in own.records}
        record = known.get(model) or _by_path(name, known)
        if record is None:
            raise ModelNotFoundError(name, _nearest(name, [record.id for record in own.records]))
        return Found(record.provider, record.model, record, own.address)
    records = snapshot()
    if exact := records.record(name):
        return Found(exact.provider, exact.model, exact)
    by_path = records.record(f"{provider_id}/{model.partition('/')[2]}")
    if by_path and record_path(by_path) == name:
        return Found(by_path.provider, by_path.model, by_path)
    listed = (provider for provider in records.columns["provider"].values if provider.id == provider_id)
    if model and (provider := next(listed, None)):
        return Found(provider, model, None)
    if anywhere and model:
        return Found(Provider(provider_id, provider_id, "@ai-sdk/openai-compatible", None, (), None), model, None)
    return _bare(name, records)


def _by_path(name: str, known: dict[str, Record]) -> Record | None:
    return next((record for record in known.values() if record_path(record) == name), None)


def _bare(name: str, records: Snapshot) -> Found:
    ids = [model_id for model_id in records.ids if model_id.partition("/")[2] == name]
    if len(ids) == 1 and (record := records.record(ids[0])):
        return Found(record.provider, record.model, record)
    if ids:
        few = ", ".join(ids[:6]) + (", ..." if len(ids) > 6 else "")
        raise ModelNotFoundError(name, why=f"{len(ids)} providers serve {name!r}: name one of {few}")
    raise ModelNotFoundError(name, _nearest(name, records.ids))


def _nearest(name: str, ids: list[str]) -> tuple[str, ...]:
    from rapidfuzz import fuzz, process

    return tuple(found for found, _, _ in process.extract(name, ids, scorer=fuzz.WRatio, limit=3, score_cutoff=60))
