"""Cohere's chat, version 2 (`POST /v1/chat`), the provider's side.

Shapes from Cohere's API reference: the chat response, the streaming events, the error object. What is billed is what
was said: there is no prompt of Cohere's own around it. Both output counts include the thinking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbkit.demo.dialog import Request, Tool, field, objects, positive, required
from nbkit.demo.reply import SSE, Part, Reply, json_bytes
from nbkit.demo.wire_openai import read_turns

PATH = r"/v1/chat"
STREAM_TYPE = SSE
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

CHOICES = {"REQUIRED": "required", "NONE": "none"}
FINISH = {"stop": "COMPLETE", "sequence": "STOP_SEQUENCE", "length": "MAX_TOKENS", "calls": "TOOL_CALL"}
FIELDS = {"reasoning": "thinking", "text": "text"}


def parse(body: dict[str, Any]) -> Request:
    """The request of a body. Raises ValueError, saying which field is wrong."""
    choice = field(body, "tool_choice", str)
    if choice is not None and choice not in CHOICES:
        raise ValueError(f"tool_choice: {choice!r} is not one of {', '.join(CHOICES)}")
    return Request(
        model=required(body, "model", str),
        turns=read_turns(objects(required(body, "messages", list), "messages")),
        tools=tuple(_tool(tool) for tool in objects(field(body, "tools", list, []), "tools")),
        tool_choice=CHOICES[choice] if choice else "auto",
        stream=field(body, "stream", bool, False),
        max_tokens=positive(body, "max_tokens"),
        stop=tuple(map(str, field(body, "stop_sequences", list, []))),
        thinks=field(body, "thinking", dict, {}).get("type") != "disabled",
    )


def _tool(tool: dict[str, Any]) -> Tool:
    function = required(tool, "function", dict)
    return Tool(required(function, "name", str), required(function, "parameters", dict))


def _end(reply: Reply) -> dict[str, Any]:
    counted = {"input_tokens": reply.prompt, "output_tokens": reply.completion}
    reasoning = {"reasoning_tokens": reply.reasoning} if reply.reasoning else {}
    usage = {"billed_units": counted, "tokens": counted | reasoning, "cached_tokens": reply.cached}
    return {"finish_reason": FINISH[reply.finish], "usage": usage}


def _call(part: Part, arguments: str) -> dict[str, Any]:
    function = {"name": part.name, "arguments": arguments}
    return {"id": f"{part.name}_{part.id}", "type": "function", "function": function}


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. The protocol has no place for `created`."""
    said = [part for part in reply.parts if part.kind != "call"]
    calls = [_call(part, part.text) for part in reply.parts if part.kind == "call"]
    message: dict[str, Any] = {"role": "assistant"}
    if said:
        message["content"] = [{"type": FIELDS[part.kind], FIELDS[part.kind]: part.text} for part in said]
    if calls:
        message["tool_calls"] = calls
    return {"id": identity, "message": message, **_end(reply)}


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The server-sent events of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0."""
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield 0, _event("message-start", id=identity, delta={"message": start})
    calls = 0
    for index, part in enumerate(reply.parts):
        if part.kind == "call":
            yield 0, _delta("tool-call-start", calls, tool_calls=_call(part, ""))
            before, after = _delta("tool-call-delta", calls, tool_calls={"function": {"arguments": "@"}}).split(b'"@"')
            end = _event("tool-call-end", index=calls)
            calls += 1
        else:
            key = FIELDS[part.kind]
            yield 0, _delta("content-start", index, content={"type": key, key: ""})
            before, after = _delta("content-delta", index, content={key: "@"}).split(b'"@"')
            end = _event("content-end", index=index)
        for piece in part.pieces:
            yield 1, before + json_bytes(piece) + after
        yield 0, end
    yield 0, _event("message-end", delta=_end(reply))
    yield 0, b"data: [DONE]\n\n"


def _delta(kind: str, index: int, **fields: Any) -> bytes:
    return _event(kind, index=index, delta={"message": fields})


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json_bytes({"type": kind, **fields}))


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error."""
    return {"message": message}
