"""A record resolved for calling: where to send, in which protocol, with which key, and with which peculiarities."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from nbkit.billing.cost import Cost
from nbkit.errors import ConfigError, ProviderNotSupportedError
from nbkit.modelsdev.records import Provider, Record
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.credentials import fill, key_variables
from nbkit.providers.tables import npm_package, provider_defaults, spoken, table
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
    vision: bool | None = None
    """Whether it reads images; None: unknown, so it may be asked. Likewise below."""
    tools: bool | None = None
    temperature: bool | None = None
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
    npm = record.npm if record else provider.npm
    protocol = protocol or spoken(npm, record.shape if record else None)
    if protocol not in PROTOCOLS:
        speaks = f"speaks {protocol}" if protocol else f"is served by {npm!r}, an npm package that nbkit does not know"
        known = ", ".join(PROTOCOLS)
        raise ProviderNotSupportedError(
            f"{provider.id}/{model} {speaks}; nbkit speaks {known}: pass protocol= and base_url= if it does too"
        )
    known_of, overrides = provider_defaults(provider.id), _overrides(f"{provider.id}/{model}")
    return Endpoint(
        provider=provider.id,
        model=model,
        protocol=protocol,
        base_url=_base_url(provider, record, base_url, address),
        variables=key_variables(provider),
        auth=known_of.get("auth") or npm_package(npm).get("auth", "bearer"),
        dialect=_dialect(provider.id, record, overrides),
        catalog_date=catalog_date,
        **(_facts(record, overrides) if record else {}),
    )


def _facts(record: Record, overrides: list[dict[str, Any]]) -> dict[str, Any]:
    tiers = tuple((tier["size"], tier["rates"]) for tier in record.tiers)
    facts: dict[str, Any] = {
        "cost": Cost(record.rates, tiers) if record.rates else None,
        "vision": "image" in record.inputs,
        "tools": record.tools,
        "temperature": record.temperature,
        "headers": dict(record.headers),
        "body": dict(record.body),
    }
    for row in overrides:
        facts |= {name: row[name] for name in ("vision", "tools", "temperature") if name in row}
    return facts


def _base_url(provider: Provider, record: Record | None, given: str | None, address: Callable[[], str] | None) -> str:
    chosen = settings().base_url_override or given or (address() if address else None)
    if chosen is None:
        api = record.api if record else provider.api
        npm = record.npm if record else provider.npm
        template = api or provider_defaults(provider.id).get("base_url") or npm_package(npm).get("base_url")
        if template is None:
            raise ConfigError(f"{provider.id}: nbkit does not know its address: pass base_url=")
        chosen = fill(template, provider.id)
    url = urlsplit(chosen)
    loopback = url.scheme == "http" and _LOOPBACK.fullmatch(url.hostname or "")
    if not url.hostname or url.username is not None or not (url.scheme == "https" or loopback or given):
        raise ConfigError(f"{provider.id}: {chosen!r} is no address to send a key to: it must be https://host/...")
    return chosen.rstrip("/")


def _dialect(provider: str, record: Record | None, overrides: list[dict[str, Any]]) -> Dialect:
    """The provider's peculiarities, then those of the model; the last one wins."""
    fields: dict[str, Any] = {"max_output": record.max_output if record else None}
    for row in (provider_defaults(provider), *overrides):
        fields |= row.get("dialect", {})
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Dialect(**fields)


def _overrides(model_id: str) -> list[dict[str, Any]]:
    """The rows of `model_overrides.toml` whose pattern the model id matches."""
    return [row for pattern, row in table("model_overrides").items() if fnmatchcase(model_id, pattern)]
