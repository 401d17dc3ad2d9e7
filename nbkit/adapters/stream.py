"""Streamed answers, sync and async side by side: both only pump bytes through a Call.

Leaving the `with`, breaking out of the loop inside it, or an interrupt closes the socket and ends the call;
`completion` is then what arrived until there, its bill marked as partial.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from nbkit.adapters.call import Call
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk
from nbkit.http.bounded import araw_chunks, aread_limited, raw_chunks, read_limited
from nbkit.http.clients import async_client, sync_client
from nbkit.http.media import afetch_media, fetch_media


class _Streamed:
    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer with usage and cost; before its end, and after an early one, what arrived so far."""
        return self._call.outcome or self._call.completion or self._call.partial()


class Stream(_Streamed):
    """The pieces of one answer, read once."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._chunks = self._run(call)

    def _run(self, call: Call) -> Generator[ChatCompletionChunk]:
        with call:
            if call.completion:
                yield call.whole_chunk(call.completion)
                return
            if call.wanted:
                call.supply([fetch_media(url) for url in call.wanted])
            client = sync_client(call.endpoint.base_url, call.auth)
            while True:
                with call.attempt() as attempt, client.stream(**call.request()) as response:
                    if not response.is_success:
                        raise call.refusal(response, read_limited(response, call.deadline))
                    call.response = response
                    for data in raw_chunks(response, call.deadline):
                        yield from call.feed(data)
                    yield from call.end()
                    return
                time.sleep(attempt.wait())

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        return self._chunks

    def close(self) -> None:
        """Stop reading and close the socket."""
        self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_Streamed):
    """The pieces of one answer, read once."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._chunks = self._run(call)

    async def _run(self, call: Call) -> AsyncGenerator[ChatCompletionChunk]:
        with call:
            if call.completion:
                yield call.whole_chunk(call.completion)
                return
            if call.wanted:
                call.supply(await asyncio.gather(*(afetch_media(url) for url in call.wanted)))
            client = async_client(call.endpoint.base_url, call.auth)
            while True:
                with call.attempt() as attempt:
                    async with client.stream(**call.request()) as response:
                        if not response.is_success:
                            raise call.refusal(response, await aread_limited(response, call.deadline))
                        call.response = response
                        async with aclosing(araw_chunks(response, call.deadline)) as pieces:
                            async for data in pieces:
                                for chunk in call.feed(data):
                                    yield chunk
                        for chunk in call.end():
                            yield chunk
                        return
                await asyncio.sleep(attempt.wait())

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._chunks

    async def aclose(self) -> None:
        """Stop reading and close the socket."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
