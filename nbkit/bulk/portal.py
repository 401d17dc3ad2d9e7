"""One daemon thread with its own event loop, for all requests that run in the background.

Cells run on the kernel's loop, which must never be blocked or patched: work is submitted here, sync callers `wait` for
it, async cells await `until`. The state lives in this module, so `%reload_ext` keeps it; a forked child starts afresh.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent import futures
from concurrent.futures import Future
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")

_TICK = 0.1  # seconds; an interrupt reaches a waiting cell only when it wakes


class _Portal(Struct, frozen=True):
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread


_current: _Portal | None = None
_starting = threading.Lock()


def _portal() -> _Portal:
    global _current  # noqa: PLW0603 - the one portal of this process
    with _starting:
        if _current is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop,), name="nbkit-portal", daemon=True)
            thread.start()
            _current = _Portal(loop, thread)
        return _current


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())  # which closes this loop's HTTP clients
    finally:
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the portal, which is started on first use. Cancelling the future cancels the coroutine."""
    return asyncio.run_coroutine_threadsafe(work, _portal().loop)


def call(function: Callable[..., object], *args: Any) -> None:
    """Call a function on the portal, soon. Safe from any thread; never blocks."""
    _portal().loop.call_soon_threadsafe(function, *args)


def wait(future: Future[T], timeout: float | None = None, stop: Callable[[], object] = lambda: None) -> T:
    """Block until the work is done, at most `timeout` seconds (then TimeoutError, and the work goes on).

    Interrupting the kernel meanwhile calls `stop`, and then cancels the work.
    """
    if threading.current_thread() is _portal().thread:
        raise RuntimeError("waiting on nbkit's own thread would never end")
    end = None if timeout is None else time.monotonic() + timeout
    try:
        while not future.done():
            left = _TICK if end is None else min(_TICK, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"not finished after {timeout:g} s")
            futures.wait([future], timeout=left)  # in short waits: Windows interrupts no long one
    except KeyboardInterrupt:
        stop()
        future.cancel()
        raise
    return future.result()


async def until(future: Future[T], stop: Callable[[], object] = lambda: None) -> T:
    """Await the work from another loop: `wait` for async cells. Cancelling calls `stop`, and then cancels the work."""
    inner = asyncio.wrap_future(future)
    try:
        while not inner.done():
            await asyncio.wait({inner}, timeout=_TICK)
    except asyncio.CancelledError:
        stop()
        inner.cancel()
        raise
    return inner.result()


class Backlog:
    """Work of one owner, to be waited for as a whole. What has failed stays: whoever waits gets the error.

    `stop` is called when a waiter is interrupted, before the work that it waits for is cancelled.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._futures: set[Future[None]] = set()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run a coroutine on the portal."""
        future = submit(work)
        self._futures.add(future)
        future.add_done_callback(self._drop)
        return future

    def _drop(self, future: Future[None]) -> None:
        if future.cancelled() or future.exception() is None:
            self._futures.discard(future)

    def wait(self, timeout: float | None = None) -> None:
        """Block until all work that was submitted before is done."""
        end = None if timeout is None else time.monotonic() + timeout
        for future in tuple(self._futures):
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                wait(future, left, self._stop)
            except TimeoutError:
                if future.done():  # raised by the work itself
                    raise
                raise TimeoutError(f"not finished after {timeout:g} s") from None

    async def until(self) -> None:
        """Await all work that was submitted before, from another loop."""
        for future in tuple(self._futures):
            await until(future, self._stop)


def stop() -> None:
    """Cancel what still runs and end the thread; the next `submit` starts a new one."""
    global _current
    with _starting:
        portal, _current = _current, None
    if portal is not None and portal.thread.is_alive():
        portal.loop.call_soon_threadsafe(portal.loop.stop)
        portal.thread.join(timeout=5)


def _forget() -> None:
    """After a fork: the child has the parent's loop, but no thread that runs it, and maybe a lock held for ever."""
    global _current, _starting
    _current, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget)
atexit.register(stop)
