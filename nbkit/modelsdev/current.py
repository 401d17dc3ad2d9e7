"""The snapshot of models.dev in force in this process."""

from __future__ import annotations

from threading import RLock

from nbkit.modelsdev import fetch
from nbkit.modelsdev.snapshot import Snapshot

_loading = RLock()
_snapshots: list[Snapshot] = []  # at most one: the one in force


def current_snapshot(
    refresh: bool = False, *, accept: bool = False, progress: fetch.Progress | None = None
) -> Snapshot:
    """The models.dev snapshot in force; `refresh` asks models.dev for a newer one, and who does not ask need not wait.

    A refresh that fails never replaces it by an older one. `accept` and `progress`: see `fetch.load`.
    """
    if _snapshots and not refresh:
        return _snapshots[0]
    with _loading:
        if refresh or not _snapshots:
            found = fetch.load(refresh, accept=accept, progress=progress)
            if not _snapshots or found.meta.date >= _snapshots[0].meta.date:
                _snapshots[:] = [found]
        return _snapshots[0]
