"""Sizes: what never ends, or grows when it is decompressed, is read up to a limit and held once, as a typed error."""

import gzip
import tracemalloc

import pytest
from fault_server import CHUNKED, EVENTS, chunk, piece, respond, sse, streamed, whole
from stream_writers import CONTENT_TYPES

from nbkit import errors
from nbkit.http.bounded import MAX_ANSWER
from nbkit.protocols import protocol
from nbkit.settings import override

BLOCK = chunk(b" " * 2**20)


def endless(start):
    """A step: send, then blocks until the client hangs up."""

    def step(connection):
        connection.sendall(start)
        while True:
            connection.sendall(BLOCK)

    return step


def refuse(call, adapter, words, kind=errors.ProviderError):
    """The error of a call, and the most bytes that were held meanwhile."""
    tracemalloc.start()
    try:
        with override(http_deadline=50), pytest.raises(kind, match=words) as caught:
            call(adapter)
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMB = respond(gzip.compress(b" " * (MAX_ANSWER + 2**20), 1), content_encoding="gzip")
LONG = {"endless": endless(CHUNKED), "gzip_bomb": BOMB}


@pytest.mark.parametrize("what", LONG)
@whole
def test_a_long_answer_is_held_once_and_requested_once(server, what, call):
    """F11"""
    server.says(*[LONG[what]] * 2)
    _, most = refuse(call, server.adapter(), "longer than 128 MiB")
    assert len(server.requests) == 1
    assert most < 2 * MAX_ANSWER


@pytest.mark.parametrize("name", ["openai-chat", "ollama-chat"])
@streamed
def test_a_huge_line_is_refused_at_its_limit(server, name, call):
    head = CHUNKED.replace(b"text/event-stream", CONTENT_TYPES[protocol(name).FRAMING].encode())
    server.says(*[endless(head + chunk(b"data: " if name == "openai-chat" else b"{"))] * 2)
    _, most = refuse(call, server.adapter(protocol=name), "longer than 32 MiB")
    assert len(server.requests) == 1
    assert most < 4 * 32 * 2**20


@streamed
def test_a_bomb_within_a_stream_leaves_the_text_before_it(server, call):
    body = gzip.compress(sse(piece("Hel")) + b": " + b" " * (MAX_ANSWER + 2**20), 1)
    server.says(respond(body, content_encoding="gzip"))
    error, most = refuse(call, server.adapter(), "longer than", errors.StreamError)
    assert error.partial.text == "Hel"
    assert most < MAX_ANSWER


@streamed
def test_an_image_of_megabytes_is_one_event(server, call):
    image = piece("x" * (8 * 2**20))
    server.says(CHUNKED + chunk(sse(image) + EVENTS) + b"0\r\n\r\n")
    assert len(call(server.adapter()).text) == 8 * 2**20 + len("Hello")
