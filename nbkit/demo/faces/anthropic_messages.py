"""Anthropic messages (`POST /v1/messages`), the provider's side.

Shapes from Anthropic's API reference: the message object, the streaming events, the error object. `input_tokens`
excludes the cached tokens, `output_tokens` includes the thinking. Caching is automatic, without `cache_control`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nbkit.demo.reply import SSE, DemoPart, DemoReply, write_json
from nbkit.demo.request import (
    DemoRequest,
    DemoTool,
    DemoTurn,
    check_objects,
    get_count,
    get_field,
    read_schema,
    require_field,
)

PATH = "/v1/messages"
STREAM_TYPE = SSE
REQUEST_ID = "request-id"
ID_PREFIX = "msg_"

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the thinking
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "calls": "tool_use"}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
ERROR_TYPES = {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error"}


def parse(body: dict[str, Any]) -> DemoRequest:
    """Read the request of a body. Raises ValueError, naming the wrong field."""
    system, _ = _read_content(get_field(body, "system", (str, list), ""))
    choice = get_field(body, "tool_choice", dict, {"type": "auto"})
    max_tokens = get_count(body, "max_tokens")
    if max_tokens is None:
        raise ValueError("max_tokens: field required")
    return DemoRequest(
        model=require_field(body, "model", str),
        turns=(
            *((DemoTurn("system", system),) if system else ()),
            *_read_turns(check_objects(require_field(body, "messages", list), "messages")),
        ),
        tools=tuple(_read_tool(tool) for tool in check_objects(get_field(body, "tools", list, []), "tools")),
        tool_choice=CHOICES.get(str(choice.get("type"))) or require_field(choice, "name", str),
        stream=get_field(body, "stream", bool, False),
        max_tokens=max_tokens,
        stop=tuple(map(str, get_field(body, "stop_sequences", list, []))),
        thinks=get_field(body, "thinking", dict, {}).get("type") != "disabled",
        schema=read_schema(get_field(get_field(body, "output_config", dict, {}), "format", dict, {})),
    )


def _read_turns(messages: list[dict[str, Any]]) -> tuple[DemoTurn, ...]:
    if not messages or messages[0].get("role") != "user":
        raise ValueError("messages: the first message must use the user role")
    called: set[str] = set()
    turns: list[DemoTurn] = []
    for index, message in enumerate(messages):
        content = require_field(message, "content", (str, list))
        match message.get("role"):
            case "user":
                turns += _read_user(content, called)
            case "assistant":
                turns.append(DemoTurn("assistant", _read_assistant(content, called)))
            case role:
                raise ValueError(f"messages.{index}.role: {role!r} is not one of user, assistant")
    return tuple(turns)


def _read_user(content: str | list[Any], called: set[str]) -> Iterator[DemoTurn]:
    """Read the tool outputs, each as a turn, then the other content of the user."""
    blocks = [] if isinstance(content, str) else check_objects(content, "content")
    outputs = [block for block in blocks if block.get("type") == "tool_result"]
    for block in outputs:
        if block.get("tool_use_id") not in called:
            raise ValueError("content: a tool_result must answer one of the tool_use blocks before it")
        yield DemoTurn("tool", *_read_content(get_field(block, "content", (str, list), "")))
    rest = content if isinstance(content, str) else [block for block in blocks if block not in outputs]
    if rest or not outputs:
        yield DemoTurn("user", *_read_content(rest))


def _read_assistant(content: str | list[Any], called: set[str]) -> str:
    """Read the text that counts as input: text and calls. Earlier thinking does not count."""
    if isinstance(content, str):
        return content
    text = ""
    for block in check_objects(content, "content"):
        match block.get("type"):
            case "text":
                text += require_field(block, "text", str)
            case "tool_use":
                called.add(require_field(block, "id", str))
                text += require_field(block, "name", str) + json.dumps(require_field(block, "input", dict))
            case "thinking":
                require_field(block, "signature", str)
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, tool_use, thinking")
    return text


def _read_content(content: str | list[Any]) -> tuple[str, tuple[str, ...]]:
    if isinstance(content, str):
        return content, ()
    text, media = "", []
    for block in check_objects(content, "content"):
        match block.get("type"):
            case "text":
                text += require_field(block, "text", str)
            case "image" | "document" as kind:
                require_field(require_field(block, "source", dict), "type", str)
                media.append(kind)
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, image, document")
    return text, tuple(media)


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    return DemoTool(require_field(tool, "name", str), require_field(tool, "input_schema", dict))


def _write_usage(reply: DemoReply, output: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt - reply.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached,
        "output_tokens": output,
    }


def _write_final_usage(reply: DemoReply) -> dict[str, Any]:
    thinking = {"output_tokens_details": {"thinking_tokens": reply.reasoning}} if reply.reasoning else {}
    return _write_usage(reply, reply.completion) | thinking


def _write_block(part: DemoPart) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": part.text, "signature": SIGNATURE}
        case "text":
            return {"type": "text", "text": part.text}
        case "call":
            return {"type": "tool_use", "id": f"toolu_{part.id}", "name": part.name, "input": json.loads(part.text)}


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. The protocol has no place for `created`."""
    return {
        "id": identity,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [_write_block(part) for part in reply.parts],
        "stop_reason": FINISH[reply.finish],
        "stop_sequence": reply.stopped_at,
        "usage": _write_final_usage(reply),
    }


# Kind of part -> the block when it starts; the delta that fills it: its type and its field.
STARTS = {
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}
DELTAS = {
    "reasoning": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "call": ("input_json_delta", "partial_json"),
}


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the server-sent events of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    start = write_whole(reply, request, identity, created)
    start |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _write_usage(reply, output=1)}
    yield 0, _write_event("message_start", message=start)
    yield 0, _write_event("ping")
    for index, part in enumerate(reply.parts):
        block = STARTS[part.kind] if part.kind != "call" else _write_block(part) | {"input": {}}
        yield 0, _write_event("content_block_start", index=index, content_block=block)
        kind, key = DELTAS[part.kind]
        before, after = _write_delta(index, {"type": kind, key: "@"}).split(b'"@"')
        for piece in part.pieces:
            yield 1, before + write_json(piece) + after
        if part.kind == "reasoning":
            yield 0, _write_delta(index, {"type": "signature_delta", "signature": SIGNATURE})
        yield 0, _write_event("content_block_stop", index=index)
    delta = {"stop_reason": FINISH[reply.finish], "stop_sequence": reply.stopped_at}
    yield 0, _write_event("message_delta", delta=delta, usage=_write_final_usage(reply))
    yield 0, _write_event("message_stop")


def _write_delta(index: int, delta: dict[str, str]) -> bytes:
    return _write_event("content_block_delta", index=index, delta=delta)


def _write_event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), write_json({"type": kind, **fields}))


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error."""
    kind = ERROR_TYPES.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}
