"""The catalog as one plain pandas DataFrame, one row for each model, built from a snapshot of models.dev.

Measured for 8,337 models (CPU, Python 3.11, pandas 3.1): 5 ms to import these modules, 7 ms to read the bundled file,
9 ms to build the frame where pyarrow is not installed; 1 ms for `catalog[catalog.vision]`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray, IntegerArray

from nbkit.choose.columns import Dtype, list_columns
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.fetch import Progress
from nbkit.modelsdev.snapshot import Factor, Meta, Snapshot, build
from nbkit.providers.registered import RegisteredProvider, find_registered, list_registered
from nbkit.settings import Scoped


class _Shown(NamedTuple):
    """The catalog in force, and what it was built from."""

    snapshot: Snapshot
    replaced: dict[str, RegisteredProvider]
    """Providers of the snapshot whose place a registered one takes."""
    frame: pd.DataFrame


_shown: Scoped[list[_Shown]] = Scoped(list, "cache_dir", "catalog_url", "offline", "overrides")  # at most one
_building = RLock()


def load_catalog(refresh: bool = False, *, accept: bool = False, progress: Progress | None = None) -> pd.DataFrame:
    """Load every model that models.dev lists, one row for each, as a new DataFrame.

    The index is the model id (`provider/model`). Prices are USD per million tokens, lengths tokens; what models.dev
    does not say is missing, never False or 0. `attrs` says where the rows come from (`source`: fetched, cached or
    bundled), their `date`, `age_days`, how many `rows`, and the `reason` why they are not fresher.

    `refresh` asks models.dev now; without it a copy younger than a day is taken as it is. Without a network, the
    newest copy on this machine is used: the last one that was fetched, or the one that came with nbkit. Neither waits
    for models.dev longer than 5 seconds (setting `catalog_timeout`), nor leaves you without the catalog that you had.
    An answer that has lost more than half of the models is not taken, unless you `accept` it.

    `progress` is called with the bytes so far and in all (None: unknown) while a fetch takes longer than a second, in
    the end with both the same; unless given, a line in the terminal or the notebook shows it. Warns (CatalogWarning)
    where a refresh failed, and once where models.dev cannot be reached and the copy is older than 14 days.
    """
    return build_frame(current_snapshot(refresh, accept=accept, progress=progress))


async def aload_catalog(
    refresh: bool = False, *, accept: bool = False, progress: Progress | None = None
) -> pd.DataFrame:
    """Do what `load_catalog` does without blocking the event loop: in a thread, where `progress` is called, too."""
    import asyncio  # the catalog itself needs none

    return await asyncio.to_thread(load_catalog, refresh, accept=accept, progress=progress)


def catalog() -> pd.DataFrame:
    """Return the catalog in force: the same object until it is refreshed.

    It is built anew, too, when a provider is registered that models.dev lists: its models are called elsewhere then.
    """
    shown = _shown()
    with _building, _pause_collector():
        current = current_snapshot()
        replaced = {name: own for name, own in list_registered().items() if name in current.providers}
        if not shown or shown[0][:2] != (current, replaced):
            shown[:] = [_Shown(current, replaced, build_frame(current))]
        return shown[0].frame


@contextmanager
def _pause_collector() -> Iterator[None]:
    """Pause the garbage collector: so many new values make it look through all of pandas, for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
    if dtype == "category":
        names = sorted({value for value in values if value is not None})
        positions = {name: position for position, name in enumerate(names)}
        numbers = np.array([positions.get(value, -1) for value in values], "int32")
        return pd.Categorical.from_codes(numbers[codes], categories=pd.Index(names, dtype="str"))
    if dtype in ("bool", "float64", "datetime64[s]"):
        return np.array(values, dtype)[codes]
    if dtype == "object":
        return np.fromiter(values, object, len(values))[codes]
    if dtype in ("Int64", "boolean"):
        array, plain = (IntegerArray, "int64") if dtype == "Int64" else (BooleanArray, "bool")
        unknown = np.array([value is None for value in values], "bool")
        return array(np.array([value or 0 for value in values], plain)[codes], unknown[codes])
    return pd.array(values, dtype="str").take(codes)
