"""Answers of providers, by protocol: a whole one, the events of a streamed one, and where their text stands.

The fields are those of real answers, so that a decoder has as much to read as it has with a provider.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

WORDS = 50
"""Words of a whole answer."""

_INPUT = 10  # tokens
_DATE = 1_790_000_000
_USER = {"role": "user", "content": "Hi"}
Json = dict[str, Any]


def make_words(number: int) -> list[str]:
    """Make the pieces of an answer, one a chunk."""
    return [f"word{index} " for index in range(number)]


def make_prose(number: int) -> list[str]:
    """Make the pieces of an answer as models write them: paragraphs, lists, code and tables in pieces of a token."""
    sections = (_SECTION.replace("NUMBER", str(section)) for section in count(1))
    return list(islice((piece for section in sections for piece in re.findall(r"\s*\S{1,5}|\s+$", section)), number))


_SECTION = """\
## Part NUMBER: why the rows double

The join key is **not unique** on one side, so each row on the left meets *every* matching row on the right: 3 rows on
the left and 4 on the right give 12. It is a relational join and no error, which is why `merge` stays silent about it.

Most of the time the surprise has one of three causes. Somebody has appended a file twice, a key that looks unique has
different cases or stray blanks, or the table on the right keeps a history and has a row for each day. Count before you
correct: what was joined is hard to take apart again, and a sum over doubled rows looks plausible in every report.

1. Find the repeats: `left["id"].duplicated().sum()`
2. State what you expect: `validate="many_to_one"`
3. Reduce first, and keep the newest row of each key.

```python
newest = right.sort_values("day").drop_duplicates("id", keep="last")
merged = left.merge(newest, on="id", how="left", validate="many_to_one")
```

After that the number of rows equals that of the left frame, and pandas raises a `MergeError` as soon as a key repeats
where it must not. Keep the check in the pipeline: it costs a few milliseconds and is the cheapest test you will have.

| rows | before | after |
|---|---|---|
| left | 3 | 3 |
| merged | 12 | 3 |

"""


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """One protocol: what a bare client sends and reads, and what the server answers."""

    provider: str
    """The provider whose catalog row nbkit uses."""
    model: str
    base: str
    """Path of the base URL, as nbkit is given it; `path` and `stream_path` follow it."""
    path: str
    body: Json
    write_whole: Callable[[Wire, Sequence[str]], Json]
    write_events: Callable[[Wire, Sequence[str]], Iterator[Json | str]]
    """Events of a stream; a text is sent as it is."""
    read_whole: Callable[[Any], str]
    read_event: Callable[[Any], str]
    stream_path: str = ""
    """Where it is not `path` that streams."""
    stream_body: Json | None = None
    """What a request for a stream has in addition."""
    named: bool = False
    """Whether an event's type is repeated on a line of its own."""

    def request(self, stream: bool) -> tuple[str, Json]:
        """Return the path below the server's root and the body that ask for an answer."""
        path = (self.stream_path if stream else "") or self.path
        return self.base + path, self.body | ((self.stream_body or {}) if stream else {})

    def render_whole(self, words: Sequence[str]) -> bytes:
        """Write a whole answer."""
        return json.dumps(self.write_whole(self, words)).encode()

    def render_events(self, words: Sequence[str]) -> Iterator[bytes]:
        """Write the events of a streamed answer."""
        for event in self.write_events(self, words):
            data = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
            name = f"event: {event['type']}\n" if self.named and isinstance(event, dict) else ""
            yield f"{name}data: {data}\n\n".encode()


# ---- OpenAI's chat completions


def _chat_whole(wire: Wire, words: Sequence[str]) -> Json:
    message: Json = {"role": "assistant", "content": "".join(words), "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _chat_head(wire, "chat.completion") | {"choices": [choice], "usage": _chat_usage(words)}


def _chat_events(wire: Wire, words: Sequence[str]) -> Iterator[Json | str]:
    head = _chat_head(wire, "chat.completion.chunk")

    def write(delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return head | {"choices": [choice], "usage": None}

    yield write({"role": "assistant", "content": "", "refusal": None})
    yield from (write({"content": word}) for word in words)
    yield write({}, "stop")
    yield head | {"choices": [], "usage": _chat_usage(words)}
    yield "[DONE]"


def _chat_head(wire: Wire, kind: str) -> Json:
    return {
        "id": "chatcmpl-CnbkitBenchmark0123456789",
        "object": kind,
        "created": _DATE,
        "model": wire.model,
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }


def _chat_usage(words: Sequence[str]) -> Json:
    return {
        "prompt_tokens": _INPUT,
        "completion_tokens": len(words),
        "total_tokens": _INPUT + len(words),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _read_chat_event(event: Any) -> str:
    return (event["choices"][0]["delta"].get("content") or "") if event["choices"] else ""


# ---- Anthropic's messages


def _messages_whole(wire: Wire, words: Sequence[str]) -> Json:
    return {
        "id": "msg_01NbkitBenchmark",
        "type": "message",
        "role": "assistant",
        "model": wire.model,
        "content": [{"type": "text", "text": "".join(words), "citations": None}] if words else [],
        "stop_reason": "end_turn" if words else None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": _INPUT,
            "output_tokens": len(words) or 1,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "service_tier": "standard",
        },
    }


def _messages_events(wire: Wire, words: Sequence[str]) -> Iterator[Json | str]:
    yield {"type": "message_start", "message": _messages_whole(wire, [])}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for word in words:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": len(words)}}
    yield {"type": "message_stop"}


def _read_messages_event(event: Any) -> str:
    return event["delta"]["text"] if event["type"] == "content_block_delta" else ""


# ---- OpenAI's Responses


def _responses_whole(wire: Wire, words: Sequence[str], status: str = "completed") -> Json:
    usage = {
        "input_tokens": _INPUT,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": _INPUT + len(words),
    }
    return {
        "id": "resp_0123456789",
        "object": "response",
        "created_at": _DATE,
        "status": status,
        "model": wire.model,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [_responses_item("".join(words), status)] if words else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if words else None,
    }


def _responses_item(text: str, status: str) -> Json:
    content = [_responses_part(text)] if text else []
    return {"id": "msg_0123456789", "type": "message", "role": "assistant", "status": status, "content": content}


def _responses_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _responses_events(wire: Wire, words: Sequence[str]) -> Iterator[Json | str]:
    text = "".join(words)
    item = {"item_id": "msg_0123456789", "output_index": 0, "content_index": 0}
    running = _responses_whole(wire, [], "in_progress")
    events: list[Json] = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
        {"type": "response.output_item.added", "output_index": 0, "item": _responses_item("", "in_progress")},
        {"type": "response.content_part.added", **item, "part": _responses_part("")},
        *({"type": "response.output_text.delta", **item, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **item, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **item, "part": _responses_part(text)},
        {"type": "response.output_item.done", "output_index": 0, "item": _responses_item(text, "completed")},
        {"type": "response.completed", "response": _responses_whole(wire, words)},
    ]
    yield from (event | {"sequence_number": number} for number, event in enumerate(events))


def _read_responses_event(event: Any) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


# ---- Gemini


def _gemini_whole(wire: Wire, words: Sequence[str], end: bool = True) -> Json:
    usage = {"promptTokenCount": _INPUT, "candidatesTokenCount": len(words), "totalTokenCount": _INPUT + len(words)}
    candidate: Json = {"content": {"parts": [{"text": "".join(words)}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": "STOP"} if end else {})],
        "usageMetadata": usage | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": _INPUT}]},
        "modelVersion": wire.model,
        "responseId": "0123456789abcdef",
    }


def _gemini_events(wire: Wire, words: Sequence[str]) -> Iterator[Json | str]:
    for index, word in enumerate(words, start=1):
        yield _gemini_whole(wire, [word], end=index == len(words))


def _read_gemini(answer: Any) -> str:
    return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"])


# ---- Cohere's chat, version 2


def _cohere_whole(wire: Wire, words: Sequence[str]) -> Json:
    message = {"role": "assistant", "content": [{"type": "text", "text": "".join(words)}]}
    return {"id": "c0ffee", "finish_reason": "COMPLETE", "message": message, "usage": _cohere_usage(words)}


def _cohere_events(wire: Wire, words: Sequence[str]) -> Iterator[Json | str]:
    empty: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": "c0ffee", "delta": {"message": empty}}
    start = {"type": "text", "text": ""}
    yield {"type": "content-start", "index": 0, "delta": {"message": {"content": start}}}
    for word in words:
        yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": word}}}}
    yield {"type": "content-end", "index": 0}
    yield {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _cohere_usage(words)}}


def _cohere_usage(words: Sequence[str]) -> Json:
    counts = {"input_tokens": _INPUT, "output_tokens": len(words)}
    return {"billed_units": counts, "tokens": counts}


def _read_cohere_event(event: Any) -> str:
    return event["delta"]["message"]["content"]["text"] if event["type"] == "content-delta" else ""


_STREAM = {"stream": True}
WIRES = {
    "openai-chat": Wire(
        "openai", "gpt-4o-mini", "/v1", "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [_USER]},
        _chat_whole, _chat_events, lambda answer: answer["choices"][0]["message"]["content"], _read_chat_event,
        stream_body=_STREAM | {"stream_options": {"include_usage": True}},
    ),
    "anthropic-messages": Wire(
        "anthropic", "claude-haiku-4-5", "/v1", "/messages",
        {"model": "claude-haiku-4-5", "messages": [_USER], "max_tokens": 4096},
        _messages_whole, _messages_events, lambda answer: answer["content"][0]["text"], _read_messages_event,
        stream_body=_STREAM, named=True,
    ),
    "openai-responses": Wire(
        "openai", "gpt-4o-mini", "/v1", "/responses",
        {"model": "gpt-4o-mini", "input": "Hi"},
        _responses_whole, _responses_events,
        lambda answer: answer["output"][0]["content"][0]["text"], _read_responses_event,
        stream_body=_STREAM, named=True,
    ),
    "gemini": Wire(
        "google", "gemini-2.5-flash", "/v1beta", "/models/gemini-2.5-flash:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        _gemini_whole, _gemini_events, _read_gemini, _read_gemini,
        stream_path="/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    "cohere-v2": Wire(
        "cohere", "command-a-03-2025", "/v2", "/chat",
        {"model": "command-a-03-2025", "messages": [_USER]},
        _cohere_whole, _cohere_events, lambda answer: answer["message"]["content"][0]["text"], _read_cohere_event,
        stream_body=_STREAM,
    ),
}  # fmt: skip
