"""Where answers are kept: a file of lines beside a notebook, or a database in the cache directory.

Both are bounded: the oldest go. Neither is for two threads at once; what they raise is OSError and sqlite3.Error.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from nbkit.bookkeeping.database_file import open_database
from nbkit.bookkeeping.recording import Recording, read_recording
from nbkit.files import write_atomically
from nbkit.settings import settings

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_log = logging.getLogger("nbkit")


class Recordings(Protocol):
    """Keeps answers. Its text names the place."""

    def find(self, request: str, sample: int) -> Recording | None:
        """Find the answer to a request."""

    def keep(self, recordings: Sequence[Recording]) -> None:
        """Keep answers; one to the same request, of the same number, is replaced."""

    def count(self) -> int:
        """Count the answers."""

    def list_all(self) -> Iterator[Recording]:
        """List all answers, the oldest first."""

    def remove(self, keys: Sequence[tuple[str, int]]) -> None:
        """Remove answers by their keys."""


def open_recordings(path: Path | None) -> Recordings:
    """Open a file that ends with .jsonl, or a database; None: the one in the cache directory."""
    if path is None:
        return Database(settings().cache_dir / "replay.sqlite3")
    return Lines(path) if path.suffix == ".jsonl" else Database(path)


class Lines:
    """A file with a line for each answer, in memory as long as it is used. It can be read and compared like a program.

    What others append meanwhile is read before it is written anew, which happens where a line is replaced or removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[tuple[str, int], bytes] | None = None
        self._warned = False

    def __str__(self) -> str:
        return self.path.name

    def find(self, request: str, sample: int) -> Recording | None:
        """Find the answer to a request."""
        line = self._read().get((request, sample))
        return None if line is None else read_recording(line)

    def keep(self, recordings: Sequence[Recording]) -> None:
        """Keep answers: they are appended, unless one is replaced."""
        lines = self._read()
        fresh = {recording.key: recording.write() for recording in recordings}
        full = self._measure(lines) + self._measure(fresh) > _get_limit()
        # A link, which may have come with somebody else's notebook, is replaced: nothing is written to where it leads.
        if fresh.keys() & lines.keys() or full or self.path.is_symlink():
            self._lines = self._load() | fresh
            self._write()
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.path, _APPEND, 0o600), "a+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            whole = not end or (file.seek(end - 1), file.read(1))[1] == b"\n"  # else its last writer was killed
            file.write((b"" if whole else b"\n") + b"".join(line + b"\n" for line in fresh.values()))
        lines |= fresh

    def count(self) -> int:
        """Count the answers."""
        return len(self._read())

    def list_all(self) -> Iterator[Recording]:
        """List all answers, the oldest first."""
        return map(read_recording, list(self._read().values()))

    def remove(self, keys: Sequence[tuple[str, int]]) -> None:
        """Remove answers by their keys."""
        self._lines = {key: line for key, line in self._load().items() if key not in set(keys)}
        self._write()

    def _read(self) -> dict[tuple[str, int], bytes]:
        if self._lines is None:
            self._lines = self._load()
        return self._lines

    def _load(self) -> dict[tuple[str, int], bytes]:
        """Read the file; of a line that is not an answer it is said once that it is skipped."""
        lines: dict[tuple[str, int], bytes] = {}
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return lines
        problems: list[str] = []
        with file:
            if (size := os.fstat(file.fileno()).st_size) > _get_limit():
                file.seek(size - _get_limit())
                file.readline()
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    recording = read_recording(line)
                except ValueError as wrong:
                    problems.append(f"line {number} ({wrong})")
                else:
                    lines.pop(recording.key, None)  # the last one counts, and is the newest
                    lines[recording.key] = line.rstrip(b"\r\n")
        if problems and not self._warned:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            _log.warning("%s: %s%s: not an answer of a replay, skipped", self.path, problems[0], more)
            self._warned = True
        return lines

    def _write(self) -> None:
        lines = self._read()
        while self._measure(lines) > _get_limit():
            del lines[next(iter(lines))]
        write_atomically(self.path, b"".join(line + b"\n" for line in lines.values()))

    @staticmethod
    def _measure(lines: dict[tuple[str, int], bytes]) -> int:
        return sum(len(line) + 1 for line in lines.values())


class Database:
    """A file of SQLite, used by many kernels at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def __str__(self) -> str:
        return self.path.name

    def find(self, request: str, sample: int) -> Recording | None:
        """Find the answer to a request."""
        if not self.path.exists():
            return None
        select = "SELECT line FROM answers WHERE request = ? AND sample = ?"
        row = self._connect().execute(select, (request, sample)).fetchone()
        return None if row is None else self._restore(row[0])

    def keep(self, recordings: Sequence[Recording]) -> None:
        """Keep answers."""
        rows = [(*one.key, one.kept.isoformat(), one.write()) for one in recordings]
        connection = self._connect()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
            while self._measure(connection) > _get_limit():
                oldest = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers ORDER BY kept LIMIT ?)"
                (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
                if not connection.execute(oldest, (count // 10 + 1,)).rowcount:
                    return

    def count(self) -> int:
        """Count the answers."""
        if not self.path.exists():
            return 0
        return int(self._connect().execute("SELECT count(*) FROM answers").fetchone()[0])

    def list_all(self) -> Iterator[Recording]:
        """List all answers, the oldest first."""
        if self.path.exists():
            for (line,) in self._connect().execute("SELECT line FROM answers ORDER BY kept, sample"):
                if (recording := self._restore(line)) is not None:
                    yield recording

    def remove(self, keys: Sequence[tuple[str, int]]) -> None:
        """Remove answers by their keys, and give their space back."""
        connection = self._connect()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM answers WHERE request = ? AND sample = ?", keys)
        connection.execute("VACUUM")

    @staticmethod
    def _restore(line: bytes) -> Recording | None:
        try:
            return read_recording(line)
        except ValueError:  # of a later version of nbkit, or broken: it is asked for again
            return None

    @staticmethod
    def _measure(connection: sqlite3.Connection) -> int:
        pages, spare, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - spare) * size)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():  # forked: a connection is not shared
            self._connection, self._process = open_database(self.path, _prepare, "cache of answers"), os.getpid()
        return self._connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS answers (request TEXT, sample INTEGER, kept TEXT, line BLOB, "
        "PRIMARY KEY (request, sample))"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS by_time ON answers (kept)")


def _get_limit() -> int:
    return settings().replay_megabytes * 1_000_000


def write_copy(recordings: Iterable[Recording], target: Path) -> int:
    """Write answers into a new file of lines; return how many there are. Raises FileExistsError."""
    lines = [recording.write() + b"\n" for recording in recordings]
    target.touch(mode=0o600, exist_ok=False)
    target.write_bytes(b"".join(lines))
    return len(lines)
