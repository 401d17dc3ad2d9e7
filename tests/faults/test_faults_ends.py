"""Ends: an answer is over when the provider says so; what is cut, or not an answer, is an error that is paid once."""

import asyncio
import contextlib
import gc
import json
import warnings

import pytest
from engines import engines, on_engines
from fault_server import (
    ANSWER,
    CHUNKED,
    EVENTS,
    USAGE,
    astream,
    chunk,
    drip,
    four,
    good,
    hang,
    piece,
    reset,
    respond,
    sse,
    stream,
    streamed,
    whole,
)  # fmt: skip
from stream_writers import CONTENT_TYPES, WRITERS

from nbkit import errors
from nbkit.protocols import protocol
from nbkit.settings import override

PRICED = "openrouter/openai/gpt-6-luna"


def named(*events):
    return [(event.get("type", ""), event) for event in events]


def unnamed(*events):
    return [("", event) for event in events]


_DELTA = {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0}
_RESPONSE = {"id": "r", "model": "m1", "status": "completed", "usage": {"input_tokens": 5, "output_tokens": 2},
             "output": [{"id": "i", "type": "message", "role": "assistant", "status": "completed",
                         "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}]}  # fmt: skip
_COHERE = {"tokens": {"input_tokens": 5, "output_tokens": 2}}
# Streams of "Hello" up to their end marker, and a piece of text that must not count behind it.
MARKED = {
    "openai-chat": (
        unnamed(piece("Hello", "stop"), {"choices": [], "usage": USAGE}, "[DONE]"),
        unnamed(piece("LATE")),
    ),
    "anthropic-messages": (
        named(
            {"type": "message_start", "message": {"id": "a", "model": "m1", "usage": {"input_tokens": 5}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ),
        named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "LATE"}}),
    ),
    "openai-responses": (
        named(
            _DELTA | {"delta": "Hello"},
            {"type": "response.completed", "response": _RESPONSE},
        ),
        named(_DELTA | {"delta": "LATE"}),
    ),
    "cohere-v2": (
        named(
            {"type": "message-start", "id": "c"},
            {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello"}}}},
            {"type": "content-end", "index": 0},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _COHERE}},
        ),
        named({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "LATE"}}}}),
    ),
    "gemini-generate": (
        unnamed(
            {"candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP"}],
             "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}, "modelVersion": "m1"},
        ),
        unnamed({"candidates": [{"content": {"parts": [{"text": "LATE"}], "role": "model"}}]}),
    ),
    "bedrock-converse": (
        [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}}),
        ],
        [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "LATE"}})],
    ),
    "ollama-chat": (
        unnamed(
            {"model": "m1", "message": {"role": "assistant", "content": "Hello"}, "done": False},
            {"model": "m1", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop",
             "prompt_eval_count": 5, "eval_count": 2},
        ),
        unnamed({"model": "m1", "message": {"role": "assistant", "content": "LATE"}, "done": False}),
    ),
}  # fmt: skip
AFTERWARDS = {
    "hangs": lambda body, late: hang(body),
    "is reset": lambda body, late: reset(body),
    "is cut": lambda body, late: body,
    "says more": hang,
    "says what is not an event": lambda body, late: hang(body, chunk(b"data: {oops\n\n<html>\n\n")),
    "drips": lambda body, late: drip(body, chunk(b": still here\n\n")),
}


def write(name, events):
    framing = protocol(name).FRAMING
    data = b"".join(
        WRITERS[framing](event, text.encode() if isinstance(text, str) else json.dumps(text).encode())
        for event, text in events
    )
    return CHUNKED.replace(b"text/event-stream", CONTENT_TYPES[framing].encode()), chunk(data)


@pytest.mark.parametrize("then", AFTERWARDS, ids=[f"F2: {then}" for then in AFTERWARDS])
@on_engines("call,name", *((stream, name) for name in MARKED), (astream, "openai-chat"))
def test_a_stream_is_over_at_its_marker(server, name, then, call):
    events, late = MARKED[name]
    head, body = write(name, events)
    server.says(AFTERWARDS[then](head + body, write(name, late)[1]))
    completion = call(server.adapter(protocol=name))
    assert (completion.text, completion.timing.attempts) == ("Hello", 1)
    assert completion.usage.prompt_tokens in (5, 1000)
    assert completion.bill.source != "partial"
    assert server.sees_hang_up()


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

NOT_ANSWERS = {
    "another service's answer": {"result": {"response": "hello"}, "success": True},
    "a message": {"message": "hello", "success": True},
    "an empty object": {},
    "a list": [1],
    "null": None,
    "no choices": {"choices": [], "id": "c1"},
    "a page": b"<html>Bad gateway</html>",
    "nothing": b"",
    "half of an object": b'{"choices": [{"message"',
}


@pytest.mark.parametrize("framed", [False, True], ids=["", "as an event"])
@four
@pytest.mark.parametrize("what", NOT_ANSWERS, ids=[f"A9: {what}" for what in NOT_ANSWERS])
def test_a_200_is_requested_once(server, what, call, framed):
    body = NOT_ANSWERS[what]
    if framed:
        body = sse(body)
    server.says(*[respond(body)] * 3)
    with pytest.raises(errors.AdapterError, match="lab/m1") as caught:
        call(server.adapter())
    assert (caught.value.attempts, len(server.requests)) == (1, 1)
    assert "without a word" not in str(caught.value)


REPEATED = {  # what a server does first -> attempts of a call that then gets its answer; 1: it gets an error
    "closes before a byte": (b"", 2),
    "resets before a byte": (reset(), 2),
    "closes in the status line": (b"HTTP/1.1 20", 1),
    "closes in the headers": (b"HTTP/1.1 200 OK\r\ncontent-", 1),
    "closes behind a 103": (b"HTTP/1.1 103 Early Hints\r\n\r\n", 1),
    "resets in the headers": (reset(b"HTTP/1.1 200 OK\r\ncontent-"), 1),
    "closes behind the headers": (CHUNKED, 1),
    "resets behind the headers": (reset(CHUNKED), 1),
    "cuts the body": (respond(ANSWER)[:-9], 1),
    "damages a chunk": (CHUNKED + b"zz\r\nhello", 1),
    "speaks another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", 1),
    "sends damaged gzip": (respond(b"hello", content_encoding="gzip"), 1),
    "sends br": (respond(b"hello", content_encoding="br"), 1),
    "redirects": (respond(b"", 307, location="/v2"), 1),
    **{f"answers {status}": (respond(ERROR, status), 2) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)},
    **{f"answers {status}": (respond({"error": "no"}, status), 1) for status in (400, 401, 402, 403, 404, 413, 422)},
    "has no quota": (respond({"error": {"message": "pay", "code": "insufficient_quota"}}, 429), 1),
    "forbids a retry": (respond(ERROR, 503, x_should_retry="false"), 1),
    "reports an error in a 200": (respond(ERROR), 1),
}


@four
@pytest.mark.parametrize("what", REPEATED, ids=[f"A9, F14: {what}" for what in REPEATED])
def test_what_is_requested_again(server, what, call):
    first, attempts = REPEATED[what]
    server.says(first, good(call))
    if attempts > 1:
        assert call(server.adapter()).timing.attempts == attempts
    else:
        with pytest.raises(errors.AdapterError) as caught:
            call(server.adapter())
        assert caught.value.attempts == 1
    assert len(server.requests) == attempts


@streamed
@pytest.mark.parametrize(
    ("event", "attempts"),
    [
        ({"error": {"message": "overloaded", "type": "overloaded_error"}}, 2),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 2),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, 1),
        ({"error": {"message": "pay", "code": "insufficient_quota"}}, 1),
    ],
    ids=lambda value: f"A9: {value['error']['message']}" if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("text", ["", "Hel"])
def test_an_error_that_a_stream_reports_before_any_text_may_pass(server, event, attempts, text, call):
    server.says(CHUNKED + chunk(sse(*([piece(text)] if text else []), event)) + b"0\r\n\r\n", good(call))
    if attempts > 1 and not text:
        assert call(server.adapter()).timing.attempts == attempts
    else:
        with pytest.raises(errors.AdapterError, match=event["error"]["message"]):
            call(server.adapter())
        assert len(server.requests) == 1


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


@whole
def test_an_endless_answer_is_held_once(server, call):
    """F11: it ends at the limit, as an error that is not asked for again."""

    def flood(connection):
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunk(b" " * 2**20))

    server.says(flood, flood)
    with override(http_deadline=50), pytest.raises(errors.ProviderError, match="longer than 128 MiB"):
        call(server.adapter())
    assert len(server.requests) == 1
