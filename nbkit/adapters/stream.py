"""Streamed answers, sync and async side by side: both only pump bytes through a Call.

Leaving the `with`, breaking out of the loop inside it, dropping the stream, or an interrupt closes the socket and ends
the call; `completion` is then what arrived until there, its bill marked as partial.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from types import TracebackType
from typing import Any, Self

from nbkit.adapters.call import Call
from nbkit.adapters.observers import KEPT
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk
from nbkit.errors import StreamError
from nbkit.http.bounded import aread_limited, aread_pieces, is_success, read_limited, read_pieces
from nbkit.http.clients import async_client, sync_client

# The generators are functions, not methods: one that held its stream would be a cycle, and a stream that is dropped
# would keep its socket open until the cyclic collector runs.


def pump(call: Call) -> Generator[ChatCompletionChunk]:
    """Send a call, and give its answer in pieces."""
    with KEPT, call:
        if call.completion:
            for seconds, chunk in call.replay():
                time.sleep(seconds)
                yield chunk
            return
        if call.prepared.wanted:
            from nbkit.http.media import fetch_media  # few calls have images to fetch

            call.supply([fetch_media(url) for url in call.prepared.wanted])
        while True:
            with call.attempt() as attempt:
                if call.place.waits:
                    call.wait_in_line()
                client = sync_client(call.endpoint.base_url, call.auth)
                with closing(call.begin(client.send(call.request()))) as reply:
                    if not is_success(reply.status):
                        raise call.refusal(read_limited(reply, call.exchange))
                    for data in read_pieces(reply, call.exchange, call.is_over):
                        yield from call.feed(data)
                    yield from call.end()
                    return
            time.sleep(attempt.wait())


async def apump(call: Call) -> AsyncGenerator[ChatCompletionChunk]:
    """Send a call, and give its answer in pieces."""
    import asyncio  # a process of synchronous calls does without

    async with KEPT, call:
        if call.completion:
            for seconds, chunk in call.replay():
                await asyncio.sleep(seconds)
                yield chunk
            return
        if call.prepared.wanted:
            from nbkit.http.media import afetch_media

            call.supply(await asyncio.gather(*(afetch_media(url) for url in call.prepared.wanted)))
        while True:
            with call.attempt() as attempt:
                if call.place.waits:
                    await call.await_in_line()
                client = async_client(call.endpoint.base_url, call.auth)
                async with aclosing(call.begin(await client.send(call.request()))) as reply:
                    if not is_success(reply.status):
                        raise call.refusal(await aread_limited(reply, call.exchange))
                    async with aclosing(aread_pieces(reply, call.exchange, call.is_over)) as pieces:
                        async for data in pieces:
                            for chunk in call.feed(data):
                                yield chunk
                    for chunk in call.end():
                        yield chunk
                    return
            await asyncio.sleep(await attempt.await_turn())


class _Streamed:
    def __init__(self, call: Call) -> None:
        self._sent = call
        self._closed = False

    @property
    def _call(self) -> Call:
        return self._sent

    @property
    def _unread(self) -> bool:
        return not (self._call.entered or self._closed)

    @property
    def booked(self) -> ChatCompletion | None:
        """Completion that the observers got at the end of the call: whole, what arrived of it, or None for neither."""
        return self._call.outcome

    def _get_completion(self) -> ChatCompletion:
        return self._call.outcome or self._call.completion or self._call.partial()

    def _check_unread(self) -> None:
        """Raise StreamError for a stream that has nothing more to give: a loop over it would be silently empty."""
        if self._closed or self._call.ended:
            raise self._explain(
                "the stream was read or closed before: its answer is in .completion; ask again to repeat"
            )

    def _explain(self, problem: str) -> StreamError:
        endpoint = self._call.endpoint
        return StreamError(problem, provider=endpoint.provider, model=endpoint.model, attempts=self._call.attempts)


class Stream(_Streamed):
    """The pieces of one answer, read once."""

    def __init__(self, call: Call, chunks: Generator[ChatCompletionChunk] | None = None) -> None:
        super().__init__(call)
        self._chunks = chunks or pump(call)

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer with usage and cost; while it is read, and after an early end, what arrived so far.

        Before anything was read, the whole answer is waited for.
        """
        if self._unread:
            for _ in self._chunks:
                pass
        return self._get_completion()

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        self._check_unread()
        return self._chunks

    def close(self) -> None:
        """Stop reading and close the socket."""
        self._closed = True
        self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_Streamed):
    """The pieces of one answer, read once. `await stream` reads them all and gives the completion."""

    def __init__(self, call: Call, chunks: AsyncGenerator[ChatCompletionChunk] | None = None) -> None:
        super().__init__(call)
        self._chunks = chunks or apump(call)

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer with usage and cost; while it is read, and after an early end, what arrived so far.

        Raises StreamError before anything was read: only `await` can wait for it.
        """
        if self._unread:
            raise self._explain("nothing was read yet: `await` the stream, or loop over it with `async for`")
        return self._get_completion()

    def __await__(self) -> Generator[Any, None, ChatCompletion]:
        return self._finish().__await__()

    async def _finish(self) -> ChatCompletion:
        async for _ in self._chunks:
            pass
        return self._get_completion()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        self._check_unread()
        return self._chunks

    async def aclose(self) -> None:
        """Stop reading and close the socket."""
        self._closed = True
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
