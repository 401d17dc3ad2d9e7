"""One row of the ledger: what is written down of a call, and from where each column takes it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import date, timedelta
from functools import cache, lru_cache
from getpass import getuser
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from nbkit.billing.digest import digest_request
from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import Bill, ChatCompletion, Usage
from nbkit.errors import AdapterError, NbkitError
from nbkit.json_text import write_json

_LARGEST = 2**63 - 1


def count_attempts(completion: ChatCompletion | None, error: NbkitError | None) -> int:
    """Count how often a request was sent; 0: never, so there is nothing to book."""
    if completion is not None and completion.timing is not None:
        return completion.timing.attempts
    return error.attempts if isinstance(error, AdapterError) else 0


class Entry(Struct, frozen=True):
    """A call that has ended."""

    call: CallFacts
    completion: ChatCompletion | None
    error: NbkitError | None
    attempts: int
    """How often the request was sent; 0: the answer was kept from an earlier run."""
    time: int
    """When it ended: nanoseconds since 1970."""
    notebook: str | None
    session: str
    with_content: bool
    """Whether prompt and answer are kept as well."""


class Column(NamedTuple):
    """A column: its name, and what it holds; None stands for what is not known."""

    name: str
    kind: Literal["text", "real", "integer"]


_BUCKETS = Usage.__struct_fields__
COLUMNS: tuple[Column, ...] = (
    *(Column(name, "text") for name in ("time", "user", "notebook", "session", "cell", "call", "model", "answered_by")),
    Column("protocol", "text"),
    *(Column(bucket, "integer") for bucket in _BUCKETS),
    Column("cost", "real"),
    *(Column(name, "text") for name in ("source", "catalog_date", "rates")),
    *(Column(name, "real") for name in ("saved", "seconds", "first_token")),
    Column("attempts", "integer"),
    *(Column(name, "text") for name in ("status", "error", "request", "tags", "prompt", "answer")),
)
"""The columns in the order of `write_row`. A column that is added later is NULL in older rows."""

_read_counts = attrgetter(*_BUCKETS)
_NO_COUNTS: tuple[int | None, ...] = (None,) * len(_BUCKETS)


def write_row(entry: Entry) -> tuple[Any, ...]:
    """Write an entry as the values of the columns: a plain list of them, because every call waits for it.

    Its status is `done`, `partial` (the answer broke off or was left) or `failed` (there was none, which has cost
    nothing, as in the running total).
    """
    call, completion, error, has_content = entry.call, entry.completion, entry.error, entry.with_content
    bill = usage = timing = answered_by = prompt = answer = None
    cost: float | None = 0.0
    status = "failed"
    if completion is not None:
        bill, usage, timing = completion.bill, completion.usage, completion.timing
        answered_by = completion.model or None
        cost = bill.total if bill else None
        status = "partial" if error is not None or (bill and bill.source == "partial") else "done"
        answer = completion.text if has_content else None
    if has_content:
        prompt = write_json(call.body, fallback=str).decode()
    counts = _read_counts(usage) if usage else _NO_COUNTS
    user, model = _find_user(), call.model_id
    origin = user, entry.notebook, entry.session, call.cell, call.id
    row = (
        *(_write_time(entry.time), *origin, model, answered_by, call.protocol),
        *counts,
        cost,
        *((bill.source, bill.catalog_date, _read_rates(bill), bill.saved) if bill else (None, None, None, None)),
        *((timing.total, timing.first_token) if timing else (None, None)),
        *(entry.attempts, status, type(error).__name__ if error else None, _read_request(call)),
        *(json.dumps(call.tags) if call.tags else "[]", prompt, answer),
    )
    texts = f"{user}{entry.notebook}{call.cell}{model}{answered_by}{prompt}{answer}"  # what others have named
    is_usual = texts.isascii() and "\0" not in texts and max(filter(None, counts), default=0) <= _LARGEST
    return row if is_usual else tuple(map(fit_value, row))


def _write_time(nanoseconds: int) -> str:
    """Write a time as ISO 8601, in UTC."""
    minutes, rest = divmod(nanoseconds // 1000, 60_000_000)
    days, minute = divmod(minutes, 1440)
    return f"{_write_day(days)}T{minute // 60:02}:{minute % 60:02}:{rest // 1_000_000:02}.{rest % 1_000_000:06}+00:00"


@lru_cache(maxsize=2)
def _write_day(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def _read_rates(bill: Bill) -> str | None:
    """Read the rates that the bill applied, as JSON: USD per million tokens, by bucket."""
    return _write_rates(tuple([(line.bucket, line.rate) for line in bill.lines])) if bill.lines else None


@lru_cache(maxsize=256)
def _write_rates(rates: tuple[tuple[str, float | None], ...]) -> str:
    return json.dumps(dict(rates))


def _read_request(call: CallFacts) -> str:
    """Read the digest of what was sent; where answers are kept for a replay, it is worked out before the call."""
    return call.sample.request if call.sample else digest_request(call)


@cache
def _find_user() -> str | None:
    """Find who runs this process: on a JupyterHub its user, whose account is often the same for all."""
    with suppress(OSError, KeyError):  # an account without a name, in a container
        return os.environ.get("JUPYTERHUB_USER") or getuser()
    return None


def fit_value(value: Any) -> Any:
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
