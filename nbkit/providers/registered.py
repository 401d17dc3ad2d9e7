"""Providers that were registered in this process: a user's own, and those that come with nbkit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from threading import RLock
from typing import Any

from nbkit.modelsdev.records import Record, parse
from nbkit.providers.tables import table


@dataclass(frozen=True, slots=True)
class RegisteredProvider:
    """A registered provider: its models, and where it listens."""

    records: tuple[Record, ...]
    address: Callable[[], str] | None


_lock = RLock()
_registered: dict[str, RegisteredProvider] = {}


def register_provider(provider: dict[str, Any], base_url: str | Callable[[], str] | None = None) -> RegisteredProvider:
    """Add a provider, in the form of one value of models.dev's api.json; it wins over models.dev's of the same id.

    `base_url` may be a function: it is called when the first call is made.
    """
    address = (lambda: base_url) if isinstance(base_url, str) else base_url
    added = RegisteredProvider(tuple(parse({provider["id"]: provider})), address)
    with _lock:
        _registered[provider["id"]] = added
    return added


def registered_provider(provider: str) -> RegisteredProvider | None:
    """A registered provider; those that come with nbkit (`module` in provider_defaults.toml) are loaded on demand."""
    with _lock:
        if provider not in _registered and (module := table("provider_defaults").get(provider, {}).get("module")):
            own = import_module(module)
            register_provider(own.PROVIDER, own.base_url)
        return _registered.get(provider)


def registered_providers() -> dict[str, RegisteredProvider]:
    """The providers that are registered in this process by now, by id."""
    with _lock:
        return dict(_registered)
