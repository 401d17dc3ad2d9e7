"""What this notebook has spent so far, in memory: the running total that the widgets and `%nbkit` show."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from math import floor, log10

from nbkit.conversation.completion import ChatCompletion


def money(usd: float | None) -> str:
    """An amount of USD to read: "$0.00012", "$1.23", "unknown". Never "$0.00" for what did cost something."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    if usd >= 0.1:
        return f"${usd:,.2f}"
    return f"${usd:.{1 - floor(log10(usd))}f}"  # two digits that say something


@dataclass(frozen=True, slots=True)
class Sum:
    """`usd` is the sum of the known costs, `unknown` how many of the `calls` have no known cost."""

    calls: int = 0
    usd: float = 0.0
    unknown: int = 0

    @property
    def cost(self) -> float | None:
        """USD, or None where any part is unknown."""
        return None if self.unknown else self.usd

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.calls + other.calls, self.usd + other.usd, self.unknown + other.unknown)

    def __str__(self) -> str:
        if not self.unknown:
            return money(self.usd)
        return "unknown" if self.unknown == self.calls else f"{money(self.usd)} + {self.unknown} unknown"


@dataclass(slots=True)
class Tally:
    """A thread-safe sum per model."""

    _models: dict[str, Sum] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, model_id: str, completion: ChatCompletion) -> None:
        """Count one answered call, a partial answer too."""
        usd = completion.cost
        call = Sum(1, usd or 0.0, int(usd is None))
        with self._lock:
            self._models[model_id] = self._models.get(model_id, Sum()) + call

    def by_model(self) -> dict[str, Sum]:
        """The sums, by model id."""
        with self._lock:
            return dict(self._models)

    def total(self) -> Sum:
        """The sum of all calls."""
        return sum(self.by_model().values(), Sum())


NOTEBOOK = Tally()
"""Everything that this kernel's comparisons and chats have cost. Survives `%reload_ext`, not a restart."""
record, total = NOTEBOOK.record, NOTEBOOK.total
