"""Reading a body with an end: so many bytes after decompression, and a deadline.

httpx2 limits the time of one read only: a server that sends a byte now and then, or never ends, holds a call for
ever. It decompresses in pieces of 1 MiB, so counting them as they come stops a compression bomb. `deadline` is a
reading of `time.monotonic()`, looked at whenever bytes arrive; silence ends with the request's read time-out, which
should be no longer than what is left.

All four close the response when they end, however they end. httpx2's exceptions pass through: `failures` words them.
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
    """Counts bytes; raises where an answer grows too long or too late."""

    def __init__(self, response: httpx2.Response, deadline: float) -> None:
        self.status, self.deadline, self.count = response.status_code, deadline, 0

    def add(self, chunk: bytes) -> None:
        self.count += len(chunk)
        if self.count > MAX_ANSWER:
            raise ProviderError(f"the answer is longer than {MAX_ANSWER // 2**20} MiB", status=self.status)
        if time.monotonic() > self.deadline:
            raise TransportError("the deadline passed before the answer had ended")


def raw_chunks(response: httpx2.Response, deadline: float) -> Generator[bytes, None, None]:
    """The body as it arrives, decompressed if need be.

    Raises ProviderError beyond 128 MiB, TransportError beyond the deadline.
    """
    meter = _Meter(response, deadline)
    with closing(response):
        for chunk in response.iter_raw() if _is_plain(response) else response.iter_bytes():
            meter.add(chunk)
            yield chunk


async def araw_chunks(response: httpx2.Response, deadline: float) -> AsyncGenerator[bytes, None]:
    """`raw_chunks` of an asynchronous client."""
    meter = _Meter(response, deadline)
    async with aclosing(response.aiter_raw() if _is_plain(response) else response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            meter.add(chunk)
            yield chunk


def read_limited(response: httpx2.Response, deadline: float) -> bytes:
    """The whole body of an answer, or the first 64 KiB of an error's. Raises as `raw_chunks` does."""
    body = bytearray()
    with closing(raw_chunks(response, deadline)) as chunks:
        for chunk in chunks:
            body += chunk
            if response.is_error and len(body) >= MAX_ERROR_BODY:
                return bytes(body[:MAX_ERROR_BODY])
    return bytes(body)


async def aread_limited(response: httpx2.Response, deadline: float) -> bytes:
    """`read_limited` of an asynchronous client."""
    body = bytearray()
    async with aclosing(araw_chunks(response, deadline)) as chunks:
        async for chunk in chunks:
            body += chunk
            if response.is_error and len(body) >= MAX_ERROR_BODY:
                return bytes(body[:MAX_ERROR_BODY])
    return bytes(body)


def _is_plain(response: httpx2.Response) -> bool:
    """Whether the bytes of the socket are the bytes of the body, and still to be read."""
    return "content-encoding" not in response.headers and not response.is_stream_consumed
