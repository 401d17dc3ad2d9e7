"""Reading a reply's body within limits: bytes after decompression, and a deadline.

A server that sends a byte now and then, or never stops, would hold a call forever: an engine limits silence, and what
arrives is counted and timed here. Compressed bodies, which nobody asks for but some proxies send, are decompressed in
pieces of 1 MiB, so counting them as they arrive stops a compression bomb.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from functools import lru_cache

from nbkit.errors import AdapterError, ProviderError, TransportError
from nbkit.http.exchange import DEADLINE_PASSED, AsyncReply, Exchange, Failure, Reply

MAX_ANSWER = 128 * 2**20
"""Bytes after decompression."""
MAX_ERROR_BODY = 64 * 2**10
"""Bytes kept of an error's body; the rest is not read."""
ERROR_BODY_SECONDS = 10.0
"""Longest wait for the body of an error, whose status is known by then."""
LAST_SECONDS = 0.1
"""Longest wait for what may follow the end of an answer: its last bytes, which leave the connection usable again."""

Over = Callable[[], bool]

_JOINED = 0.05  # seconds of a stream that are read at once
_SHARE = 0.01  # of the time that a stream has taken: what it is measured by stays true to a hundredth
_joins: ContextVar[bool] = ContextVar("nbkit_joins", default=False)


@contextmanager
def joining_reads() -> Iterator[None]:
    """Make the async streams of a block collect what arrives within 50 ms, for readers whose eyes see no less.

    Most of a stream's CPU is paid per read, whether it has one event or ten. The pause is at most a hundredth of the
    time that the body has taken so far, and there is none once the answer is complete, nor where an engine returns one
    chunk after the other: a pause for each would hold the stream up.
    """
    token = _joins.set(True)
    try:
        yield
    finally:
        _joins.reset(token)


def is_success(status: int) -> bool:
    """Tell whether a status says that the answer is there: 2xx."""
    return 200 <= status < 300


def _check(count: int, status: int, exchange: Exchange) -> None:
    """Raise ProviderError where a body has grown too long, TransportError where it comes too late."""
    if count > MAX_ANSWER:
        raise ProviderError(f"the response is longer than {MAX_ANSWER // 2**20} MiB", status=status)
    if time.monotonic() > exchange.deadline:
        raise TransportError(DEADLINE_PASSED)


def _is_late(exchange: Exchange) -> bool:
    """Tell, of an answer that is complete, whether to stop reading: what follows it does not come at once."""
    exchange.hurry(LAST_SECONDS)
    return exchange.expired


def read_pieces(reply: Reply, exchange: Exchange, over: Over = lambda: False) -> Generator[bytes, None, None]:
    """Yield the body as it arrives, decompressed where it is compressed; the caller closes the reply.

    `over` tells whether the answer is complete, whatever the server does afterwards: then only what arrives at once is
    read, and no failure counts. Raises Failure, ProviderError beyond 128 MiB, TransportError beyond the deadline.
    """
    count, status, encoding = 0, reply.status, _begin(reply, exchange)
    try:
        for data in _decompress(reply, encoding) if encoding else iter(reply.receive, b""):
            count += len(data)
            _check(count, status, exchange)
            yield data
            if over() and _is_late(exchange):
                return
    except (AdapterError, Failure):
        if not over():
            raise


async def aread_pieces(
    reply: AsyncReply, exchange: Exchange, over: Over = lambda: False
) -> AsyncGenerator[bytes, None]:
    """Do what `read_pieces` does, in an event loop; within `joining_reads`, with pauses."""
    import asyncio  # a process of synchronous calls does without

    count, status, encoding = 0, reply.status, _begin(reply, exchange)
    receive = _adecompress(reply, encoding) if encoding else reply.receive
    joins, started = _joins.get() and reply.reads_all, time.monotonic()
    try:
        while data := await receive():
            count += len(data)
            _check(count, status, exchange)
            yield data
            if over():
                if _is_late(exchange):
                    return
            elif joins:
                await asyncio.sleep(min(_JOINED, _SHARE * (time.monotonic() - started)))
    except (AdapterError, Failure):
        if not over():
            raise


def read_limited(reply: Reply, exchange: Exchange) -> bytes:
    """Read the whole body, of an error only the first 64 KiB. Raises as `read_pieces` does.

    The body of an error is what arrives of it: its status is more than a failure to read it would tell.
    """
    body, whole = bytearray(), is_success(reply.status)
    try:
        for data in read_pieces(reply, exchange):
            body += data
            if not whole and len(body) >= MAX_ERROR_BODY:
                break
    except (AdapterError, Failure):
        if whole:
            raise
    return bytes(body if whole else body[:MAX_ERROR_BODY])


async def aread_limited(reply: AsyncReply, exchange: Exchange) -> bytes:
    """Do what `read_limited` does, in an event loop."""
    body, whole = bytearray(), is_success(reply.status)
    try:
        async with aclosing(aread_pieces(reply, exchange)) as pieces:
            async for data in pieces:
                body += data
                if not whole and len(body) >= MAX_ERROR_BODY:
                    break
    except (AdapterError, Failure):
        if whole:
            raise
    return bytes(body if whole else body[:MAX_ERROR_BODY])


def _begin(reply: Reply | AsyncReply, exchange: Exchange) -> str:
    """Return how a body is compressed, "" for not at all; that of an error gets little time.

    Raises ProviderError where the body cannot be decompressed.
    """
    if not is_success(reply.status):
        exchange.hurry(ERROR_BODY_SECONDS)
    encodings = [name.strip().lower() for name in reply.headers.get("content-encoding", "").split(",")]
    encodings = [name for name in encodings if name not in ("", "identity")]
    for name in encodings:
        if not _can_decode(name):
            raise ProviderError(
                f"the response is compressed with {name[:20]!r}, which was not asked for", status=reply.status
            )
    return ", ".join(encodings)


@lru_cache(16)
def _can_decode(encoding: str) -> bool:
    """Tell whether httpx2 can decompress: br and zstd only with another package. It passes on what it cannot."""
    import httpx2

    probe = b"\xff\x00not compressed"
    try:
        return httpx2.Response(200, headers={"content-encoding": encoding}, content=probe).content != probe
    except httpx2.DecodingError:
        return True


def _decompress(reply: Reply, encoding: str) -> Iterator[bytes]:
    import httpx2

    headers = {"content-encoding": encoding}
    try:
        yield from httpx2.Response(200, headers=headers, content=iter(reply.receive, b"")).iter_bytes()
    except httpx2.DecodingError:
        error = ProviderError("the response cannot be decompressed", status=reply.status)
    else:
        return
    raise error


def _adecompress(reply: AsyncReply, encoding: str) -> Callable[[], Awaitable[bytes]]:
    import httpx2

    async def receive_all() -> AsyncIterator[bytes]:
        while data := await reply.receive():
            yield data

    pieces = httpx2.Response(200, headers={"content-encoding": encoding}, content=receive_all()).aiter_bytes()

    async def receive() -> bytes:
        try:
            return await anext(pieces, b"")
        except httpx2.DecodingError:
            error = ProviderError("the response cannot be decompressed", status=reply.status)
        raise error

    return receive
