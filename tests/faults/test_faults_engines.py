"""Engines agree: the same bytes of a server give the same answer, or the same error after as many requests."""

import json
import re
import time

import pytest
from engines import ENGINES
from fault_server import (
    ANSWER,
    CHUNKED,
    EVENTS,
    aexecute,
    astream,
    chunk,
    execute,
    hang,
    piece,
    reset,
    respond,
    sse,
    stream,
    streamed,
)

from nbkit import errors
from nbkit.settings import override

BODY = json.dumps(ANSWER).encode()
SIZE = b"\ncontent-length: %d" % len(BODY)
OK = b"HTTP/1.1 200 OK\ncontent-type: application/json"
CHUNKS = OK + b"\ntransfer-encoding: chunked"


def write(head, body=BODY):
    """Bytes of a response; its head is written with plain line ends."""
    return head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body


def many(count):
    return b"".join(b"\nx-%d: a" % number for number in range(count))


LAST = b"0\r\n\r\n"
ANSWERS = {
    "until the connection closes": write(OK),
    "in HTTP/1.0": write(OK.replace(b"1.1", b"1.0") + SIZE),
    "in HTTP/1.0, until the connection closes": write(OK.replace(b"1.1", b"1.0")),
    "with line feeds only in its head": write(OK + SIZE).replace(b"\r\n", b"\n"),
    "without a reason": write(b"HTTP/1.1 200" + SIZE),
    "with an empty reason": write(b"HTTP/1.1 200 " + SIZE),
    "with a reason in Latin-1": write("HTTP/1.1 200 Öké".encode("latin-1") + SIZE),
    "with a reason in UTF-8": write("HTTP/1.1 200 Öké".encode() + SIZE),
    "with a header in Latin-1": write(OK + "\nx-a: é".encode("latin-1") + SIZE),
    "with a header in UTF-8": write(OK + "\nx-a: é".encode() + SIZE),
    "with a header of 90 kB": write(OK + b"\nx-a: " + b"a" * 90_000 + SIZE),
    "with 300 headers": write(OK + many(300) + SIZE),
    "behind a 100": b"HTTP/1.1 100 Continue\r\n\r\n" + respond(ANSWER),
    "behind two 103s": b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" * 2 + respond(ANSWER),
    "in chunks": write(CHUNKS, chunk(BODY[:9]) + chunk(BODY[9:]) + LAST),
    "in Chunks": write(CHUNKS.replace(b"chunked", b"Chunked"), chunk(BODY) + LAST),
    "in chunks with extensions": write(CHUNKS, b"%x;a=b\r\n%s\r\n" % (len(BODY), BODY) + LAST),
    "in chunks with zeros": write(CHUNKS, b"0000%X\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY)),
    "in chunks with trailers": write(CHUNKS, chunk(BODY) + b"0\r\nx-a: b\r\n\r\n"),
    "with two wishes for the connection": respond(ANSWER, connection="close, foo"),
    "with the status 206": respond(ANSWER, 206),
}
ERRORS = {
    "closes": b"",
    "resets": reset(),
    "closes in the status": b"HTTP/1.1 20",
    "closes in a header": b"HTTP/1.1 200 OK\r\ncontent-",
    "closes behind the head": write(OK + SIZE, b""),
    "resets behind the head": reset(write(OK + SIZE, b"")),
    "closes in the body": write(OK + SIZE, BODY[:-9]),
    "resets in the body": reset(write(OK + SIZE, BODY[:-9])),
    "resets in a body until it closes": reset(write(OK, BODY[:-9])),
    "closes in a chunk": write(CHUNKS, chunk(BODY)[:-9]),
    "closes before the last chunk": write(CHUNKS, chunk(BODY)),
    "closes in the last chunk": write(CHUNKS, chunk(BODY) + b"0\r\n"),
    "is silent": hang(),
    "is silent in the head": hang(b"HTTP/1.1 200 OK\r\n"),
    "is silent in the body": hang(write(OK + SIZE, BODY[:-9])),
    "answers nothing": respond(b""),
    "answers 204": write(b"HTTP/1.1 204 No", b""),
    "answers 304": write(b"HTTP/1.1 304 No", b""),
    "answers 307": respond(b"", 307, location="https://h.test/v2?a=b"),
    "answers 429": respond({"error": {"message": "slow"}}, 429, retry_after="0.001"),
    "answers 503 until it closes": write(b"HTTP/1.1 503 No", b'{"error": "busy"}'),
    "answers 600": respond({"error": {"message": "no"}}, 600),
    "answers 400, and stops in it": write(b"HTTP/1.1 400 No" + SIZE, b'{"error": "bad'),
    "sends damaged gzip": respond(b"hello", content_encoding="gzip"),
    "sends br": respond(b"hello", content_encoding="br"),
    "speaks BAH": b"BAH\r\n\r\n",
    "sends a header without a colon": write(OK + b"\nxa" + SIZE),
    "sends a header without a name": write(OK + b"\n: a" + SIZE),
    "sends a space before a colon": write(OK + b"\nx-a : a" + SIZE),
    "sends headers without end": write(OK + many(200_000) + SIZE),
    "speaks of HTTP/2": write(b"HTTP/2 200 OK" + SIZE),
}
NOT_HTTP = {  # where each library quotes what it met, or where it is in another place
    "sends a control character": write(OK + b"\nx-a: a\x00b" + SIZE),
    "sends a header of 200 kB": write(OK + b"\nx-a: " + b"a" * 200_000 + SIZE),
    "sends a length that is not a number": write(OK + b"\ncontent-length: abc"),
    "sends a negative length": write(OK + b"\ncontent-length: -5"),
    "sends two lengths": write(OK + SIZE + b"\ncontent-length: 5"),
    "sends a chunk without a size": write(CHUNKS, b"zz\r\nhello"),
    "sends a chunk that is too long": write(CHUNKS, b"5\r\nhelloXX"),
    "sends a trailer without a colon": write(CHUNKS, chunk(BODY) + b"0\r\nxa\r\n\r\n"),
    "folds a header over nothing": write(b"HTTP/1.1 200 OK\n  b" + SIZE),
    "sends anything": bytes(range(256)),
    "sends an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x50",
}


def outcome(server, call, engine, step, seconds):
    """Text or error, usage or message, status, attempts, requests."""
    server.says(*[step] * 2)
    with override(http_engine=engine, max_retries=1, http_timeout=seconds, http_answer_timeout=seconds):
        try:
            completion = call(server.adapter())
        except errors.AdapterError as error:
            for _ in range(error.attempts):  # the server may read a request after the client has left
                assert server.sees_hang_up()
            message = re.sub(r"127\.0\.0\.1:\d+", "HOST", error.message)
            return type(error).__name__, message, error.status, error.attempts, len(server.requests)
    assert server.sees_hang_up()
    return completion.text, completion.usage, None, completion.timing.attempts, len(server.requests)


def compare(server, step, sync=execute, asynchronous=aexecute, seconds=60.0):
    """What happens in a thread, then on each engine."""
    outcomes = [outcome(server, sync, "httpx2", step, seconds)]
    return outcomes + [outcome(server, asynchronous, engine, step, seconds) for engine in ENGINES]


@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_is_read_whatever_its_form(server, how):
    first, *others = compare(server, ANSWERS[how])
    assert first[0] == "Hello"
    assert [first] * len(ENGINES) == others


@pytest.mark.parametrize(("sync", "asynchronous"), [(execute, aexecute), (stream, astream)], ids=["whole", "streamed"])
@pytest.mark.parametrize("what", ERRORS)
def test_a_server_that_fails_is_the_same_error(server, what, sync, asynchronous):
    seconds = 0.1 if "silent" in what else 60.0
    first, *others = compare(server, ERRORS[what], sync, asynchronous, seconds)
    assert first[0].endswith("Error")
    assert [first] * len(ENGINES) == others


@pytest.mark.parametrize("what", NOT_HTTP)
def test_what_is_not_http_is_the_same_error_up_to_what_is_quoted(server, what):
    for kind, message, _, attempts, requests in compare(server, NOT_HTTP[what]):
        assert kind == "TransportError"
        assert re.match(r"lost the connection to HOST: not valid HTTP(: .{1,60})?$", message)
        assert (attempts, requests) == (1, 1)


@streamed
def test_a_wrong_chunk_that_comes_with_the_end_of_another_ends_the_stream(server, call):
    def step(connection):
        connection.sendall(CHUNKED + chunk(sse(piece("Hel")))[:-1])
        time.sleep(0.05)  # so that the reader has the text, and waits
        hang(b"\nzz\r\n")(connection)

    server.says(step)
    with pytest.raises(errors.StreamError, match="not valid HTTP") as caught:
        call(server.adapter())
    assert caught.value.partial.text == "Hel"


def test_an_engine_reads_the_events_of_a_stream_whatever_the_chunks(server):
    for size in (1, 7, len(EVENTS)):
        pieces = b"".join(chunk(EVENTS[at : at + size]) for at in range(0, len(EVENTS), size))
        first, *others = compare(server, CHUNKED + pieces + LAST, stream, astream)
        assert first[0] == "Hello"
        assert [first] * len(ENGINES) == others
