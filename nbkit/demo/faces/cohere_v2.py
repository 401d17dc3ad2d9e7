"""Cohere's chat, version 2 (`POST /v2/chat`), the provider's side.

Shapes from Cohere's API reference: the chat response, the streaming events, the error object. Billed are the tokens of
the conversation, without a prompt of Cohere's own around it. Both output counts include the thinking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbkit.demo.faces.openai_chat import read_turns
from nbkit.demo.reply import SSE, DemoPart, DemoReply, write_json
from nbkit.demo.request import DemoRequest, DemoTool, check_objects, get_count, get_field, read_schema, require_field

PATH = r"/v[12]/chat"  # nbkit calls it below the base URL that all faces share
STREAM_TYPE = SSE
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

CHOICES = {"REQUIRED": "required", "NONE": "none"}
FINISH = {"stop": "COMPLETE", "sequence": "STOP_SEQUENCE", "length": "MAX_TOKENS", "calls": "TOOL_CALL"}
FIELDS = {"reasoning": "thinking", "text": "text"}


def parse(body: dict[str, Any]) -> DemoRequest:
    """Read the request of a body. Raises ValueError, naming the wrong field."""
    choice = get_field(body, "tool_choice", str)
    if choice is not None and choice not in CHOICES:
        raise ValueError(f"tool_choice: {choice!r} is not one of {', '.join(CHOICES)}")
    return DemoRequest(
        model=require_field(body, "model", str),
        turns=read_turns(check_objects(require_field(body, "messages", list), "messages")),
        tools=tuple(_read_tool(tool) for tool in check_objects(get_field(body, "tools", list, []), "tools")),
        tool_choice=CHOICES[choice] if choice else "auto",
        stream=get_field(body, "stream", bool, False),
        max_tokens=get_count(body, "max_tokens"),
        stop=tuple(map(str, get_field(body, "stop_sequences", list, []))),
        thinks=get_field(body, "thinking", dict, {}).get("type") != "disabled",
        schema=read_schema(get_field(body, "response_format", dict, {})),
    )


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    function = require_field(tool, "function", dict)
    return DemoTool(require_field(function, "name", str), require_field(function, "parameters", dict))


def _write_end(reply: DemoReply) -> dict[str, Any]:
    counted = {"input_tokens": reply.prompt, "output_tokens": reply.completion}
    reasoning = {"reasoning_tokens": reply.reasoning} if reply.reasoning else {}
    usage = {"billed_units": counted, "tokens": counted | reasoning, "cached_tokens": reply.cached}
    return {"finish_reason": FINISH[reply.finish], "usage": usage}


def _write_call(part: DemoPart, arguments: str) -> dict[str, Any]:
    function = {"name": part.name, "arguments": arguments}
    return {"id": f"{part.name}_{part.id}", "type": "function", "function": function}


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. The protocol has no place for `created`."""
    texts = [part for part in reply.parts if part.kind != "call"]
    calls = [_write_call(part, part.text) for part in reply.parts if part.kind == "call"]
    message: dict[str, Any] = {"role": "assistant"}
    if texts:
        message["content"] = [{"type": FIELDS[part.kind], FIELDS[part.kind]: part.text} for part in texts]
    if calls:
        message["tool_calls"] = calls
    return {"id": identity, "message": message, **_write_end(reply)}


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the server-sent events of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield 0, _write_event("message-start", id=identity, delta={"message": start})
    calls = 0
    for index, part in enumerate(reply.parts):
        if part.kind == "call":
            yield 0, _write_delta("tool-call-start", calls, tool_calls=_write_call(part, ""))
            before, after = _write_delta("tool-call-delta", calls, tool_calls={"function": {"arguments": "@"}}).split(
                b'"@"'
            )
            end = _write_event("tool-call-end", index=calls)
            calls += 1
        else:
            key = FIELDS[part.kind]
            yield 0, _write_delta("content-start", index, content={"type": key, key: ""})
            before, after = _write_delta("content-delta", index, content={key: "@"}).split(b'"@"')
            end = _write_event("content-end", index=index)
        for piece in part.pieces:
            yield 1, before + write_json(piece) + after
        yield 0, end
    yield 0, _write_event("message-end", delta=_write_end(reply))
    yield 0, b"data: [DONE]\n\n"


def _write_delta(kind: str, index: int, **fields: Any) -> bytes:
    return _write_event(kind, index=index, delta={"message": fields})


def _write_event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), write_json({"type": kind, **fields}))


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error."""
    return {"message": message}
