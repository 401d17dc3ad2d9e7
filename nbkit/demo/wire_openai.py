"""OpenAI chat completions (`POST /v1/chat/completions`), the provider's side.

Shapes from OpenAI's API reference: `chat.completion`, `chat.completion.chunk`, the error object. Reasoning goes in
`reasoning_content`, as OpenAI-compatible providers send it. `prompt_tokens` includes the cached tokens,
`completion_tokens` the reasoning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbkit.demo.dialog import Request, Role, Tool, Turn, field, objects, positive, required
from nbkit.demo.reply import SSE, Reply, json_bytes

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


def parse(body: dict[str, Any]) -> Request:
    """The request of a body. Raises ValueError, saying which field is wrong."""
    stop = field(body, "stop", (str, list), [])
    options = field(body, "stream_options", dict, {})
    return Request(
        model=required(body, "model", str),
        turns=read_turns(objects(required(body, "messages", list), "messages")),
        tools=tuple(_tool(tool) for tool in objects(field(body, "tools", list, []), "tools")),
        tool_choice=_choice(field(body, "tool_choice", (str, dict), "auto")),
        stream=field(body, "stream", bool, False),
        include_usage=field(options, "include_usage", bool, False),
        max_tokens=positive(body, "max_completion_tokens") or positive(body, "max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(map(str, stop)),
        thinks=body.get("reasoning_effort") != "none",
    )


def read_turns(messages: list[dict[str, Any]]) -> tuple[Turn, ...]:
    """The turns of the messages; Cohere's are of the same form. Raises ValueError, saying which field is wrong."""
    if not messages:
        raise ValueError("messages: must not be empty")
    called: set[str] = set()
    turns = []
    for index, message in enumerate(messages):
        role = ROLES.get(required(message, "role", str))
        if role is None:
            raise ValueError(f"messages.{index}.role: {message['role']!r} is not one of {', '.join(ROLES)}")
        if role == "tool" and message.get("tool_call_id") not in called:
            raise ValueError(f"messages.{index}: a tool's message must answer one of the tool_calls before it")
        text, images = _content(field(message, "content", (str, list), ""))
        for call in objects(field(message, "tool_calls", list, []), "tool_calls"):
            called.add(required(call, "id", str))
            function = required(call, "function", dict)
            text += required(function, "name", str) + required(function, "arguments", str)
        turns.append(Turn(role, text, images))
    return tuple(turns)


def _content(content: str | list[Any]) -> tuple[str, int]:
    """Text and the number of images. Earlier thinking, as Mistral and Cohere have it there, does not count."""
    if isinstance(content, str):
        return content, 0
    text, images = "", 0
    for part in objects(content, "content"):
        match part.get("type"):
            case "text":
                text += required(part, "text", str)
            case "image_url":
                required(required(part, "image_url", dict), "url", str)
                images += 1
            case "thinking":
                pass
            case kind:
                raise ValueError(f"content: the type {kind!r} is not one of text, image_url, thinking")
    return text, images


def _tool(tool: dict[str, Any]) -> Tool:
    function = required(tool, "function", dict)
    return Tool(required(function, "name", str), field(function, "parameters", dict, {}))


def _choice(choice: str | dict[str, Any]) -> str:
    if isinstance(choice, str):
        return choice
    return str(required(required(choice, "function", dict), "name", str))


def _usage(reply: Reply) -> dict[str, Any]:
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


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. `created` is in seconds since 1970."""
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
        "usage": _usage(reply),
        "system_fingerprint": "fp_simulated",
    }


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The server-sent events of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0."""
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
        return _event(frame | {"choices": [choice]} | unknown)

    calls = [part for part in reply.parts if part.kind == "call"]
    yield 0, chunk({"role": "assistant", "content": None if calls else "", "refusal": None})
    for index, part in enumerate(calls):
        function = {"name": part.name, "arguments": ""}
        yield 0, chunk(_call(index, {"id": f"call_{part.id}", "type": "function", "function": function}))
        for piece in part.pieces:
            yield 1, chunk(_call(index, {"function": {"arguments": piece}}))
    for part in reply.parts:
        if part.kind != "call":
            before, after = chunk({TEXT_FIELDS[part.kind]: "@"}).split(b'"@"')
            for piece in part.pieces:
                yield 1, before + json_bytes(piece) + after
    yield 0, chunk({}, FINISH[reply.finish])
    if request.include_usage:
        yield 0, _event(frame | {"choices": [], "usage": _usage(reply)})
    yield 0, b"data: [DONE]\n\n"


def _call(index: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [{"index": index} | fields]}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json_bytes(value) + b"\n\n"


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error."""
    kind, code = ERROR_TYPES.get(status, ("invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
