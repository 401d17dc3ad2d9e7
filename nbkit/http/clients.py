"""HTTP clients, made once and shared: one for each base URL, key, and event loop or none.

A client keeps its connections, so it is kept. All share one SSL context: reading the certificates costs about
40 ms. An asynchronous client belongs to the event loop that opened its connections and is closed when that loop
shuts down its asynchronous generators, as `asyncio.run` does before it closes a loop.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from concurrent import futures
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple, NoReturn

import httpx2
from pydantic import SecretStr

from nbkit.errors import ConfigError
from nbkit.settings import settings


class Authorization(httpx2.Auth, ABC):
    """What puts credentials on a request. Clients are kept by it, so equal ones are the same to a server."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a text."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class KeyAuth(Authorization):
    """Puts a key into a header of each request: `KeyAuth("authorization", "Bearer ", key)`.

    Two are equal when all three are. No repr, traceback or `vars()` shows the key; pickling raises TypeError.
    Raises ConfigError when the key cannot stand in a header.
    """

    __slots__ = ("_header", "_prefix", "_secret")

    def __init__(self, header: str, prefix: str, key: str) -> None:
        self._header, self._prefix, self._secret = header, prefix, SecretStr(key.strip())
        del key  # a traceback may print the locals of the frame that raises
        if not self._fits_header():
            raise ConfigError(f"the key for {header!r} is empty or holds characters that no header can carry")

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the header; called by httpx2."""
        request.headers[self._header] = self._prefix + self.key
        yield request

    @property
    def key(self) -> str:
        """The key itself, to find it in texts."""
        return self._secret.get_secret_value()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key alone."""
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


_Key = tuple[str | float | Authorization | None, ...]


class _Loop(NamedTuple):
    clients: dict[_Key, httpx2.AsyncClient]
    keeper: AsyncGenerator[None, None]


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: dict[_Key, httpx2.Client] = {}
        self.loops: dict[asyncio.AbstractEventLoop, _Loop] = {}


_cache = _Cache()
_inherited: list[_Cache] = []


def sync_client(base_url: str, auth: Authorization | None) -> httpx2.Client:
    """The client for calls from any thread; `auth` None sends no key. Raises httpx2.InvalidURL."""
    key = _key(base_url, auth)
    with _cache.lock:
        if key not in _cache.clients:
            _cache.clients[key] = httpx2.Client(**_arguments(base_url, auth))
        return _cache.clients[key]


def async_client(base_url: str, auth: Authorization | None) -> httpx2.AsyncClient:
    """The client for calls from the running event loop. Raises httpx2.InvalidURL; RuntimeError outside a loop."""
    key = _key(base_url, auth)
    loop = asyncio.get_running_loop()
    with _cache.lock:
        ended = [_cache.loops.pop(other) for other in list(_cache.loops) if other.is_closed()]
        if loop not in _cache.loops:
            _cache.loops[loop] = _Loop({}, _keep(loop))
            with suppress(StopIteration):  # run it up to its yield, so that the loop knows it
                _cache.loops[loop].keeper.asend(None).send(None)
        clients = _cache.loops[loop].clients
        if key not in clients:
            clients[key] = httpx2.AsyncClient(**_arguments(base_url, auth))
    del ended  # not while the lock is held, which a keeper takes when it goes
    return clients[key]


async def _keep(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
    """Wait for the loop's `shutdown_asyncgens`, the one moment before its end when connections can be closed."""
    try:
        yield
    finally:
        with _cache.lock:
            ended = _cache.loops.pop(loop, None)
        for client in ended.clients.values() if ended else ():
            await client.aclose()


def close_all() -> None:
    """Close every client, as is done at exit. Call it outside of coroutines: a running loop closes its own clients."""
    with _cache.lock:
        clients, loops = list(_cache.clients.values()), list(_cache.loops.items())
        _cache.clients.clear()
    for client in clients:
        client.close()
    closing = [
        asyncio.run_coroutine_threadsafe(kept.keeper.aclose(), loop) for loop, kept in loops if loop.is_running()
    ]
    futures.wait(closing, timeout=1)


def _key(base_url: str, auth: Authorization | None) -> _Key:
    now = settings()
    times = now.http_timeout, now.http_connect_timeout
    return base_url, auth, *times, now.max_connections, now.max_keepalive_connections


def _arguments(base_url: str, auth: Authorization | None) -> dict[str, Any]:
    now = settings()
    return {
        "base_url": base_url,
        "auth": auth,
        # A proxy that compresses a stream holds words back until it has a block, and answers are small.
        "headers": {"accept-encoding": "identity"},
        "timeout": httpx2.Timeout(now.http_timeout, connect=now.http_connect_timeout),
        "limits": httpx2.Limits(
            max_connections=now.max_connections, max_keepalive_connections=now.max_keepalive_connections
        ),
        "verify": ssl_context(),
        "follow_redirects": False,  # a redirect would take key and prompt to another address
    }


@cache
def ssl_context() -> ssl.SSLContext:
    """The one that all clients share; it is expensive."""
    return httpx2.create_ssl_context()


def _start_anew() -> None:
    """In a forked child: leave the parent's connections alone, even unreferenced they would be closed."""
    global _cache  # noqa: PLW0603  # its lock may be held by a thread that the child does not have
    _inherited.append(_cache)
    _cache = _Cache()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew)
