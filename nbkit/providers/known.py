"""All models that can be named in this process: models.dev's, and those that were registered beside them."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Record
from nbkit.modelsdev.snapshot import FIELDS, Factor, Meta, Snapshot, build
from nbkit.providers.registered import RegisteredModel, list_registered_models

_known: list[tuple[Snapshot, list[RegisteredModel], Snapshot]] = []  # at most one: what it is made of, and the whole


def load_known_snapshot() -> Snapshot:
    """Return models.dev's snapshot in force, and behind its models those of the user and of this machine.

    A registered model stands in the place of models.dev's of the same id. The simulated models are not among them. The
    same object until the catalog is refreshed or a model is registered.
    """
    listed, own = current_snapshot(), [model for model in list_registered_models() if model.source != "shipped"]
    if not own:
        return listed
    if not _known or _known[0][0] is not listed or _known[0][1] != own:
        _known[:] = [(listed, own, add_records(listed, [model.record for model in own]))]
    return _known[0][2]


def add_records(snapshot: Snapshot, records: Sequence[Record]) -> Snapshot:
    """Add models behind those of a snapshot, of which those of the same ids are left out."""
    added, replaced = build(records, Meta("", snapshot.meta.date)), {record.id for record in records}
    kept = [row for row, model_id in enumerate(snapshot.ids) if model_id not in replaced]
    return Snapshot(snapshot.meta, {name: _join(snapshot.factor(name), kept, added.factor(name)) for name in FIELDS})


def _join(first: Factor, kept: Sequence[int], second: Factor) -> Factor:
    """Join the kept rows of a column and all of another; equal values may stand twice."""
    offset = len(first.values)
    codes = array("H", first.codes if len(kept) == len(first) else [first.codes[row] for row in kept])
    codes.extend(offset + code for code in second.codes)
    return Factor([*first.values, *second.values], codes)


@contextmanager
def pause_collector() -> Iterator[None]:
    """Pause the garbage collector while thousands of values are made: it would look through all of pandas, in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
