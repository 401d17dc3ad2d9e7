"""A record resolved for calling: where to send, in which protocol, with which key, and with which peculiarities."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from nbkit.billing.cost import Cost
from nbkit.errors import ConfigError, ProviderNotSupportedError
from nbkit.modelsdev.records import Provider, Record
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import Tolerance, tolerance_of
from nbkit.providers.credentials import fill
from nbkit.providers.routes import route
from nbkit.providers.tables import model_overrides, protocol_defaults, provider_defaults
from nbkit.settings import settings

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


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
    takes: Tolerance = Tolerance()
    """What it can do and which options it takes."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The model id, `provider/model`."""
        return f"{self.provider}/{self.model}"


def resolve(
    provider: Provider,
    model: str,
    record: Record | None,
    *,
    base_url: str | None = None,
    protocol: str | None = None,
    address: Callable[[], str] | None = None,
    catalog_date: str | None = None,
) -> Endpoint:
    """Resolve a model; `record` is None for one that the catalog does not know (it is callable, its cost unknown).

    `base_url` and `protocol` win over what the tables say; `address` is a registered provider's own.
    Raises ProviderNotSupportedError and ConfigError, which say what to do.
    """
    way = route(provider, model, record)
    given = base_url or settings().base_url_override or address
    if way.why_not and not given and (protocol is None or way.address is None):
        raise ProviderNotSupportedError(f"{provider.id}/{model}: {way.why_not}")
    spoken = protocol or way.protocol or "openai-chat"
    if spoken not in PROTOCOLS:
        raise ProviderNotSupportedError(f"no protocol {spoken!r}; there are {', '.join(PROTOCOLS)}")
    known_of = provider_defaults(provider.id)
    rows = [protocol_defaults(spoken), known_of, *model_overrides(f"{provider.id}/{model}")]
    takes = tolerance_of(record, rows)
    return Endpoint(
        provider=provider.id,
        model=model,
        protocol=spoken,
        base_url=_base_url(provider.id, way.address, base_url, address),
        variables=way.variables,
        auth=way.auth,
        dialect=_dialect(rows, max_output=takes.max_output, encrypted_reasoning=takes.reasoning is not None),
        takes=takes,
        cost=_cost(record) if record else None,
        catalog_date=catalog_date,
        headers={name: fill(value, provider.id) for name, value in way.headers.items()},
        body=way.body,
    )


def _cost(record: Record) -> Cost | None:
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    return Cost(record.rates, tiers) if record.rates else None


def _base_url(provider: str, template: str | None, given: str | None, address: Callable[[], str] | None) -> str:
    chosen = settings().base_url_override or given or (address() if address else None)
    if chosen is None:
        chosen = fill(template or "", provider)
    url = urlsplit(chosen)
    loopback = url.scheme == "http" and _LOOPBACK.fullmatch(url.hostname or "")
    if not url.hostname or url.username is not None or not (url.scheme == "https" or loopback or given):
        raise ConfigError(f"{provider}: {chosen!r} is no address to send a key to: it must be https://host/...")
    return chosen.rstrip("/")


def _dialect(rows: list[dict[str, Any]], **fields: Any) -> Dialect:
    """The spelling of the protocol: the provider's, then that of the model; the last one wins."""
    for row in rows:
        fields |= row.get("dialect", {})
    lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Dialect(**fields | lists)
