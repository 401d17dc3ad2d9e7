"""Reservations: rows in the ledger's store for what calls in flight may cost, seen by all kernels.

A reservation is made in the transaction that has added up what is spent and reserved, so two kernels never take the
same dollar. It ends with its call's row in the ledger, which needs no further write. One whose kernel died ends when
the deadline of its call (NBKIT_HTTP_DEADLINE) and a minute have passed; one without an end counts as spent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nbkit.billing.budget import Budget
from nbkit.billing.ceiling import Ceiling
from nbkit.billing.entry import CallFacts
from nbkit.bookkeeping.ledger import LEDGER, SESSION, find_notebook, transact
from nbkit.settings import Scoped, settings

if TYPE_CHECKING:
    from nbkit.bookkeeping.store import Execute

GRACE_SECONDS = 60
"""How long a reservation outlives the deadline of its call."""
_BOOKED = (
    "DELETE FROM reservations WHERE EXISTS"
    " (SELECT 1 FROM calls WHERE calls.call = reservations.call AND calls.cost IS NOT NULL)"
)
_EXPIRED = "DELETE FROM reservations WHERE expires < ? OR (expires IS NOT NULL AND time > ?)"
_RENEW = "UPDATE reservations SET expires = ? WHERE session = ? AND expires IS NOT NULL"
_INSERT = "INSERT INTO reservations (call, time, notebook, session, amount, expires) VALUES (?, ?, ?, ?, ?, ?)"
_FREE = "DELETE FROM reservations WHERE call = ?"
_KEEP = "UPDATE reservations SET call = ?, expires = NULL WHERE call = ?"
_RESERVED = "SELECT expires IS NULL, SUM(amount) FROM reservations WHERE {} GROUP BY expires IS NULL"
_SPENT = "SELECT COALESCE(SUM(cost), 0) FROM calls WHERE {}"
Statement = tuple[str, tuple[Any, ...]]


class Reservations:
    """The rows of this process, and the changes of them that wait to be written. Raises LedgerError."""

    def __init__(self) -> None:
        self.waiting: deque[Statement] = deque()

    def reserve(self, call: CallFacts, ceiling: Ceiling, budgets: Iterable[Budget], *, again: bool) -> None:
        """Reserve for a call what it may cost. Raises BudgetExceededError where one of the budgets has less left."""
        self._settle_all()
        now, usd = datetime.now(UTC), ceiling.usd or Decimal(0)
        with transact() as execute:
            _prune(execute, now)
            for budget in budgets:
                spent, reserved = _add_up(execute, budget, now)
                budget.note(spent, reserved)
                budget.check(call.model_id, ceiling, spent, reserved, again=again)
                budget.note(spent, reserved + usd)
            execute(_INSERT, (call.id, _write_time(now), find_notebook(), SESSION, float(usd), _find_end(now)))

    def free(self, call: str) -> None:
        """Note that nothing was sent for a call."""
        self.waiting.append((_FREE, (call,)))

    def keep(self, call: str, name: str = "") -> None:
        """Note that what was reserved for a call counts as spent; under another name where its row does not count."""
        self.waiting.append((_KEEP, (name or call, call)))

    def settle(self) -> None:
        """Write the changes that wait."""
        changes = [self.waiting.popleft() for _ in range(len(self.waiting))]
        if not changes:
            return
        try:
            with transact() as execute:
                for sql, values in changes:
                    execute(sql, values)
        except BaseException:
            self.waiting.extendleft(reversed(changes))
            raise

    def look(self, budget: Budget) -> None:
        """Read what of a budget is spent and reserved."""
        self._settle_all()
        with transact() as execute:
            now = datetime.now(UTC)
            _prune(execute, now)
            budget.note(*_add_up(execute, budget, now))

    def _settle_all(self) -> None:
        """Write the changes, and then this process's rows, which end reservations that the changes do not keep."""
        self.settle()
        LEDGER.settle()


RESERVATIONS: Scoped[Reservations] = Scoped(Reservations, "ledger")


def _prune(execute: Execute, now: datetime) -> None:
    """Remove what ended. A live kernel's reservations do not end: a stream may be read slowly, or wait for its user."""
    execute(_RENEW, (_find_end(now), SESSION))
    # What was reserved tomorrow was so before the clock was set back: else it would hold until then.
    execute(_EXPIRED, (_write_time(now), _write_time(now + timedelta(days=1))))
    execute(_BOOKED)


def _add_up(execute: Execute, budget: Budget, now: datetime) -> tuple[Decimal, Decimal]:
    """Add up what of a budget is spent and what is reserved.

    The reservations come first: a row that another kernel books in between counts twice then, and never not at all.
    """
    where, values = _choose(budget, now)
    open_now = " OR expires IS NOT NULL" if where.startswith("time") else ""  # it ends, and is booked, in this period
    rows = execute(_RESERVED.format(where + open_now), values)
    sums = {bool(is_kept): Decimal(repr(float(amount))) for is_kept, amount in rows}
    ((booked,),) = execute(_SPENT.format(where), values)
    return sums.get(True, Decimal(0)) + Decimal(repr(float(booked))), sums.get(False, Decimal(0))


def _choose(budget: Budget, now: datetime) -> tuple[str, tuple[Any, ...]]:
    """Choose the rows that a budget counts: a day and a month by the clock of this machine."""
    if budget.per == "notebook":
        notebook = find_notebook()
        return ("notebook = ?", (notebook,)) if notebook else ("session = ?", (SESSION,))
    day = now.astimezone().date()
    begin = day if budget.per == "day" else day.replace(day=1)
    end = day + timedelta(days=1) if budget.per == "day" else (begin + timedelta(days=31)).replace(day=1)
    # not what was paid while the clock was ahead: it would count until then
    return "time >= ? AND time < ?", tuple(
        _write_time(datetime.combine(one, time()).astimezone()) for one in (begin, end)
    )


def _find_end(now: datetime) -> str:
    return _write_time(now + timedelta(seconds=settings().http_deadline + GRACE_SECONDS))


def _write_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
