"""Bodies within their limits: as they were, at once, not too long, not too late, from threads and on every engine."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib
from contextlib import aclosing, closing

import pytest
from engines import engines, on_engines
from senders import PATIENT, asend, build, explaining, send

from nbkit.errors import ProviderError, TransportError
from nbkit.http.bounded import MAX_ANSWER, MAX_ERROR_BODY, aread_pieces, joining_reads, read_pieces
from nbkit.http.clients import async_client, sync_client

BODY = bytes(range(256)) * 500


def read(url, **options):
    return send(url, **options).body


def aread(url, **options):
    return asend(url, **options).body


def join(url, **options):
    request = build(url, **options)
    with explaining(request), closing(sync_client(url, None).send(request)) as reply:
        return b"".join(read_pieces(reply, request.exchange))


def ajoin(url, **options):
    async def run():
        request = build(url, **options)
        with explaining(request):
            async with (
                aclosing(await async_client(url, None).send(request)) as reply,
                aclosing(aread_pieces(reply, request.exchange)) as pieces,
            ):
                return b"".join([piece async for piece in pieces])

    return asyncio.run(run())


def ajoin_slowly(url, **options):
    with joining_reads():
        return ajoin(url, **options)


reads = on_engines("get", read, aread)
reads_and_joins = on_engines("get", read, join, aread, ajoin, ajoin_slowly)


def zeros(mebibytes: int) -> bytes:
    deflate = zlib.compressobj(1, wbits=31)
    return b"".join(deflate.compress(bytes(2**20)) for _ in range(mebibytes)) + deflate.flush()


COMPRESSED = {
    "": BODY,
    "identity": BODY,
    "gzip": gzip.compress(BODY),
    "GZip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "deflate, gzip": gzip.compress(zlib.compress(BODY)),
}


@reads_and_joins
@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_body_arrives_as_it_was(serve, response, get, encoding):
    headers = {"content_encoding": encoding} if encoding else {}
    assert get(serve(response(COMPRESSED[encoding], **headers)).url) == BODY


@reads_and_joins
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "nonsense"])
def test_a_compression_that_was_not_requested_is_named(serve, response, get, encoding):
    with pytest.raises(ProviderError, match=r"compressed with '(br|zstd|nonsense)', which was not asked for") as caught:
        get(serve(response(b"\x0b\x02\x80", content_encoding=encoding)).url)
    assert caught.value.status == 200


@reads_and_joins
def test_a_body_that_is_not_compressed_as_it_says_is_an_error(serve, response, get):
    with pytest.raises(ProviderError, match="the response cannot be decompressed") as caught:
        get(serve(response(b"hello", content_encoding="gzip")).url)
    assert caught.value.status == 200  # which is not tried again
    assert caught.value.__context__ is None


@reads_and_joins
def test_a_compression_bomb_is_defused(serve, response, get):
    bomb = response(zeros(MAX_ANSWER // 2**20 + 1), content_encoding="gzip")
    with pytest.raises(ProviderError, match="longer than 128 MiB") as caught:
        get(serve(bomb).url)
    assert caught.value.status == 200  # which is not tried again


@reads
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_only_the_start_of_an_errors_body_is_read(serve, response, get, encoding):
    body = zeros(300) if encoding else bytes(20 * 2**20)
    server = serve(response(body, 500, **({"content_encoding": "gzip"} if encoding else {})))
    assert get(server.url) == bytes(MAX_ERROR_BODY)
    assert server.sees_hang_up()


@reads_and_joins
def test_a_dripping_body_ends_at_the_deadline(serve, get):
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
        get(server.url, deadline=0.2)
    assert server.sees_hang_up()
    assert len(pieces) < 2000


@engines
def test_joining_pauses_for_reads_and_not_for_chunks(serve, monkeypatch):
    pauses, sleep = [], asyncio.sleep

    async def pause(seconds):
        pauses.append(seconds)
        await sleep(seconds)

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\n:\r\n" * 500)
        connection.sendall(b"0\r\n\r\n")

    monkeypatch.setattr(asyncio, "sleep", pause)
    assert ajoin_slowly(serve(answer).url) == b":" * 500
    assert len(pauses) < 100


@reads_and_joins
def test_a_deadline_that_has_passed_ends_at_once(serve, response, get):
    with pytest.raises(TransportError, match="deadline"):
        get(serve(response(b"x")).url, deadline=-1)


def ping_pong(received: threading.Event):
    """Sends the second piece once the first has arrived, then waits for the client to hang up."""

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        assert received.wait(PATIENT)
        connection.sendall(b"1\r\nb\r\n")
        connection.recv(1)

    return answer


def leave(url, received):
    request = build(url)
    with (
        closing(sync_client(url, None).send(request)) as reply,
        closing(read_pieces(reply, request.exchange)) as pieces,
    ):
        first = next(pieces)
        received.set()
        return first + next(pieces)


def aleave(url, received):
    async def run():
        request = build(url)
        async with (
            aclosing(await async_client(url, None).send(request)) as reply,
            aclosing(aread_pieces(reply, request.exchange)) as pieces,
        ):
            first = await anext(pieces)
            received.set()
            return first + await anext(pieces)

    return asyncio.run(run())


@on_engines("get", leave, aleave)
def test_pieces_are_delivered_at_once_and_leaving_hangs_up(serve, get):
    received = threading.Event()
    server = serve(ping_pong(received))
    assert get(server.url, received) == b"ab"
    assert server.sees_hang_up()


@on_engines("get", aread)
def test_what_arrives_while_nobody_reads_is_there_afterwards_and_the_connection_serves_again(serve, get):
    pause, sent = threading.Event(), threading.Event()

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        pause.wait(PATIENT)
        for number in range(200):
            connection.sendall(b"4\r\n%04d\r\n" % number)
        connection.sendall(b"0\r\n\r\n")
        sent.set()

    async def run(client):
        request = build(server.url)
        async with (
            aclosing(await client.send(request)) as reply,
            aclosing(aread_pieces(reply, request.exchange)) as pieces,
        ):
            pause.set()
            body = await anext(pieces)
            await asyncio.to_thread(sent.wait, PATIENT)
            return body + b"".join([piece async for piece in pieces])

    async def run_twice():
        client = async_client(server.url, None)
        return [await run(client), await run(client)]

    server = serve(answer)
    whole = b"".join(b"%04d" % number for number in range(200))
    assert asyncio.run(run_twice()) == [whole, whole]
    assert server.connections == 1
