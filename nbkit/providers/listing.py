"""The catalog as people see it: models.dev's columns, and those that take a look at who serves a model."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbkit.modelsdev.catalog import Column, derived, frame
from nbkit.modelsdev.records import Provider
from nbkit.modelsdev.snapshot import Meta, Snapshot, build
from nbkit.providers import registry
from nbkit.providers.credentials import has_key
from nbkit.providers.tables import all_model_overrides, provider_defaults, spoken, users
from nbkit.providers.vendors import inferred, path_of, users_vendor

if TYPE_CHECKING:
    import pandas as pd


@lru_cache(1)
def _vendors(snapshot: Snapshot) -> list[str]:
    canonical, models = snapshot.columns["canonical"], snapshot.columns["model"]
    providers = snapshot.columns["provider"]
    told = [word and word.partition("/")[0] for word in canonical.values]
    mine = users("vendors")
    rows = zip(canonical.indices, models.rows, providers.indices, strict=True)
    return [
        (mine and users_vendor(model, mine)) or told[code] or inferred(model, providers.values[host])
        for code, model, host in rows
    ]


def _paths(snapshot: Snapshot) -> list[str]:
    made_by, providers = _vendors(snapshot), snapshot.columns["provider"].rows
    return [
        path_of(provider.id, by, model)
        for provider, by, model in zip(providers, made_by, snapshot.columns["model"].rows, strict=True)
    ]


def _protocols(snapshot: Snapshot) -> list[str | None]:
    """As `routes.route` has it, for all rows at once: few models differ from their provider and npm package."""
    mine = users("providers")

    def usual(provider: Provider, own: Mapping[str, Any]) -> str | None:
        said: str | None = mine.get(provider.id, {}).get("protocol")
        return said or spoken(own.get("npm", provider.npm), own.get("shape"))

    found: list[str | None] = snapshot.derive(usual, "provider", "overrides").rows
    rows = {pattern: row["protocol"] for pattern, row in all_model_overrides() if "protocol" in row}
    some = re.compile("|".join(map(translate, rows))).match
    for number, model_id in enumerate(snapshot.ids):
        if some(model_id):
            found[number] = [protocol for pattern, protocol in rows.items() if fnmatchcase(model_id, pattern)][-1]
    return found


def _has_key(provider: Provider) -> bool:
    return has_key(replace(provider, env=tuple(provider_defaults(provider.id).get("env", provider.env))))


COLUMNS: tuple[Column, ...] = (
    Column("vendor", "category", "who made the model", _vendors),
    Column("path", "str", "provider/vendor/model", _paths),
    Column("protocol", "category", "the wire format it is called with", _protocols),
    derived("has_key", "bool", "a key of its provider is set in the environment", _has_key, "provider"),
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
