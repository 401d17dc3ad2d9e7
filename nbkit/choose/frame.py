"""The catalog as one plain pandas DataFrame, one row for each model, built from a snapshot of models.dev.

Measured for 8,337 models (CPU, Python 3.11, pandas 3.1): 5 ms to import these modules, 7 ms to read the bundled file,
9 ms to build the frame where pyarrow is not installed; 1 ms for `catalog[catalog.vision]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray, IntegerArray

from nbkit.arguments import check_arguments
from nbkit.choose.columns import COLUMNS, Dtype, list_columns
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.fetch import Progress
from nbkit.modelsdev.snapshot import Factor, Meta, Snapshot, build
from nbkit.providers.keyed import find_keyed_providers
from nbkit.providers.known import load_known_snapshot, pause_collector
from nbkit.providers.registered import RegisteredModel, find_registered, list_registered_models
from nbkit.providers.tables import user_rows
from nbkit.settings import Scoped, settings


class _Sources(NamedTuple):
    """The sources of the catalog in force. It is built anew when one of these has changed."""

    snapshot: Snapshot
    registered: list[RegisteredModel]
    """Their routes count, also where they are not rows."""
    user: tuple[dict[str, Any], ...]
    """The user's own rows of providers, models and vendors."""
    trusted: float
    """When the user's file of trusted providers was written."""
    keyed: frozenset[str]
    """Providers whose key is set."""


class _Shown(NamedTuple):
    """The catalog in force."""

    sources: _Sources
    frame: pd.DataFrame


_shown: Scoped[list[_Shown]] = Scoped(list, "cache_dir", "catalog_url", "offline", "overrides")  # at most one
_building = RLock()


@check_arguments
def load_catalog(refresh: bool = False, *, accept: bool = False, progress: Progress | None = None) -> pd.DataFrame:
    """Load every model that models.dev lists, one row for each, as a new DataFrame.

    The index is the model id (`provider/model`). Prices are USD per million tokens, lengths tokens; what models.dev
    does not say is missing, never False or 0. `attrs` says where the rows come from (`source`: fetched, cached or
    bundled), their `date`, `age_days`, how many `rows`, and the `reason` why they are not fresher. Models that were
    registered (`register_provider`) or found on this machine (`local_models`) are rows behind those of models.dev;
    `attrs["registered"]` says which providers' they are, and whether they are "registered" or "local".

    `refresh` asks models.dev now; without it a copy younger than a day is taken as it is. Without a network, the
    newest copy on this machine is used: the last one that was fetched, or the one that came with nbkit. Neither waits
    for models.dev longer than 5 seconds (setting `catalog_timeout`), nor leaves you without the catalog that you had.
    An answer that has lost more than half of the models is not taken, unless you `accept` it.

    `progress` is called with the bytes so far and in all (None: unknown) while a fetch takes longer than a second, in
    the end with both the same; unless given, a line in the terminal or the notebook shows it. Warns (CatalogWarning)
    where a refresh failed, and once where models.dev cannot be reached and the copy is older than 14 days.
    """
    current = current_snapshot(refresh, accept=accept, progress=progress)
    if refresh and current.meta.source == "fetched":
        _report_news(current)
    return _build(load_known_snapshot())


@check_arguments
async def aload_catalog(
    refresh: bool = False, *, accept: bool = False, progress: Progress | None = None
) -> pd.DataFrame:
    """Do what `load_catalog` does without blocking the event loop: in a thread, where `progress` is called, too."""
    import asyncio  # the catalog itself needs none

    return await asyncio.to_thread(load_catalog, refresh, accept=accept, progress=progress)


def catalog() -> pd.DataFrame:
    """Return the catalog in force: the same object until something has changed that it tells.

    That is a refresh, a model that was registered, the overrides file, a provider that was trusted, or an API key that
    was set. Measured: 0.4 ms to see that nothing has changed.
    """
    shown = _shown()
    with _building:
        sources = _find_sources()
        if not shown or shown[0].sources != sources:
            with pause_collector():
                shown[:] = [_Shown(sources, _build(sources.snapshot))]
        return shown[0].frame


def _find_sources() -> _Sources:
    snapshot = load_known_snapshot()
    user = tuple(user_rows(kind) for kind in ("providers", "models", "vendors"))
    try:
        trusted = settings().overrides.with_name("trust.json").stat().st_mtime
    except OSError:  # most users trust no further provider
        trusted = 0.0
    return _Sources(snapshot, list_registered_models(), user, trusted, find_keyed_providers(snapshot))


def _build(snapshot: Snapshot) -> pd.DataFrame:
    """Build the catalog: the frame of all models, whose `attrs` say which of them were registered."""
    built = build_frame(snapshot)
    own = {model.record.provider.id: model.source for model in list_registered_models() if model.source != "shipped"}
    if own:
        built.attrs["registered"] = own
    return built


def _report_news(snapshot: Snapshot) -> None:
    """Say in one line which providers came or moved since this release: a call to them must be allowed first."""
    from nbkit.providers.trust import list_news

    new, moved = list_news(snapshot)
    counts = [f"{len(new)} new" if new else "", f"{len(moved)} moved ({_list_few(moved)})" if moved else ""]
    if new or moved:
        what = " and ".join(filter(None, counts))
        sys.stderr.write(
            f"nbkit: providers since this release: {what}; nbkit.trust({(new or moved)[0]!r}) allows calls to one\n"
        )


def _list_few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def demo_models() -> pd.DataFrame:
    """Return the simulated models that come with nbkit as catalog rows: they need no key and no internet."""
    own = find_registered("demo")
    assert own is not None  # noqa: S101  # provider_defaults.toml has its row
    return build_frame(build(own.records, Meta(url="", date=current_snapshot().meta.date)))


def build_frame(snapshot: Snapshot) -> pd.DataFrame:
    """Build the DataFrame: its index is the model id, its `attrs` say where the rows come from and how old they are."""
    index = pd.Index(snapshot.ids, name="id", dtype="str")
    data = {column.name: _convert(column.values(snapshot), column.dtype) for column in list_columns()}
    built = pd.DataFrame(data, index=index)  # copied into one block for each dtype: filters take half the time
    built.attrs.update(snapshot.provenance.items())
    return built


def _convert(column: Factor | Sequence[Any], dtype: Dtype) -> Any:
    """Convert a column for pandas: its distinct values first, which are then repeated."""
    if isinstance(column, Factor):
        values, codes = column.values, np.asarray(column.codes, "uint16")
    else:
        values, codes = column, np.arange(len(column))
    if dtype in ("bool", "float64", "datetime64[s]"):
        return np.array(values, dtype)[codes]
    if dtype in ("Int64", "boolean"):
        array, plain = (IntegerArray, "int64") if dtype == "Int64" else (BooleanArray, "bool")
        unknown = np.array([value is None for value in values], "bool")
        return array(np.array([value or 0 for value in values], plain)[codes], unknown[codes])
    return pd.array(values, dtype="str").take(codes)


_DTYPES = {column.name: column.dtype for column in COLUMNS}
_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def restore_dtypes(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of the catalog their dtypes again, where a file or an operation has changed them.

    What is not a value of the dtype is unknown. Other columns stay as they are; so does the frame that is passed.
    """
    changed = [name for name in frame.columns if name in _DTYPES and frame[name].dtype != _DTYPES[name]]
    return frame.assign(**{name: _restore(frame[name], _DTYPES[name]) for name in changed}) if changed else frame


def _restore(values: pd.Series, dtype: Dtype) -> pd.Series:
    if dtype in ("float64", "Int64"):
        numbers = pd.to_numeric(values.astype(object), errors="coerce").astype("float64")
        return numbers if dtype == "float64" else numbers.where(numbers == numbers.round()).astype("Int64")
    if dtype == "datetime64[s]":
        return pd.to_datetime(values.astype(object), errors="coerce", format="mixed").astype(dtype)
    if dtype == "str":
        return values.astype(object).where(values.notna(), None).astype("str")
    truth = values.astype("str").str.lower().map(_TRUTH)
    return truth.astype("boolean") if dtype == "boolean" else truth.fillna(False).astype("bool")
