"""HTTP clients, cached and shared: one per base URL and credentials; asynchronous ones per event loop, too.

A client keeps its connections open for the next request, in one of two engines: httpx2 for calls from threads; for
event loops aiohttp, or httpx2 where that is not installed, not wished or cannot do what is needed. All clients share
one SSL context, because loading the certificates takes about 40 ms. A client is for one server: `base_url` says which,
and proxies and certificates are those that the environment names when the client is asked for. Of clients that nobody
asks for any more, the last 64 are kept. An asynchronous client belongs to the event loop that opened its connections.
It is closed when that loop shuts down its asynchronous generators, as `asyncio.run` does before it closes a loop.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from nbkit.errors import ConfigError
from nbkit.http.environment import Proxy, find_proxy, read_environment, ssl_context
from nbkit.http.exchange import AsyncReply, Failure, Kind, Limits, Reply, Request, check_headers, split_url
from nbkit.http.recent import Recent
from nbkit.secret import Secret
from nbkit.settings import settings

if TYPE_CHECKING:
    import asyncio  # a process of synchronous calls does without
    import ssl

MAX_CLIENTS = 64
"""Clients kept for calls from threads, and as many for each event loop."""

_HEADERS = {
    "accept": "*/*",
    # A proxy that compresses a stream holds text back until it has a full block, and responses are small.
    "accept-encoding": "identity",
    "user-agent": "nbkit",
}


class Authorization(ABC):
    """Credentials that are added to each request. Part of the cache's key: equal ones share a client."""

    waits = False
    """Whether `authorize` may read files or ask a server: an event loop then has it done in a thread."""

    @abstractmethod
    def authorize(self, request: Request) -> None:
        """Add the headers that let the request in. Raises ConfigError and AdapterError where that is not possible."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The secrets, to be replaced wherever they appear in a text."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class KeyAuth(Authorization):
    """An API key in a header of each request: `KeyAuth("authorization", "Bearer ", key)`.

    Two are equal when all three arguments are. No repr or traceback shows the key; pickling raises TypeError.
    Raises ConfigError when the key cannot be sent in a header.
    """

    __slots__ = ("_hash", "_header", "_prefix", "_secret")

    def __init__(self, header: str, prefix: str, key: str) -> None:
        self._header, self._prefix, self._secret = header, prefix, Secret(key.strip())
        del key  # a traceback may print the locals of the frame that raises
        self._hash = hash(self._parts())  # two caches are asked for each call
        if not self._fits_header():
            raise ConfigError(f"the API key for {header!r} is empty or has characters that a header cannot hold")

    def authorize(self, request: Request) -> None:
        """Add the header."""
        request.set_header(self._header, self._prefix + self.key)

    @property
    def key(self) -> str:
        """The key itself, in plain text."""
        return self._secret.reveal()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key as the only secret."""
        return (self.key,)

    def carries(self, header: str, prefix: str, secret: Secret) -> bool:
        """Tell whether it is the same key in the same header."""
        return self._parts() == (header, prefix, secret.reveal().strip())

    def _fits_header(self) -> bool:
        return bool(self.key) and self.key.isascii() and self.key.isprintable()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, KeyAuth) and self._parts() == other._parts())

    def __hash__(self) -> int:
        return self._hash

    def _parts(self) -> tuple[str, str, str]:
        return self._header, self._prefix, self.key

    def __repr__(self) -> str:
        return f"KeyAuth({self._header!r}, {str(self._secret)!r})"


class Engine(Protocol):
    """Connections to one server, used from threads."""

    def send(self, request: Request) -> Reply:
        """Send a request and wait for the head of its reply. Raises Failure."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AsyncEngine(Protocol):
    """Connections to one server, used in an event loop."""

    @property
    def abandon(self) -> Callable[[], object]:
        """Let go of them where their loop is closed."""
        ...

    async def send(self, request: Request) -> AsyncReply:
        """Send a request and await the head of its reply. Raises Failure."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Client:
    """A server, the credentials for it, and the engine that keeps connections to it."""

    def __init__(self, engine: Engine, auth: Authorization | None) -> None:
        self._engine, self._auth = engine, auth
        self.close = engine.close

    def send(self, request: Request) -> Reply:
        """Send a request with the credentials, and wait for the head of its reply; the caller closes it.

        Raises Failure, and what `Authorization.authorize` raises.
        """
        request.complete(_HEADERS)
        if self._auth:
            self._auth.authorize(request)
        check_headers(request)
        try:
            return self._engine.send(request)
        except Failure as failure:
            if failure.kind is not Kind.LOST or not request.exchange.stale:
                raise
        return self._engine.send(request)  # once: what loses the next connection, too, counts as an attempt


class AsyncClient:
    """`Client`, in an event loop."""

    def __init__(self, engine: AsyncEngine, auth: Authorization | None) -> None:
        self._engine, self._auth = engine, auth
        self.aclose, self.abandon = engine.aclose, engine.abandon

    async def send(self, request: Request) -> AsyncReply:
        """Send a request with the credentials, and await the head of its reply; the caller closes it.

        Raises Failure, and what `Authorization.authorize` raises.
        """
        request.complete(_HEADERS)
        if self._auth and self._auth.waits:
            from asyncio import to_thread

            await to_thread(self._auth.authorize, request)
        elif self._auth:
            self._auth.authorize(request)
        check_headers(request)
        try:
            return await self._engine.send(request)
        except Failure as failure:
            if failure.kind is not Kind.LOST or not request.exchange.stale:
                raise
        return await self._engine.send(request)


_Key = tuple[Any, ...]


class _Loop(NamedTuple):
    clients: Recent[_Key, AsyncClient]
    keeper: AsyncGenerator[None, None]


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: Recent[_Key, Client] = Recent(MAX_CLIENTS)
        self.loops: dict[asyncio.AbstractEventLoop, _Loop] = {}


_cache = _Cache()
_inherited: list[_Cache] = []


def sync_client(base_url: str, auth: Authorization | None) -> Client:
    """Return the shared client, for any thread; with `auth` None it sends no key.

    Raises Failure for what is not a URL, and ConfigError where a proxy or certificates of the environment cannot be
    used.
    """

    def make() -> Client:
        from nbkit.http.engine_httpx2 import Client as Connections

        return Client(Connections(*_describe_connections(base_url)), auth)

    return _cache.clients.get(_make_key(base_url, auth), make)


def async_client(base_url: str, auth: Authorization | None) -> AsyncClient:
    """Return the client of the running event loop. Raises as `sync_client` does, and RuntimeError outside a loop."""

    def make() -> AsyncClient:
        certificates, proxy, limits = _describe_connections(base_url)
        return AsyncClient(_choose_engine(proxy)(certificates, proxy, limits), auth)

    from asyncio import get_running_loop

    loop = get_running_loop()
    entry = _cache.loops.get(loop) or _add_loop(loop)
    return entry.clients.get(_make_key(base_url, auth), make)


def _add_loop(loop: asyncio.AbstractEventLoop) -> _Loop:
    """Make room for the clients of an event loop; those of loops that are closed go."""
    entry = _Loop(Recent(MAX_CLIENTS), _keep(loop))
    with suppress(StopIteration):  # run it up to its yield: this registers it with the loop
        entry.keeper.asend(None).send(None)
    with _cache.lock:
        ended = [_cache.loops.pop(other) for other in list(_cache.loops) if other.is_closed()]
        _cache.loops[loop] = entry
    for closed in ended:
        for client in closed.clients.take_all():  # what waits in them for a reply, for ever, holds them
            client.abandon()
    del ended  # after the lock is released: a keeper takes the lock when it is finalized
    return entry


async def _keep(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
    """Close the loop's clients at its `shutdown_asyncgens`, the last moment when connections can be closed."""
    try:
        yield
    finally:
        with _cache.lock:
            ended = _cache.loops.pop(loop, None)
        for client in ended.clients.take_all() if ended else ():
            await client.aclose()


def close_all() -> None:
    """Close every client; runs at exit. Call it outside of coroutines: a running loop closes its own clients."""
    with _cache.lock:
        loops = list(_cache.loops.items())
    for client in _cache.clients.take_all():
        client.close()
    for loop, entry in loops:
        if not loop.is_running() and not loop.is_closed():  # IPython's between two cells: it may not run again
            loop.run_until_complete(entry.keeper.aclose())
    if running := [(loop, entry) for loop, entry in loops if loop.is_running()]:
        from asyncio import run_coroutine_threadsafe
        from concurrent.futures import wait

        wait([run_coroutine_threadsafe(entry.keeper.aclose(), loop) for loop, entry in running], timeout=1)


def _make_key(base_url: str, auth: Authorization | None) -> _Key:
    now = settings()
    return (
        base_url,
        auth,
        now.http_engine,
        now.max_connections,
        now.max_keepalive_connections,
        read_environment(base_url),
    )


def _describe_connections(base_url: str) -> tuple[ssl.SSLContext | None, Proxy | None, Limits]:
    """Build the arguments of an engine; certificates take a while to load, so only where there is TLS."""
    now, address = settings(), split_url(base_url)
    proxy = find_proxy(address)
    secure = "https" in (address.scheme, proxy and proxy.scheme)
    limits = Limits(now.max_connections, now.max_keepalive_connections)
    return (ssl_context() if secure else None), proxy, limits


def _choose_engine(proxy: Proxy | None) -> Callable[..., AsyncEngine]:
    """Choose the engine of an asynchronous client. Raises ConfigError where the one that is wished is not installed."""
    wish = settings().http_engine
    installed = importlib.util.find_spec("aiohttp") is not None
    if wish == "aiohttp" and not installed:
        raise ConfigError("NBKIT_HTTP_ENGINE is aiohttp, which is not installed: pip install aiohttp")
    socks = proxy is not None and proxy.scheme.startswith("socks")  # which aiohttp does not speak
    if wish == "httpx2" or socks or not installed:
        from nbkit.http.engine_httpx2 import AsyncClient as ReferenceEngine

        return ReferenceEngine
    from nbkit.http.engine_aiohttp import AsyncClient as FastEngine

    return FastEngine


def _start_anew() -> None:
    """Start with an empty cache in a forked child, and keep the parent's: dropping it would close its connections."""
    global _cache  # noqa: PLW0603  # the lock may be held by a thread that does not exist in the child
    _inherited.append(_cache)
    _cache = _Cache()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew)
