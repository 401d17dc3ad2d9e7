"""Budgets: an observer that refuses a call before it is sent, where it might cost more than is left.

What a call may cost at most (`billing.ceiling`) is reserved before it is sent, and settled by its bill. Budgets of a
call and of a block live in this process; those of a notebook, a day and a month in the ledger's store, for all kernels
(`reservations`). A call that was sent, and whose cost nobody says, counts at its reserved amount.
"""

from __future__ import annotations

import atexit
import logging
import re
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from nbkit.arguments import check_arguments, explain_choice
from nbkit.billing.budget import WORDS, Budget, Per
from nbkit.billing.ceiling import Ceiling
from nbkit.billing.entry import CallFacts, find_origin
from nbkit.bookkeeping.reservations import RESERVATIONS, Reservations
from nbkit.bookkeeping.rows import count_attempts
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import ArgumentError, ConfigError, LedgerError, NbkitError
from nbkit.settings import Scoped, settings

_STANDING = re.compile(r"\$?(\d+(?:\.\d+)?)\s*(?:/|per\s)\s*(call|notebook|day|month)")
_EXAMPLE = "expected something like 5/day, or 0.10/call, 5/day, 50/month"
_UNPRICED = "unpriced=allow"
_log = logging.getLogger("nbkit")


@check_arguments
def budget(usd: float, *, per: Per = "block", unpriced: Literal["refuse", "allow"] = "refuse") -> Budget:
    """Limit what the calls of a block may cost: `with nbkit.budget(usd=2) as budget: ...`.

    A call is refused, with BudgetExceededError and before anything is sent, where the most that it may cost is more
    than is left: the tokens of its prompt at the upper end of their estimate, and of the longest answer that it may get
    (`max_tokens`, else the model's maximum), at the highest price that may apply. Afterwards its bill counts. So a
    smaller `max_tokens` lets more calls run at a time.

    `per`: "block" counts the calls of the block, "call" limits each of them; "notebook", "day" and "month" count what
    the ledger has of this notebook (without its path: of this kernel), today and this month by this machine's clock, in
    all kernels, in a team's ledger everyone's; simulated calls of the demo count as if they were paid. Blocks may be
    nested: each budget holds. The tasks and threads that are started in the block belong to it, and so does a
    comparison that began or is asked in it. `NBKIT_BUDGET="5/day"` holds for all calls.

    Free models, and those of this machine without a price, always pass. A model whose price is not known is refused,
    unless `unpriced="allow"`. After an answer whose cost is not known, `budget.holds` is False. `budget.spent`,
    `.reserved` and `.left` are in USD.

    Raises ArgumentError for an amount below 0, and ConfigError where a notebook, a day or a month is to be counted and
    the ledger is off (NBKIT_LEDGER=off).
    """
    if not 0 <= usd < float("inf"):
        raise ArgumentError(f"budget(): usd: expected 0 or more, got {usd!r}")
    for name, value, known in (("per", per, tuple(WORDS)), ("unpriced", unpriced, ("refuse", "allow"))):
        if value not in known:
            raise ArgumentError(f"budget(): {name}: {explain_choice(value, known)}")
    return _make_budget(Decimal(str(usd)), per, allows_unpriced=unpriced == "allow", name="nbkit.budget(usd=...)")


def _make_budget(usd: Decimal, per: Per, *, allows_unpriced: bool, name: str) -> Budget:
    made = Budget(usd, per, allows_unpriced=allows_unpriced, name=name, look=lambda one: RESERVATIONS().look(one))
    if made.is_stored and settings().ledger == "off":
        raise ConfigError(f"a budget per {per} counts what the ledger has, and NBKIT_LEDGER is off")
    made.read()
    return made


def _read_standing() -> tuple[Budget, ...]:
    """Read NBKIT_BUDGET. Raises ConfigError."""
    parts = [part.strip() for part in settings().budget.lower().split(",") if part.strip()]
    items = [_STANDING.fullmatch(part) for part in parts if part != _UNPRICED]
    if not all(items) or (parts and not items):
        raise ConfigError(f"NBKIT_BUDGET: {_EXAMPLE}, got {settings().budget!r}")
    return tuple(
        _make_budget(Decimal(item[1]), item[2], allows_unpriced=_UNPRICED in parts, name="NBKIT_BUDGET")  # type: ignore[arg-type]
        for item in items
        if item
    )


_standing: Scoped[tuple[Budget, ...]] = Scoped(_read_standing, "budget", "ledger")


def list_budgets(blocks: Sequence[object] | None = None) -> list[Budget]:
    """List the budgets that hold for a call: those of the blocks around it (None: around here), and NBKIT_BUDGET's.

    Raises ConfigError for a setting that cannot be read.
    """
    around = find_origin().blocks if blocks is None else blocks
    return [*dict.fromkeys(one for one in around if isinstance(one, Budget)), *_standing()]


class _Held(Struct):
    """A call in flight, and its reservation."""

    ceiling: Ceiling
    budgets: list[Budget]
    store: Reservations
    attempts: int = 1
    """How often it was reserved: once more after each attempt that may have been paid, and brought no answer."""
    is_doubtful: bool = False
    """Whether the last attempt is such a one."""
    is_ready: bool = False
    has_ended: bool = False

    @property
    def stored(self) -> list[Budget]:
        return [] if self.ceiling.usd is None else [budget for budget in self.budgets if budget.is_stored]


class Budgets:
    """An observer that reserves and settles."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self.pending = False
        """Whether something waits to be written."""

    def watches(self, call: CallFacts) -> bool:
        """Tell whether a call has a budget, so that `begin` may wait for a disk."""
        return bool(settings().budget) or any(isinstance(block, Budget) for block in call.blocks)

    def begin(self, call: CallFacts) -> None:
        """Reserve what a call may cost. Raises BudgetExceededError where a budget has less left, and LedgerError."""
        if not self.watches(call):
            return
        budgets = list_budgets(call.blocks)
        ceiling = call.find_ceiling() if budgets and call.find_ceiling else None
        if ceiling is None or ceiling.usd == 0:
            return
        held = self._held[call.id] = _Held(ceiling, budgets, RESERVATIONS())
        try:
            self._reserve(call, held)
        except BaseException:
            self._held.pop(call.id, None)
            raise
        with self._lock:
            held.is_ready, has_ended = True, held.has_ended
        if has_ended:  # its caller was cancelled while this waited for the disk
            self._settle(call, held, None, None)
            self.settle()

    def _reserve(self, call: CallFacts, held: _Held) -> None:
        done = list[Budget]()
        try:
            for budget in held.budgets:
                if not budget.is_stored:
                    budget.reserve(call.id, call.model_id, held.ceiling)
                    done.append(budget)
                elif held.ceiling.usd is None:
                    budget.check(call.model_id, held.ceiling, *budget.read(anew=False))
            if held.stored:
                held.store.reserve(call, held.ceiling, held.stored, again=held.attempts > 1)
        except BaseException:
            for budget in done if held.attempts == 1 else ():  # else the end of the call settles what was sent before
                budget.settle(call.id, Decimal(0), held.ceiling.usd, call.model_id)
            raise

    def doubt(self, call: CallFacts) -> None:
        """Note that an attempt brought no answer, and may have been paid all the same."""
        if held := self._held.get(call.id):
            held.is_doubtful = True

    def is_doubtful(self, call: CallFacts) -> bool:
        """Tell whether the last attempt of a call is doubtful."""
        held = self._held.get(call.id)
        return held is not None and held.is_doubtful

    def repeat(self, call: CallFacts) -> None:
        """Reserve once more, before an attempt after a doubtful one. Raises like `begin`; may wait for a disk."""
        held = self._held.get(call.id)
        if held is None:
            return
        held.attempts += 1
        if held.stored:
            held.store.keep(call.id, f"{call.id}#{held.attempts}")
        self._reserve(call, held)
        held.is_doubtful = False

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Settle what was reserved; `settle` writes it."""
        if not self._held:
            return
        with self._lock:
            held = self._held.pop(call.id, None)
            if held is None:
                return
            held.has_ended = True
            if not held.is_ready:  # `begin` waits for the disk, and settles it
                return
        self._settle(call, held, completion, error)

    def _settle(
        self, call: CallFacts, held: _Held, completion: ChatCompletion | None, error: NbkitError | None
    ) -> None:
        most = held.ceiling.usd
        if completion is not None:
            usd = None if completion.cost is None else Decimal(str(completion.cost))
        else:
            usd = most if held.is_doubtful else Decimal(0)
        for budget in held.budgets:
            budget.settle(call.id, usd, most, call.model_id)
        if not held.stored:
            return
        self.pending = True
        if usd is None:
            held.store.keep(call.id)
        elif completion is None and held.is_doubtful:  # the ledger has a row without a cost
            held.store.keep(call.id, f"{call.id}#{held.attempts + 1}")
        elif not count_attempts(completion, error):  # the ledger has no row
            held.store.free(call.id)

    def settle(self) -> None:
        """Write what waits. A failure is logged, and the next settlement tries again."""
        self.pending = False
        try:
            RESERVATIONS().settle()
        except LedgerError as problem:
            self.pending = True
            _log.warning("a budget could not be settled, its reservation holds until it ends: %s", problem)


BUDGETS = Budgets()


@atexit.register
def _settle_at_exit() -> None:
    if BUDGETS.pending:
        BUDGETS.settle()


def describe_budgets() -> list[str]:
    """Describe the budgets that hold here, as they are now: "budget: $0.42 of $5.00 today, $0.03 reserved"."""
    return [f"budget: {budget}" for budget in list_budgets()]


def describe_fit(usd: Decimal | None, blocks: Sequence[object]) -> str:
    """Say whether calls that cost so much (None: not known) fit the tightest budget that holds for them; "" for none.

    By what was last read, for the disk is not waited for.
    """
    try:
        budgets = [budget for budget in list_budgets(blocks) if budget.per != "call"]
    except NbkitError as problem:
        return str(problem)
    if not budgets:
        return ""
    return min(budgets, key=lambda one: one.cap - sum(one.read(anew=False))).describe_fit(usd)
