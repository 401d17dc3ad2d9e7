"""Client-side limits: how many requests one key may have under way at a server, how many a minute, and who is next.

A `Line` is pure: the time is an argument, and a waiter is woken through a function of its own, so threads, event loops
and both engines stand in one line. A request that may go at once takes a `Slot` (`enter`); another one becomes a
`Waiter` (`stand`) and looks again when `look` says so, or when it is woken:

    slot = line.enter(kind, now) or wait_in_line(line, waiter, ...)      # in nbkit.http.waiting
    ... send, read the answer to its end ...
    line.release(slot, now, Result.ANSWERED)

Nobody has to tell how many requests a server takes: from 20 on the number doubles until the first 429, and each
*episode* of them cuts it to 0.8 and pauses the line. The 429s of requests that were sent before the last cut belong to
its episode. After a pause one request goes first; the others follow when it was answered, or was not refused for a
while, so that they do not all run into the next refusal. What a person has set (`Allowance`) is exact and is not cut.

Waiters are served round robin by who asks, and in the order of their coming for each of them. `kind` says what a pause
is for: providers limit each model by itself.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from enum import Enum
from math import inf
from typing import NamedTuple

START = 20
"""Requests under way at first."""
LEAST, MOST = 1, 100
"""Requests under way at least and at most, where nobody has set them."""
CUT = 0.8
STEP = 10.0
"""Seconds between two steps of growth once the server has refused a request, and without growth after it failed."""
PROBE = 0.25
"""Seconds that the first request after a pause may take to be refused."""
WINDOW = 60.0
"""Seconds in which requests and tokens are counted."""

_lock = threading.RLock()  # of all lines; re-entered where a stream is dropped, and closed, by the garbage collector
_lines: weakref.WeakSet[Line] = weakref.WeakSet()


class Allowance(NamedTuple):
    """Limits that a person has set: `requests` and `tokens` in any 60 seconds, and requests under way `at_once`."""

    requests: int | None = None
    tokens: int | None = None
    at_once: int | None = None


class Result(Enum):
    """Results of a request, as far as they say something about the limits of its server."""

    ANSWERED = "answered"
    FAILED = "5xx: no time to ask for more"
    UNKNOWN = "left, or failed in another way"


class Control:
    """The number of requests that a server seems to take at once."""

    __slots__ = ("_answers", "_still_until", "cuts", "limit")

    def __init__(self) -> None:
        self.limit, self.cuts = START, 0
        self._answers, self._still_until = 0, -inf

    def note_answer(self, now: float) -> None:
        """Count an answer that came while the limit was reached; a window of them raises it."""
        self._answers += 1
        if self._answers < self.limit or now < self._still_until:
            return
        self._answers = 0
        self.limit = min(MOST, self.limit + 1 if self.cuts else self.limit * 2)
        self._still_until = now + STEP if self.cuts else -inf

    def note_refusal(self, cuts: int, now: float) -> bool:
        """Take note of a 429 to a request that was sent after so many cuts; tell whether a new episode begins."""
        if cuts != self.cuts:
            return False
        self.cuts += 1
        self.limit = max(LEAST, int(self.limit * CUT))
        self.note_failure(now)
        return True

    def note_failure(self, now: float) -> None:
        """Stop growing for a while."""
        self._answers, self._still_until = 0, now + STEP


class Kind:
    """State of one kind of requests in a line."""

    __slots__ = ("answers", "paused_until", "probes", "sent", "streak")

    def __init__(self) -> None:
        self.sent: dict[int, int] = {}  # requests under way, by how many cuts there had been when they were sent
        self.answers = self.streak = 0
        """Requests that were answered, and episodes of refusals since the last answer."""
        self.paused_until, self.probes = -inf, False  # probes: the pause is over, and its first request under way

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for so many seconds."""
        if seconds > 0 and (self.probes or self.paused_until < now + seconds):
            self.paused_until, self.probes = now + seconds, False

    def begin(self, now: float, cuts: int) -> None:
        """Take note of a request that is sent; the first one after a pause goes alone for a while."""
        if self.probes:
            self.paused_until, self.probes = -inf, False
        elif self.paused_until > -inf:
            self.paused_until, self.probes = now + PROBE, True
        self.sent[cuts] = self.sent.get(cuts, 0) + 1

    def end(self, cuts: int) -> bool:
        """Take note that a request has ended; False for one that was sent before a fork, by the parent."""
        count = self.sent.pop(cuts, 0)
        if count > 1:
            self.sent[cuts] = count - 1
        return count > 0


class _Minute:
    """The requests of the last minute, where they are limited: when each was sent, and its tokens."""

    __slots__ = ("_log",)

    def __init__(self) -> None:
        self._log: deque[list[float]] = deque()

    def add(self, now: float, tokens: int) -> list[float]:
        """Add a request; the second of what is returned, its tokens, may be corrected."""
        self._log.append(entry := [now, tokens])
        return entry

    def find_room(self, allowance: Allowance, now: float, tokens: int) -> float:
        """Find the time when there is room for another request with so many tokens, alone at least."""
        log, (requests, most, _) = self._log, allowance
        while log and log[0][0] <= now - WINDOW:
            log.popleft()
        moment = log[-requests][0] + WINDOW if requests and len(log) >= requests else now
        if most:
            rest = sum(entry[1] for entry in log) + tokens
            for sent, used in log:
                if rest <= most:
                    break
                rest, moment = rest - used, max(moment, sent + WINDOW)
        return moment


class Slot:
    """A request under way. It goes back to its line when it is released, or at last with its owner."""

    __slots__ = ("cuts", "entry", "kind", "line")

    def __init__(self, line: Line, kind: Kind, cuts: int, entry: list[float] | None) -> None:
        self.line: Line | None = line
        self.kind, self.cuts, self.entry = kind, cuts, entry

    def __del__(self, now: Callable[[], float] = time.monotonic) -> None:
        if self.line is not None:
            self.line.release(self, now(), Result.UNKNOWN)


class Waiter:
    """A request that stands in line. `wake` is called, in any thread, when it got its `slot` or must look again."""

    __slots__ = ("asker", "due", "has_left", "kind", "slot", "tokens", "wake")

    def __init__(self, asker: Hashable, kind: str, tokens: int = 0) -> None:
        self.asker, self.kind, self.tokens = asker, kind, tokens
        self.wake: Callable[[], object] = lambda: None
        self.slot: Slot | None = None
        self.has_left = False
        self.due = inf
        """When it looks again, if nobody wakes it."""


class Line:
    """The requests of one key at one server, those under way and those that wait. All methods are thread-safe."""

    def __init__(self, name: str, host: str, allowance: Allowance | None = None, number: int = 1) -> None:
        self.name, self.host, self.number, self.control = name, host, number, Control()
        self._set(allowance or Allowance())
        self.in_flight = 0
        self._kinds: dict[str, Kind] = {}
        self._queues: dict[tuple[Hashable, str], deque[Waiter]] = {}  # the next to be served first
        self._minute = _Minute()
        self._serving = False
        with _lock:
            _lines.add(self)

    def clear(self) -> None:
        """Forget the requests that are under way or wait."""
        for kind in self._kinds.values():
            kind.sent.clear()
        self._queues.clear()
        self.in_flight, self._serving = 0, False

    @property
    def limit(self) -> int:
        """Requests that may be under way at once."""
        return self.allowance.at_once or self.control.limit

    @property
    def waiting(self) -> int:
        """Requests that stand in line."""
        with _lock:
            return sum(map(len, self._queues.values()))

    # A request comes and goes

    def enter(self, name: str, now: float, tokens: int = 0) -> Slot | None:
        """Take a slot for a request of this kind; None where one must be waited for."""
        with _lock:
            kind = self._kinds.get(name) or self.get_kind(name)
            if self._queues or self.in_flight >= self.limit or self._find_moment(kind, now, tokens) > now:
                return None
            return self._grant(kind, now, tokens)

    def stand(self, waiter: Waiter, *, front: bool = False) -> None:
        """Stand in line; `front`: before those of the same asker, because it was sent, and refused, before."""
        with _lock:
            queue = self._queues.setdefault((waiter.asker, waiter.kind), deque())
            (queue.appendleft if front else queue.append)(waiter)

    def look(self, waiter: Waiter, now: float) -> float:
        """Serve who may go. Return the seconds after which a waiter that got no slot must look again."""
        with _lock:
            waiter.due = now  # nobody wakes it meanwhile
            self._serve(now)
            if waiter.slot:
                return 0.0
            moment = self._find_moment(self.get_kind(waiter.kind), now, waiter.tokens)
            waiter.due = moment if moment > now else inf  # inf: it is woken when a slot comes back
            return waiter.due - now

    def leave(self, waiter: Waiter, now: float) -> None:
        """Leave the line, with or without a slot."""
        with _lock:
            waiter.has_left = True
            if waiter.slot:
                self.release(waiter.slot, now, Result.UNKNOWN)
                waiter.slot = None
                return
            key = waiter.asker, waiter.kind
            with suppress(ValueError, KeyError):  # it is being served, in a frame further out
                self._queues[key].remove(waiter)
                if not self._queues[key]:
                    del self._queues[key]
                self._serve(now)  # the next one may go earlier than it looks

    def release(self, slot: Slot, now: float, result: Result, tokens: int | None = None) -> None:
        """Give a slot back, once; `tokens`: what the request has used, where that is known."""
        with _lock:
            if slot.line is not self:
                return
            slot.line, kind = None, slot.kind
            if result is Result.ANSWERED:
                kind.answers += 1
                kind.streak = 0
                if self.in_flight >= self.limit:
                    self.control.note_answer(now)
                if kind.probes:
                    kind.paused_until, kind.probes = -inf, False
            elif result is Result.FAILED:
                self.control.note_failure(now)
            if tokens is not None and slot.entry:
                slot.entry[1] = tokens
            self.in_flight -= kind.end(slot.cuts)
            if self._queues:
                self._serve(now)

    def refuse(self, slot: Slot, now: float, seconds: float, answers: int) -> bool:
        """Give the slot of a refused request (429) back, and pause its kind for so many seconds.

        Tells whether the request was one too many, and not refused for itself: others go on that were sent before the
        last cut, or some were answered since there were so many `answers`.
        """
        with _lock:
            kind = slot.kind
            one_too_many = kind.answers > answers or min(kind.sent, default=slot.cuts) < slot.cuts
            if self.control.note_refusal(slot.cuts, now):
                kind.streak += 1
            kind.pause(now, seconds)
            self.release(slot, now, Result.UNKNOWN)
            return one_too_many

    def pause(self, kind: str, now: float, seconds: float) -> None:
        """Send nothing of a kind for so many seconds."""
        with _lock:
            self.get_kind(kind).pause(now, seconds)

    def list_pauses(self, now: float) -> dict[str, float]:
        """List the pauses: the seconds that are left of each, by kind."""
        with _lock:
            ends = {name: kind.paused_until - now for name, kind in self._kinds.items() if not kind.probes}
            return {name: seconds for name, seconds in ends.items() if seconds > 0}

    def find_moment(self, kind: str, now: float) -> float:
        """Find the time from which on a request may be sent, if there is a slot then."""
        with _lock:
            return self._find_moment(self.get_kind(kind), now, 0)

    def set_allowance(self, allowance: Allowance, now: float) -> None:
        """Change what a person has set; who waits is served by the new limits."""
        with _lock:
            self._set(allowance)
            self._serve(now)

    def _set(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._counts_minutes = bool(allowance.requests or allowance.tokens)

    # Who may go. The lock is held

    def get_kind(self, name: str) -> Kind:
        """Get the state of a kind of requests."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds.setdefault(name, Kind())
        return kind

    def _find_moment(self, kind: Kind, now: float, tokens: int) -> float:
        moment = now if kind.paused_until <= now else kind.paused_until
        if self._counts_minutes:
            moment = max(moment, self._minute.find_room(self.allowance, now, tokens))
        return moment

    def _grant(self, kind: Kind, now: float, tokens: int) -> Slot:
        cuts = self.control.cuts
        kind.begin(now, cuts)
        slot = Slot(self, kind, cuts, self._minute.add(now, tokens) if self._counts_minutes else None)
        self.in_flight += 1
        return slot

    def _serve(self, now: float) -> None:
        """Give free slots to those who wait; who got one goes to the end of the round."""
        if self._serving:  # a slot came back within: the frame further out goes on
            return
        self._serving = True
        try:
            while self.in_flight < self.limit and (key := self._choose(now)):
                queue = self._queues.pop(key)
                waiter = queue.popleft()
                if queue:
                    self._queues[key] = queue
                waiter.slot = self._grant(self.get_kind(waiter.kind), now, waiter.tokens)
                self._wake(waiter, now)
            if self.in_flight < self.limit:  # it is too early for all that are left
                for queue in list(self._queues.values()):
                    while queue and not self._hurry(queue[0], now):
                        pass  # that one is gone
        finally:
            self._serving = False

    def _hurry(self, waiter: Waiter, now: float) -> bool:
        """Wake the first of a queue where it would look too late. Tells whether it is there."""
        moment = self._find_moment(self.get_kind(waiter.kind), now, waiter.tokens)
        if moment < waiter.due:
            waiter.due = moment
            self._wake(waiter, now)
        return not waiter.has_left

    def _choose(self, now: float) -> tuple[Hashable, str] | None:
        for key, queue in list(self._queues.items()):
            if queue and self._find_moment(self.get_kind(key[1]), now, queue[0].tokens) <= now:
                return key
        return None

    def _wake(self, waiter: Waiter, now: float) -> None:
        try:
            waiter.wake()
        except RuntimeError:  # its event loop is closed
            self.leave(waiter, now)
        if waiter.has_left and waiter.slot:
            self.release(waiter.slot, now, Result.UNKNOWN)


def _forget() -> None:
    """After a fork: the requests under way, and those that wait, are the parent's, whose thread may hold the lock."""
    global _lock  # noqa: PLW0603 - one lock for all lines
    _lock = threading.RLock()
    for line in _lines:
        line.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget)
