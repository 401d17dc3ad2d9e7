"""Ends: an answer is over when the provider says so; what is cut, or not an answer, is an error that is paid once."""

import asyncio
import contextlib
import gc
import json
import threading
import warnings

import pytest
from engines import engines
from fault_server import (
    ANSWER,
    CHUNKED,
    EVENTS,
    PATIENCE,
    USAGE,
    chunk,
    good,
    hang,
    piece,
    sse,
    stream,
    streamed,
)  # fmt: skip

from nbkit import errors

PRICED = "openrouter/openai/gpt-6-luna"


@streamed
def test_usage_behind_the_marker_counts(server, call):
    """F2: where it is in the same packet."""
    body = sse(piece("Hel"), piece("lo", "stop"), b"[DONE]", {"choices": [], "usage": USAGE})
    server.says(hang(CHUNKED + chunk(body)))
    assert call(server.adapter()).usage.prompt_tokens == 1000


@streamed
def test_a_stream_that_ends_well_leaves_its_connection_open(server, call):
    """F2: the last bytes of the body are read behind the marker."""
    server.says(*[(CHUNKED + chunk(EVENTS) + b"0\r\n\r\n", "keep")] * 2)
    adapter = server.adapter()
    if call is stream:
        assert [call(adapter).text, call(adapter).text] == ["Hello", "Hello"]
    else:

        async def twice():
            return [(await adapter.astream("Hi")).text for _ in range(2)]

        assert asyncio.run(twice()) == ["Hello", "Hello"]
    assert server.connections == 1


# ---- what is not an event

ERROR = {"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}
PRETTY = json.dumps(ERROR, indent=2).encode()


def gemini(text):
    return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}]}


@streamed
@pytest.mark.parametrize(
    ("name", "body", "message", "code"),
    [
        ("gemini-generate", sse(gemini("Hel")) + PRETTY, "Resource exhausted", "RESOURCE_EXHAUSTED"),
        ("gemini-generate", sse(gemini("Hel")) + b"[" + PRETTY + b"]\n", "Resource exhausted", "RESOURCE_EXHAUSTED"),
        ("openai-chat", sse(piece("Hel")) + PRETTY + b"\n", "Resource exhausted", "RESOURCE_EXHAUSTED"),
        ("openai-chat", sse(piece("Hel")) + b'{"error": "out of memory"}', "out of memory", None),
        ("openai-chat", sse(piece("Hel")) + b"<html><title>502 Bad Gateway</title>", "502 Bad Gateway", None),
        ("openai-chat", sse(piece("Hel")) + b"upstream connect error", "upstream connect error", None),
        ("openai-chat", sse(piece("Hel")) + b'{"remark": 1}', "ended without a finish reason", None),
        ("ollama-chat", b'{"message": {"content": "Hel"}}\n' + PRETTY, "Resource exhausted", "RESOURCE_EXHAUSTED"),
        ("ollama-chat", b'{"message": {"content": "Hel"}}\nCUDA error\n', "CUDA error", None),
    ],
    ids=lambda value: f"A4: {value.decode()[-30:]!r}" if isinstance(value, bytes) else None,
)
def test_an_error_that_is_not_an_event_is_read_behind_events_too(server, name, body, message, code, call):
    server.says(CHUNKED + chunk(body) + b"0\r\n\r\n")
    with pytest.raises(errors.StreamError, match=message) as caught:
        call(server.adapter(protocol=name))
    assert (caught.value.code, caught.value.partial.text, len(server.requests)) == (code, "Hel", 1)


@streamed
@pytest.mark.parametrize("before", [b": hello\n\n", b"event: ping\ndata: \n\n", sse(piece(""))], ids="A4: {}".format)
def test_a_whole_answer_behind_events_is_taken(server, before, call):
    server.says(CHUNKED + chunk(before + json.dumps(ANSWER, indent=1).encode()) + b"0\r\n\r\n")
    completion = call(server.adapter())
    assert (completion.text, completion.finish_reason) == ("Hello", "stop")


# ---- paid once


# ---- streams that are dropped, looked at too early, or read twice


def test_a_stream_that_is_dropped_closes_its_socket_at_once(server):
    """F6: not when the cyclic collector runs."""
    gc.disable()
    try:
        server.says(*[hang(CHUNKED + chunk(sse(piece("Hel"))))] * 2)
        for _ in server.adapter().stream("Hi"):
            break
        assert server.sees_hang_up()
        dropped = server.adapter().stream("Hi")
        next(iter(dropped))
        del dropped
        assert server.sees_hang_up()
    finally:
        gc.enable()


@engines
def test_an_async_stream_that_is_dropped_closes_its_socket_and_prints_nothing(server, capfd):
    """F6"""
    server.says(hang(CHUNKED + chunk(sse(piece("Hel")))))

    async def main():
        async for _ in server.adapter().astream("Hi"):
            break
        while not server.hung_up.acquire(blocking=False):
            await asyncio.sleep(0.01)

    gc.disable()
    try:
        with warnings.catch_warnings(), contextlib.closing(server):
            warnings.simplefilter("error")
            asyncio.run(main())
    finally:
        gc.enable()
    assert capfd.readouterr() == ("", "")


def test_the_completion_of_a_stream_that_was_not_read_is_waited_for(server):
    """F10"""
    server.says(good(stream))
    completion = server.adapter(PRICED, protocol="openai-chat").stream("Hi").completion
    assert (completion.text, completion.usage.prompt_tokens, completion.bill.source) == ("Hello", 1000, "catalog")


@engines
def test_the_completion_of_an_async_stream_needs_an_await(server):
    """F10"""
    server.says(good(stream))

    async def main():
        stream = server.adapter().astream("Hi")
        with pytest.raises(errors.StreamError, match="nothing was read yet: `await` the stream"):
            _ = stream.completion
        return await stream

    assert asyncio.run(main()).text == "Hello"


@engines
def test_a_second_loop_says_that_the_stream_was_read(server):
    """F10"""
    server.says(good(stream), good(stream))
    read = server.adapter().stream("Hi")
    assert "".join(chunk.text for chunk in read) == "Hello"
    with pytest.raises(errors.StreamError, match=r"lab/m1: the stream was read or closed before"):
        list(read)
    assert read.completion.text == "Hello"

    async def main():
        stream = server.adapter().astream("Hi")
        await stream
        with pytest.raises(errors.StreamError, match="read or closed before"):
            _ = [chunk async for chunk in stream]
        return (await stream).text

    assert asyncio.run(main()) == "Hello"
    assert len(server.requests) == 2


def test_a_loop_may_go_on_where_another_stopped(server):
    """F10"""
    server.says(good(stream))
    with server.adapter().stream("Hi") as chunks:
        first = next(iter(chunks)).text
        assert first + "".join(chunk.text for chunk in chunks) == "Hello"


@streamed
def test_text_that_comes_with_a_damage_is_kept(server, call):
    """The packet that has it is not HTTP from there on."""
    read = threading.Event()

    def damage(connection):
        connection.sendall(CHUNKED + chunk(sse(piece("Hel"))))
        assert read.wait(PATIENCE)
        connection.sendall(chunk(sse(piece("lo"))) + b"zz\r\n")

    server.says(damage)
    adapter = server.adapter()

    async def afollow():
        async with adapter.astream("Hi") as chunks:
            async for _ in chunks:
                read.set()

    def follow():
        with adapter.stream("Hi") as chunks:
            for _ in chunks:
                read.set()

    with pytest.raises(errors.StreamError, match="not valid HTTP") as caught:
        follow() if call is stream else asyncio.run(afollow())
    assert caught.value.partial.text == "Hello"
