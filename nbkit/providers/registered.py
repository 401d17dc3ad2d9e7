"""Providers that were registered in this process: a user's own, and those that come with nbkit.

What is registered inside a block of `settings.override` is gone after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import RLock
from typing import Any

from nbkit.modelsdev.records import Record, parse
from nbkit.providers.tables import table
from nbkit.settings import Scoped


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredProvider:
    """A registered provider: its models, and its own address; None: the address that `npm` and `api` give it."""

    records: tuple[Record, ...]
    address: Callable[[], str] | None


_lock = RLock()
_providers: Scoped[dict[str, RegisteredProvider]] = Scoped(dict, copy=dict)


def register_provider(provider: dict[str, Any], base_url: str | Callable[[], str] | None = None) -> RegisteredProvider:
    """Register a provider, in the form of one value of models.dev's api.json; it replaces models.dev's of the same id.

    `base_url` may be a function: it is called when the first call is made. Raises CatalogError where the provider has
    no usable model, and warns (CatalogWarning) of models that are not.
    """
    registered = _read(provider, base_url)
    with _lock:
        _providers()[provider["id"]] = registered
    return registered


def _read(provider: dict[str, Any], base_url: str | Callable[[], str] | None) -> RegisteredProvider:
    address = (lambda: base_url) if isinstance(base_url, str) else base_url
    return RegisteredProvider(tuple(parse({provider["id"]: provider})), address)


@cache
def _load(module: str) -> RegisteredProvider:
    source = import_module(module)
    return _read(source.PROVIDER, source.base_url)


def find_registered(provider: str) -> RegisteredProvider | None:
    """Find a registered provider; one that comes with nbkit (`module` in provider_defaults.toml) is loaded here."""
    with _lock:
        providers = _providers()
        if provider not in providers and (module := table("provider_defaults").get(provider, {}).get("module")):
            providers[provider] = _load(module)
        return providers.get(provider)


def list_registered() -> dict[str, RegisteredProvider]:
    """List the providers that are registered by now, by id."""
    with _lock:
        return dict(_providers())
