"""One request on the wire: how long each of its socket operations may wait, and how far the exchange came.

httpx2 limits each socket operation by itself, so a server that drips headers, `103`s, chunk extensions or trailers
would hold a call forever: none of these bytes reaches a caller that could look at the clock. Here every operation waits
at most for what is left until the deadline of its own request. Connections are shared by requests, so the deadline
travels with the timeouts of the request: a `Wait` is a number of seconds that knows its `Exchange`, and `Transport` and
`AsyncTransport` ask it before each operation.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import httpcore2  # the layer below httpx2, which always brings it
import httpx2

DEADLINE_PASSED = "timed out: the deadline passed before the response was complete"
_SHORTEST = 0.001
"""Seconds; 0 would mean "do not wait at all" to a socket, and turn bytes that are there into an error."""
_PIECE = 2**16
"""Bytes of a request that are written in one operation: a server that reads slowly is measured by each of them."""


class Exchange:
    """The clock and the state of one request. `deadline` is a reading of `time.monotonic()` and may be changed.

    `received` tells whether the server has sent anything since the request was written; `alone`, whether the time until
    the deadline was given to this request and no other: then silence until there is a timeout like any other.
    """

    __slots__ = ("alone", "deadline", "received")

    def __init__(self, deadline: float, *, alone: bool = False) -> None:
        self.deadline, self.alone = deadline, alone
        self.received = False

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0.001."""
        return max(self.deadline - time.monotonic(), _SHORTEST)

    @property
    def expired(self) -> bool:
        """Tell whether the deadline has passed."""
        return time.monotonic() >= self.deadline

    def hurry(self, seconds: float) -> None:
        """Give the rest of the exchange at most so many seconds."""
        self.deadline = min(self.deadline, time.monotonic() + seconds)

    def timeout(self, *, connect: float, read: float, write: float, pool: float) -> httpx2.Timeout:
        """Build the request's timeouts: seconds for each operation, and never past the deadline."""
        return httpx2.Timeout(
            connect=Wait.within(self, connect),
            read=Wait.within(self, read),
            write=Wait.within(self, write),
            pool=Wait.within(self, min(pool, self.left)),
        )


def limit_request(seconds: float) -> httpx2.Timeout:
    """Build the timeouts of a request that must be over in so many seconds, whatever its server does."""
    seconds = max(seconds, _SHORTEST)
    exchange = Exchange(time.monotonic() + seconds, alone=True)
    return exchange.timeout(connect=seconds, read=seconds, write=seconds, pool=seconds)


class Wait(float):
    """Seconds that one socket operation of an exchange may take."""

    __slots__ = ("exchange",)
    exchange: Exchange

    @classmethod
    def within(cls, exchange: Exchange, seconds: float) -> Wait:
        """Make one."""
        wait = cls(seconds)
        wait.exchange = exchange
        return wait


def find_exchange(request: httpx2.Request) -> Exchange | None:
    """Find the exchange of a request; None for one that has no deadline."""
    wait = request.extensions.get("timeout", {}).get("read")
    return wait.exchange if isinstance(wait, Wait) else None


def _limit(timeout: float | None, late: type[Exception]) -> float | None:
    """Return the seconds that an operation may take now. Raises `late` once the deadline has passed."""
    if not isinstance(timeout, Wait):
        return timeout
    if timeout.exchange.expired:  # a server that never pauses would always be in time
        raise late(DEADLINE_PASSED)
    return min(float(timeout), timeout.exchange.left)


def _note(timeout: float | None, *, received: bool) -> None:
    if isinstance(timeout, Wait):
        timeout.exchange.received = received


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, _limit(timeout, httpcore2.ReadTimeout))
        if data:
            _note(timeout, received=True)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _note(timeout, received=False)  # what came before is a proxy's
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _limit(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, limit, *args, **options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, _limit(timeout, httpcore2.ReadTimeout))
        if data:
            _note(timeout, received=True)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _note(timeout, received=False)
        for start in range(0, len(buffer), _PIECE):
            await self._stream.write(buffer[start : start + _PIECE], _limit(timeout, httpcore2.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore2.AsyncNetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _AsyncStream(await self._backend.connect_tcp(host, port, limit, *args, **options))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class Transport(httpx2.HTTPTransport):
    """httpx2's transport, whose operations keep to the deadline of their request.

    It closes its connections when nobody holds it any more: a client that the cache dropped goes on until the calls
    that use it are done.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # httpx2 hands no network backend to the pool that it makes
        self._pool._network_backend = _Backend(self._pool._network_backend)

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self.close()


class AsyncTransport(httpx2.AsyncHTTPTransport):
    """Does what `Transport` does, in the event loop that made it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pool._network_backend = _AsyncBackend(self._pool._network_backend)
        self._loop = asyncio.get_running_loop()

    def __del__(self) -> None:
        if hasattr(self, "_loop") and self._pool.connections:
            with suppress(RuntimeError):  # the loop is closed, and its sockets with it
                self._loop.call_soon_threadsafe(_close_later, self._pool)


_closing: set[asyncio.Task[None]] = set()
"""Tasks that close connections; an event loop keeps no task alive by itself."""


def _close_later(pool: httpcore2.AsyncConnectionPool) -> None:
    task = asyncio.ensure_future(pool.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
