"""The catalog as people see it: models.dev's columns, and those that take a look at who serves a model."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from nbkit.modelsdev.catalog import Column, derived, frame
from nbkit.modelsdev.snapshot import Meta, Snapshot, build
from nbkit.providers import registry
from nbkit.providers.credentials import has_key
from nbkit.providers.tables import spoken
from nbkit.providers.vendors import path_of, vendor

if TYPE_CHECKING:
    import pandas as pd


@lru_cache(1)
def _vendors(snapshot: Snapshot) -> list[str]:
    canonical, models = snapshot.columns["canonical"], snapshot.columns["model"]
    providers = snapshot.columns["provider"]
    told = [word and word.partition("/")[0] for word in canonical.values]
    rows = zip(canonical.indices, models.rows, providers.indices, strict=True)
    return [told[code] or vendor(None, model, providers.values[host]) for code, model, host in rows]


def _paths(snapshot: Snapshot) -> list[str]:
    made_by, providers = _vendors(snapshot), snapshot.columns["provider"].rows
    return [
        path_of(provider.id, by, model)
        for provider, by, model in zip(providers, made_by, snapshot.columns["model"].rows, strict=True)
    ]


COLUMNS: tuple[Column, ...] = (
    Column("vendor", "category", "who made the model", _vendors),
    Column("path", "str", "provider/vendor/model", _paths),
    derived(
        "protocol",
        "category",
        "the wire format it is called with",
        lambda provider, own: spoken(own.get("npm", provider.npm), own.get("shape")),
        "provider",
        "overrides",
    ),
    derived("has_key", "bool", "a key of its provider is set in the environment", has_key, "provider"),
)

_shown: list[tuple[Snapshot, pd.DataFrame]] = []  # at most one: the snapshot in force and its frame


def load_catalog(refresh: bool = False) -> pd.DataFrame:
    """Every model that models.dev lists, one row a model, as a new DataFrame.

    The index is the model id (`provider/model`). Prices are USD per million tokens, lengths tokens; what models.dev
    does not say is missing, never False or 0. `attrs` says where the rows come from (`source`: fetched, cached or
    bundled), their `date`, `age_days`, how many `rows`, and the `reason` why they are not fresher.

    `refresh` asks models.dev now; without it a copy younger than a day is taken as it is. Without a network, the
    newest copy on this machine is used, at last the one that came with nbkit.
    """
    return frame(registry.snapshot(refresh), COLUMNS)


def catalog() -> pd.DataFrame:
    """The catalog in force; the same object until it is refreshed."""
    with _undisturbed():
        current = registry.snapshot()
        if not _shown or _shown[0][0] is not current:
            _shown[:] = [(current, frame(current, COLUMNS))]
    return _shown[0][1]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector out: so many new values make it look through all of pandas, for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def demo_models() -> pd.DataFrame:
    """The simulated models that come with nbkit, as catalog rows: they need no key and no internet."""
    own = registry.registered("demo")
    assert own is not None  # noqa: S101  # provider_defaults.toml has its row
    return frame(build(own.records, Meta(url="", date=registry.snapshot().meta.date)), COLUMNS)
