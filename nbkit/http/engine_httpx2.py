"""The engine of all synchronous calls, and the reference for the others: httpx2's own transport, httpcore2.

httpx2's clients add cookies, redirects, authentication flows and URL merging, which no call needs and every call would
pay for.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any
from weakref import finalize

import httpcore2

from nbkit.http.causes import CUT, NO_REPLY, describe_bad_http, find_system_reason, find_tls_reason
from nbkit.http.connections import Connections
from nbkit.http.environment import Proxy
from nbkit.http.exchange import KEEP_ALIVE, Address, Failure, Kind, Limits, Request, join_headers, split_url
from nbkit.http.sockets import AsyncBackend, Backend, Wait
from nbkit.quiet import quiet_logs

if TYPE_CHECKING:
    import asyncio  # a process of synchronous calls does without
    import ssl

quiet_logs()
_ERRORS = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError, OSError)
_KINDS: tuple[tuple[type[Exception], Kind], ...] = (  # the first match counts
    (httpcore2.PoolTimeout, Kind.POOL_TIMEOUT),
    (httpcore2.ConnectTimeout, Kind.CONNECT_TIMEOUT),
    (httpcore2.WriteTimeout, Kind.WRITE_TIMEOUT),
    (httpcore2.ReadTimeout, Kind.READ_TIMEOUT),
    (httpcore2.ConnectError, Kind.NOT_CONNECTED),
    (httpcore2.WriteError, Kind.NOT_WRITTEN),
    (httpcore2.LocalProtocolError, Kind.BAD_REQUEST),
    (Exception, Kind.LOST),
)


class Client:
    """Connections to one server for calls from threads. Closes them when nobody holds it any more."""

    def __init__(self, certificates: ssl.SSLContext | None, proxy: Proxy | None, limits: Limits) -> None:
        self._pool: Connections | httpcore2.ConnectionPool
        if proxy:
            options = _make_options(certificates, proxy, limits)
            self._pool = httpcore2.ConnectionPool(network_backend=Backend(), **options)
        else:
            self._pool = Connections(certificates, limits, Backend())
        finalize(self, self._pool.close).atexit = False  # a forked child exits, too

    def send(self, request: Request) -> SyncReply:
        """Send a request and wait for the head of its reply. Raises Failure."""
        try:
            return SyncReply(self._pool.handle_request(_make_request(request)))
        except _ERRORS as error:
            failure = _explain(error)
        raise failure

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class AsyncClient:
    """Connections to one server for an event loop."""

    def __init__(self, certificates: ssl.SSLContext | None, proxy: Proxy | None, limits: Limits) -> None:
        from asyncio import get_running_loop

        options = _make_options(certificates, proxy, limits)
        self._pool = httpcore2.AsyncConnectionPool(network_backend=AsyncBackend(), **options)
        self.abandon = finalize(self, _close_in, get_running_loop(), self._pool)
        self.abandon.atexit = False

    async def send(self, request: Request) -> AsyncReply:
        """Send a request and await the head of its reply. Raises Failure."""
        try:
            return AsyncReply(await self._pool.handle_async_request(_make_request(request)))
        except _ERRORS as error:
            failure = _explain(error)
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


def _make_options(certificates: ssl.SSLContext | None, proxy: Proxy | None, limits: Limits) -> dict[str, Any]:
    options: dict[str, Any] = {
        "ssl_context": certificates,
        "max_connections": limits.connections,
        "max_keepalive_connections": limits.kept,
        "keepalive_expiry": KEEP_ALIVE,
    }
    if proxy:
        server = httpcore2.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/")
        trusted = certificates if proxy.scheme == "https" else None
        auth = (proxy.auth[0].encode(), proxy.auth[1].encode()) if proxy.auth else None
        options["proxy"] = httpcore2.Proxy(server, auth=auth, ssl_context=trusted)
    return options


def _make_request(request: Request) -> httpcore2.Request:
    address, exchange = split_url(request.url), request.exchange
    named = {"host": request.server_name or address.netloc, **request.headers}
    if request.body or request.method == "POST":  # some servers refuse a POST without its length
        named["content-length"] = str(len(request.body))
    extensions: dict[str, Any] = {
        "timeout": {
            "connect": Wait.within(exchange, exchange.connect),
            "read": Wait.within(exchange, exchange.read),
            "write": Wait.within(exchange, exchange.write),
            "pool": min(exchange.pool, exchange.left),
        }
    }
    if request.server_name:
        extensions["sni_hostname"] = request.server_name.rpartition(":")[0] or request.server_name
    url, headers = _make_url(address), list(named.items())
    return httpcore2.Request(request.method, url, headers=headers, content=request.body, extensions=extensions)


@lru_cache(256)
def _make_url(address: Address) -> httpcore2.URL:
    return httpcore2.URL(scheme=address.scheme, host=address.host, port=address.port, target=address.target)


class _Head:
    def __init__(self, response: httpcore2.Response) -> None:
        self.status = response.status
        self._raw = response.headers

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        return join_headers((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._raw)


class SyncReply(_Head):
    """A reply, read in a thread."""

    def __init__(self, response: httpcore2.Response) -> None:
        super().__init__(response)
        self._stream: Any = response.stream
        self._pieces: Iterator[bytes] = iter(response.stream)  # type: ignore[arg-type]

    def receive(self) -> bytes:
        """Wait for the next bytes of the body; empty at its end. Raises Failure."""
        try:
            return next(self._pieces, b"")
        except _ERRORS as error:
            failure = _explain(error)
        raise failure

    def close(self) -> None:
        """Give the connection back where the body was read to its end; else close it."""
        self._stream.close()


class AsyncReply(_Head):
    """A reply, read in an event loop."""

    reads_all = False

    def __init__(self, response: httpcore2.Response) -> None:
        super().__init__(response)
        self._stream: Any = response.stream
        self._pieces: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]
        self._started = False

    async def receive(self) -> bytes:
        """Await the next bytes of the body; empty at its end. Raises Failure."""
        step: Awaitable[bytes] = anext(self._pieces, b"")
        if not self._started:
            self._started, step = True, _Unseen(step)
        try:
            return await step
        except _ERRORS as error:
            failure = _explain(error)
        raise failure

    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end; else close it."""
        await self._stream.aclose()


class _Unseen(Awaitable[bytes]):
    """A step of async generators that starts them without the event loop's notice.

    A loop that ends closes all generators that it knows at the same time: httpcore2's would be closed while the
    stream that reads them closes them, which the loop reports as an error. What reads a reply closes it.
    """

    def __init__(self, step: Awaitable[bytes]) -> None:
        self._step = step

    def __await__(self) -> Generator[Any, Any, bytes]:
        steps: Any = self._step.__await__()
        advance = partial(self._start, steps)
        while True:
            try:
                awaited = advance()
            except StopIteration as end:
                result: bytes = end.value
                return result
            try:
                advance = partial(steps.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001  # such as a cancellation, which is the step's affair
                advance = partial(steps.throw, error)

    @staticmethod
    def _start(steps: Iterator[Any]) -> Any:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, _drop)
        try:
            return next(steps)
        finally:
            sys.set_asyncgen_hooks(*hooks)


def _drop(generator: AsyncGenerator[Any, Any]) -> None:
    """Let a generator go that nobody holds any more; there may be no loop to close it in."""


def _explain(error: Exception) -> Failure:
    if isinstance(error, httpcore2.ConnectError) and (reason := find_tls_reason(error)):
        return Failure(Kind.TLS, reason)
    if isinstance(error, httpcore2.ProxyError):  # with a 4xx, such as 403 and 407, it will refuse the next one too
        return Failure(Kind.PROXY_REFUSED if str(error).startswith("4") else Kind.PROXY, str(error))
    kind = next(kind for types, kind in _KINDS if isinstance(error, types))
    text = find_system_reason(error) or str(error) or type(error).__name__
    if isinstance(error, httpcore2.RemoteProtocolError):
        text = next((words for words in (NO_REPLY, CUT) if text.startswith(words)), "") or describe_bad_http(text)
    return Failure(kind, text)


_closing: set[asyncio.Task[None]] = set()
"""Tasks that close connections; an event loop keeps no task alive by itself."""


def _close_in(loop: asyncio.AbstractEventLoop, pool: httpcore2.AsyncConnectionPool) -> None:
    if pool.connections:
        with suppress(RuntimeError):  # the loop is closed, and its sockets with it
            loop.call_soon_threadsafe(_close_later, pool)


def _close_later(pool: httpcore2.AsyncConnectionPool) -> None:
    from asyncio import ensure_future

    task = ensure_future(pool.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
