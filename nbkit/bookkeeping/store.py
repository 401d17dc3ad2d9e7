"""Where the rows of the ledger are kept: a file (SQLite) that many kernels write at once, or a team's database."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from nbkit.bookkeeping.database_file import open_database
from nbkit.bookkeeping.rows import COLUMNS, RESERVATION, SPENT_INDEX
from nbkit.errors import ConfigError
from nbkit.installed import name_extra
from nbkit.settings import Settings, settings

_TYPES = {"text": "TEXT", "real": "REAL", "integer": "INTEGER"}
_NAMES = [column.name for column in COLUMNS]
_LISTED = ", ".join(f'"{name}"' for name in _NAMES)
_CREATE = "CREATE TABLE IF NOT EXISTS calls ({})".format(
    ", ".join(f'"{c.name}" {_TYPES[c.kind]}' + (" PRIMARY KEY" if c.name == "call" else "") for c in COLUMNS)
)
_CREATE_RESERVATIONS = "CREATE TABLE IF NOT EXISTS reservations ({}, PRIMARY KEY (call))".format(
    ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in RESERVATION)
)
_INSERT = f"INSERT OR IGNORE INTO calls ({_LISTED}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - our names
_SELECT = f"SELECT {_LISTED} FROM calls"  # noqa: S608
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


def open_store(config: Settings) -> Store:
    """Return the store that the settings name; nothing is opened yet. Raises ConfigError without what it needs."""
    if not config.has_team_ledger:
        return FileStore(config.ledger_path)
    try:
        from nbkit.bookkeeping.database import DatabaseStore
    except ImportError:
        problem = f"NBKIT_LEDGER: psycopg, for PostgreSQL, is not installed: {name_extra('postgres')}"
    else:
        return DatabaseStore(config.ledger)
    raise ConfigError(problem)


class FileStore:
    """Rows in one file; see `Store`."""

    pause = 0.0
    look_seconds = 1.0
    """Seconds after which it looks again whether its file is still in its place: that costs a fifth of a row."""

    def __init__(self, path: Path) -> None:
        self._path, self._name = path, os.fspath(path)
        self._connection: sqlite3.Connection | None = None
        self._file: int | None = None  # the inode behind the connection
        self._looked = 0.0

    def __str__(self) -> str:
        return str(self._path)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows in one transaction; one that is there already is left as it is."""
        connection = self._connect()
        if len(rows) == 1:  # a transaction of itself
            connection.execute(_INSERT, rows[0])
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)

    @contextmanager
    def transact(self) -> Iterator[Execute]:
        """Begin a transaction; all other kernels that write wait for its end."""
        connection = self._connect()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(SPENT_INDEX)  # a file that counts for no budget does without: each row is dearer with it
            yield lambda sql, values=(): connection.execute(sql, values).fetchall()

    def read(self, where: str, values: Sequence[Any]) -> Rows:
        """Read the rows that fulfil a condition, the oldest first; nothing before there is a file."""
        if not self._path.exists():
            return []
        return self._connect().execute(f"{_SELECT} WHERE {where} ORDER BY time, rowid", values).fetchall()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        now = time.monotonic()
        if self._connection is not None and now >= self._looked + self.look_seconds:
            self._looked = now
            if self._file != _find_file(self._name):
                self.close()  # somebody has removed or renamed it: nobody would see what is written there
        if self._connection is None:
            self._connection = open_database(self._path, _prepare, "ledger")
            self._file, self._looked = _find_file(self._name), now
        return self._connection


def _find_file(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116  # faster than a Path
    except FileNotFoundError:
        return None


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or add the columns that a file of an older version lacks."""
    connection.execute("PRAGMA case_sensitive_like=ON")  # as everywhere else
    if settings().ledger_durable:
        connection.execute("PRAGMA synchronous=FULL")
    connection.execute(_CREATE)
    known = {name for _, name, *_ in connection.execute("PRAGMA table_info(calls)")}
    for column in COLUMNS:
        if column.name not in known:
            _add_column(connection, column.name, _TYPES[column.kind])
    connection.execute(_CREATE_RESERVATIONS)


def _add_column(connection: sqlite3.Connection, name: str, kind: str) -> None:
    """Add a column to a file of an older version; another kernel may do so at the same moment."""
    try:
        connection.execute(f'ALTER TABLE calls ADD COLUMN "{name}" {kind}')
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):
            raise
