"""A model as the seed of this design describes it: its vendor and provider, cost, lengths, capabilities, properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbkit.billing.cost import Cost
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.providers.capabilities import ModelCapabilities, capabilities_of
from nbkit.providers.registered import find_registered, list_registered
from nbkit.providers.resolve import resolve_model
from nbkit.providers.routes import Route, find_route, find_routes
from nbkit.providers.tables import collect_rows
from nbkit.providers.vendors import is_chinese, path_of, vendor


@dataclass(frozen=True, slots=True)
class ModelProperties:
    """Properties of a model; None: not known."""

    open_source: bool | None = None
    """The weights are public."""
    chinese: bool | None = None
    """The vendor is Chinese, whichever provider serves the model."""
    gdpr_compliant: bool | None = None
    """The provider offers a data processing agreement under the GDPR to every customer."""
    is_nsfw: bool = False
    """The model is made to write what other models refuse to write."""


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
    record = resolved.record
    if record is None:
        raise ModelNotFoundError(path, why=f"the catalog does not list {path!r}; get_adapter() may still call it")
    route = find_route(record.provider, record.model, record, addressed=resolved.address is not None)
    rows = collect_rows(route.protocol or "", record.provider.id, record.model)
    return _describe(record, rows, capabilities_of(record, rows))


def find_supported_models(wanted: ModelFilter | None = None) -> list[Model]:
    """Find the models that `get_adapter` can call: those of the catalog, and of the providers registered by now.

    All 8,000 take about half a second, those of one provider a few milliseconds.
    """
    wanted = wanted or ModelFilter()
    models = []
    for record, route in _find_records(wanted.provider):
        if not route.why_not:
            rows = collect_rows(route.protocol or "", record.provider.id, record.model)
            capabilities = capabilities_of(record, rows)
            if wanted.allows(capabilities):  # before what takes longer
                models.append(_describe(record, rows, capabilities))
    return models


def _find_records(provider: str | None) -> Iterator[tuple[Record, Route]]:
    """Every model, or those of one provider, with the route to it; a registered provider replaces models.dev's."""
    if provider:
        find_registered(provider)  # one that comes with nbkit is loaded on demand
    registered = list_registered()
    for name, own in registered.items():
        if provider in (None, name):
            for record in own.records:
                yield record, find_route(record.provider, record.model, record, addressed=own.address is not None)
    snapshot = current_snapshot()
    for model_id, route in zip(snapshot.ids, find_routes(snapshot).rows, strict=True):
        name = model_id.partition("/")[0]
        if name not in registered and provider in (None, name) and (listed := snapshot.record(model_id)):
            yield listed, route


def _describe(record: Record, rows: Iterable[Mapping[str, Any]], capabilities: ModelCapabilities) -> Model:
    vendor_name = vendor(record.canonical, record.model, record.provider)
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Model(
        name=record.model,
        vendor_name=vendor_name,
        provider_name=record.provider.id,
        cost=Cost(record.rates, tiers) if record.rates else None,
        context_length=record.context,
        completion_length=record.max_output,
        capabilities=capabilities,
        properties=_find_properties(record, vendor_name, rows),
        knowledge_cutoff=record.knowledge,
        release_date=record.release_date,
        last_updated=record.last_updated,
    )


def _find_properties(record: Record, vendor_name: str, rows: Iterable[Mapping[str, Any]]) -> ModelProperties:
    properties: dict[str, bool | None] = {"open_source": record.open_weights, "chinese": is_chinese(vendor_name)}
    for row in rows:
        properties |= row.get("properties", {})
    return ModelProperties(**properties)  # type: ignore[arg-type]
