"""Ollama's chat (`POST /v1/api/chat`), the provider's side.

Shapes from Ollama's docs/api.md: the chat response, streamed as JSON lines unless `stream` is false, the error object.
`prompt_eval_count` includes the cached tokens, `eval_count` the thinking. Nothing is cut at `num_ctx`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from nbkit.demo.dialog import Request, Role, Tool, Turn, field, objects, positive, required
from nbkit.demo.reply import Part, Reply, json_bytes

PATH = r"/v1/api/chat"
STREAM_TYPE = "application/x-ndjson"
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "calls": "stop"}
FIELDS = {"reasoning": "thinking", "text": "content"}


def parse(body: dict[str, Any]) -> Request:
    """The request of a body. Raises ValueError, saying which field is wrong."""
    options = field(body, "options", dict, {})
    return Request(
        model=required(body, "model", str),
        turns=_turns(objects(required(body, "messages", list), "messages")),
        tools=tuple(_tool(tool) for tool in objects(field(body, "tools", list, []), "tools")),
        stream=field(body, "stream", bool, True),
        max_tokens=positive(options, "num_predict"),
        stop=tuple(map(str, field(options, "stop", list, []))),
        thinks=field(body, "think", (bool, str)) is not False,
    )


def _turns(messages: list[dict[str, Any]]) -> tuple[Turn, ...]:
    if not messages:
        raise ValueError("messages: must not be empty")
    turns = []
    for index, message in enumerate(messages):
        role = ROLES.get(required(message, "role", str))
        if role is None:
            raise ValueError(f"messages.{index}.role: {message['role']!r} is not one of {', '.join(ROLES)}")
        text = required(message, "content", str)
        for call in objects(field(message, "tool_calls", list, []), "tool_calls"):
            function = required(call, "function", dict)
            text += required(function, "name", str) + json.dumps(required(function, "arguments", dict))
        images = [b64decode(image, validate=True) for image in field(message, "images", list, [])]
        turns.append(Turn(role, text, len(images)))
    return tuple(turns)


def _tool(tool: dict[str, Any]) -> Tool:
    function = required(tool, "function", dict)
    return Tool(required(function, "name", str), field(function, "parameters", dict, {}))


def _line(request: Request, created: int, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = {"role": "assistant", "content": "", **message}
    return {"model": request.model, "created_at": moment, "message": message, "done": False} | fields


def _end(reply: Reply) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": FINISH[reply.finish],
        "prompt_eval_count": reply.prompt,
        "prompt_eval_cached_count": reply.cached,
        "eval_count": reply.completion,
    }


def _call(index: int, part: Part) -> dict[str, Any]:
    function = {"index": index, "name": part.name, "arguments": json.loads(part.text)}
    return {"id": f"call_{part.id}", "function": function}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    calls = (part for part in reply.parts if part.kind == "call")
    return [_call(index, part) for index, part in enumerate(calls)]


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. The protocol has no place for `identity`."""
    message: dict[str, Any] = {FIELDS[part.kind]: part.text for part in reply.parts if part.kind != "call"}
    calls = _calls(reply)
    return _line(request, created, message | ({"tool_calls": calls} if calls else {}), **_end(reply))


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The lines of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0. A call comes whole."""
    silence = _event(_line(request, created, {}))
    yield 0, silence
    calls = iter(_calls(reply))
    for part in reply.parts:
        if part.kind == "call":
            for _ in part.pieces:
                yield 1, silence
            yield 0, _event(_line(request, created, {"tool_calls": [next(calls)]}))
            continue
        before, after = _event(_line(request, created, {FIELDS[part.kind]: "@"})).split(b'"@"')
        for piece in part.pieces:
            yield 1, before + json_bytes(piece) + after
    yield 0, _event(_line(request, created, {}, **_end(reply)))


def _event(value: dict[str, Any]) -> bytes:
    return json_bytes(value) + b"\n"


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error."""
    return {"error": message}
