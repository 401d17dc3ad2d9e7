"""A model as the seed of this design describes it: its vendor and provider, cost, lengths, capabilities, properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbkit.billing.cost import Cost
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.modelsdev.snapshot import Meta, Snapshot, build
from nbkit.providers.capabilities import ModelCapabilities, capabilities_of
from nbkit.providers.known import known_snapshot
from nbkit.providers.prices import find_cost, stand_in
from nbkit.providers.properties import ModelProperties, read_properties
from nbkit.providers.registered import find_registered, list_registered_models
from nbkit.providers.resolve import resolve_model, vendor_of
from nbkit.providers.routes import find_route
from nbkit.providers.tables import Row, collect_rows, model_overrides
from nbkit.providers.trust import find_safe_routes
from nbkit.providers.vendors import find_vendors, path_of


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider; None: not known."""

    name: str
    """The name of the model in requests."""
    vendor_name: str
    """Who made the model; "unknown" where neither models.dev nor the name says it."""
    provider_name: str
    """Who serves the model, by models.dev's id."""
    cost: Cost | None
    """`cost.prompt` and `cost.completion` are USD per token, `cost.request` USD per call."""
    context_length: int | None
    """Tokens of prompt and answer together."""
    completion_length: int | None
    """Tokens of one answer."""
    capabilities: ModelCapabilities
    properties: ModelProperties
    knowledge_cutoff: str | None
    """"YYYY-MM-DD" or "YYYY-MM"; so are the two dates below."""
    release_date: str | None
    last_updated: str | None

    def get_path(self) -> str:
        """Build `provider/vendor/model`; a vendor that the name already begins with is not repeated."""
        return path_of(self.provider_name, self.vendor_name, self.name)


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """A choice of models. None: it does not matter."""

    supports_streaming: bool | None = None
    supports_vision: bool | None = None
    supports_tools: bool | None = None
    supports_temperature: bool | None = None
    provider: str | None = None
    """Who serves the model, by models.dev's id."""

    def allows(self, capabilities: ModelCapabilities) -> bool:
        """Tell whether a model with these capabilities is wanted; its provider is not looked at."""
        return (
            self.supports_streaming in (None, capabilities.supports_streaming)
            and self.supports_vision in (None, capabilities.supports_vision)
            and self.supports_tools in (None, capabilities.supports_tools)
            and self.supports_temperature in (None, capabilities.supports_temperature)
        )


def get_model(path: str) -> Model:
    """Look up the model that an id (`provider/model`), a path or a bare name means.

    Raises ModelNotFoundError, with the nearest names, also for a model that the catalog does not list.
    """
    resolved = resolve_model(path)
    record, like = stand_in(resolved.provider, resolved.model, resolved.record)
    if record is None:
        why = f"the catalog does not list {path!r}; get_adapter() may still call it"
        raise ModelNotFoundError(path, resolved.nearest, why=why)
    route = find_route(record.provider, record.model, record, addressed=resolved.address is not None, like=like)
    rows = collect_rows(route.protocol or "", record.provider.id, record.model, like)
    made_by = vendor_of(record)
    properties = read_properties(record.open_weights, made_by, rows)
    return _describe(record, made_by, rows, capabilities_of(record, rows), properties)


def find_supported_models(wanted: ModelFilter | None = None) -> list[Model]:
    """Find the models that `get_adapter` can call: those of the catalog, and those registered by now.

    All 8,000 take a tenth of a second, those of one provider a few milliseconds.
    """
    wanted = wanted or ModelFilter()
    if wanted.provider:
        find_registered(wanted.provider)  # one that comes with nbkit is loaded on demand
    shipped = [model.record for model in list_registered_models() if model.source == "shipped"]
    snapshots = (build(shipped, Meta("", current_snapshot().meta.date)), known_snapshot())
    return [model for snapshot in snapshots for model in _find_supported(snapshot, wanted)]


_FACTS = ("provider", "inputs", "tools", "temperature", "structured_output", "open_weights")
"""What capabilities and properties are read from, besides the rows about a model."""


def _find_supported(snapshot: Snapshot, wanted: ModelFilter) -> Iterator[Model]:
    """Find the models of a snapshot that are callable and wanted; those of the same facts are described once."""
    shared: dict[tuple[Any, ...], tuple[list[Row], ModelCapabilities, ModelProperties]] = {}
    facts = zip(find_vendors(snapshot).codes, *(snapshot.factor(name).codes for name in _FACTS), strict=True)
    rows = zip(snapshot.ids, find_safe_routes(snapshot).rows, find_vendors(snapshot).rows, facts, strict=True)
    prefix = f"{wanted.provider}/" if wanted.provider else ""
    for model_id, route, made_by, fact in rows:
        record = None if route.why_not or not model_id.startswith(prefix) else snapshot.record(model_id)
        if record is None:
            continue
        own, like = model_overrides(model_id), ""
        if any("same_as" in row for row in own):
            record, like = stand_in(record.provider, record.model, record)
        key = (route.protocol, *fact, *map(id, own))
        if record and key not in shared:
            about = collect_rows(route.protocol or "", record.provider.id, record.model, like)
            properties = read_properties(record.open_weights, made_by, about)
            shared[key] = about, capabilities_of(record, about), properties
        if record and wanted.allows(shared[key][1]):
            yield _describe(record, made_by, *shared[key])


def _describe(
    record: Record,
    made_by: str,
    rows: Iterable[Mapping[str, Any]],
    capabilities: ModelCapabilities,
    properties: ModelProperties,
) -> Model:
    return Model(
        name=record.model,
        vendor_name=made_by,
        provider_name=record.provider.id,
        cost=find_cost(record, rows),
        context_length=record.context,
        completion_length=record.max_output,
        capabilities=capabilities,
        properties=properties,
        knowledge_cutoff=record.knowledge,
        release_date=record.release_date,
        last_updated=record.last_updated,
    )
