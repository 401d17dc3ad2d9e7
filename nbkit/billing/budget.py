"""A budget: how much calls may cost at most, what of it is spent and reserved, and the refusal of one call more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from decimal import ROUND_DOWN, Context, Decimal
from types import TracebackType
from typing import Any, Literal, Self

from msgspec import Struct

from nbkit.billing.ceiling import Ceiling
from nbkit.billing.entry import open_block
from nbkit.billing.money import format_usd
from nbkit.errors import BudgetExceededError

Per = Literal["call", "block", "notebook", "day", "month"]
WORDS: dict[Per, tuple[str, str]] = {
    "call": ("for each call", "for each call"),
    "block": ("for this block", "in this block"),
    "notebook": ("for this notebook", "in this notebook"),
    "day": ("per day", "today"),
    "month": ("per month", "this month"),
}
"""What a budget is for, and where its money was spent, in words."""
_ZERO = Decimal(0)
_SMALLEST = Decimal("1e-9")
"""USD. A store adds up in binary fractions: a sum that is above a budget by less is equal to it."""
_log = logging.getLogger("nbkit")
_entered: ContextVar[tuple[AbstractContextManager[None], ...]] = ContextVar("nbkit_budgets", default=())


class _Open(Struct):
    """A call in flight: what is reserved for it, and for attempts before this one that may have been paid."""

    reserved: Decimal
    kept: Decimal = _ZERO


class Budget:
    """How much calls may cost at most: `with nbkit.budget(usd=2) as budget: ...`. Amounts are in USD.

    `usd`: the cap. `per`: for what. `spent`, `reserved`, `left`: as of now; those of a notebook, a day and a month are
    read from the ledger. `holds`: False once an answer came whose cost nobody knows, or that cost more than any price
    list said; then more than the cap may have been spent.
    """

    def __init__(
        self, usd: Decimal, per: Per, *, allows_unpriced: bool, name: str, look: Callable[[Budget], None]
    ) -> None:
        self.cap, self.per, self.allows_unpriced, self._name, self._look = usd, per, allows_unpriced, name, look
        self.holds = True
        self._lock = threading.Lock()
        self._calls: dict[str, _Open] = {}
        self._settled = self._reserved = _ZERO  # of a stored budget: as they were last read

    # What is left

    @property
    def is_stored(self) -> bool:
        """Whether it counts what the ledger has, and the reservations of all kernels."""
        return self.per in ("notebook", "day", "month")

    @property
    def usd(self) -> float:
        """The cap."""
        return float(self.cap)

    @property
    def spent(self) -> float:
        """Money that is spent."""
        return float(self.read()[0])

    @property
    def reserved(self) -> float:
        """Money that is reserved for calls in flight."""
        return float(self.read()[1])

    @property
    def left(self) -> float:
        """Money that further calls may cost; not below 0."""
        return float(max(self.cap - sum(self.read()), _ZERO))

    def read(self, *, anew: bool = True) -> tuple[Decimal, Decimal]:
        """Read what is spent and what is reserved; `anew`: also from the ledger."""
        if anew and self.is_stored:
            self._look(self)
        with self._lock:
            open_now = list(self._calls.values())
            spent = sum((one.kept for one in open_now), self._settled)
            return spent, sum((one.reserved for one in open_now), self._reserved)

    def note(self, spent: Decimal, reserved: Decimal) -> None:
        """Take what the store has."""
        with self._lock:
            self._settled, self._reserved = spent, reserved

    # A call

    def check(self, model: str, ceiling: Ceiling, spent: Decimal, reserved: Decimal, *, again: bool = False) -> None:
        """Raise BudgetExceededError where one call more may cost too much, `again`: one attempt more."""
        facts: dict[str, Any] = {
            "model": model,
            "usd": self.usd,
            "per": self.per,
            "spent": float(spent),
            "reserved": float(reserved),
        }
        if ceiling.usd is None:
            if self.allows_unpriced:
                return
            allow = "unpriced=allow in NBKIT_BUDGET" if self._name == "NBKIT_BUDGET" else "unpriced='allow'"
            raise BudgetExceededError(
                f"{model}: nothing was sent, because it may cost anything: {ceiling.why}. A budget of "
                f"{_write_cap(self.cap)} {WORDS[self.per][0]} holds; give its price (cost=), or let it pass ({allow})",
                **facts,
            )
        if spent + reserved + ceiling.usd <= self.cap + _SMALLEST:
            return
        sent = "it was not sent again, for the attempt before may have been paid" if again else "nothing was sent"
        raise BudgetExceededError(
            f"{model}: {sent}. It may cost up to {format_usd(ceiling.usd)} ({ceiling}); of the budget of "
            f"{_write_cap(self.cap)} {WORDS[self.per][0]}, {format_usd(spent)} is spent and {format_usd(reserved)} "
            f"reserved. Raise it with {self._name}; a smaller max_tokens= needs less",
            **facts,
            most=float(ceiling.usd),
        )

    def reserve(self, call: str, model: str, ceiling: Ceiling) -> None:
        """Reserve for a call what it may cost; what was reserved before may have been paid. Not for stored budgets."""
        with self._lock:
            before = self._calls.get(call, _Open(_ZERO))
            counted = self._calls.values() if self.per == "block" else [before]
            spent = sum((one.kept for one in counted), self._settled)
            reserved = sum((one.reserved for one in counted), _ZERO)
            self.check(model, ceiling, spent, reserved, again=call in self._calls)
            self._calls[call] = _Open(ceiling.usd or _ZERO, before.kept + before.reserved)

    def settle(self, call: str, usd: Decimal | None, most: Decimal | None, model: str) -> None:
        """Book what a call has cost in the place of its reservation; None: nobody knows, and all of it counts.

        `most`: what it might cost at most, as was known before.
        """
        with self._lock:
            ended = self._calls.pop(call, _Open(_ZERO))
            if self.per == "block":
                self._settled += ended.kept + (ended.reserved if usd is None else usd)
            over = usd is not None and most is not None and usd > most
            if self.per == "block":
                over = over and self._settled > self.cap
            elif self.is_stored:  # until it is read again
                self._settled += usd or _ZERO
                self._reserved = max(self._reserved - (most or _ZERO), _ZERO)
        if usd is None:
            self.void(f"what {model} has cost is not known")
        elif over:
            self.void(f"{model} has cost more than its price list says")

    def void(self, why: str) -> None:
        """Take note that the cap no longer holds, and say so once."""
        if self.holds:
            self.holds = False
            cap = f"{_write_cap(self.cap)} {WORDS[self.per][0]}"
            _log.warning("the budget of %s no longer holds: %s", cap, why)

    # The block, and how it reads

    def __enter__(self) -> Self:
        block = open_block(self)
        block.__enter__()
        _entered.set((*_entered.get(), block))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        *others, block = _entered.get()
        _entered.set(tuple(others))
        block.__exit__(kind, error, trace)

    def __str__(self) -> str:
        return self.describe(*self.read())

    def describe(self, spent: Decimal, reserved: Decimal) -> str:
        """Describe it, as it is with so much spent and reserved: "$0.42 of $5.00 today, $0.03 reserved"."""
        doubt = "" if self.holds else "; the cap no longer holds, for a cost is not known"
        if self.per == "call":
            return f"at most {_write_cap(self.cap)} for each call{doubt}"
        open_calls = f", {format_usd(reserved)} reserved" if reserved else ""
        return f"{format_usd(spent)} of {_write_cap(self.cap)} {WORDS[self.per][1]}{open_calls}{doubt}"

    def describe_fit(self, usd: Decimal | None) -> str:
        """Say whether calls that cost so much fit what is left, as last read; None: say only what is left."""
        left = max(self.cap - sum(self.read(anew=False)), _ZERO)
        amounts = f"{_write_cap(_round_down(left))} of {_write_cap(self.cap)} left {WORDS[self.per][1]}"
        if usd is None:
            return f"budget: {amounts}"
        return f"{'within' if usd <= left else 'more than'} the budget ({amounts})"

    def __repr__(self) -> str:
        return f"<budget: {self}>"


def _round_down(usd: Decimal) -> Decimal:
    """Round an amount down to cents, or to two digits that are not zero: no more is left than is said."""
    return usd.quantize(Decimal("0.01"), ROUND_DOWN) if usd >= 1 else Context(2, ROUND_DOWN).plus(usd)


def _write_cap(usd: Decimal) -> str:
    """Write an amount that a person chose: "$0.10", not "$0.100"."""
    return f"${usd:,.2f}" if usd and usd == round(usd, 2) else format_usd(usd)
