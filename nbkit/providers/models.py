"""A model as the seed of this design describes it: who makes and serves it, what it costs, can do, and is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbkit.billing.cost import Cost
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.providers.capabilities import ModelCapabilities, capabilities_of
from nbkit.providers.registered import registered_provider, registered_providers
from nbkit.providers.resolve import resolve_model
from nbkit.providers.routes import route
from nbkit.providers.tables import rows
from nbkit.providers.vendors import is_chinese, path_of, vendor


@dataclass(frozen=True, slots=True)
class ModelProperties:
    """What a model is. None: not known."""

    open_source: bool | None = None
    """Its weights are public."""
    chinese: bool | None = None
    """Its vendor is one of China, whoever serves the model."""
    gdpr_compliant: bool | None = None
    """Its provider offers a data processing agreement under the GDPR to every customer."""
    is_nsfw: bool = False
    """It is made to write what others refuse to."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider. What is not known is None."""

    name: str
    """Its name on the wire."""
    vendor_name: str
    """Who made it; "unknown" where nothing tells."""
    provider_name: str
    """Who serves it, by models.dev's id."""
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
        """`provider/vendor/model`; a vendor that the name begins with already is not repeated."""
        return path_of(self.provider_name, self.vendor_name, self.name)


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models are wanted. None: it does not matter."""

    supports_streaming: bool | None = None
    supports_vision: bool | None = None
    supports_tools: bool | None = None
    supports_temperature: bool | None = None
    provider: str | None = None
    """Who serves it, by models.dev's id."""

    def allows(self, capabilities: ModelCapabilities) -> bool:
        """Whether a model with these capabilities is wanted, whoever serves it."""
        return (
            self.supports_streaming in (None, capabilities.supports_streaming)
            and self.supports_vision in (None, capabilities.supports_vision)
            and self.supports_tools in (None, capabilities.supports_tools)
            and self.supports_temperature in (None, capabilities.supports_temperature)
        )


def get_model(path: str) -> Model:
    """The model that an id (`provider/model`), a path or a bare name means.

    Raises ModelNotFoundError, with the nearest names, also for a model that the catalog does not know.
    """
    found = resolve_model(path)
    if found.record is None:
        raise ModelNotFoundError(path, why=f"the catalog does not list {path!r}; get_adapter() may call it still")
    return model_of(found.record)


def supported_models(wanted: ModelFilter | None = None) -> list[Model]:
    """The models that `get_adapter` can call: those of the catalog, and of the providers registered in this process.

    All 8,000 take about a second, those of one provider a few milliseconds.
    """
    wanted = wanted or ModelFilter()
    found = []
    for record, addressed in _records(wanted.provider):
        way = route(record.provider, record.model, record)
        if addressed or not way.why_not:
            about = rows(way.protocol or "", record.provider.id, record.model)
            capabilities = capabilities_of(record, about)
            if wanted.allows(capabilities):  # before what takes longer
                found.append(_model(record, about, capabilities))
    return found


def _records(provider: str | None) -> Iterator[tuple[Record, bool]]:
    """All records, or those of a provider; and whether it was registered with an address: no more is needed."""
    if provider:
        registered_provider(provider)  # one that comes with nbkit is loaded on demand
    here = registered_providers()
    for name, own in here.items():
        if provider in (None, name):
            yield from ((record, own.address is not None) for record in own.records)
    snapshot = current_snapshot()
    for model_id in snapshot.ids:
        name = model_id.partition("/")[0]
        if name not in here and provider in (None, name) and (record := snapshot.record(model_id)):
            yield record, False


def model_of(record: Record) -> Model:
    """A record as a Model."""
    protocol = route(record.provider, record.model, record).protocol
    about = rows(protocol or "", record.provider.id, record.model)
    return _model(record, about, capabilities_of(record, about))


def _model(record: Record, about: Iterable[Mapping[str, Any]], capabilities: ModelCapabilities) -> Model:
    made_by = vendor(record.canonical, record.model, record.provider)
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Model(
        name=record.model,
        vendor_name=made_by,
        provider_name=record.provider.id,
        cost=Cost(record.rates, tiers) if record.rates else None,
        context_length=record.context,
        completion_length=record.max_output,
        capabilities=capabilities,
        properties=_properties(record, made_by, about),
        knowledge_cutoff=record.knowledge,
        release_date=record.release_date,
        last_updated=record.last_updated,
    )


def _properties(record: Record, made_by: str, about: Iterable[Mapping[str, Any]]) -> ModelProperties:
    told: dict[str, bool | None] = {"open_source": record.open_weights, "chinese": is_chinese(made_by)}
    for row in about:
        told |= row.get("properties", {})
    return ModelProperties(**told)  # type: ignore[arg-type]
