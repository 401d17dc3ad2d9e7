from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib
from contextlib import aclosing, closing

import httpx2
import pytest

from nbkit.errors import ProviderError, TransportError
from nbkit.http.bounded import (
    MAX_ANSWER,
    MAX_ERROR_BODY,
    araw_chunks,
    aread_limited,
    raw_chunks,
    read_limited,
)

BODY = bytes(range(256)) * 500
PATIENT = 600.0  # seconds, for what must not run out of time on a busy machine
TIMES = httpx2.Timeout(PATIENT)


def read_sync(url: str, deadline: float) -> bytes:
    with httpx2.Client(timeout=TIMES) as client, client.stream("POST", url) as response:
        return read_limited(response, time.monotonic() + deadline)


def read_async(url: str, deadline: float) -> bytes:
    async def read() -> bytes:
        async with httpx2.AsyncClient(timeout=TIMES) as client, client.stream("POST", url) as response:
            return await aread_limited(response, time.monotonic() + deadline)

    return asyncio.run(read())


def join_sync(url: str, deadline: float) -> bytes:
    with httpx2.Client(timeout=TIMES) as client, client.stream("POST", url) as response:
        return b"".join(raw_chunks(response, time.monotonic() + deadline))


def join_async(url: str, deadline: float) -> bytes:
    async def read() -> bytes:
        async with httpx2.AsyncClient(timeout=TIMES) as client, client.stream("POST", url) as response:
            return b"".join([chunk async for chunk in araw_chunks(response, time.monotonic() + deadline)])

    return asyncio.run(read())


reads = pytest.mark.parametrize("read", [read_sync, read_async])
reads_and_joins = pytest.mark.parametrize("read", [read_sync, read_async, join_sync, join_async])


def zeros(mebibytes: int) -> bytes:
    deflate = zlib.compressobj(1, wbits=31)
    return b"".join(deflate.compress(bytes(2**20)) for _ in range(mebibytes)) + deflate.flush()


@reads_and_joins
@pytest.mark.parametrize("encoding", ["", "identity", "gzip"])
def test_a_body_arrives_as_it_was(serve, response, read, encoding):
    sent = gzip.compress(BODY) if encoding == "gzip" else BODY
    headers = {"content_encoding": encoding} if encoding else {}
    assert read(serve(response(sent, **headers)).url, PATIENT) == BODY


@reads_and_joins
def test_a_compression_bomb_is_defused(serve, response, read):
    bomb = response(zeros(MAX_ANSWER // 2**20 + 1), content_encoding="gzip")
    with pytest.raises(ProviderError, match="longer than 128 MiB") as caught:
        read(serve(bomb).url, PATIENT)
    assert caught.value.status == 200  # which is not tried again


@reads
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_only_the_start_of_an_errors_body_is_read(serve, response, read, encoding):
    body = zeros(300) if encoding else bytes(20 * 2**20)
    server = serve(response(body, 500, **({"content_encoding": "gzip"} if encoding else {})))
    assert read(server.url, PATIENT) == bytes(MAX_ERROR_BODY)
    assert server.sees_hang_up()


@reads_and_joins
def test_a_dripping_body_ends_at_the_deadline(serve, read):
    """The server has 2,000 pieces, one in 10 ms; nobody waits for the last."""
    pieces = []

    def drip(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(2000):
            connection.sendall(b"1\r\n:\r\n")
            pieces.append(1)
            time.sleep(0.01)
        connection.sendall(b"0\r\n\r\n")

    server = serve(drip)
    with pytest.raises(TransportError, match=r"^timed out: the deadline passed before the response was complete$"):
        read(server.url, 0.2)
    assert server.sees_hang_up()
    assert len(pieces) < 2000


@reads_and_joins
def test_a_deadline_that_has_passed_ends_with_the_first_byte(serve, response, read):
    with pytest.raises(TransportError, match="deadline"):
        read(serve(response(b"x")).url, -1)


def ping_pong(received: threading.Event):
    """Sends the second piece once the first has arrived, then waits for the client to hang up."""

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        assert received.wait(PATIENT)
        connection.sendall(b"1\r\nb\r\n")
        connection.recv(1)

    return answer


def test_pieces_are_delivered_at_once_and_leaving_hangs_up(serve):
    received = threading.Event()
    server = serve(ping_pong(received))
    with httpx2.Client(timeout=TIMES) as client:
        response = client.send(client.build_request("POST", server.url), stream=True)
        with closing(raw_chunks(response, time.monotonic() + PATIENT)) as chunks:
            assert next(chunks) == b"a"
            received.set()
            assert next(chunks) == b"b"
        assert response.is_closed
        assert server.sees_hang_up()


def test_pieces_are_delivered_at_once_and_leaving_hangs_up_async(serve):
    received = threading.Event()
    server = serve(ping_pong(received))

    async def run():
        async with httpx2.AsyncClient(timeout=TIMES) as client:
            response = await client.send(client.build_request("POST", server.url), stream=True)
            async with aclosing(araw_chunks(response, time.monotonic() + PATIENT)) as chunks:
                assert await anext(chunks) == b"a"
                received.set()
                assert await anext(chunks) == b"b"
            assert response.is_closed

    asyncio.run(run())
    assert server.sees_hang_up()


def test_a_response_already_in_memory_is_read_too():
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=BODY))) as client:
        assert read_limited(client.get("http://x"), time.monotonic() + PATIENT) == BODY
