"""Sockets whose every operation keeps to the deadline of the request that it is for: network backends of httpcore2.

Connections are shared by requests, so the deadline travels with the timeouts that httpcore2 hands down: a `Wait` is a
number of seconds that knows its `Exchange`, and the streams ask it before each operation.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2

from nbkit.http.exchange import DEADLINE_PASSED, PIECE, Exchange
from nbkit.http.names import alook_up, look_up


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


def _limit(timeout: float | None, late: type[Exception]) -> float | None:
    """Return the seconds that an operation may take now. Raises `late` once the deadline has passed."""
    if not isinstance(timeout, Wait):
        return timeout
    left = timeout.exchange.deadline - time.monotonic()
    if left <= 0:  # a server that never pauses would always be in time
        raise late(DEADLINE_PASSED)
    return min(float(timeout), left)


class _User:
    """Whose request a connection carries, and whether an earlier one's.

    Head and body of a short request wait here until its reply is read: they leave in one operation, not in two.
    """

    _exchange: Exchange | None = None
    _pending = b""
    _wait: float | None = None

    def _begin(self, buffer: bytes, timeout: float | None) -> bool:
        """Take a part of a request; tell whether what has come of it is long enough to be sent now."""
        self._pending, self._wait = self._pending + buffer if self._pending else buffer, timeout
        if isinstance(timeout, Wait):
            exchange = timeout.exchange
            exchange.received = False  # what came before is a proxy's
            if exchange is not self._exchange:
                exchange.reused, self._exchange = self._exchange is not None, exchange
        return len(self._pending) > PIECE

    def _take(self) -> list[bytes]:
        """Take the pieces that are to be sent."""
        pending, self._pending = self._pending, b""
        return [pending[start : start + PIECE] for start in range(0, len(pending), PIECE)]

    def _receive(self, data: bytes) -> bytes:
        """Note that bytes have come."""
        if data and self._exchange is not None:
            self._exchange.received = True
        return data


class _Stream(_User, httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, socket_: socket.socket | None) -> None:
        self._stream = stream
        self._socket = socket_  # None for TLS inside of TLS, where the bytes of the socket are not those of the stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._pending:
            with suppress(httpcore2.WriteError):  # a server may answer before it has read all, and close
                self._flush()
        limit = _limit(timeout, httpcore2.ReadTimeout)
        if self._socket is None:
            return self._receive(self._stream.read(max_bytes, limit))
        return self._receive(_receive(self._socket, max_bytes, limit))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._begin(buffer, timeout):
            self._flush()

    def _flush(self) -> None:
        for piece in self._take():
            self._stream.write(piece, _limit(self._wait, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        nested = isinstance(self._socket, ssl.SSLSocket)
        stream = self._stream.start_tls(ssl_context, server_hostname, limit)
        return _Stream(stream, None if nested else stream.get_extra_info("socket"))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _receive(socket_: socket.socket, max_bytes: int, limit: float | None) -> bytes:
    """Receive once; the same as httpcore2 does, at a third of the cost."""
    try:
        if socket_.gettimeout() != limit:
            socket_.settimeout(limit)
        return socket_.recv(max_bytes)
    except TimeoutError as error:
        raise httpcore2.ReadTimeout(error) from error
    except OSError as error:
        raise httpcore2.ReadError(error) from error


class Backend(httpcore2.NetworkBackend):
    """Opens connections from threads."""

    def __init__(self) -> None:
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of the host that answers. Raises httpcore2's ConnectError and ConnectTimeout."""
        end = time.monotonic() + (timeout or 0.0)
        error: Exception = httpcore2.ConnectError(f"{host} has no address")
        with _naming():
            addresses = look_up(host, port, _limit(timeout, httpcore2.ConnectTimeout))
        for number, address in enumerate(addresses):
            limit = _share(timeout, end, len(addresses) - number)
            try:
                stream = self._backend.connect_tcp(address, port, limit, *args, **options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                error = failed
            else:
                return _Stream(stream, stream.get_extra_info("socket"))
        raise error


@contextmanager
def _naming() -> Iterator[None]:
    """Raise httpcore2's exceptions where a name cannot be looked up."""
    try:
        yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(error) from error
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(error) from error


def _share(timeout: float | None, end: float, count: int) -> float | None:
    """Return the seconds for one of so many addresses: one that does not answer leaves time for the others."""
    limit = _limit(timeout, httpcore2.ConnectTimeout)
    return None if limit is None else max(min(limit, end - time.monotonic()) / count, 0.001)


class _AsyncStream(_User, httpcore2.AsyncNetworkStream):
    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._pending:
            with suppress(httpcore2.WriteError):
                await self._flush()
        return self._receive(await self._stream.read(max_bytes, _limit(timeout, httpcore2.ReadTimeout)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._begin(buffer, timeout):
            await self._flush()

    async def _flush(self) -> None:
        for piece in self._take():
            await self._stream.write(piece, _limit(self._wait, httpcore2.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            limit = _limit(timeout, httpcore2.ConnectTimeout)
            return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, limit))
        except BaseException:  # a cancellation, too, which httpcore2 leaves out
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections in an event loop of asyncio."""

    def __init__(self) -> None:
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of the host that answers. Raises httpcore2's ConnectError and ConnectTimeout."""
        end = time.monotonic() + (timeout or 0.0)
        error: Exception = httpcore2.ConnectError(f"{host} has no address")
        with _naming():
            addresses = await alook_up(host, port, _limit(timeout, httpcore2.ConnectTimeout))
        for number, address in enumerate(addresses):
            limit = _share(timeout, end, len(addresses) - number)
            try:
                return _AsyncStream(await self._backend.connect_tcp(address, port, limit, *args, **options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                error = failed
        raise error
