"""The running total: what the calls of this process have cost so far, by model and by notebook cell."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nbkit.billing.entry import CallFacts
from nbkit.billing.money import format_usd
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.errors import NbkitError

_NO_USAGE = Usage()


class Sum(Struct, frozen=True):
    """Money and tokens of some calls: `usd` is the sum of the known costs, `unknown` counts the calls whose cost is not
    known, `usage` has the tokens of the calls whose provider counts them; `replayed` counts those that were answered
    with what was kept, which has saved `saved` (USD)."""

    calls: int = 0
    usd: Decimal = Decimal(0)
    unknown: int = 0
    usage: Usage = _NO_USAGE
    replayed: int = 0
    saved: Decimal = Decimal(0)

    @property
    def cost(self) -> float | None:
        """USD, or None where the cost of one call is unknown."""
        return None if self.unknown else float(self.usd)

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.calls + other.calls,
            self.usd + other.usd,
            self.unknown + other.unknown,
            self.usage + other.usage,
            self.replayed + other.replayed,
            self.saved + other.saved,
        )

    def __str__(self) -> str:
        replayed = f" ({self.replayed} replayed, saved {format_usd(self.saved)})" if self.replayed else ""
        if not self.unknown:
            return format_usd(self.usd) + replayed
        known = f"{format_usd(self.usd)} + {self.unknown} unknown"
        return ("unknown" if self.unknown == self.calls else known) + replayed


class RunningTotal:
    """An observer that adds up costs. The sums are decimal, so they agree with the bills to the last digit.

    `by_model`: the sums of earlier calls, by model id.
    """

    def __init__(self, by_model: Mapping[str, Sum] | None = None) -> None:
        earlier = by_model or {}
        self._sums: dict[tuple[str, str | None], Sum] = {(model, None): one for model, one in earlier.items()}
        self._lock = threading.Lock()

    def begin(self, call: CallFacts) -> None:
        """Let every call pass."""

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Add what a call has cost, also one that broke off; a call without any completion has no cost."""
        if completion is not None:
            self.add(call.model_id, completion, call.cell)

    def add(self, model_id: str, completion: ChatCompletion, cell: str | None = None) -> None:
        """Add one completion."""
        usd, usage, bill = completion.cost, completion.usage or _NO_USAGE, completion.bill
        one = Sum(1, Decimal(0), 1, usage) if usd is None else Sum(1, Decimal(str(usd)), 0, usage)
        if bill is not None and bill.is_replay:
            one = replace(one, replayed=1, saved=Decimal(str(bill.saved or 0)))
        with self._lock:
            self._sums[model_id, cell] = self._sums.get((model_id, cell), Sum()) + one

    def total(self) -> Sum:
        """The sum of all calls."""
        return sum(self.by_model().values(), Sum())

    def by_model(self) -> dict[str, Sum]:
        """The sums, by model id."""
        return self._group(0)

    def by_cell(self) -> dict[str | None, Sum]:
        """The sums, by cell; None: calls that no cell made."""
        return self._group(1)

    def _group(self, part: int) -> dict[Any, Sum]:
        """The sums by one part of their key."""
        groups: dict[Any, Sum] = {}
        with self._lock:
            for key, one in self._sums.items():
                groups[key[part]] = groups.get(key[part], Sum()) + one
        return groups


TOTAL = RunningTotal()
"""All calls of this process. Survives `%reload_ext`, not a restart of the kernel."""
