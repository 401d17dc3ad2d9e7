"""A call's place in the line of its key: taken at once, or waited for; held until the answer is read, or left."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from random import random

from nbkit.adapters.limits import describe_allowance
from nbkit.adapters.prepare import Prepared
from nbkit.billing.entry import find_origin
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import AdapterError, RateLimitError
from nbkit.http import retry
from nbkit.http.bounded import is_success
from nbkit.http.exchange import AsyncReply, Reply
from nbkit.http.rate_headers import read_rest
from nbkit.http.throttle import Line, Result, Slot, Waiter
from nbkit.http.waiting import await_in_line, wait_in_line
from nbkit.settings import settings

Tell = Callable[[float | None], object]
"""Is told the seconds that a call waits at least, 0 where another call must end before, None when it waits no more."""

_asker: ContextVar[list[tuple[Hashable, Tell]]] = ContextVar("nbkit_asker", default=[])  # noqa: B039 - stays empty


@contextmanager
def asking_for(asker: Hashable, tell: Tell) -> Iterator[None]:
    """Let the calls of a block take turns with those of others, as one asker; `tell` is told that one waits."""
    token = _asker.set(holder := [(asker, tell)])
    try:
        yield
    finally:
        _asker.reset(token)
        holder.clear()  # a copy of the context lives on in a connection that is kept, and must not hold the pane


def _find_asker() -> tuple[Hashable, Tell]:
    if holder := _asker.get():
        return holder[0]
    origin = find_origin()
    return (origin.cell, *map(id, origin.blocks)), lambda _seconds: None


class Place:
    """The place of one call, attempt after attempt. Without `enter`, it is nowhere, and never waits."""

    __slots__ = (
        *("_again", "_answers", "_line", "_model", "_prepared", "_slot"),
        *("find_patience", "is_passed", "waited", "waits"),
    )

    def __init__(self, model: str, prepared: Prepared) -> None:
        self._model, self._prepared = model, prepared
        self._slot: Slot | None = None
        self.waits = False
        """Whether it must be waited for."""
        self.waited = 0.0
        """Seconds of the call in line."""
        self.find_patience: Callable[[], float] | None = None
        """Finds the longest pause, in seconds, that is waited for; after a longer one another model is asked."""
        self.is_passed = False
        """Whether another model is asked, because the pause is longer."""

    @property
    def has_slot(self) -> bool:
        """Whether an attempt is under way."""
        return self._slot is not None

    def enter(self, line: Line, *, again: bool) -> None:
        """Take a slot for an attempt, if there is one; `again`: after another attempt."""
        self._line, self._again = line, again
        self._slot = line.enter(self._model, time.monotonic(), self._count_tokens())
        self.waits = self._slot is None
        self._answers = self._slot.kind.answers if self._slot else line.get_kind(self._model).answers

    def wait(self, deadline: float) -> None:
        """Wait for the slot. Raises RateLimitError where the deadline or another model comes first."""
        self._check_patience(deadline)
        waiter, tell, began = *self._make_waiter(), time.monotonic()
        try:
            self._slot = wait_in_line(self._line, waiter, deadline, tell, front=self._again)
        finally:
            self._end_wait(began, tell)
        self._check(deadline)

    async def await_slot(self, deadline: float) -> None:
        """Do what `wait` does, in an event loop."""
        self._check_patience(deadline)
        waiter, tell, began = *self._make_waiter(), time.monotonic()
        try:
            self._slot = await await_in_line(self._line, waiter, deadline, tell, front=self._again)
        finally:
            self._end_wait(began, tell)
        self._check(deadline)

    def _make_waiter(self) -> tuple[Waiter, Tell]:
        asker, tell = _find_asker()
        return Waiter(asker, self._model, self._count_tokens()), tell

    def _count_tokens(self) -> int:
        if not self._line.allowance.tokens:
            return 0
        from nbkit.billing.tokens import count_tokens  # few lines count them

        return int(count_tokens(self._prepared.conversation)) + (self._prepared.options.max_tokens or 0)

    def _end_wait(self, began: float, tell: Tell) -> None:
        self.waited += time.monotonic() - began
        tell(None)

    def _check(self, deadline: float) -> None:
        self.waits = False
        if self._slot is None:
            raise self._make_error(deadline)

    def _check_patience(self, deadline: float) -> None:
        now = time.monotonic()
        if self.find_patience is not None and self._line.find_moment(self._model, now) - now > self.find_patience():
            self.is_passed = True
            raise self._make_error(deadline)

    def _make_error(self, deadline: float) -> RateLimitError:
        line, left = self._line, max(0.0, deadline - time.monotonic())
        pause = line.list_pauses(time.monotonic()).get(self._model)
        facts = [
            f"nothing is sent for {ceil(pause)} s more" if pause else "",
            describe_allowance(line.allowance),
            f"{line.in_flight} of {line.limit} under way, {line.waiting} more waiting",
            "" if pause or line.in_flight < line.limit else "a stream is under way until it is read or closed",
        ]
        return RateLimitError(
            f"waited {self.waited:.0f} s for its turn: rate limited by {line.name} "
            f"({'; '.join(filter(None, facts))}; the deadline is in {left:.0f} s)",
            retry_after=pause,
        )

    def note_reply(self, reply: Reply | AsyncReply) -> None:
        """Take note of an answer whose headers say that nothing is left; a long time is left to the next refusal."""
        if self._slot is not None and is_success(reply.status):
            seconds = read_rest(reply.headers, time.time())
            if 0 < seconds <= retry.MAX_RETRY_AFTER:
                self._line.pause(self._model, time.monotonic(), seconds)

    def refuse(self, requested: float | None) -> bool:
        """Give the slot of a refused attempt (429) back, and pause the line, for so many seconds if they are known.

        Tells whether it was one too many at once, and not refused for itself.
        """
        slot, self._slot = self._slot, None
        if slot is None:
            return False
        base, refusals = settings().retry_wait, self._line.get_kind(self._model).streak
        seconds = requested or retry.compute_backoff(refusals, base, random())  # noqa: S311  # jitter
        if seconds > retry.MAX_RETRY_AFTER:  # who comes next is told by the server, too
            seconds = 0.0
        return self._line.refuse(slot, time.monotonic(), seconds, self._answers)

    def leave(self, result: Result, completion: ChatCompletion | None = None) -> None:
        """Give the slot back, if there is one."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        usage = completion.usage if completion and slot.entry else None
        self._line.release(slot, time.monotonic(), result, usage.total_tokens if usage else None)

    def fail(self, error: AdapterError) -> None:
        """Give the slot of a failed attempt back."""
        self.leave(Result.FAILED if (error.status or 0) >= 500 else Result.UNKNOWN)
