"""HTTP clients, cached and shared: one per base URL and credentials; asynchronous ones per event loop, too.

A client keeps its connections open for the next request. All clients share one SSL context, because loading the
certificates takes about 40 ms. A client is for one server: `base_url` says which, and proxies and certificates are
those that the environment names when the client is asked for. Of clients that nobody asks for any more, the last 64 are
kept. An asynchronous client belongs to the event loop that opened its connections. It is closed when that loop shuts
down its asynchronous generators, as `asyncio.run` does before it closes a loop.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from concurrent import futures
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

import httpx2
from pydantic import SecretStr

from nbkit.errors import ConfigError
from nbkit.http.environment import find_proxy, read_environment, ssl_context
from nbkit.http.exchange import AsyncTransport, Transport
from nbkit.http.recent import Recent
from nbkit.settings import settings

MAX_CLIENTS = 64
"""Clients kept for calls from threads, and as many for each event loop."""


class Authorization(httpx2.Auth, ABC):
    """Credentials that are added to each request. Part of the cache's key: equal ones share a client."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The secrets, to be replaced wherever they appear in a text."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class KeyAuth(Authorization):
    """An API key in a header of each request: `KeyAuth("authorization", "Bearer ", key)`.

    Two are equal when all three arguments are. No repr, traceback or `vars()` shows the key; pickling raises TypeError.
    Raises ConfigError when the key cannot be sent in a header.
    """

    __slots__ = ("_header", "_prefix", "_secret")

    def __init__(self, header: str, prefix: str, key: str) -> None:
        self._header, self._prefix, self._secret = header, prefix, SecretStr(key.strip())
        del key  # a traceback may print the locals of the frame that raises
        if not self._fits_header():
            raise ConfigError(f"the API key for {header!r} is empty or has characters that a header cannot hold")

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the header; called by httpx2."""
        request.headers[self._header] = self._prefix + self.key
        yield request

    @property
    def key(self) -> str:
        """The key itself, in plain text."""
        return self._secret.get_secret_value()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key as the only secret."""
        return (self.key,)

    def _fits_header(self) -> bool:
        return bool(self.key) and self.key.isascii() and self.key.isprintable()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyAuth) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[str, str, SecretStr]:
        return self._header, self._prefix, self._secret

    def __repr__(self) -> str:
        return f"KeyAuth({self._header!r}, '...{self.key[-4:] if len(self.key) >= 20 else ''}')"


_Key = tuple[Any, ...]


class _Loop(NamedTuple):
    clients: Recent[_Key, httpx2.AsyncClient]
    keeper: AsyncGenerator[None, None]


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: Recent[_Key, httpx2.Client] = Recent(MAX_CLIENTS)
        self.loops: dict[asyncio.AbstractEventLoop, _Loop] = {}


_cache = _Cache()
_inherited: list[_Cache] = []


def sync_client(base_url: str, auth: Authorization | None) -> httpx2.Client:
    """Return the shared client, for any thread; with `auth` None it sends no key.

    Raises httpx2.InvalidURL, and ConfigError where a proxy or certificates of the environment cannot be used.
    """

    def make() -> httpx2.Client:
        return httpx2.Client(transport=Transport(**_describe_connections(base_url)), **_make_arguments(base_url, auth))

    return _cache.clients.get(_make_key(base_url, auth), make)


def async_client(base_url: str, auth: Authorization | None) -> httpx2.AsyncClient:
    """Return the client of the running event loop. Raises as `sync_client` does, and RuntimeError outside a loop."""

    def make() -> httpx2.AsyncClient:
        transport = AsyncTransport(**_describe_connections(base_url))
        return httpx2.AsyncClient(transport=transport, **_make_arguments(base_url, auth))

    loop = asyncio.get_running_loop()
    with _cache.lock:
        ended = [_cache.loops.pop(other) for other in list(_cache.loops) if other.is_closed()]
        if loop not in _cache.loops:
            _cache.loops[loop] = _Loop(Recent(MAX_CLIENTS), _keep(loop))
            with suppress(StopIteration):  # run it up to its yield: this registers it with the loop
                _cache.loops[loop].keeper.asend(None).send(None)
        clients = _cache.loops[loop].clients
    del ended  # after the lock is released: a keeper takes the lock when it is finalized
    return clients.get(_make_key(base_url, auth), make)


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
    pending = [
        asyncio.run_coroutine_threadsafe(entry.keeper.aclose(), loop) for loop, entry in loops if loop.is_running()
    ]
    futures.wait(pending, timeout=1)


def _make_key(base_url: str, auth: Authorization | None) -> _Key:
    now = settings()
    times = now.http_timeout, now.http_connect_timeout
    return base_url, auth, *times, now.max_connections, now.max_keepalive_connections, read_environment(base_url)


def _make_arguments(base_url: str, auth: Authorization | None) -> dict[str, Any]:
    now = settings()
    return {
        "base_url": base_url,
        "auth": auth,
        # A proxy that compresses a stream holds text back until it has a full block, and responses are small.
        "headers": {"accept-encoding": "identity"},
        "timeout": httpx2.Timeout(now.http_timeout, connect=now.http_connect_timeout),
        "follow_redirects": False,  # a redirect would send key and prompt to another host
    }


def _describe_connections(base_url: str) -> dict[str, Any]:
    """Build the arguments of a transport."""
    now, proxy = settings(), find_proxy(httpx2.URL(base_url))
    return {
        "verify": ssl_context(),
        "proxy": proxy.settings if proxy else None,
        "limits": httpx2.Limits(
            max_connections=now.max_connections, max_keepalive_connections=now.max_keepalive_connections
        ),
    }


def _start_anew() -> None:
    """Start with an empty cache in a forked child, and keep the parent's: dropping it would close its connections."""
    global _cache  # noqa: PLW0603  # the lock may be held by a thread that does not exist in the child
    _inherited.append(_cache)
    _cache = _Cache()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew)
