"""The catalog as people see it: models.dev's columns, and those that take a look at who serves a model."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbkit.modelsdev.catalog import Column, Dtype, frame
from nbkit.modelsdev.fetch import Progress
from nbkit.modelsdev.records import Provider
from nbkit.modelsdev.snapshot import Coded, Meta, Snapshot, build, pack
from nbkit.providers import registry
from nbkit.providers.credentials import has_key
from nbkit.providers.routes import obstacle
from nbkit.providers.tables import (
    Row,
    all_model_overrides,
    combined,
    npm_package,
    provider_defaults,
    spoken,
    table,
    users,
)
from nbkit.providers.vendors import inferred, path_of, users_vendor

if TYPE_CHECKING:
    import pandas as pd


def _users() -> str:
    """The user's own rows, as text: what follows from them is computed again when their file has changed."""
    return repr([users(kind) for kind in ("vendors", "providers", "models")])


@lru_cache(1)
def _vendors(snapshot: Snapshot, _of_users: str) -> Coded:
    canonical, models = snapshot.columns["canonical"], snapshot.columns["model"]
    providers = snapshot.columns["provider"]
    told = [word and word.partition("/")[0] for word in canonical.values]
    mine = users("vendors")
    made_by = (
        (mine and users_vendor(model, mine)) or told[code] or inferred(model, providers.values[host])
        for code, model, host in zip(canonical.indices, models.rows, providers.indices, strict=True)
    )
    names: dict[str, int] = {}
    codes = pack([names.setdefault(name, len(names)) for name in made_by])
    return Coded(list(names), codes)


def _paths(snapshot: Snapshot) -> list[str]:
    made_by, providers = _vendors(snapshot, _users()).rows, snapshot.columns["provider"].rows
    return [
        path_of(provider.id, by, model)
        for provider, by, model in zip(providers, made_by, snapshot.columns["model"].rows, strict=True)
    ]


def _rows(snapshot: Snapshot) -> dict[str, Row]:
    """What the tables say of the providers; most have no row."""
    said = table("provider_defaults").keys() | users("providers").keys()
    providers = snapshot.columns["provider"].values
    return {provider.id: provider_defaults(provider.id) for provider in providers if provider.id in said}


@lru_cache(1)
def _ways(snapshot: Snapshot, _of_users: str) -> Coded:
    """For each row its protocol, and why nbkit cannot call it ("" where it can).

    As `routes.route` has it, which takes too long to be asked for each of all models.
    """
    said = _rows(snapshot)
    here = {name for name, own in registry.registered_here().items() if own.address}

    def way(provider: Provider, own: Mapping[str, Any], *more: Row) -> tuple[str | None, str]:
        npm, row = own.get("npm", provider.npm), said.get(provider.id, {})
        whole, package = combined(row, *more) if more else row, npm_package(npm)
        protocol = whole.get("protocol") or spoken(npm, own.get("shape"))
        address = own.get("api") or whole.get("base_url") or provider.api or package.get("base_url")
        if provider.id in here:
            return protocol, ""
        return protocol, whole.get("why_not") or package.get("why_not") or obstacle(npm, protocol, address)

    usual = snapshot.derive(way, "provider", "overrides")
    values, codes = list(usual.values), list(usual.indices)
    rows = {pattern: row for pattern, row in all_model_overrides() if row.keys() & {"protocol", "why_not"}}
    starts = tuple(re.split(r"[*?[]", pattern)[0] for pattern in rows)
    for number, model_id in enumerate(snapshot.ids):
        if not model_id.startswith(starts):
            continue
        if more := [row for pattern, row in rows.items() if fnmatchcase(model_id, pattern)]:
            codes[number] = len(values)
            values.append(way(snapshot.columns["provider"][number], snapshot.columns["overrides"][number], *more))
    return Coded(values, pack(codes))


def _of_way(name: str, dtype: Dtype, doc: str, value: Callable[[str | None, str], Any]) -> Column:
    def values(snapshot: Snapshot) -> Coded:
        ways = _ways(snapshot, _users())
        return Coded([value(*way) for way in ways.values], ways.codes)

    return Column(name, dtype, doc, values)


def _has_key(snapshot: Snapshot) -> Coded:
    said = _rows(snapshot)

    def has(provider: Provider) -> bool:
        env = said.get(provider.id, {}).get("env")
        return has_key(provider if env is None else replace(provider, env=tuple(env)))

    return snapshot.derive(has, "provider")


COLUMNS: tuple[Column, ...] = (
    Column(
        "vendor",
        "category",
        "who made the model: canonical's, else inferred from its name, or unknown",
        lambda snapshot: _vendors(snapshot, _users()),
    ),
    Column("path", "str", "provider/vendor/model", _paths),
    _of_way("protocol", "category", "the wire format it is called with", lambda protocol, _: protocol),
    _of_way("callable", "bool", "get_adapter can call it, given a key", lambda _, why_not: not why_not),
    _of_way("why_not", "str", "why get_adapter cannot; missing where it can", lambda _, why_not: why_not or None),
    Column("has_key", "bool", "a key of its provider is set in the environment: yes or no", _has_key),
)

_shown: list[tuple[Snapshot, pd.DataFrame]] = []  # at most one: the snapshot in force and its frame


def load_catalog(refresh: bool = False, *, accept: bool = False, progress: Progress | None = None) -> pd.DataFrame:
    """Every model that models.dev lists, one row a model, as a new DataFrame.

    The index is the model id (`provider/model`). Prices are USD per million tokens, lengths tokens; what models.dev
    does not say is missing, never False or 0. `attrs` says where the rows come from (`source`: fetched, cached or
    bundled), their `date`, `age_days`, how many `rows`, and the `reason` why they are not fresher.

    `refresh` asks models.dev now; without it a copy younger than a day is taken as it is. Without a network, the
    newest copy on this machine is used, at last the one that came with nbkit. Neither waits for models.dev longer than
    5 seconds (setting `catalog_timeout`), nor leaves you without the catalog that you had. An answer that has lost more
    than half of the models is not taken, unless you `accept` it.

    `progress` is called with the bytes that have arrived and are expected (None: unknown) when a fetch takes longer
    than a second, in the end with both the same; unless given, a line in the terminal or the notebook shows it. Warns
    (CatalogWarning) where a refresh failed, and once where models.dev cannot be reached and the copy is older than 14
    days.
    """
    return frame(registry.snapshot(refresh, accept=accept, progress=progress), COLUMNS)


async def aload_catalog(
    refresh: bool = False, *, accept: bool = False, progress: Progress | None = None
) -> pd.DataFrame:
    """`load_catalog` that never blocks the event loop: it runs in a thread, where `progress` is called too."""
    import asyncio  # the catalog itself needs none

    return await asyncio.to_thread(load_catalog, refresh, accept=accept, progress=progress)


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
