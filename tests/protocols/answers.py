"""Answers as servers send them, and what they are read as: tables of the tests of the decoders."""

import json

import pytest

from nbkit.protocols import protocol
from nbkit.protocols.wire import Dialect

PLAIN = {"prompt_tokens": 10, "completion_tokens": 5}
WHOLE = '{"q":1}'


def feed(name, events, dialect=None):
    """The decoder after the events, and the chunks that it gave."""
    decoder = protocol(name).Decoder(dialect or Dialect())
    chunks = []
    for event in events:
        label, data = event if isinstance(event, tuple) else ("", event)
        chunks += decoder.feed(label, data if isinstance(data, bytes) else json.dumps(data).encode())
    return decoder, chunks


def read(name, stream=None, whole=None, dialect=None):
    """The completion of a stream, or of a whole answer."""
    if whole is not None:
        return protocol(name).decode(whole, dialect or Dialect())
    decoder, chunks = feed(name, stream, dialect)
    completion = decoder.finish()
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert "".join(chunk.reasoning for chunk in chunks) == completion.reasoning
    return completion


def rows(table):
    """Parametrize a test by (id, protocol, "stream" or "whole", the answer, what is expected)."""
    return pytest.mark.parametrize(
        ("name", "how", "answer", "expected"), [row[1:] for row in table], ids=[row[0] for row in table]
    )


def chat(*deltas, finish="stop", usage=None, done=True):
    """A stream of chat completions."""
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}] if finish else []
    events += [{"choices": [], "usage": usage}] if usage else []
    return events + ([b"[DONE]"] if done else [])


def message(content=None, finish="stop", **keys):
    """A whole chat completion."""
    return {"choices": [{"message": {"content": content, **keys}, "finish_reason": finish}]}


def call(arguments, name=None, index=None, **keys):
    """A piece of a tool call."""
    function = ({"name": name} if name else {}) | {"arguments": arguments}
    return {"tool_calls": [keys | ({} if index is None else {"index": index}) | {"function": function}]}


def block(index, kind, **keys):
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **keys}}


def delta(index, kind, **keys):
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", **keys}}


def anthropic(*events, stop="end_turn", started=None, usage=None, ended=True):
    """A stream of Anthropic's messages."""
    return [
        {"type": "message_start", "message": {"id": "m", "usage": started or {"input_tokens": 3, "output_tokens": 1}}},
        *events,
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage or {"output_tokens": 5}},
        *([{"type": "message_stop"}] if ended else []),
    ]


def gemini(*parts, finish="STOP", usage=None):
    """Events of Gemini, one a part."""
    events = [{"candidates": [{"content": {"parts": [part]}}]} for part in parts]
    end = {"candidates": [{"finishReason": finish}]} if finish else {}
    return [*events, end | ({"usageMetadata": usage} if usage else {})]


def responses(*events, output=(), **keys):
    """A stream of the Responses API."""
    end = {"id": "r", "status": "completed", "output": list(output), **keys}
    return [*events, {"type": "response.completed", "response": end}]
