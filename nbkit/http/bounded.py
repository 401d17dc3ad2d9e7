"""Reading a response's body within limits: bytes after decompression, and a deadline.

httpx2 limits the time of a single read only: a server that sends a byte now and then, or never stops, would hold a call
forever. httpx2 decompresses in pieces of 1 MiB, so counting them as they arrive stops a compression bomb. `deadline` is
a reading of `time.monotonic()`, checked whenever bytes of the body arrive; silence and the bytes around the body end
with the request's own timeouts, which keep to the same deadline where they are those of an `Exchange`.

All four functions close the response when they end, also on errors. httpx2's exceptions pass through: `failures` turns
them into nbkit's errors.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from functools import lru_cache

import httpx2

from nbkit.errors import AdapterError, ProviderError, TransportError
from nbkit.http.exchange import DEADLINE_PASSED, find_exchange
from nbkit.http.failures import FAILURES

MAX_ANSWER = 128 * 2**20
"""Bytes after decompression."""
MAX_ERROR_BODY = 64 * 2**10
"""Bytes kept of an error's body; the rest is not read."""
ERROR_BODY_SECONDS = 10.0
"""Longest wait for the body of an error, whose status is known by then."""
LAST_SECONDS = 0.1
"""Longest wait for what may follow the end of an answer: its last bytes, which leave the connection usable again."""

Over = Callable[[], bool]


class _Meter:
    """Byte counter that raises when a body grows too long or arrives too late."""

    def __init__(self, response: httpx2.Response, deadline: float) -> None:
        self.status, self.deadline, self.count = response.status_code, deadline, 0
        self._exchange = find_exchange(response.request)
        if not response.is_success and self._exchange:
            self._exchange.hurry(ERROR_BODY_SECONDS)
        for encoding in response.headers.get("content-encoding", "").lower().split(","):
            if not _can_decode(encoding.strip()):
                raise ProviderError(
                    f"the response is compressed with {encoding.strip()[:20]!r}, which was not asked for",
                    status=self.status,
                )

    def add(self, chunk: bytes) -> None:
        self.count += len(chunk)
        if self.count > MAX_ANSWER:
            raise ProviderError(f"the response is longer than {MAX_ANSWER // 2**20} MiB", status=self.status)
        if time.monotonic() > self.deadline:
            raise TransportError(DEADLINE_PASSED)

    def is_late(self) -> bool:
        """Tell whether to stop reading what follows the end of an answer."""
        if self._exchange is None:
            return True
        self._exchange.hurry(LAST_SECONDS)
        return self._exchange.expired


def raw_chunks(response: httpx2.Response, deadline: float, over: Over = lambda: False) -> Generator[bytes, None, None]:
    """Yield the body as it arrives, decompressed where it is compressed.

    `over` tells whether the answer is complete, whatever the server does afterwards: then only what arrives at once is
    read, and no failure counts. Raises ProviderError beyond 128 MiB, TransportError beyond the deadline.
    """
    with closing(response):
        meter = _Meter(response, deadline)
        try:
            for chunk in response.iter_raw() if _is_plain(response) else response.iter_bytes():
                meter.add(chunk)
                yield chunk
                if over() and meter.is_late():
                    return
        except (AdapterError, *FAILURES):
            if not over():
                raise


async def araw_chunks(
    response: httpx2.Response, deadline: float, over: Over = lambda: False
) -> AsyncGenerator[bytes, None]:
    """Do what `raw_chunks` does, for an asynchronous client."""
    async with aclosing(response):
        meter = _Meter(response, deadline)
        try:
            async with aclosing(response.aiter_raw() if _is_plain(response) else response.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    meter.add(chunk)
                    yield chunk
                    if over() and meter.is_late():
                        return
        except (AdapterError, *FAILURES):
            if not over():
                raise


def read_limited(response: httpx2.Response, deadline: float) -> bytes:
    """Read the whole body, of an error response only the first 64 KiB. Raises as `raw_chunks` does.

    The body of an error response is what arrives of it: its status is more than a failure to read it would tell.
    """
    body = bytearray()
    try:
        with closing(raw_chunks(response, deadline)) as chunks:
            for chunk in chunks:
                body += chunk
                if response.is_error and len(body) >= MAX_ERROR_BODY:
                    return bytes(body[:MAX_ERROR_BODY])
    except (AdapterError, *FAILURES):
        if response.is_success:
            raise
    return bytes(body)


async def aread_limited(response: httpx2.Response, deadline: float) -> bytes:
    """Do what `read_limited` does, for an asynchronous client."""
    body = bytearray()
    try:
        async with aclosing(araw_chunks(response, deadline)) as chunks:
            async for chunk in chunks:
                body += chunk
                if response.is_error and len(body) >= MAX_ERROR_BODY:
                    return bytes(body[:MAX_ERROR_BODY])
    except (AdapterError, *FAILURES):
        if response.is_success:
            raise
    return bytes(body)


def _is_plain(response: httpx2.Response) -> bool:
    """Tell whether the socket's bytes are the body's bytes (not compressed) and are still unread."""
    return "content-encoding" not in response.headers and not response.is_stream_consumed


@lru_cache(16)
def _can_decode(encoding: str) -> bool:
    """Tell whether httpx2 can decompress: br and zstd only with another package. It passes on what it cannot."""
    if encoding in ("", "identity"):
        return True
    probe = b"\xff\x00not compressed"
    try:
        return httpx2.Response(200, headers={"content-encoding": encoding}, content=probe).content != probe
    except httpx2.DecodingError:
        return True
