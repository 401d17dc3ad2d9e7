"""Waiting for a slot of a `Line`, in a thread or in an event loop: two shells that differ in how they sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from nbkit.http.throttle import Line, Slot, Waiter

if TYPE_CHECKING:
    import asyncio  # a process of synchronous calls does without

_TICK = 0.1  # seconds: Windows interrupts no long wait of a thread

Tell = Callable[[float], object]
"""Is told the seconds for which a waiter stands still at least; 0: until another request has ended."""


def wait_in_line(line: Line, waiter: Waiter, deadline: float, tell: Tell, *, front: bool) -> Slot | None:
    """Stand in line until there is a slot; None where the deadline comes first, or would. Leaves it on an interrupt."""
    event = threading.Event()
    waiter.wake = event.set
    try:
        line.stand(waiter, front=front)
        while (end := _look(line, waiter, deadline, tell, event)) is not None:
            while not event.is_set() and (left := end - time.monotonic()) > 0:
                event.wait(min(left, _TICK))
    except BaseException:
        line.leave(waiter, time.monotonic())
        raise
    return waiter.slot


async def await_in_line(line: Line, waiter: Waiter, deadline: float, tell: Tell, *, front: bool) -> Slot | None:
    """Do what `wait_in_line` does, in an event loop; a task that is cancelled leaves the line."""
    import asyncio  # a process of synchronous calls does without

    loop, event = asyncio.get_running_loop(), asyncio.Event()
    waiter.wake = lambda: loop.call_soon_threadsafe(event.set)
    try:
        line.stand(waiter, front=front)
        while (end := _look(line, waiter, deadline, tell, event)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(end - time.monotonic(), 0)):
                    await event.wait()
    except BaseException:
        line.leave(waiter, time.monotonic())
        raise
    return waiter.slot


def _look(
    line: Line, waiter: Waiter, deadline: float, tell: Tell, event: threading.Event | asyncio.Event
) -> float | None:
    """Return the time of the next look; None where there is a slot, or will be none before the deadline."""
    event.clear()  # before the look: whoever wakes the waiter after it is heard
    now = time.monotonic()
    seconds = line.look(waiter, now)
    if waiter.slot:
        return None
    if now >= deadline or (seconds < inf and now + seconds >= deadline):
        line.leave(waiter, now)
        return None
    tell(0.0 if seconds == inf else seconds)
    return min(now + seconds, deadline)
