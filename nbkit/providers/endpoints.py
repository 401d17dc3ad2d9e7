"""The endpoint of a model, all that a call needs: protocol, base URL, where its key is, and its peculiarities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from nbkit.billing.cost import Cost
from nbkit.errors import ConfigError, ProviderNotSupportedError
from nbkit.modelsdev.records import Provider, Record
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import Tolerance, tolerance_of
from nbkit.providers.credentials import fill, is_set
from nbkit.providers.routes import USUAL_PROTOCOL, Route, find_route
from nbkit.providers.tables import collect_rows
from nbkit.providers.trust import find_host, restrict_route
from nbkit.settings import settings

_REPLAYED = ("reasoning_content", "reasoning_details")
"""The values of models.dev's `interleaved` that name the field which carries reasoning back to the model."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one model is called."""

    provider: str
    model: str
    """The name of the model in requests."""
    protocol: str
    base_url: str
    variables: tuple[str, ...] = ()
    """Environment variables that may hold the key."""
    auth: str = "bearer"
    """How the key is sent: a scheme of `credentials.authorize`."""
    dialect: Dialect = field(default_factory=Dialect)
    """How the provider's spelling of the protocol differs."""
    cost: Cost | None = None
    """None: the catalog does not know the price."""
    catalog_date: str | None = None
    """The day of the prices, YYYY-MM-DD."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    """What the model can do and which options it accepts."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request, besides the key's."""
    body: dict[str, Any] = field(default_factory=dict)
    """What the body of every request holds besides."""

    @property
    def id(self) -> str:
        """The model id, `provider/model`."""
        return f"{self.provider}/{self.model}"


def resolve_endpoint(
    provider: Provider,
    model: str,
    record: Record | None,
    *,
    base_url: str | None = None,
    protocol: str | None = None,
    keyed: bool = False,
    address: Callable[[], str] | None = None,
    catalog_date: str | None = None,
) -> Endpoint:
    """Resolve a model; `record` is None for one that the catalog does not list (it is callable, its cost unknown).

    `base_url` and `protocol` win over what the tables say; `keyed`: the caller passes a key; `address` is a registered
    provider's own. Raises ProviderNotSupportedError, UntrustedEndpointError and ConfigError, which say what to do.
    """
    given = bool(base_url or settings().base_url_override or address)
    route = find_route(provider, model, record, addressed=given)
    if route.why_not and (protocol is None or not (route.address or given)):
        raise ProviderNotSupportedError(f"{provider.id}/{model}: {route.why_not}")
    spoken = protocol or route.protocol or USUAL_PROTOCOL
    if spoken not in PROTOCOLS:
        raise ProviderNotSupportedError(f"unknown protocol {spoken!r}; there are {', '.join(PROTOCOLS)}")
    safe = restrict_route(provider.id, route, given=given, keyed=keyed)
    rows = collect_rows(spoken, provider.id, model)
    tolerance = tolerance_of(record, rows)
    return Endpoint(
        provider=provider.id,
        model=model,
        protocol=spoken,
        base_url=_choose_base_url(provider.id, route, base_url, address, keyed or is_set(safe.variables)),
        variables=safe.variables,
        # A server of one's own, whose provider nobody knows, gets a key only where the caller passes one.
        auth="none" if given and route.auth == "bearer" and not route.variables else safe.auth,
        dialect=_build_dialect(
            rows,
            max_output=tolerance.max_output,
            encrypted_reasoning=tolerance.reasoning is not None,
            replay_reasoning=record.interleaved if record and record.interleaved in _REPLAYED else "",
        ),
        tolerance=tolerance,
        cost=_read_cost(record) if record else None,
        catalog_date=catalog_date,
        headers=_fill_headers(provider.id, route, record),
        body=route.body,
    )


def _read_cost(record: Record) -> Cost | None:
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Cost(record.rates, tiers) if record.rates else None


def _choose_base_url(
    provider: str, route: Route, given: str | None, address: Callable[[], str] | None, keyed: bool
) -> str:
    chosen = settings().base_url_override or given or (address() if address else None)
    if chosen is None:
        try:
            chosen = fill(route.address or "", provider)
        except ConfigError:
            if not (keyed and route.keyed_address):  # Vertex: with a key alone, no project is needed
                raise
            chosen = route.keyed_address
    if not (_is_url(chosen) if given else find_host(chosen)):
        raise ConfigError(
            f"{provider}: {chosen!r} is not an address that a key may be sent to: it must be https://host/..."
        )
    return chosen.rstrip("/")


def _is_url(url: str) -> bool:
    """Tell whether a base URL that the caller passed can be one; plain http is the caller's choice."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host) and not parsed.userinfo


def _fill_headers(provider: str, route: Route, record: Record | None) -> dict[str, str]:
    """Fill variables into the headers of nbkit's own and the user's rows; models.dev's stay as they are."""
    literal = record.headers if record else {}
    return {name: value if name in literal else fill(value, provider) for name, value in route.headers.items()}


def _build_dialect(rows: Iterable[Mapping[str, Any]], **fields: Any) -> Dialect:
    """Build the dialect from the rows about a model; the last one wins."""
    for row in rows:
        fields |= row.get("dialect", {})
    lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Dialect(**fields | lists)
