"""The ledger: an observer that writes a row for every paid call, and `ledger()`, which reads them.

A row waits in memory until `settle` writes all that wait in one transaction: a synchronous call does so before it
returns, an asynchronous one has it done in a thread, so that no event loop waits for a disk. A disk that is full or
read-only costs no answer: it is said once, the rows wait, and every later call tries again.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from nbkit.arguments import check_arguments
from nbkit.billing.entry import CallFacts
from nbkit.bookkeeping.rows import COLUMNS, Entry, count_attempts, fit_value, write_row
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import ConfigError, LedgerError, NbkitError
from nbkit.settings import Scoped, settings

if TYPE_CHECKING:
    import pandas as pd

    from nbkit.bookkeeping.store import Execute, Store

MOST_WAITING = 10_000
"""Rows kept in memory while they cannot be written; then the oldest go."""
_log = logging.getLogger("nbkit")


class _Book:
    """The rows that wait, and the store that they go to."""

    def __init__(self) -> None:
        self.waiting: deque[Entry | tuple[Any, ...]] = deque(maxlen=MOST_WAITING)
        self.lock = threading.Lock()
        self.settings = settings()
        self.store: Store | None = None
        self.process = 0
        self.has_warned = False
        self.pause_end = 0.0

    def open(self) -> Store:
        """Return the store, one of this process: a fork shares no connection. Raises ConfigError, see `open_store`."""
        if self.store is None or self.process != os.getpid():
            from nbkit.bookkeeping.store import open_store

            self.store, self.process = open_store(self.settings), os.getpid()
        return self.store

    @property
    def is_paused(self) -> bool:
        """Whether it is left alone for a while, because it has failed."""
        return self.pause_end > 0 and time.monotonic() < self.pause_end

    def settle(self, *, in_pause: bool = False) -> None:
        """Write the rows that wait. A failure is said once, and the rows wait on."""
        with self.lock:
            # Calls that waited here for another's attempt do not try a server again that has just failed.
            if not self.waiting or (self.is_paused and not in_pause):
                return
            rows = [write_row(one) if isinstance(one, Entry) else one for one in list(self.waiting)]
            try:
                self.open().write(rows)
            except _list_errors() as error:
                for place, row in enumerate(rows):  # which, unlike its call, holds no images
                    self.waiting[place] = row
                self._pause(error)
                return
            for _ in rows:
                self.waiting.popleft()
            self.has_warned = False

    def _pause(self, error: Exception) -> None:
        if self.store:
            self.store.close()
            self.pause_end = time.monotonic() + self.store.pause
        if not self.has_warned:
            _log.warning("the ledger %s cannot be written: %s. Calls go on.", self.store or "(NBKIT_LEDGER)", error)
            self.has_warned = True


_book: Scoped[_Book] = Scoped(_Book, "ledger", "ledger_durable")
SESSION = os.urandom(6).hex()
"""This process, in the rows."""


def _list_errors() -> tuple[type[Exception], ...]:
    """List what a store raises, or what opens it. Called when it has failed: no call before that imports sqlite3."""
    from sqlite3 import Error

    return Error, OSError, ConfigError


class Ledger:
    """An observer that books every call that was sent."""

    def begin(self, call: CallFacts) -> None:
        """Let every call pass."""

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Note a call; `settle` writes it."""
        now = settings()
        if now.ledger == "off":
            return
        attempts = count_attempts(completion, error)
        if completion is not None and completion.bill is not None and completion.bill.is_replay:
            attempts = 0
        elif not attempts:
            return
        entry = Entry(call, completion, error, attempts, time.time_ns(), find_notebook(), SESSION, now.ledger_content)
        _book().waiting.append(entry)

    @property
    def pending(self) -> bool:
        """Whether calls wait to be written."""
        book = _book()
        return bool(book.waiting) and not book.is_paused

    def settle(self) -> None:
        """Write what waits. May wait for other kernels, at most ten seconds."""
        _book().settle()


LEDGER = Ledger()


@contextmanager
def transact() -> Iterator[Execute]:
    """Begin a transaction in the store that excludes all other kernels'.

    Gives `execute(sql, values) -> rows`. Raises LedgerError where the store cannot be read or written.
    """
    book, failed = _book(), None
    with book.lock:
        try:
            with book.open().transact() as execute:
                yield _let_fail_plainly(execute, book)
        except _list_errors() as error:
            failed = _make_error(book, error)
    if failed:
        raise failed


def _let_fail_plainly(execute: Execute, book: _Book) -> Execute:
    """Raise LedgerError for what a statement raises: here, because nothing stands behind it then as its context."""

    def run(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return execute(sql, values)
        except _list_errors() as error:
            failed = _make_error(book, error)
        raise failed

    return run


def _make_error(book: _Book, error: Exception) -> LedgerError:
    return LedgerError(f"the ledger {book.store or '(NBKIT_LEDGER)'} cannot be written: {error}")


@atexit.register
def settle_last() -> None:
    """Try a last time, and say what is lost: the process ends, or another ledger begins."""
    if _book().waiting:
        _book().settle(in_pause=True)
        if lost := len(_book().waiting):
            calls = "1 call was paid and is" if lost == 1 else f"{lost} calls were paid and are"
            _log.warning("%s not in the ledger, which cannot be written", calls)


def find_notebook() -> str | None:
    """Find the path of the notebook as Jupyter's server tells the kernel; None elsewhere."""
    return os.environ.get("JPY_SESSION_NAME") or None


@check_arguments
def ledger(
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    model: str | None = None,
    tag: str | None = None,
    notebook: str | None = None,
    user: str | None = None,
) -> pd.DataFrame:
    """Return the paid calls of all notebooks: one row a call, the oldest first.

    `since`, `until`: a date, a datetime, or its ISO form ("2026-11-01"), from and before which the calls ended; without
    a time zone it is UTC. `model`: a model id. `tag`: a name given by `nbkit.tag`. `notebook`: the path of a notebook,
    or its end ("costs.ipynb"). `user`: whose calls, where a team keeps one ledger.

    `cost` and `saved` are in USD, NaN where they are not known, `seconds` and `first_token` in seconds, `time` in UTC;
    the token counts are disjoint. `.attrs["unpriced"]` counts the calls without a known cost, which no sum of `cost`
    has. Calls of the simulated provider, `demo`, have rows with its made-up prices, and `%cost`, `nbkit ledger` and
    `plots.spend` keep them apart from what was paid.

    Raises ConfigError for what is not a date, and where the ledger is switched off (NBKIT_LEDGER=off); LedgerError
    where it cannot be read.
    """
    if settings().ledger == "off":
        raise ConfigError("the ledger is switched off: NBKIT_LEDGER=off")
    conditions = {
        "time >= ?": _read_time("since", since),
        "time < ?": _read_time("until", until),
        "model = ?": model,
        '"user" = ?': user,
        "tags LIKE ? ESCAPE '\\'": None if tag is None else f"%{_escape(json.dumps(tag))}%",
        "notebook LIKE ? ESCAPE '\\'": None if notebook is None else f"%{_escape(notebook)}",
    }
    chosen = {text: value for text, value in conditions.items() if value is not None}
    return _make_frame(_read_rows(" AND ".join(chosen) or "1 = 1", tuple(map(fit_value, chosen.values()))))


def _read_rows(where: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    book = _book()
    book.settle(in_pause=True)
    with book.lock:
        store = book.open()
        try:
            return store.read(where, values)
        except _list_errors() as error:
            problem = f"the ledger {store} cannot be read: {error}"
    raise LedgerError(problem)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _read_time(name: str, value: date | str | None) -> str | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):  # OverflowError: before the year 1 in UTC
        raise ConfigError(f"{name}: expected a date like 2026-11-01, got {value!r}") from None


_DTYPES = {"text": "string", "real": "float64", "integer": "Int64"}


def _make_frame(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    frame = pd.DataFrame(
        {
            column.name: pd.Series(values, dtype=_DTYPES[column.kind])
            for column, values in zip(COLUMNS, columns, strict=True)
        }
    )
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["tags"] = [tuple(json.loads(tags)) if isinstance(tags, str) else () for tags in frame["tags"]]
    frame.attrs["unpriced"] = int(frame["cost"].isna().sum())
    return frame
