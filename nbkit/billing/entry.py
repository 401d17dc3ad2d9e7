"""Facts of a call, and the observers that are told of its begin and its end.

The cell that makes a call is among the facts. A notebook says which cell runs (`set_running_cell`); work that goes on
after its cell has ended carries the cell with it (`in_cell`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import NbkitError


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A call as it is known before anything is sent."""

    id: str
    """Unique, made for this call."""
    provider: str
    model: str
    """The model's name on the wire."""
    protocol: str
    stream: bool
    """The answer was requested in pieces."""
    cell: str | None = None
    """The notebook cell that made the call; None outside of notebooks."""

    @property
    def model_id(self) -> str:
        """The model id, `provider/model`."""
        return f"{self.provider}/{self.model}"


class Observer(Protocol):
    """Is told of every call of the process: `begin` in the order of the observers, `end` once, whatever happened."""

    def begin(self, call: CallFacts) -> ChatCompletion | None:
        """Look at a call before it is sent.

        May raise an NbkitError (a budget): nothing is sent, and the caller gets the error. May return the completion
        (a replay): nothing is sent, and the observers after this one are not asked.
        """

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Take note of what came of a call.

        `completion` is whole, or what came until the answer broke off or was left; None where nothing came. Anything
        raised here is logged and never costs the answer.
        """


_running = ""  # the cell that the kernel runs now
_inherited: ContextVar[str | None] = ContextVar("nbkit_cell", default=None)


def set_running_cell(cell: str | None) -> None:
    """Say which cell the kernel runs from now on; None: none."""
    global _running  # noqa: PLW0603 - one kernel runs one cell at a time
    _running = cell or ""


def running_cell() -> str | None:
    """The cell to which a call made here belongs: that of `in_cell`, else the one that the kernel runs."""
    return _inherited.get() or _running or None


@contextmanager
def in_cell(cell: str | None) -> Iterator[None]:
    """Make the calls of a block belong to a cell, also those of the tasks that are started in it."""
    token = _inherited.set(cell)
    try:
        yield
    finally:
        _inherited.reset(token)
