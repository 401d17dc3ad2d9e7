"""Providers and models that were registered in this process: a user's own, those of servers on this machine, and those
that come with nbkit.

What is registered inside a block of `settings.override` is gone after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from threading import RLock
from typing import Any, Literal

from msgspec import Struct

from nbkit.modelsdev.records import Record, parse
from nbkit.providers.tables import table
from nbkit.settings import Scoped

Source = Literal["registered", "local", "shipped"]
"""Who registered a model: the user, `local_models`, or nbkit itself (the simulated provider)."""


class RegisteredModel(Struct, frozen=True, eq=False):
    """A registered model, and its own address; None: the address that `npm` and `api` give it."""

    record: Record
    address: str | Callable[[], str] | None
    source: Source


class RegisteredProvider(Struct, frozen=True, eq=False):
    """The models that were registered for one provider, by name. models.dev may list further ones."""

    models: Mapping[str, RegisteredModel]

    @property
    def records(self) -> tuple[Record, ...]:
        """The models' records."""
        return tuple(model.record for model in self.models.values())


_lock = RLock()
_providers: Scoped[dict[str, RegisteredProvider]] = Scoped(dict, copy=dict)


def register_provider(
    provider: dict[str, Any], base_url: str | Callable[[], str] | None = None, *, source: Source = "registered"
) -> RegisteredProvider:
    """Register models of a provider, in the form of one value of models.dev's api.json; return all it has registered.

    They are added to what models.dev lists and to what was registered before; one of the same name is replaced. Those
    of a server on this machine (source "local") replace all that it had. `base_url` may be a function: it is called
    when the first call is made. Raises CatalogError where the provider has no usable model, and warns (CatalogWarning)
    of models that are not.
    """
    models = _read(provider, base_url, source)
    with _lock:
        before = None if source == "local" else find_registered(provider["id"])
        registered = RegisteredProvider({**(before.models if before else {}), **models})
        _providers()[provider["id"]] = registered
    return registered


def _read(
    provider: dict[str, Any], base_url: str | Callable[[], str] | None, source: Source
) -> dict[str, RegisteredModel]:
    records = parse({provider["id"]: provider}, f"register_provider(): {provider['id']}")
    return {record.model: RegisteredModel(record, base_url, source) for record in records}


@cache
def _load(module: str) -> RegisteredProvider:
    shipped = import_module(module)
    return RegisteredProvider(_read(shipped.PROVIDER, shipped.base_url, "shipped"))


def find_registered(provider: str) -> RegisteredProvider | None:
    """Find a registered provider; one that comes with nbkit (`module` in provider_defaults.toml) is loaded here."""
    with _lock:
        providers = _providers()
        if provider not in providers and (module := table("provider_defaults").get(provider, {}).get("module")):
            providers[provider] = _load(module)
        return providers.get(provider)


def is_registered(provider: str, model: str) -> bool:
    """Tell whether a model of this name was registered for the provider."""
    own = list_registered().get(provider)
    return own is not None and model in own.models


def list_registered() -> dict[str, RegisteredProvider]:
    """List the providers that are registered by now, by id."""
    with _lock:
        return dict(_providers())


def list_registered_models() -> list[RegisteredModel]:
    """List the models that are registered by now, of all providers."""
    return [model for own in list_registered().values() for model in own.models.values()]
