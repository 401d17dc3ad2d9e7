"""A model as the seed of this design describes it: its vendor and provider, cost, lengths, capabilities, properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from nbkit.arguments import ModelName, check_arguments, read_model, read_text, read_truth
from nbkit.billing.cost import Cost
from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import RATES, Provider, Record
from nbkit.modelsdev.snapshot import Meta, Snapshot, build
from nbkit.providers.capabilities import ModelCapabilities, capabilities_of
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.known import load_known_snapshot, pause_collector
from nbkit.providers.prices import PRICE_PARTS, find_cost, stand_in
from nbkit.providers.registered import find_registered, list_registered_models
from nbkit.providers.resolve import resolve_model, vendor_of
from nbkit.providers.routes import find_route
from nbkit.providers.tables import Row, collect_rows, model_overrides, protocol_defaults, provider_defaults, user_rows
from nbkit.providers.trust import find_safe_routes
from nbkit.providers.vendors import find_vendors, is_chinese, path_of, vendor


class ModelProperties(Struct, frozen=True):
    """Properties of a model; None: not known."""

    open_source: bool | None = None
    """The weights are public."""
    chinese: bool | None = None
    """The vendor is Chinese, whichever provider serves the model."""
    gdpr_compliant: bool | None = None
    """The provider offers a data processing agreement under the GDPR to every customer."""
    is_nsfw: bool = False
    """The model is made to write what other models refuse to write."""


class Model(Struct, frozen=True):
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


class ModelFilter(Struct, frozen=True):
    """A choice of models. None: it does not matter."""

    supports_streaming: bool | None = None
    supports_vision: bool | None = None
    supports_tools: bool | None = None
    supports_temperature: bool | None = None
    provider: str | None = None
    """Who serves the model, by models.dev's id."""

    def __post_init__(self) -> None:
        if self.provider is not None:
            read_text(self.provider, "ModelFilter(): provider")
        for name in ("streaming", "vision", "tools", "temperature"):
            if (value := getattr(self, f"supports_{name}")) is not None:
                read_truth(value, f"ModelFilter(): supports_{name}")

    def allows(self, capabilities: ModelCapabilities) -> bool:
        """Tell whether a model with these capabilities is wanted; its provider is not looked at."""
        return (
            self.supports_streaming in (None, capabilities.supports_streaming)
            and self.supports_vision in (None, capabilities.supports_vision)
            and self.supports_tools in (None, capabilities.supports_tools)
            and self.supports_temperature in (None, capabilities.supports_temperature)
        )


def get_model(path: ModelName) -> Model:
    """Look up the model that an id (`provider/model`), a path or a bare name means.

    Raises ModelNotFoundError, with the nearest names, also for a model that the catalog does not list.
    """
    name = read_model(path)
    resolved = resolve_model(name)
    record, like = stand_in(resolved.provider, resolved.model, resolved.record)
    if record is None:
        why = f"the catalog does not list {name!r}; get_adapter() may still call it"
        raise ModelNotFoundError(name, resolved.nearest, why=why)
    route = find_route(record.provider, record.model, record, addressed=resolved.address is not None, like=like)
    rows = collect_rows(route.protocol or "", record.provider.id, record.model, like)
    return _describe(record, rows)


def describe_model(endpoint: Endpoint, record: Record | None) -> Model:
    """Describe the model of an endpoint; without a record, only what the endpoint knows of it."""
    rows = collect_rows(endpoint.protocol, endpoint.provider, endpoint.model)
    if record is None:
        unlisted = Provider(endpoint.provider, endpoint.provider, "", None, (), None)
        made_by = vendor(None, endpoint.model, unlisted)
        properties = _read_properties(None, made_by, rows)
        days = (None, None, None)
        return Model(
            endpoint.model,
            made_by,
            endpoint.provider,
            endpoint.cost,
            None,
            endpoint.tolerance.max_output,
            endpoint.tolerance.capabilities,
            properties,
            *days,
        )
    known = _describe(record, rows)
    return replace(known, cost=endpoint.cost, capabilities=endpoint.tolerance.capabilities)


@check_arguments
def find_supported_models(wanted: ModelFilter | None = None) -> list[Model]:
    """Find the models that `get_adapter` can call: those of the catalog, and those registered by now.

    All 8,000 take a tenth of a second, those of one provider a few milliseconds.
    """
    wanted = wanted or ModelFilter()
    if wanted.provider:
        find_registered(wanted.provider)  # one that comes with nbkit is loaded on demand
    shipped = [model.record for model in list_registered_models() if model.source == "shipped"]
    snapshots = (build(shipped, Meta("", current_snapshot().meta.date)), load_known_snapshot())
    with pause_collector():
        return [model for snapshot in snapshots for model in _find_supported(snapshot, wanted)]


_ABILITIES = ("inputs", "tools", "temperature", "structured_output")
_PRICES = (*(f"{rate}_cost" for rate in RATES), "tiers", "experimental")
_ABOUT = ({"capabilities", "assume"}, {"cost", *PRICE_PARTS}, {"properties"})
"""The keys of rows that abilities, price and properties are read from."""
_OTHERS = ("model", "open_weights", "context", "max_output", "knowledge", "release_date", "last_updated")


def _find_supported(snapshot: Snapshot, wanted: ModelFilter) -> Iterator[Model]:
    """Find the models of a snapshot that are callable and wanted.

    What follows from the same facts and the same rows of the tables is computed once, and shared.
    """
    able_to: dict[tuple[int, int], ModelCapabilities] = {}
    costs: dict[tuple[int, int], Cost | None] = {}
    traits: dict[tuple[bool, str, int], ModelProperties] = {}
    about = _Rows()
    kinds, prices_of = snapshot.derive(_keep, *_ABILITIES), snapshot.derive(_read_prices, *_PRICES)
    prefix = f"{wanted.provider}/" if wanted.provider else ""
    columns = zip(
        *(snapshot.ids, find_safe_routes(snapshot).rows, find_vendors(snapshot).rows),
        *(kinds.codes, prices_of.codes),
        *(snapshot.values(name) for name in _OTHERS),
        strict=True,
    )
    for place, cells in enumerate(columns):
        model_id, route, made_by, abilities, prices, model, public, context, longest, *days = cells
        if route.why_not or not model_id.startswith(prefix):
            continue
        rows, able, priced, own, twin = about.find(route.protocol or "", model_id)
        if twin:
            if wanted.allows((described := get_model(model_id)).capabilities):
                yield described
            continue
        if (ability := (abilities, able)) not in able_to:
            able_to[ability] = capabilities_of(snapshot.record_of(place), rows)
        if not wanted.allows(able_to[ability]):
            continue
        if (price := (prices, priced)) not in costs:
            costs[price] = find_cost(prices_of.values[prices], rows)
        if (kind := (public, made_by, own)) not in traits:
            traits[kind] = _read_properties(public, made_by, rows)
        provider = model_id.partition("/")[0]
        yield Model(model, made_by, provider, costs[price], context, longest, able_to[ability], traits[kind], *days)


class _Prices(NamedTuple):
    """The fields of a record that its price is read from; a whole record takes six times as long."""

    rates: dict[str, float]
    tiers: tuple[Mapping[str, Any], ...]
    experimental: Mapping[str, Any] | None


def _read_prices(*values: Any) -> _Prices:
    """Read them from the values of the columns `_PRICES`."""
    *rates, tiers, experimental = values
    known = {rate: price for rate, price in zip(RATES, rates, strict=True) if price is not None}
    return _Prices(known, tiers, experimental)


def _keep(*values: Any) -> tuple[Any, ...]:
    return values


class _Rows:
    """The rows of the tables about a model, and which of them say something of its abilities, its price and itself."""

    def __init__(self) -> None:
        self._common: dict[tuple[str, str], list[Row]] = {}
        self._protocols: dict[str, Row] = {}
        self._user = user_rows("models")
        self._known: dict[tuple[int, ...], tuple[Any, ...]] = {}
        self._numbers: dict[tuple[int, ...], int] = {}

    def find(self, protocol: str, model_id: str) -> tuple[Any, ...]:
        """Find the rows that say something, as `collect_rows` does; numbers that stand for those about abilities, price
        and properties; and whether one says that the model is the same as another.
        """
        provider = model_id.partition("/")[0]
        if (protocol, provider) not in self._common:
            spoken = self._protocols.setdefault(protocol, protocol_defaults(protocol))
            self._common[protocol, provider] = [row for row in (spoken, provider_defaults(provider)) if row]
        rows = self._common[protocol, provider] + model_overrides(model_id, self._user)
        key = tuple(map(id, rows))
        if key not in self._known:
            about = (tuple(id(row) for row in rows if keys & row.keys()) for keys in _ABOUT)
            numbers = (self._numbers.setdefault(ids, len(self._numbers)) for ids in about)
            self._known[key] = (rows, *numbers, any("same_as" in row for row in rows))
        return self._known[key]


def _describe(record: Record, rows: list[Row]) -> Model:
    made_by = vendor_of(record)
    return Model(
        name=record.model,
        vendor_name=made_by,
        provider_name=record.provider.id,
        cost=find_cost(record, rows),
        context_length=record.context,
        completion_length=record.max_output,
        capabilities=capabilities_of(record, rows),
        properties=_read_properties(record.open_weights, made_by, rows),
        knowledge_cutoff=record.knowledge,
        release_date=record.release_date,
        last_updated=record.last_updated,
    )


def _read_properties(open_weights: bool | None, made_by: str, rows: Iterable[Mapping[str, Any]]) -> ModelProperties:
    """Read the properties of a model: those of its record and vendor, corrected by the rows; the last row wins."""
    properties: dict[str, bool | None] = {"open_source": open_weights, "chinese": is_chinese(made_by)}
    for row in rows:
        properties |= row.get("properties", {})
    return ModelProperties(**properties)  # type: ignore[arg-type]
