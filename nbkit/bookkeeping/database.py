"""The ledger of a team: the same rows in a PostgreSQL database, in a schema of its own, `nbkit`.

The address is a setting, and may hold a password: neither an error nor a name shows more of it than server and
database. libpq reads the password from PGPASSWORD or ~/.pgpass as well. A member of the team who did not create the
schema needs USAGE on it, and SELECT and INSERT on its tables (for budgets also UPDATE and DELETE).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from nbkit.bookkeeping.rows import COLUMNS, RESERVATION, SPENT_INDEX
from nbkit.errors import ConfigError

Rows = list[tuple[Any, ...]]
Execute = Callable[..., Rows]
T = TypeVar("T")

CONNECT_SECONDS = 5
"""How long a call waits at most for a server that does not answer."""
_USUAL: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 10_000,  # milliseconds
    "application_name": "nbkit",
}
_LOCK = 0x6E626B6974  # "nbkit": the number of the lock that transactions take, so that there is one at a time
_TYPES = {"text": 'text COLLATE "C"', "real": "double precision", "integer": "bigint"}
_NAMES = [column.name for column in COLUMNS]
_LISTED = ", ".join(f'"{name}"' for name in _NAMES)
_MARKS = ", ".join(["%s"] * len(_NAMES))
_INSERT = f"INSERT INTO calls ({_LISTED}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608 - our names
_SELECT = f"SELECT {_LISTED} FROM calls"  # noqa: S608
_SESSION = "SET search_path = nbkit; SET statement_timeout = '10s'"
_TABLES = "(to_regclass('nbkit.calls'), to_regclass('nbkit.reservations'))"
_KNOWN = f"SELECT attname FROM pg_attribute WHERE attrelid IN {_TABLES} AND NOT attisdropped"  # noqa: S608
_NEEDED = {*_NAMES, *(name for name, _ in RESERVATION)}
_CREATE = (
    "CREATE SCHEMA IF NOT EXISTS nbkit",
    'CREATE TABLE IF NOT EXISTS calls ("call" text PRIMARY KEY)',
    *(f'ALTER TABLE calls ADD COLUMN IF NOT EXISTS "{name}" {_TYPES[kind]}' for name, kind in COLUMNS),
    SPENT_INDEX,
    "CREATE TABLE IF NOT EXISTS reservations ({}, PRIMARY KEY (call))".format(
        ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in RESERVATION)
    ),
)


class DatabaseStore:
    """Rows in a database; see `Store`. Methods raise OSError; ConfigError for an address of the wrong form."""

    pause = 30.0
    """Seconds after a failure in which no call tries again: each would wait for a server that does not answer."""

    def __init__(self, address: str) -> None:
        self._connection: psycopg.Connection | None = None
        self._process = os.getpid()
        try:
            self._where = _read_address(address)
        finally:
            del address  # a traceback may print the locals of the frames that raise

    def __del__(self) -> None:
        if self._connection and self._process == os.getpid():  # what a fork drops is still its parent's
            self.close()

    def __str__(self) -> str:
        where = self._where
        return f"postgresql://{where.get('host', '')}:{where.get('port', 5432)}/{where.get('dbname', '')}"

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows in one transaction; one that is there already is left as it is."""
        with _as_os_errors():
            self._run(lambda connection: _write(connection, rows))

    def read(self, where: str, values: Sequence[Any]) -> Rows:
        """Read the rows that fulfil a condition, the oldest first."""
        with _as_os_errors():
            return self._run(lambda connection: _execute(connection, f"{_SELECT} WHERE {where} ORDER BY time", values))

    @contextmanager
    def transact(self) -> Iterator[Execute]:
        """Begin a transaction, one at a time for all kernels, while others write rows. Integers add up to a Decimal."""
        with _as_os_errors():
            connection = self._run(_begin)
            try:
                yield _as_os_errors()(partial(_execute, connection))
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):  # the connection may be what failed; the server takes back what it began
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, act: Callable[[psycopg.Connection], T]) -> T:
        """Act on the connection; where it has ended since it was last used (a restart of the server), on a new one."""
        old = self._connection
        if old is not None:
            try:
                return act(old)
            except psycopg.OperationalError:
                if not old.closed:
                    raise
                self._connection = None
        self._connection = _connect(self._where)
        return act(self._connection)


def _write(connection: psycopg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_INSERT, rows)


def _begin(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    return connection


def _execute(connection: psycopg.Connection, sql: str, values: Sequence[Any] = ()) -> Rows:
    """Execute one statement whose values stand as `?`, as SQLite has them; no `?` may stand in its texts."""
    cursor = connection.execute(sql.replace("%", "%%").replace("?", "%s").encode(), values)
    return cursor.fetchall() if cursor.description else []


def _read_address(address: str) -> dict[str, Any]:
    """Read an address into libpq's parameters. Raises ConfigError, which holds no part of it, so no password."""
    where = _parse_address(address)
    del address
    if where is not None:
        return where
    raise ConfigError(
        "NBKIT_LEDGER: expected an address like postgresql://user:password@host:5432/database; "
        "in a password, / is written as %2F, @ as %40 and % as %25"
    )


def _parse_address(address: str) -> dict[str, Any] | None:
    with suppress(psycopg.Error):
        where = conninfo_to_dict(address)
        # Else a part of a password that holds a / or @ would be taken for a port, a host or a database, and be shown.
        places = f"{where.get('host')} {where.get('dbname')}"
        if "@" not in places and str(where.get("port", 5432)).replace(",", "").isdecimal():
            return where
    return None


def _connect(where: dict[str, Any]) -> psycopg.Connection:
    """Connect, and make the schema where it is missing, or older than this version."""
    usual: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": 10_000,
        "application_name": "nbkit",
    }
    connection = psycopg.connect(**usual | where, client_encoding="utf8", autocommit=True, prepare_threshold=None)
    try:
        connection.execute(_SESSION)
        known = {name for (name,) in connection.execute(_KNOWN)}
        if not known.issuperset(_NEEDED):
            _begin(connection)  # another kernel may do the same at this moment
            for statement in _CREATE:
                connection.execute(statement.encode())
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what psycopg raises as an OSError of one line, without the connection that psycopg's holds."""
    try:
        yield
    except psycopg.Error as error:
        problem = " ".join(str(error).split())
    else:
        return
    raise OSError(problem)
