"""The engine of asynchronous calls where it is installed: aiohttp, whose parser is in C.

aiohttp makes the connections, keeps them and parses what they bring; its own limits hold for a connection and for
silence. The rest is here: a place among the connections, the head of a request, a server that does not take its body,
and the deadline, which ends whatever is under way. aiohttp's `ClientSession` would add cookies, redirects and a task
for each request, which no call needs: a quarter of its CPU.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from math import inf
from typing import Any
from weakref import finalize

import aiohttp
from aiohttp.connector import Connection as Held
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from nbkit.http.causes import CUT, HANDSHAKE, NO_REPLY, describe_bad_http, find_system_reason, find_tls_reason
from nbkit.http.connection_aiohttp import Connection, end_body
from nbkit.http.environment import Proxy
from nbkit.http.exchange import (
    KEEP_ALIVE,
    Address,
    Exchange,
    Failure,
    Kind,
    Limits,
    Request,
    join_headers,
    split_url,
)
from nbkit.http.names import Names

_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
_NOT_HTTP = (aiohttp.ClientResponseError, HttpProcessingError)


class AsyncClient:
    """Connections to one server for an event loop."""

    def __init__(self, certificates: ssl.SSLContext | None, proxy: Proxy | None, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        names: Any = Names()
        self._connector = aiohttp.TCPConnector(
            ssl=certificates or True, limit=0, keepalive_timeout=KEEP_ALIVE, resolver=aiohttp.ThreadedResolver(names)
        )
        factory: Any = partial(Connection, loop=self._loop)
        self._connector._factory = factory  # aiohttp has no argument for it
        self.abandon = finalize(self, _close_in, self._loop, self._connector)
        self.abandon.atexit = False  # a forked child exits, too
        self._proxy = proxy  # whose repr hides its password
        self._servers: dict[str, aiohttp.ClientRequest] = {}
        self._places = asyncio.Semaphore(limits.connections)

    async def send(self, request: Request) -> AsyncReply:
        """Send a request and await the head of its reply. Raises Failure."""
        exchange = request.exchange
        await self._take_place(exchange)
        reply = None
        try:
            server = self._describe_server(split_url(request.url))
            reply = AsyncReply(await self._connect(server, exchange), exchange, self._places.release)
            await reply.begin(request, server)
            return reply
        except BaseException as error:
            if reply:
                reply.close()
            else:
                self._places.release()
            if not isinstance(error, _ERRORS):
                raise
            failure = _explain(error, NO_REPLY)
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

    def _describe_server(self, address: Address) -> aiohttp.ClientRequest:
        """Describe a server as aiohttp's connector wants it."""
        origin = f"{address.scheme}://{address.netloc}"
        if origin not in self._servers:
            options: dict[str, Any] = {}
            if self._proxy:
                options = {"proxy": URL(self._proxy.url), "proxy_headers": self._proxy.headers or None}
            server: Any = aiohttp.ClientRequest("POST", URL(origin, encoded=True), loop=self._loop, **options)
            if server.proxy_headers:  # a connection is known by them, and the connector adds this one
                server.proxy_headers["Host"] = server.headers["Host"]
            self._servers[origin] = server
        return self._servers[origin]

    async def _connect(self, server: aiohttp.ClientRequest, exchange: Exchange) -> Held:
        try:
            return await self._connector.connect(server, [], _limit_connecting(min(exchange.connect, exchange.left)))
        except _NOT_HTTP:
            exchange.received = True  # from a proxy
            raise
        except TimeoutError as late:
            if late.errno is not None:  # the system's own
                raise
        raise Failure(Kind.CONNECT_TIMEOUT)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connector.close()
        await asyncio.sleep(0)  # a socket is closed in the next round of the loop, which may be the last


@lru_cache(16)
def _limit_connecting(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=seconds, ceil_threshold=inf)


class AsyncReply:
    """A request and its reply, read in an event loop."""

    reads_all = True

    def __init__(self, connection: Held, exchange: Exchange, leave: Callable[[], None]) -> None:
        self._connection, self._exchange, self._leave = connection, exchange, leave
        self._protocol: Any = connection.protocol
        self._loop = asyncio.get_running_loop()
        self._content: Any = None
        self._closed = False
        self._set_alarm()

    async def begin(self, request: Request, server: aiohttp.ClientRequest) -> None:
        """Send the request, and await the head of its reply."""
        self._protocol.begin(self._exchange, _write_head(request, server) + request.body)
        self._head, self._content = await self._protocol.read()
        self.status: int = self._head.code

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        return join_headers(self._head.headers.items())

    async def receive(self) -> bytes:
        """Await the next bytes of the body; empty at its end. Raises Failure."""
        if self._exchange.deadline != self._deadline:
            self._alarm.cancel()
            self._set_alarm()
        self._protocol.want(self._exchange, True)
        try:
            data: bytes = await self._content.readany()
            return data
        except Failure as late:
            failure = late
        except _ERRORS as error:
            end = self._protocol.end
            failure = _explain(error, (end and find_system_reason(end)) or CUT)
        finally:
            self._protocol.want(self._exchange, False)
        if arrived := self._content._read_nowait(-1):  # with what failed: the next call meets that again
            return bytes(arrived)
        raise failure

    def _set_alarm(self) -> None:
        self._deadline = self._exchange.deadline
        self._alarm = self._loop.call_later(self._exchange.left, self._end_late)

    def _end_late(self) -> None:
        if not self._exchange.expired:  # a clock may be coarse: an alarm of uvloop's may come a millisecond early
            self._set_alarm()
            return
        failure = Failure(Kind.READ_TIMEOUT)
        self._protocol.set_exception(failure)
        end_body(self._content, failure)

    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end; else close it at once."""
        self.close()

    def close(self) -> None:
        """Do what `aclose` does."""
        if self._closed:
            return
        self._closed = True
        self._alarm.cancel()
        if self._content is not None and self._content.is_eof() and not self._protocol.writes:
            self._protocol.want(self._exchange, False)
            self._connection.release()
        else:
            self._connection.close()
        self._leave()


def _write_head(request: Request, server: aiohttp.ClientRequest) -> bytes:
    """Write the head of a request; its headers were checked. A proxy that is asked by `http:` gets the whole URL."""
    address = split_url(request.url)
    headers = {"host": address.netloc, **request.headers}
    if request.body or request.method == "POST":  # some servers refuse a POST without its length
        headers["content-length"] = str(len(request.body))
    target = address.target
    if server.proxy and not server.is_ssl():
        target = address.url
        if server.proxy_headers and (key := server.proxy_headers.get("proxy-authorization")):
            headers["proxy-authorization"] = key
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


def _explain(error: Exception, lost: str) -> Failure:
    """Say what went wrong. `lost`: what a connection that ends now has lost."""
    if isinstance(error, aiohttp.SocketTimeoutError):
        return Failure(Kind.READ_TIMEOUT)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # with a 4xx, such as 403 and 407, it will refuse the next too
        kind = Kind.PROXY_REFUSED if 400 <= error.status < 500 else Kind.PROXY
        return Failure(kind, f"{error.status} {error.message}")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError) and (tls := find_tls_reason(error)):
        return Failure(Kind.TLS, tls)
    reason = find_system_reason(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(Kind.NOT_CONNECTED, reason or str(error.os_error) or HANDSHAKE)
    if isinstance(error, _NOT_HTTP):
        return Failure(Kind.LOST, describe_bad_http(error.message))
    if isinstance(error, aiohttp.InvalidURL | ValueError) and not isinstance(error, OSError):
        return Failure(Kind.BAD_REQUEST)
    return Failure(Kind.LOST, reason or lost)


_closing: dict[asyncio.Task[None], aiohttp.TCPConnector] = {}
"""Tasks that close connectors: a loop keeps no task alive by itself, nor a task its connector before it begins."""


def _close_in(loop: asyncio.AbstractEventLoop, connector: aiohttp.TCPConnector) -> None:
    if connector.closed:
        return
    if loop.is_closed():  # and its sockets with it: what is left to do waits for nothing
        with suppress(StopIteration):
            connector.close().send(None)
        return
    with suppress(RuntimeError):  # closed meanwhile
        loop.call_soon_threadsafe(_close_later, connector)


def _close_later(connector: aiohttp.TCPConnector) -> None:
    if connector.closed:  # meanwhile
        return
    task = asyncio.ensure_future(connector.close())
    _closing[task] = connector
    task.add_done_callback(_leave)


def _leave(task: asyncio.Task[None]) -> None:
    connector = _closing.pop(task)
    if not connector.closed:  # the task was cancelled before its first step, which closes all that there is
        with suppress(StopIteration):
            connector.close().send(None)
