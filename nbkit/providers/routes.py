"""Which way leads to a model: protocol, address and how the key is sent. It needs no environment variable to be set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from nbkit.modelsdev.records import Provider, Record
from nbkit.protocols import PROTOCOLS
from nbkit.providers.credentials import key_variables
from nbkit.providers.tables import combined, model_overrides, npm_package, provider_defaults, spoken


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a model, or why there is none."""

    protocol: str | None
    address: str | None
    """The base URL; `${NAME}` stands for an environment variable."""
    keyed_address: str | None = None
    """The base URL for those who have a key and set none of these variables."""
    auth: str = "bearer"
    """How the key is sent."""
    variables: tuple[str, ...] = ()
    """Environment variables that may hold the key."""
    headers: dict[str, str] = field(default_factory=dict)
    """What every request carries besides; `${NAME}` as above."""
    body: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""
    """One sentence: why nbkit cannot call it. Empty where it can."""


def route(provider: Provider, model: str, record: Record | None) -> Route:
    """The way to a model; `record` is None for one that the catalog does not know.

    Whatever a model says of itself counts more than what is said of its provider, and that more than what is said of
    the npm package; nbkit's tables, which are reviewed, count more than models.dev's `api` of a whole provider.
    """
    npm = record.npm if record else provider.npm
    package, row = npm_package(npm), provider_defaults(provider.id)
    whole = combined(row, *model_overrides(f"{provider.id}/{model}"))
    protocol = whole.get("protocol") or spoken(npm, record.shape if record else None)
    own = record.overrides.get("api") if record else None
    address = own or whole.get("base_url") or provider.api or package.get("base_url")
    env = tuple(whole.get("env", provider.env))
    return Route(
        protocol=protocol,
        address=address,
        keyed_address=package.get("keyed_base_url") if address == package.get("base_url") else None,
        auth=whole.get("auth") or package.get("auth", "bearer"),
        variables=key_variables(replace(provider, env=env)),
        headers=whole.get("headers", {}) | (dict(record.headers) if record else {}),
        body=whole.get("body", {}) | (dict(record.body) if record else {}),
        why_not=whole.get("why_not") or package.get("why_not") or obstacle(npm, protocol, address),
    )


def obstacle(npm: str, protocol: str | None, address: str | None) -> str:
    """Why there is no way, where no table says it. Empty where there is one."""
    if protocol is None:
        return f"nbkit does not know the npm package {npm!r}: pass protocol= and base_url="
    if protocol not in PROTOCOLS:
        return f"it speaks {protocol}, and nbkit {', '.join(PROTOCOLS)}: pass protocol= and base_url= if it does too"
    return "" if address else "nbkit does not know its address: pass base_url="
