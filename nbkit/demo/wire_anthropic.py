"""Anthropic messages (`POST /v1/messages`), the provider's side.

Shapes from Anthropic's API reference: the message object, the streaming events, the error object. `input_tokens`
excludes the cached tokens, `output_tokens` includes the thinking. Caching is automatic, without `cache_control`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nbkit.demo.dialog import Request, Tool, Turn, field, objects, positive, required
from nbkit.demo.reply import SSE, Part, Reply, json_bytes

PATH = "/v1/messages"
STREAM_TYPE = SSE
REQUEST_ID = "request-id"
ID_PREFIX = "msg_"

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the thinking
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "calls": "tool_use"}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
ERROR_TYPES = {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error"}


def parse(body: dict[str, Any]) -> Request:
    """The request of a body. Raises ValueError, saying which field is wrong."""
    system, _ = _content(field(body, "system", (str, list), ""))
    choice = field(body, "tool_choice", dict, {"type": "auto"})
    max_tokens = positive(body, "max_tokens")
    if max_tokens is None:
        raise ValueError("max_tokens: field required")
    return Request(
        model=required(body, "model", str),
        turns=(
            *((Turn("system", system),) if system else ()),
            *_turns(objects(required(body, "messages", list), "messages")),
        ),
        tools=tuple(_tool(tool) for tool in objects(field(body, "tools", list, []), "tools")),
        tool_choice=CHOICES.get(str(choice.get("type"))) or required(choice, "name", str),
        stream=field(body, "stream", bool, False),
        max_tokens=max_tokens,
        stop=tuple(map(str, field(body, "stop_sequences", list, []))),
        thinks=field(body, "thinking", dict, {}).get("type") != "disabled",
    )


def _turns(messages: list[dict[str, Any]]) -> tuple[Turn, ...]:
    if not messages or messages[0].get("role") != "user":
        raise ValueError("messages: the first message must use the user role")
    called: set[str] = set()
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        content = required(message, "content", (str, list))
        match message.get("role"):
            case "user":
                turns += _user(content, called)
            case "assistant":
                turns.append(Turn("assistant", _assistant(content, called)))
            case role:
                raise ValueError(f"messages.{index}.role: {role!r} is not one of user, assistant")
    return tuple(turns)


def _user(content: str | list[Any], called: set[str]) -> Iterator[Turn]:
    """The tool outputs, each as a turn, then what the user says with them."""
    blocks = [] if isinstance(content, str) else objects(content, "content")
    outputs = [block for block in blocks if block.get("type") == "tool_result"]
    for block in outputs:
        if block.get("tool_use_id") not in called:
            raise ValueError("content: a tool_result must answer one of the tool_use blocks before it")
        yield Turn("tool", *_content(field(block, "content", (str, list), "")))
    said = content if isinstance(content, str) else [block for block in blocks if block not in outputs]
    if said or not outputs:
        yield Turn("user", *_content(said))


def _assistant(content: str | list[Any], called: set[str]) -> str:
    """The text that counts as input: what was said and called. Earlier thinking does not count."""
    if isinstance(content, str):
        return content
    text = ""
    for block in objects(content, "content"):
        match block.get("type"):
            case "text":
                text += required(block, "text", str)
            case "tool_use":
                called.add(required(block, "id", str))
                text += required(block, "name", str) + json.dumps(required(block, "input", dict))
            case "thinking":
                required(block, "signature", str)
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, tool_use, thinking")
    return text


def _content(content: str | list[Any]) -> tuple[str, int]:
    if isinstance(content, str):
        return content, 0
    text, images = "", 0
    for block in objects(content, "content"):
        match block.get("type"):
            case "text":
                text += required(block, "text", str)
            case "image":
                required(required(block, "source", dict), "type", str)
                images += 1
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, image")
    return text, images


def _tool(tool: dict[str, Any]) -> Tool:
    return Tool(required(tool, "name", str), required(tool, "input_schema", dict))


def _usage(reply: Reply, output: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt - reply.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached,
        "output_tokens": output,
    }


def _final_usage(reply: Reply) -> dict[str, Any]:
    thinking = {"output_tokens_details": {"thinking_tokens": reply.reasoning}} if reply.reasoning else {}
    return _usage(reply, reply.completion) | thinking


def _block(part: Part) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": part.text, "signature": SIGNATURE}
        case "text":
            return {"type": "text", "text": part.text}
        case "call":
            return {"type": "tool_use", "id": f"toolu_{part.id}", "name": part.name, "input": json.loads(part.text)}


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. The protocol has no place for `created`."""
    return {
        "id": identity,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [_block(part) for part in reply.parts],
        "stop_reason": FINISH[reply.finish],
        "stop_sequence": reply.stopped_at,
        "usage": _final_usage(reply),
    }


# What a block holds when it starts, and the delta that fills it: its type and its field.
STARTS = {
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}
DELTAS = {
    "reasoning": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "call": ("input_json_delta", "partial_json"),
}


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The server-sent events of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0."""
    start = whole(reply, request, identity, created)
    start |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(reply, output=1)}
    yield 0, _event("message_start", message=start)
    yield 0, _event("ping")
    for index, part in enumerate(reply.parts):
        block = STARTS[part.kind] if part.kind != "call" else _block(part) | {"input": {}}
        yield 0, _event("content_block_start", index=index, content_block=block)
        kind, key = DELTAS[part.kind]
        before, after = _delta(index, {"type": kind, key: "@"}).split(b'"@"')
        for piece in part.pieces:
            yield 1, before + json_bytes(piece) + after
        if part.kind == "reasoning":
            yield 0, _delta(index, {"type": "signature_delta", "signature": SIGNATURE})
        yield 0, _event("content_block_stop", index=index)
    delta = {"stop_reason": FINISH[reply.finish], "stop_sequence": reply.stopped_at}
    yield 0, _event("message_delta", delta=delta, usage=_final_usage(reply))
    yield 0, _event("message_stop")


def _delta(index: int, delta: dict[str, str]) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json_bytes({"type": kind, **fields}))


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error."""
    kind = ERROR_TYPES.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}
