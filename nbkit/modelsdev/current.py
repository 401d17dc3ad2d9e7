"""The snapshot of models.dev in force in this process."""

from __future__ import annotations

from threading import RLock

from nbkit.modelsdev import fetch
from nbkit.modelsdev.snapshot import Snapshot
from nbkit.settings import Scoped


class _Current:
    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None  # not loaded yet
        self.loading = RLock()


_current = Scoped(_Current, "cache_dir", "catalog_url", "offline")


def current_snapshot(
    refresh: bool = False, *, accept: bool = False, progress: fetch.Progress | None = None
) -> Snapshot:
    """Return the models.dev snapshot in force, loading it on first use.

    `refresh` asks models.dev for a newer one; meanwhile callers without `refresh` get the one in force at once. A
    refresh that fails never replaces it by an older one. `accept` and `progress`: see `fetch.load`.
    """
    current = _current()
    if current.snapshot is not None and not refresh:
        return current.snapshot
    with current.loading:
        kept = current.snapshot
        if kept is not None and not refresh:  # another thread has loaded it
            return kept
        loaded = fetch.load(refresh, accept=accept, progress=progress)
        # what was fetched is taken whatever its date: a clock that was ahead has dated the one before it in the future
        if kept is None or loaded.meta.source == "fetched" or loaded.meta.date >= kept.meta.date:
            current.snapshot = kept = loaded
        return kept
