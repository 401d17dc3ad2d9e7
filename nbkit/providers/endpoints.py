"""A record resolved for calling: where to send, in which protocol, with which key, and with which peculiarities."""

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
from nbkit.providers.routes import Route, route
from nbkit.providers.tables import rows
from nbkit.providers.trust import cleared, origin
from nbkit.settings import settings

_REPLAYED = ("reasoning_content", "reasoning_details")
"""models.dev's `interleaved`: the field that carries reasoning back to the model."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one model is called."""

    provider: str
    model: str
    """The model's name on the wire."""
    protocol: str
    base_url: str
    variables: tuple[str, ...] = ()
    """Environment variables that may hold the key."""
    auth: str = "bearer"
    dialect: Dialect = field(default_factory=Dialect)
    cost: Cost | None = None
    """None: the catalog names no price."""
    catalog_date: str | None = None
    takes: Tolerance = field(default_factory=Tolerance)
    """What it can do and which options it takes."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

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
    """Resolve a model; `record` is None for one that the catalog does not know (it is callable, its cost unknown).

    `base_url` and `protocol` win over what the tables say; `keyed`: there is a key; `address` is a registered
    provider's own.
    Raises ProviderNotSupportedError, UntrustedEndpointError and ConfigError, which say what to do.
    """
    way = route(provider, model, record)
    given = base_url or settings().base_url_override or address
    if way.why_not and not given and (protocol is None or way.address is None):
        raise ProviderNotSupportedError(f"{provider.id}/{model}: {way.why_not}")
    spoken = protocol or way.protocol or "openai-chat"
    if spoken not in PROTOCOLS:
        raise ProviderNotSupportedError(f"no protocol {spoken!r}; there are {', '.join(PROTOCOLS)}")
    safe = cleared(provider.id, way, given=bool(given), keyed=keyed)
    about = rows(spoken, provider.id, model)
    takes = tolerance_of(record, about)
    return Endpoint(
        provider=provider.id,
        model=model,
        protocol=spoken,
        base_url=_base_url(provider.id, way, base_url, address, keyed or is_set(safe.variables)),
        variables=safe.variables,
        auth="none" if given and way.auth == "bearer" and not way.variables else safe.auth,  # a server of one's own
        dialect=_dialect(
            about,
            max_output=takes.max_output,
            encrypted_reasoning=takes.reasoning is not None,
            replay_reasoning=record.interleaved if record and record.interleaved in _REPLAYED else "",
        ),
        takes=takes,
        cost=_cost(record) if record else None,
        catalog_date=catalog_date,
        headers=_headers(provider.id, way, record),
        body=way.body,
    )


def _cost(record: Record) -> Cost | None:
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Cost(record.rates, tiers) if record.rates else None


def _base_url(provider: str, way: Route, given: str | None, address: Callable[[], str] | None, keyed: bool) -> str:
    chosen = settings().base_url_override or given or (address() if address else None)
    if chosen is None:
        try:
            chosen = fill(way.address or "", provider)
        except ConfigError:
            if not (keyed and way.keyed_address):
                raise
            chosen = way.keyed_address
    if not (_is_address(chosen) if given else origin(chosen)):
        raise ConfigError(f"{provider}: {chosen!r} is no address to send a key to: it must be https://host/...")
    return chosen.rstrip("/")


def _is_address(url: str) -> bool:
    """Whether a base URL that the caller gave can be one: there plain http is the caller's choice."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host) and not parsed.userinfo


def _headers(provider: str, way: Route, record: Record | None) -> dict[str, str]:
    """What every request carries; only nbkit's own rows and the user's are filled from the environment."""
    literal = record.headers if record else {}
    return {name: value if name in literal else fill(value, provider) for name, value in way.headers.items()}


def _dialect(about: Iterable[Mapping[str, Any]], **fields: Any) -> Dialect:
    """The spelling of the protocol: the provider's, then that of the model; the last one wins."""
    for row in about:
        fields |= row.get("dialect", {})
    lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Dialect(**fields | lists)
