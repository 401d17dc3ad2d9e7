"""One row of the ledger: what is written down of a call, and from where each column takes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from getpass import getuser
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from nbkit.billing.digest import digest_request
from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.errors import AdapterError, NbkitError

_LARGEST = 2**63 - 1


def count_attempts(completion: ChatCompletion | None, error: NbkitError | None) -> int:
    """Count how often a request was sent; 0: never, so there is nothing to book."""
    if completion is not None and completion.timing is not None:
        return completion.timing.attempts
    return error.attempts if isinstance(error, AdapterError) else 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that has ended."""

    call: CallFacts
    completion: ChatCompletion | None
    error: NbkitError | None
    time: str
    """When it ended: ISO 8601, UTC."""
    notebook: str | None
    session: str
    with_content: bool
    """Whether prompt and answer are kept as well."""

    @property
    def is_replay(self) -> bool:
        """Whether the answer was kept from an earlier run."""
        return self.completion is not None and self.completion.bill is not None and self.completion.bill.is_replay

    @property
    def attempts(self) -> int:
        """How often the request was sent; 0: never, so there is nothing to book but a replay."""
        return 0 if self.is_replay else count_attempts(self.completion, self.error)

    @property
    def status(self) -> str:
        """`done`, `partial` (the answer broke off or was left) or `failed` (there was none)."""
        if self.completion is None:
            return "failed"
        bill = self.completion.bill
        return "partial" if self.error is not None or (bill is not None and bill.source == "partial") else "done"


class Column(NamedTuple):
    """A column: its name, what it holds, and how it is read; None stands for what is not known."""

    name: str
    kind: Literal["text", "real", "integer"]
    read: Callable[[Entry], Any]


def _of_answer(name: str) -> Callable[[Entry], Any]:
    return lambda entry: getattr(entry.completion, name) or None if entry.completion else None


def _of_bill(name: str) -> Callable[[Entry], Any]:
    return lambda entry: getattr(entry.completion.bill, name) if entry.completion and entry.completion.bill else None


def _of_timing(name: str) -> Callable[[Entry], Any]:
    return lambda entry: (
        getattr(entry.completion.timing, name) if entry.completion and entry.completion.timing else None
    )


def _of_usage(name: str) -> Callable[[Entry], Any]:
    return lambda entry: getattr(entry.completion.usage, name) if entry.completion and entry.completion.usage else None


def _read_cost(entry: Entry) -> float | None:
    """Read the cost in USD; a call that failed without any completion has cost nothing, as in the running total."""
    return entry.completion.cost if entry.completion else 0.0


def _read_rates(entry: Entry) -> str | None:
    """Read the rates that the bill applied, as JSON: USD per million tokens, by bucket."""
    bill = entry.completion.bill if entry.completion else None
    return _write_rates(tuple([(line.bucket, line.rate) for line in bill.lines])) if bill and bill.lines else None


@lru_cache(maxsize=256)
def _write_rates(rates: tuple[tuple[str, float | None], ...]) -> str:
    return json.dumps(dict(rates))


def _write_body(entry: Entry) -> str:
    return to_json(entry.call.body, fallback=str).decode()


def _read_request(entry: Entry) -> str:
    """Read the digest of what was sent; where answers are kept for a replay, it is worked out before the call."""
    return entry.call.sample.request if entry.call.sample else digest_request(entry.call)


@cache
def _find_user() -> str | None:
    """Find who runs this process: on a JupyterHub its user, whose account is often the same for all."""
    with suppress(OSError, KeyError):  # an account without a name, in a container
        return os.environ.get("JUPYTERHUB_USER") or getuser()
    return None


COLUMNS: tuple[Column, ...] = (
    Column("time", "text", lambda entry: entry.time),
    Column("user", "text", lambda entry: _find_user()),
    Column("notebook", "text", lambda entry: entry.notebook),
    Column("session", "text", lambda entry: entry.session),
    Column("cell", "text", lambda entry: entry.call.cell),
    Column("call", "text", lambda entry: entry.call.id),
    Column("model", "text", lambda entry: entry.call.model_id),
    Column("answered_by", "text", _of_answer("model")),
    Column("protocol", "text", lambda entry: entry.call.protocol),
    *(Column(bucket, "integer", _of_usage(bucket)) for bucket in Usage.__slots__),
    Column("cost", "real", _read_cost),
    Column("source", "text", _of_bill("source")),
    Column("catalog_date", "text", _of_bill("catalog_date")),
    Column("rates", "text", _read_rates),
    Column("saved", "real", _of_bill("saved")),
    Column("seconds", "real", _of_timing("total")),
    Column("first_token", "real", _of_timing("first_token")),
    Column("attempts", "integer", lambda entry: entry.attempts),
    Column("status", "text", lambda entry: entry.status),
    Column("error", "text", lambda entry: type(entry.error).__name__ if entry.error else None),
    Column("request", "text", _read_request),
    Column("tags", "text", lambda entry: json.dumps(entry.call.tags) if entry.call.tags else "[]"),
    Column("prompt", "text", lambda entry: _write_body(entry) if entry.with_content else None),
    Column("answer", "text", lambda entry: entry.completion.text if entry.with_content and entry.completion else None),
)
"""The columns in their order. A column that is added later is NULL in older rows."""


_READERS = [column.read for column in COLUMNS]


def write_row(entry: Entry) -> tuple[Any, ...]:
    """Write an entry as the values of the columns."""
    row = tuple([read(entry) for read in _READERS])
    texts, numbers = "".join([one for one in row if type(one) is str]), [one for one in row if type(one) is int]
    is_usual = (
        texts.isascii() and "\0" not in texts and max(numbers) <= _LARGEST
    )  # nearly every row: one look instead of thirty
    return row if is_usual else tuple(map(_fit, row))


def _fit(value: Any) -> Any:
    """Make a value one that every database takes: no NUL, no half of a character, no number above 64 bits."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return min(value, _LARGEST) if isinstance(value, int) else value


RESERVATION: tuple[tuple[str, Literal["text", "real"]], ...] = (
    ("call", "text"),
    ("time", "text"),
    ("notebook", "text"),
    ("session", "text"),
    ("amount", "real"),
    ("expires", "text"),
)
"""The columns of the table `reservations`: what a call in flight may cost (USD), and until when that holds; without an
end it is spent. The first is the key."""
SPENT_INDEX = "CREATE INDEX IF NOT EXISTS calls_spent ON calls (time, notebook, session, cost)"
"""What budgets add up."""
