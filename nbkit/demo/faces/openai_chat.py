"""OpenAI chat completions (`POST /v1/chat/completions`), the provider's side.

Shapes from OpenAI's API reference: `chat.completion`, `chat.completion.chunk`, the error object. Reasoning goes in
`reasoning_content`, as OpenAI-compatible providers send it. `prompt_tokens` includes the cached tokens,
`completion_tokens` the reasoning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbkit.demo.reply import SSE, UNKNOWN_PATH, DemoReply, write_json
from nbkit.demo.request import (
    DemoRequest,
    DemoTool,
    DemoTurn,
    Role,
    check_objects,
    get_count,
    get_field,
    read_schema,
    require_field,
)

PATH = "/v1/chat/completions"
STREAM_TYPE = SSE
REQUEST_ID = "x-request-id"
ID_PREFIX = "chatcmpl-"

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "calls": "tool_calls"}
TEXT_FIELDS = {"reasoning": "reasoning_content", "text": "content"}
ERROR_TYPES = {
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
}


def parse(body: dict[str, Any]) -> DemoRequest:
    """Read the request of a body. Raises ValueError, naming the wrong field."""
    stop = get_field(body, "stop", (str, list), [])
    options = get_field(body, "stream_options", dict, {})
    return DemoRequest(
        model=require_field(body, "model", str),
        turns=read_turns(check_objects(require_field(body, "messages", list), "messages")),
        tools=tuple(_read_tool(tool) for tool in check_objects(get_field(body, "tools", list, []), "tools")),
        tool_choice=_read_choice(get_field(body, "tool_choice", (str, dict), "auto")),
        stream=get_field(body, "stream", bool, False),
        include_usage=get_field(options, "include_usage", bool, False),
        max_tokens=get_count(body, "max_completion_tokens") or get_count(body, "max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(map(str, stop)),
        thinks=body.get("reasoning_effort") != "none",
        schema=read_schema(get_field(body, "response_format", dict, {})),
    )


def read_turns(messages: list[dict[str, Any]]) -> tuple[DemoTurn, ...]:
    """Read the turns of the messages; Cohere's have the same form. Raises ValueError, naming the wrong field."""
    if not messages:
        raise ValueError("messages: must not be empty")
    called: set[str] = set()
    turns = []
    for index, message in enumerate(messages):
        role = ROLES.get(require_field(message, "role", str))
        if role is None:
            raise ValueError(f"messages.{index}.role: {message['role']!r} is not one of {', '.join(ROLES)}")
        if role == "tool" and message.get("tool_call_id") not in called:
            raise ValueError(f"messages.{index}: a tool's message must answer one of the tool_calls before it")
        text, media = _read_content(get_field(message, "content", (str, list), ""))
        for call in check_objects(get_field(message, "tool_calls", list, []), "tool_calls"):
            called.add(require_field(call, "id", str))
            function = require_field(call, "function", dict)
            text += require_field(function, "name", str) + require_field(function, "arguments", str)
        turns.append(DemoTurn(role, text, media))
    return tuple(turns)


def _read_content(content: str | list[Any]) -> tuple[str, tuple[str, ...]]:
    """Read text and media. Earlier thinking, as Mistral and Cohere have it here, does not count."""
    if isinstance(content, str):
        return content, ()
    text, media = "", []
    for part in check_objects(content, "content"):
        match part.get("type"):
            case "text":
                text += require_field(part, "text", str)
            case "image_url":
                require_field(require_field(part, "image_url", dict), "url", str)
                media.append("image")
            case "file":
                require_field(part, "file", dict)
                media.append("document")
            case "thinking":
                pass
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, image_url, file, thinking")
    return text, tuple(media)


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    function = require_field(tool, "function", dict)
    return DemoTool(require_field(function, "name", str), get_field(function, "parameters", dict, {}))


def _read_choice(choice: str | dict[str, Any]) -> str:
    if isinstance(choice, str):
        return choice
    return str(require_field(require_field(choice, "function", dict), "name", str))


def _write_usage(reply: DemoReply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.prompt,
        "completion_tokens": reply.completion,
        "total_tokens": reply.prompt + reply.completion,
        "prompt_tokens_details": {"cached_tokens": reply.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. `created` is in seconds since 1970."""
    calls = [part for part in reply.parts if part.kind == "call"]
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else "", "refusal": None}
    message |= {TEXT_FIELDS[part.kind]: part.text for part in reply.parts if part.kind != "call"}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{part.id}", "type": "function", "function": {"name": part.name, "arguments": part.text}}
            for part in calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[reply.finish]}
    return {
        "id": identity,
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [choice],
        "usage": _write_usage(reply),
        "system_fingerprint": "fp_simulated",
    }


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the server-sent events of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    frame = {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": created,
        "model": request.model,
        "system_fingerprint": "fp_simulated",
    }
    unknown = {"usage": None} if request.include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _write_event(frame | {"choices": [choice]} | unknown)

    calls = [part for part in reply.parts if part.kind == "call"]
    yield 0, chunk({"role": "assistant", "content": None if calls else "", "refusal": None})
    for index, part in enumerate(calls):
        function = {"name": part.name, "arguments": ""}
        yield 0, chunk(_write_call(index, {"id": f"call_{part.id}", "type": "function", "function": function}))
        for piece in part.pieces:
            yield 1, chunk(_write_call(index, {"function": {"arguments": piece}}))
    for part in reply.parts:
        if part.kind != "call":
            before, after = chunk({TEXT_FIELDS[part.kind]: "@"}).split(b'"@"')
            for piece in part.pieces:
                yield 1, before + write_json(piece) + after
    yield 0, chunk({}, FINISH[reply.finish])
    if request.include_usage:
        yield 0, _write_event(frame | {"choices": [], "usage": _write_usage(reply)})
    yield 0, b"data: [DONE]\n\n"


def _write_call(index: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [{"index": index} | fields]}


def _write_event(value: dict[str, Any]) -> bytes:
    return b"data: " + write_json(value) + b"\n\n"


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error."""
    kind, code = ERROR_TYPES.get(status, ("invalid_request_error", None))
    if message.startswith(UNKNOWN_PATH):
        code = "unknown_url"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
