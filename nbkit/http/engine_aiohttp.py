"""The engine of asynchronous calls where it is installed: aiohttp, whose parser is in C.

Its own limits hold for a connection (`connect`) and for silence (`sock_read`). The rest is here: a place among the
connections, a server that does not take the request, and the deadline, which ends whatever is under way.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import cached_property, lru_cache, partial
from typing import Any
from weakref import finalize

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from nbkit.http.causes import CUT, NO_REPLY, describe_bad_http, find_system_reason, find_tls_reason
from nbkit.http.environment import Proxy
from nbkit.http.exchange import (
    DEADLINE_PASSED,
    KEEP_ALIVE,
    PIECE,
    Exchange,
    Failure,
    Kind,
    Limits,
    Request,
    join_headers,
    split_url,
)
from nbkit.http.names import Names

_MAX_HEAD = 100 * 2**10
"""Bytes of one header of a reply, as with httpcore2; some providers send more than aiohttp's own limit of 8 KiB."""
_MAX_HEADERS = 1000
_UNASKED = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers that aiohttp would add."""
_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)

_exchange: ContextVar[Exchange] = ContextVar("_exchange")
"""The exchange that the connection is about to be used for."""


class _Late(Exception):
    """The deadline has passed."""


class _Connection(ResponseHandler):
    """aiohttp's connection, which notes in the exchange that uses it when the first bytes come.

    It closes at once: what is left of a request is not sent any more.
    """

    _of: Exchange | None = None
    end: BaseException | None = None
    """Why the connection is over, where it did not end well."""
    wanted = True
    """Whether a reader waits for data. What comes before is left to the system, which joins it: one read for all."""

    def want(self, exchange: Exchange, wanted: bool) -> None:
        """Begin or end to wait for data of an exchange; nothing happens where the connection serves another by now."""
        if self._of is exchange:
            self.wanted = wanted
            if wanted and self.transport is not None and not self.transport.is_reading():
                self.transport.resume_reading()
                self._reschedule_timeout()

    def set_response_params(self, **params: Any) -> None:
        exchange = _exchange.get()
        exchange.reused = self._of not in (None, exchange)
        exchange.received = False  # what came before is a proxy's
        self._of = exchange
        self.want(exchange, True)
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if self._of is not None:  # a proxy's answer may come before there is one
            self._of.received = True
        super().data_received(data)
        if not self.wanted and self.transport is not None:
            self.transport.pause_reading()
            self._drop_timeout()  # it is not the server that is silent

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self._payload  # aiohttp tells who waits for a head, and leaves who reads a body waiting for ever
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)

    def is_connected(self) -> bool:
        """Tell whether the connection can be used again: a server that has closed it has made it readable."""
        return super().is_connected() and not _is_readable(self.transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.end = exc
        super().connection_lost(exc)

    def close(self) -> None:
        self.abort()


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    socket: Any = transport.get_extra_info("socket") if transport else None
    if socket is None:
        return False
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


class AsyncClient:
    """Connections to one server for an event loop."""

    def __init__(self, certificates: ssl.SSLContext | None, proxy: Proxy | None, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        names: Any = Names()
        connector = aiohttp.TCPConnector(
            ssl=certificates or True, limit=0, keepalive_timeout=KEEP_ALIVE, resolver=aiohttp.ThreadedResolver(names)
        )
        factory: Any = partial(_Connection, loop=loop)
        connector._factory = factory  # aiohttp has no argument for it
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_UNASKED,
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            max_headers=_MAX_HEADERS,
        )
        self.abandon = finalize(self, _close_in, loop, self._session)
        self.abandon.atexit = False  # a forked child exits, too
        self._proxy = proxy  # whose repr hides its password
        self._places = asyncio.Semaphore(limits.connections)

    async def send(self, request: Request) -> AsyncReply:
        """Send a request and await the head of its reply. Raises Failure."""
        exchange = request.exchange
        await self._take_place(exchange)
        clock = _Clock(exchange)
        try:
            async with clock.limit:
                response = await self._post(request, clock)
            clock.over = True
            return AsyncReply(response, exchange, self._places.release)
        except BaseException as error:
            self._places.release()
            if not isinstance(error, _ERRORS):
                raise
            failure = _explain(error, NO_REPLY, clock.kind if clock.limit.expired() else None)
        raise failure

    async def _take_place(self, exchange: Exchange) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(min(exchange.pool, exchange.left)):
                await self._places.acquire()
        except TimeoutError:
            failure = Failure(Kind.POOL_TIMEOUT)
        else:
            return
        raise failure

    async def _post(self, request: Request, clock: _Clock) -> aiohttp.ClientResponse:
        exchange, body, headers = request.exchange, request.body, request.headers
        if len(body) > PIECE:
            headers = headers | {"content-length": str(len(body))}
        _exchange.set(exchange)
        return await self._session.request(
            request.method,
            _build_url(request.url),
            headers=headers,
            data=body if len(body) <= PIECE else clock.cut(body),
            allow_redirects=False,
            proxy=self._proxy.url if self._proxy else None,
            timeout=aiohttp.ClientTimeout(total=None, connect=exchange.connect, sock_read=exchange.read),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # a socket is closed in the next round of the loop, which may be the last


class _Clock:
    """The time that sending may take. While a long body is sent, each piece must be accepted in its time."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self.limit = asyncio.timeout(exchange.left)
        self.over = False  # a server may answer before it has the whole request, and read on
        self.kind = Kind.READ_TIMEOUT

    async def cut(self, body: bytes) -> AsyncIterator[bytes]:
        """Cut a body into pieces, each with its time."""
        self.kind = Kind.WRITE_TIMEOUT
        for start in range(0, len(body), PIECE):
            self._restart(min(self._exchange.write, self._exchange.left))
            yield body[start : start + PIECE]
        self.kind = Kind.READ_TIMEOUT
        self._restart(self._exchange.left)

    def _restart(self, seconds: float) -> None:
        if not (self.over or self.limit.expired()):
            self.limit.reschedule(self._loop.time() + seconds)


class AsyncReply:
    """A reply, read in an event loop."""

    reads_all = True

    def __init__(self, response: aiohttp.ClientResponse, exchange: Exchange, leave: Callable[[], None]) -> None:
        self.status = response.status
        self._response, self._content = response, response.content
        self._connection: Any = response.connection.protocol if response.connection else None  # the body is here
        self._exchange, self._leave = exchange, leave
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._set_alarm()

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        return join_headers(self._response.headers.items())

    async def receive(self) -> bytes:
        """Await the next bytes of the body; empty at its end. Raises Failure."""
        if self._exchange.deadline != self._deadline:
            self._alarm.cancel()
            self._set_alarm()
        self._want(True)
        try:
            return await self._content.readany()
        except _Late:
            failure = Failure(Kind.READ_TIMEOUT, DEADLINE_PASSED)
        except _ERRORS as error:
            end = self._connection.end if self._connection is not None else None
            failure = _explain(error, (end and find_system_reason(end)) or CUT)
        finally:
            self._want(False)
        if arrived := self._content._read_nowait(-1):  # with what failed: the next call meets that again
            return arrived
        raise failure

    def _want(self, wanted: bool) -> None:
        if self._connection is not None:
            self._connection.want(self._exchange, wanted)

    def _set_alarm(self) -> None:
        self._deadline = self._exchange.deadline
        self._alarm = self._loop.call_later(self._exchange.left, self._content.set_exception, _Late())

    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end; else close it at once."""
        if not self._closed:
            self._closed = True
            self._alarm.cancel()
            self._response.close()
            self._leave()


@lru_cache(256)
def _build_url(url: str) -> URL:
    return URL(split_url(url).url, encoded=True)


def _explain(error: Exception, lost: str, late: Kind | None = None) -> Failure:
    """Say what went wrong. `lost`: what a connection that ends now has lost; `late`: the time of a step had passed."""
    if late:
        return Failure(late, DEADLINE_PASSED)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure(Kind.CONNECT_TIMEOUT)
    if isinstance(error, aiohttp.SocketTimeoutError):
        return Failure(Kind.READ_TIMEOUT)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # with a 4xx, such as 403 and 407, it will refuse the next too
        kind = Kind.PROXY_REFUSED if 400 <= error.status < 500 else Kind.PROXY
        return Failure(kind, f"{error.status} {error.message}")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError) and (tls := find_tls_reason(error)):
        return Failure(Kind.TLS, tls)
    reason = find_system_reason(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(Kind.NOT_CONNECTED, reason or str(error))
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return Failure(Kind.LOST, describe_bad_http(error.message))
    if isinstance(error, aiohttp.InvalidURL | ValueError) and not isinstance(error, OSError):
        return Failure(Kind.BAD_REQUEST)
    return Failure(Kind.LOST, reason or lost)


_closing: dict[asyncio.Task[None], aiohttp.ClientSession] = {}
"""Tasks that close sessions: an event loop keeps no task alive by itself, nor a task its session before it begins."""


def _close_in(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    if session.closed:
        return
    if loop.is_closed():  # and its sockets with it: what is left to do waits for nothing
        with suppress(StopIteration):
            session.close().send(None)
        return
    with suppress(RuntimeError):  # closed meanwhile
        loop.call_soon_threadsafe(_close_later, session)


def _close_later(session: aiohttp.ClientSession) -> None:
    if session.closed:  # meanwhile
        return
    task = asyncio.ensure_future(session.close())
    _closing[task] = session
    task.add_done_callback(_leave)


def _leave(task: asyncio.Task[None]) -> None:
    session = _closing.pop(task)
    if not session.closed:  # the task was cancelled before its first step, which closes all that there is
        with suppress(StopIteration):
            session.close().send(None)
