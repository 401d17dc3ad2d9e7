"""Ollama's chat (`POST /api/chat`), the provider's side.

Shapes from Ollama's docs/api.md: the chat response, streamed as JSON lines unless `stream` is false, the error object.
`prompt_eval_count` includes the cached tokens, `eval_count` the thinking. Nothing is cut at `num_ctx`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from nbkit.demo.reply import DemoPart, DemoReply, write_json
from nbkit.demo.request import DemoRequest, DemoTool, DemoTurn, Role, check_objects, get_count, get_field, require_field

PATH = r"(?:/v1)?/api/chat"  # nbkit calls it below the base URL that all faces share
STREAM_TYPE = "application/x-ndjson"
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "calls": "stop"}
FIELDS = {"reasoning": "thinking", "text": "content"}


def parse(body: dict[str, Any]) -> DemoRequest:
    """Read the request of a body. Raises ValueError, naming the wrong field."""
    options = get_field(body, "options", dict, {})
    return DemoRequest(
        model=require_field(body, "model", str),
        turns=_read_turns(check_objects(require_field(body, "messages", list), "messages")),
        tools=tuple(_read_tool(tool) for tool in check_objects(get_field(body, "tools", list, []), "tools")),
        stream=get_field(body, "stream", bool, True),
        max_tokens=get_count(options, "num_predict"),
        stop=tuple(map(str, get_field(options, "stop", list, []))),
        thinks=get_field(body, "think", (bool, str)) is not False,
        schema=get_field(body, "format", dict),
    )


def _read_turns(messages: list[dict[str, Any]]) -> tuple[DemoTurn, ...]:
    if not messages:
        raise ValueError("messages: must not be empty")
    turns = []
    for index, message in enumerate(messages):
        role = ROLES.get(require_field(message, "role", str))
        if role is None:
            raise ValueError(f"messages.{index}.role: {message['role']!r} is not one of {', '.join(ROLES)}")
        text = get_field(message, "content", str, "")
        for call in check_objects(get_field(message, "tool_calls", list, []), "tool_calls"):
            function = require_field(call, "function", dict)
            text += require_field(function, "name", str) + json.dumps(require_field(function, "arguments", dict))
        images = [b64decode(image, validate=True) for image in get_field(message, "images", list, [])]
        turns.append(DemoTurn(role, text, ("image",) * len(images)))
    return tuple(turns)


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    function = require_field(tool, "function", dict)
    return DemoTool(require_field(function, "name", str), get_field(function, "parameters", dict, {}))


def _write_line(request: DemoRequest, created: int, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = {"role": "assistant", "content": "", **message}
    return {"model": request.model, "created_at": moment, "message": message, "done": False} | fields


def _write_end(reply: DemoReply) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": FINISH[reply.finish],
        "prompt_eval_count": reply.prompt,
        "prompt_eval_cached_count": reply.cached,
        "eval_count": reply.completion,
    }


def _write_call(index: int, part: DemoPart) -> dict[str, Any]:
    function = {"index": index, "name": part.name, "arguments": json.loads(part.text)}
    return {"id": f"call_{part.id}", "function": function}


def _write_calls(reply: DemoReply) -> list[dict[str, Any]]:
    calls = (part for part in reply.parts if part.kind == "call")
    return [_write_call(index, part) for index, part in enumerate(calls)]


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. The protocol has no place for `identity`."""
    message: dict[str, Any] = {FIELDS[part.kind]: part.text for part in reply.parts if part.kind != "call"}
    calls = _write_calls(reply)
    return _write_line(request, created, message | ({"tool_calls": calls} if calls else {}), **_write_end(reply))


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the lines of an answer, each with the tokens that it takes: 1 for a piece of it, else 0. A call is one."""
    silence = _write_event(_write_line(request, created, {}))
    yield 0, silence
    calls = iter(_write_calls(reply))
    for part in reply.parts:
        if part.kind == "call":
            for _ in part.pieces:
                yield 1, silence
            yield 0, _write_event(_write_line(request, created, {"tool_calls": [next(calls)]}))
            continue
        before, after = _write_event(_write_line(request, created, {FIELDS[part.kind]: "@"})).split(b'"@"')
        for piece in part.pieces:
            yield 1, before + write_json(piece) + after
    yield 0, _write_event(_write_line(request, created, {}, **_write_end(reply)))


def _write_event(value: dict[str, Any]) -> bytes:
    return write_json(value) + b"\n"


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error."""
    return {"error": message}
