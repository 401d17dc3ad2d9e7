"""OpenAI responses (`POST /v1/responses`), the provider's side.

Shapes from OpenAI's API reference: the response object, the streaming events, the error object. `input_tokens`
includes the cached tokens, `output_tokens` the reasoning. Nothing is stored: the conversation comes with each request,
and with it the reasoning, which goes out with an `encrypted_content`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from nbkit.demo.faces import openai_chat
from nbkit.demo.reply import SSE, DemoPart, DemoReply, write_json
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

PATH = "/v1/responses"
STREAM_TYPE = SSE
REQUEST_ID = openai_chat.REQUEST_ID
ID_PREFIX = "resp_"
write_error = openai_chat.write_error

ENCRYPTED = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the reasoning
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def parse(body: dict[str, Any]) -> DemoRequest:
    """Read the request of a body. Raises ValueError, naming the wrong field."""
    instructions = get_field(body, "instructions", str, "")
    given = require_field(body, "input", (str, list))
    items = [{"role": "user", "content": given}] if isinstance(given, str) else check_objects(given, "input")
    if not items:
        raise ValueError("input: must not be empty")
    tools = check_objects(get_field(body, "tools", list, []), "tools")
    return DemoRequest(
        model=require_field(body, "model", str),
        turns=(*((DemoTurn("system", instructions),) if instructions else ()), *_read_turns(items)),
        tools=tuple(_read_tool(tool) for tool in tools if tool.get("type") == "function"),  # it searches no web
        tool_choice=_read_choice(get_field(body, "tool_choice", (str, dict), "auto")),
        stream=get_field(body, "stream", bool, False),
        max_tokens=get_count(body, "max_output_tokens"),
        thinks=get_field(body, "reasoning", dict, {}).get("effort") != "none",
        schema=read_schema(get_field(get_field(body, "text", dict, {}), "format", dict, {})),
    )


def _read_turns(items: list[dict[str, Any]]) -> Iterator[DemoTurn]:
    """Read the turns; a call is text of the assistant, earlier reasoning does not count."""
    called: set[str] = set()
    for index, item in enumerate(items):
        match item.get("type", "message"):
            case "message":
                role = ROLES.get(require_field(item, "role", str))
                if role is None:
                    raise ValueError(f"input.{index}.role: {item['role']!r} is not one of {', '.join(ROLES)}")
                yield DemoTurn(role, *_read_content(require_field(item, "content", (str, list))))
            case "function_call":
                called.add(require_field(item, "call_id", str))
                yield DemoTurn("assistant", require_field(item, "name", str) + require_field(item, "arguments", str))
            case "function_call_output":
                if item.get("call_id") not in called:
                    raise ValueError(f"input.{index}: No tool call found for function call output")
                yield DemoTurn("tool", *_read_content(require_field(item, "output", (str, list))))
            case "reasoning":
                require_field(item, "summary", list)
                require_field(item, "encrypted_content", str)
            case kind:
                raise ValueError(f"input.{index}.type: {kind!r} is not one that the simulated models take")


def _read_content(content: str | list[Any]) -> tuple[str, tuple[str, ...]]:
    if isinstance(content, str):
        return content, ()
    text, media = "", []
    for part in check_objects(content, "content"):
        match part.get("type"):
            case "input_text" | "output_text":
                text += require_field(part, "text", str)
            case "input_image":
                require_field(part, "image_url", str)
                media.append("image")
            case "input_file":
                media.append("document")
            case kind:
                types = "input_text, input_image, input_file, output_text"
                raise ValueError(f"content: the type {kind!r} is not one of {types}")
    return text, tuple(media)


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    return DemoTool(require_field(tool, "name", str), get_field(tool, "parameters", dict, {}))


def _read_choice(choice: str | dict[str, Any]) -> str:
    return choice if isinstance(choice, str) else str(require_field(choice, "name", str))


def _write_item(part: DemoPart, identity: str, index: int) -> dict[str, Any]:
    """Write an item of the output, complete."""
    name = f"{index}_{identity.removeprefix(ID_PREFIX)}"
    match part.kind:
        case "reasoning":
            summary = [{"type": "summary_text", "text": part.text}]
            return {"id": f"rs_{name}", "type": "reasoning", "summary": summary, "encrypted_content": ENCRYPTED}
        case "text":
            content = [{"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}]
            message = {"status": "completed", "role": "assistant", "content": content}
            return {"id": f"msg_{name}", "type": "message", **message}
        case "call":
            call = {"call_id": f"call_{part.id}", "name": part.name, "arguments": part.text}
            return {"id": f"fc_{name}", "type": "function_call", "status": "completed", **call}


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. `created` is in seconds since 1970."""
    cut = reply.finish == "length"
    return {
        "id": identity,
        "object": "response",
        "created_at": created,
        "model": request.model,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "store": False,
        "output": [_write_item(part, identity, index) for index, part in enumerate(reply.parts)],
        "usage": {
            "input_tokens": reply.prompt,
            "input_tokens_details": {"cached_tokens": reply.cached, "cache_write_tokens": 0},
            "output_tokens": reply.completion,
            "output_tokens_details": {"reasoning_tokens": reply.reasoning},
            "total_tokens": reply.prompt + reply.completion,
        },
    }


# Kind of part -> its item before the first piece; the events of a piece and of its part, and the part's place.
STARTS: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": [], "encrypted_content": None},
    "text": {"status": "in_progress", "content": []},
    "call": {"status": "in_progress", "arguments": ""},
}
PARTS = {
    "reasoning": ("response.reasoning_summary_text", "response.reasoning_summary_part", "summary"),
    "text": ("response.output_text", "response.content_part", "content"),
}


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the server-sent events of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    numbers = count()

    def event(kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": next(numbers), **fields}
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), write_json(data))

    end = write_whole(reply, request, identity, created)
    begin = end | {"status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield 0, event("response.created", response=begin)
    yield 0, event("response.in_progress", response=begin)
    for index, (part, item) in enumerate(zip(reply.parts, end["output"], strict=True)):
        at: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        yield 0, event("response.output_item.added", output_index=index, item=item | STARTS[part.kind])
        if part.kind == "call":
            for piece in part.pieces:
                yield 1, event("response.function_call_arguments.delta", **at, delta=piece)
            yield 0, event("response.function_call_arguments.done", **at, arguments=part.text)
        else:
            text, outer, place = PARTS[part.kind]
            at[f"{place}_index"], inner = 0, item[place][0]
            yield 0, event(f"{outer}.added", **at, part=inner | {"text": ""})
            for piece in part.pieces:
                yield 1, event(f"{text}.delta", **at, delta=piece)
            yield 0, event(f"{text}.done", **at, text=part.text)
            yield 0, event(f"{outer}.done", **at, part=inner)
        yield 0, event("response.output_item.done", output_index=index, item=item)
    yield 0, event(f"response.{end['status']}", response=end)
