"""A model as the seed of this design describes it: who makes and serves it, what it costs, can do, and is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbkit.billing.cost import Cost
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.records import Record
from nbkit.providers import registry
from nbkit.providers.capabilities import ModelCapabilities, capabilities_of
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


def get_model(path: str) -> Model:
    """The model that an id (`provider/model`), a path or a bare name means.

    Raises ModelNotFoundError, with the nearest names, also for a model that the catalog does not know.
    """
    found = registry.find(path)
    if found.record is None:
        raise ModelNotFoundError(path, why=f"the catalog does not list {path!r}; get_adapter() may call it still")
    return model_of(found.record)


def model_of(record: Record) -> Model:
    """A record as a Model."""
    provider, made_by = record.provider, vendor(record.canonical, record.model, record.provider)
    about = rows(route(provider, record.model, record).protocol or "", provider.id, record.model)
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Model(
        name=record.model,
        vendor_name=made_by,
        provider_name=provider.id,
        cost=Cost(record.rates, tiers) if record.rates else None,
        context_length=record.context,
        completion_length=record.max_output,
        capabilities=capabilities_of(record, about),
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
