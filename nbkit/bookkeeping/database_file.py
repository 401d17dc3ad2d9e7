"""A file of SQLite that many kernels write at once: opened so that none waits long, nothing is lost, and others read
none of it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from nbkit.files import make_private_directory

BUSY_SECONDS = 10.0
"""How long a writer waits for the others."""
# File systems on which processes of several machines would not see each other's shared memory, which WAL needs.
_NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs")
_MOUNTS = Path("/proc/mounts")
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
"""Errors that end when another kernel is done."""
_log = logging.getLogger("nbkit")

Prepare = Callable[[sqlite3.Connection], None]


def open_database(path: Path, prepare: Prepare, what: str) -> sqlite3.Connection:
    """Open a file, or make it; `prepare` makes the tables that are missing. One that is broken is put aside.

    In a place that is read-only it can be read. `what`: what the file is, for the warning then. Raises sqlite3.Error
    and OSError.
    """
    try:
        return _open(path, prepare)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable: not the file's fault
            raise
        _put_aside(path, error, what)
        return _open(path, prepare)


def _open(path: Path, prepare: Prepare) -> sqlite3.Connection:
    if _is_left_as_it_is(path):
        return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
    make_private_directory(path.parent)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not _is_on_network(path):
            # The commit of a process that is killed is kept; one in the last moment before a power failure may be lost.
            _begin_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_left_as_it_is(path: Path) -> bool:
    """Tell whether a file is whole and in a place that is read-only: SQLite can read it only if it is told so."""
    return path.exists() and not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Change to a write-ahead log, which readers and a writer share. SQLite does not wait for other kernels here."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _PASSING or time.monotonic() > end:  # a full disk stays full
                raise
            time.sleep(0.01)
        else:
            return


def _put_aside(path: Path, error: sqlite3.Error, what: str) -> None:
    """Rename a file that is not a database, or not whole, and say so."""
    aside = path.with_name(f"{path.name}.broken-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}")
    for ending in ("", "-wal", "-shm"):
        try:
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
        except FileNotFoundError:  # another kernel was faster, or there is no such file
            continue
    _log.warning("the %s cannot be read (%s): it is kept as %s, and a new one begins", what, error, aside)


def _is_on_network(path: Path) -> bool:
    """Tell whether a file is on a network's file system; outside of Linux that is not known, and False."""
    try:
        mounts = [line.split(" ")[1:3] for line in _MOUNTS.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return False
    place = os.fspath(path.resolve())
    holding = [(point, kind) for point, kind in mounts if place.startswith(point.rstrip("/") + "/")]
    return bool(holding) and max(holding, key=lambda mount: len(mount[0]))[1].startswith(_NETWORK)
