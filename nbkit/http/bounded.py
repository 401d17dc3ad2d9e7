"""Reading a response's body within limits: bytes after decompression, and a deadline.

httpx2 limits the time of a single read only: a server that sends a byte now and then, or never stops, would hold a call
forever. httpx2 decompresses in pieces of 1 MiB, so counting them as they arrive stops a compression bomb. `deadline` is
a reading of `time.monotonic()`, checked whenever bytes arrive. Silence ends with the request's read timeout, which
should not be longer than the time left until the deadline.

All four functions close the response when they end, also on errors. httpx2's exceptions pass through: `failures` turns
them into nbkit's errors.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing

import httpx2

from nbkit.errors import ProviderError, TransportError

MAX_ANSWER = 128 * 2**20
"""Bytes after decompression."""
MAX_ERROR_BODY = 64 * 2**10
"""Bytes kept of an error's body; the rest is not read."""


class _Meter:
    """Byte counter that raises when a body grows too long or arrives too late."""

    def __init__(self, response: httpx2.Response, deadline: float) -> None:
        self.status, self.deadline, self.count = response.status_code, deadline, 0

    def add(self, chunk: bytes) -> None:
        self.count += len(chunk)
        if self.count > MAX_ANSWER:
            raise ProviderError(f"the response is longer than {MAX_ANSWER // 2**20} MiB", status=self.status)
        if time.monotonic() > self.deadline:
            raise TransportError("timed out: the deadline passed before the response was complete")


def raw_chunks(response: httpx2.Response, deadline: float) -> Generator[bytes, None, None]:
    """Yield the body as it arrives, decompressed where it is compressed.

    Raises ProviderError beyond 128 MiB, TransportError beyond the deadline.
    """
    meter = _Meter(response, deadline)
    with closing(response):
        for chunk in response.iter_raw() if _is_plain(response) else response.iter_bytes():
            meter.add(chunk)
            yield chunk


async def araw_chunks(response: httpx2.Response, deadline: float) -> AsyncGenerator[bytes, None]:
    """Do what `raw_chunks` does, for an asynchronous client."""
    meter = _Meter(response, deadline)
    async with aclosing(response.aiter_raw() if _is_plain(response) else response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            meter.add(chunk)
            yield chunk


def read_limited(response: httpx2.Response, deadline: float) -> bytes:
    """Read the whole body, of an error response only the first 64 KiB. Raises as `raw_chunks` does."""
    body = bytearray()
    with closing(raw_chunks(response, deadline)) as chunks:
        for chunk in chunks:
            body += chunk
            if response.is_error and len(body) >= MAX_ERROR_BODY:
                return bytes(body[:MAX_ERROR_BODY])
    return bytes(body)


async def aread_limited(response: httpx2.Response, deadline: float) -> bytes:
    """Do what `read_limited` does, for an asynchronous client."""
    body = bytearray()
    async with aclosing(araw_chunks(response, deadline)) as chunks:
        async for chunk in chunks:
            body += chunk
            if response.is_error and len(body) >= MAX_ERROR_BODY:
                return bytes(body[:MAX_ERROR_BODY])
    return bytes(body)


def _is_plain(response: httpx2.Response) -> bool:
    """Tell whether the socket's bytes are the body's bytes (not compressed) and are still unread."""
    return "content-encoding" not in response.headers and not response.is_stream_consumed
