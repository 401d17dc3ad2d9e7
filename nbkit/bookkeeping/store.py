"""Where the rows of the ledger are kept: a file (SQLite) that many kernels write at once, or a team's database."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from nbkit.bookkeeping.rows import COLUMNS
from nbkit.errors import ConfigError
from nbkit.files import make_private_directory
from nbkit.installed import name_extra
from nbkit.settings import Settings

BUSY_SECONDS = 10.0
"""How long a writer waits for the others."""
_TYPES = {"text": "TEXT", "real": "REAL", "integer": "INTEGER"}
_NAMES = [column.name for column in COLUMNS]
_LISTED = ", ".join(f'"{name}"' for name in _NAMES)
_CREATE = "CREATE TABLE IF NOT EXISTS calls ({})".format(
    ", ".join(f'"{c.name}" {_TYPES[c.kind]}' + (" PRIMARY KEY" if c.name == "call" else "") for c in COLUMNS)
)
_INSERT = f"INSERT OR IGNORE INTO calls ({_LISTED}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - our names
_SELECT = f"SELECT {_LISTED} FROM calls"  # noqa: S608
# File systems on which processes of several machines would not see each other's shared memory, which WAL needs.
_NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs")
_MOUNTS = Path("/proc/mounts")
_log = logging.getLogger("nbkit")


Rows = list[tuple[Any, ...]]
Execute = Callable[..., Rows]


class Store(Protocol):
    """Keeps rows; not for two threads at once. Its text names the place, without a password.

    Methods raise sqlite3.Error and OSError. Conditions and statements are SQL with `?` for each value.
    """

    pause: float
    """Seconds to leave it alone after it has failed."""

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows in one transaction; one that is there already is left as it is."""

    def read(self, where: str, values: Sequence[Any]) -> Rows:
        """Read the rows that fulfil a condition, the oldest first."""

    def transact(self) -> AbstractContextManager[Execute]:
        """Begin a transaction that excludes all others, and give `execute(sql, values) -> rows`.

        It sees what was committed before it, and is undone where its block raises.
        """

    def close(self) -> None:
        """Close the connection; the next use opens it again."""


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name; nothing is opened yet. Raises ConfigError without what it needs."""
    if not settings.ledger.startswith(("postgresql://", "postgres://")):
        return FileStore(settings.ledger_path)
    try:
        from nbkit.bookkeeping.database import DatabaseStore
    except ImportError:
        problem = f"NBKIT_LEDGER: psycopg, for PostgreSQL, is not installed: {name_extra('postgres')}"
    else:
        return DatabaseStore(settings.ledger)
    raise ConfigError(problem)


class FileStore:
    """Rows in one file; see `Store`."""

    pause = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return str(self._path)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows in one transaction; one that is there already is left as it is."""
        connection = self._connect()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)

    @contextmanager
    def transact(self) -> Iterator[Execute]:
        """Begin a transaction; all other kernels that write wait for its end."""
        connection = self._connect()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield lambda sql, values=(): connection.execute(sql, values).fetchall()

    def read(self, where: str, values: Sequence[Any]) -> Rows:
        """Read the rows that fulfil a condition, the oldest first; nothing before there is a file."""
        if not self._path.exists():
            return []
        return self._connect().execute(f"{_SELECT} WHERE {where} ORDER BY time", values).fetchall()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _open(self._path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable: not the file's fault
                    raise
                _put_aside(self._path, error)
                self._connection = _open(self._path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    make_private_directory(path.parent)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not _is_on_network(path):
            # The commit of a process that is killed is kept; one in the last moment before a power failure may be lost.
            _begin_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA case_sensitive_like=ON")  # as everywhere else
        connection.execute(_CREATE)
        known = {name for _, name, *_ in connection.execute("PRAGMA table_info(calls)")}
        for column in COLUMNS:
            if column.name not in known:
                _add_column(connection, column.name, _TYPES[column.kind])
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Change to a write-ahead log, which readers and a writer share. SQLite does not wait for other kernels here."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _add_column(connection: sqlite3.Connection, name: str, kind: str) -> None:
    """Add a column to a file of an older version; another kernel may do so at the same moment."""
    try:
        connection.execute(f'ALTER TABLE calls ADD COLUMN "{name}" {kind}')
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):
            raise


def _put_aside(path: Path, error: sqlite3.Error) -> None:
    """Rename a file that is not a ledger, or not whole, and say so."""
    aside = path.with_name(f"{path.name}.broken-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}")
    for ending in ("", "-wal", "-shm"):
        try:
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
        except FileNotFoundError:  # another kernel was faster, or there is no such file
            continue
    _log.warning("the ledger cannot be read (%s): it is kept as %s, and a new one begins", error, aside)


def _is_on_network(path: Path) -> bool:
    """Tell whether a file is on a network's file system; outside of Linux that is not known, and False."""
    try:
        mounts = [line.split(" ")[1:3] for line in _MOUNTS.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return False
    place = os.fspath(path.resolve())
    holding = [(point, kind) for point, kind in mounts if place.startswith(point.rstrip("/") + "/")]
    return bool(holding) and max(holding, key=lambda mount: len(mount[0]))[1].startswith(_NETWORK)
