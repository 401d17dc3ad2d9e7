"""Gemini's generateContent and its stream (`POST /v1beta/models/{model}:generateContent`), the provider's side.

Shapes from Google's API reference: GenerateContentResponse, the status object. `promptTokenCount` includes the cached
tokens, `candidatesTokenCount` excludes the thoughts; each event of a stream counts all tokens up to it. As Gemini 3
does, it signs calls and the text after thoughts, and wants the first call of a turn back with its signature. Fields of
requests may be named in either way that protobuf allows: `parametersJsonSchema`, `parameters_json_schema`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nbkit.demo.reply import SSE, DemoPart, DemoReply, write_json
from nbkit.demo.request import DemoRequest, DemoTool, DemoTurn, Role, check_objects, get_count, get_field, require_field

PATH = r"/v1(?:alpha|beta)?/models/(?P<model>[^:/]+):(?P<action>generateContent|streamGenerateContent)"
STREAM_TYPE = SSE
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the call or the text
ROLES: dict[str, Role] = {"user": "user", "model": "assistant"}
MODES = {"AUTO": "auto", "VALIDATED": "auto", "NONE": "none", "ANY": "required"}
FINISH = {"stop": "STOP", "sequence": "STOP", "calls": "STOP", "length": "MAX_TOKENS"}
OWN_NAMES = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
STATUSES = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


def parse(body: dict[str, Any], model: str, action: str) -> DemoRequest:
    """Read the request of a body and its path. Raises ValueError, naming the wrong field."""
    body = _rename_fields(body)
    config = get_field(body, "generationConfig", dict, {})
    thinking = get_field(config, "thinkingConfig", dict, {})
    system, _ = _read_content(
        check_objects(get_field(get_field(body, "systemInstruction", dict, {}), "parts", list, []), "parts")
    )
    tools = check_objects(get_field(body, "tools", list, []), "tools")
    functions = [
        check_objects(get_field(tool, "functionDeclarations", list, []), "functionDeclarations") for tool in tools
    ]
    return DemoRequest(
        model=model,
        turns=(
            *((DemoTurn("system", system),) if system else ()),
            *_read_turns(check_objects(require_field(body, "contents", list), "contents")),
        ),
        tools=tuple(_read_tool(function) for declared in functions for function in declared),
        tool_choice=_read_choice(get_field(get_field(body, "toolConfig", dict, {}), "functionCallingConfig", dict, {})),
        stream=action == "streamGenerateContent",
        max_tokens=get_count(config, "maxOutputTokens"),
        stop=tuple(map(str, get_field(config, "stopSequences", list, []))),
        thinks=get_field(thinking, "includeThoughts", bool, True) and get_field(thinking, "thinkingBudget", int) != 0,
        schema=get_field(config, "responseJsonSchema", dict),
    )


def _rename_fields(value: Any) -> Any:
    """Rename the fields of messages, at every depth, to camel case. What schemas and calls hold keeps its names."""
    if isinstance(value, list):
        return [_rename_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {name: re.sub(r"_([a-z])", lambda match: match[1].upper(), name) for name in value}
    return {names[name]: item if names[name] in OWN_NAMES else _rename_fields(item) for name, item in value.items()}


def _read_turns(contents: list[dict[str, Any]]) -> tuple[DemoTurn, ...]:
    if not contents:
        raise ValueError("contents: must not be empty")
    turns: list[DemoTurn] = []
    called: list[str] = []  # the functions that the turn before called
    for content in contents:
        role = ROLES.get(get_field(content, "role", str, "user"))
        if role is None:
            raise ValueError("Please use a valid role: user, model.")
        parts = check_objects(require_field(content, "parts", list), "parts")
        if not parts:
            raise ValueError("contents.parts: must not be empty")
        outputs = [require_field(part, "functionResponse", dict) for part in parts if "functionResponse" in part]
        if sorted(require_field(output, "name", str) for output in outputs) != sorted(called):
            raise ValueError("the function responses must be as many as the calls of the turn before, with their names")
        if outputs and len(outputs) < len(parts):
            raise ValueError("a turn of function responses must hold nothing else")
        calls = [part for part in parts if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            raise ValueError("Function call is missing a thought_signature in functionCall parts.")
        called = [require_field(require_field(part, "functionCall", dict), "name", str) for part in calls]
        turns += [_read_output(output) for output in outputs] or [DemoTurn(role, *_read_content(parts))]
    return tuple(turns)


def _read_output(output: dict[str, Any]) -> DemoTurn:
    response = require_field(output, "response", dict)
    plain = isinstance(response.get("output"), str)
    text = response["output"] if plain else json.dumps(response, ensure_ascii=False)
    return DemoTurn("tool", text, ("image",) * len(get_field(output, "parts", list, [])))


def _read_content(parts: list[dict[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """Read the text that counts as input, and the media. Earlier thoughts do not count."""
    text, media = "", []
    for part in parts:
        match part:
            case {"thought": True}:
                continue
            case {"text": str(piece)}:
                text += piece
            case {"functionCall": {"name": str(name)} as call}:
                text += name + json.dumps(get_field(call, "args", dict, {}))
            case {"inlineData": {"mimeType": str(kind), "data": str()}}:
                media.append("image" if kind.startswith("image/") else "document")
            case {"fileData": {"fileUri": str()}}:
                media.append("image")
            case _:
                raise ValueError("parts: a part is one of text, inlineData, fileData, functionCall, functionResponse")
    return text, tuple(media)


def _read_tool(function: dict[str, Any]) -> DemoTool:
    schema = get_field(function, "parametersJsonSchema", dict) or get_field(function, "parameters", dict, {})
    return DemoTool(require_field(function, "name", str), schema)


def _read_choice(calling: dict[str, Any]) -> str:
    allowed = get_field(calling, "allowedFunctionNames", list, [])
    if len(allowed) == 1:
        return str(allowed[0])
    mode = get_field(calling, "mode", str, "AUTO")
    if mode not in MODES:
        raise ValueError(f"functionCallingConfig.mode: {mode!r} is not one of {', '.join(MODES)}")
    return MODES[mode]


def _write_part(part: DemoPart, signed: bool) -> dict[str, Any]:
    signature = {"thoughtSignature": SIGNATURE} if signed else {}
    match part.kind:
        case "reasoning":
            return {"text": part.text, "thought": True}
        case "text":
            return {"text": part.text} | signature
        case "call":
            return {"functionCall": {"id": part.id, "name": part.name, "args": json.loads(part.text)}} | signature


def _find_signed(reply: DemoReply) -> DemoPart | None:
    """Find the part with the signature: the first call, or else the text of a model that has thought."""
    if calls := [part for part in reply.parts if part.kind == "call"]:
        return calls[0]
    return next((part for part in reply.parts if part.kind == "text" and reply.reasoning), None)


def _write_event(
    reply: DemoReply,
    request: DemoRequest,
    identity: str,
    parts: list[dict[str, Any]],
    answered: int,
    thought: int,
    finished: bool = False,
) -> dict[str, Any]:
    """Write an event with these parts, after `answered` tokens of the answer and `thought` of the reasoning in all."""
    counts = {
        "promptTokenCount": reply.prompt,
        "cachedContentTokenCount": reply.cached,
        "candidatesTokenCount": answered,
        "thoughtsTokenCount": thought,
        "totalTokenCount": reply.prompt + answered + thought,
    }
    content = {
        "role": "model",
        "parts": parts or [{"text": ""}],
    }  # Google's SDK forgets an answer with an event without
    return {
        "candidates": [{"content": content, "index": 0} | ({"finishReason": FINISH[reply.finish]} if finished else {})],
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": request.model,
        "responseId": identity,
    }


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. The protocol has no place for `created`."""
    signed = _find_signed(reply)
    parts = [_write_part(part, part is signed) for part in reply.parts]
    return _write_event(
        reply, request, identity, parts, reply.completion - reply.reasoning, reply.reasoning, finished=True
    )


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the server-sent events of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    signed, answered, thought = _find_signed(reply), 0, 0

    def write(parts: list[dict[str, Any]], finished: bool = False) -> bytes:
        event = _write_event(reply, request, identity, parts, answered, thought, finished)
        return b"data: " + write_json(event) + b"\n\n"

    yield 0, write([])
    for part in reply.parts:
        if part.kind == "call":  # Gemini sends a call in one piece
            answered += len(part.pieces)
            yield 1, write([_write_part(part, part is signed)])
            continue
        for piece in part.pieces:
            if part.kind == "reasoning":
                thought += 1
            else:
                answered += 1
            yield 1, write([{"text": piece} | ({"thought": True} if part.kind == "reasoning" else {})])
    behind = [{"text": "", "thoughtSignature": SIGNATURE}] if signed and signed.kind == "text" else []
    yield 0, write(behind, finished=True)


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error."""
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "INVALID_ARGUMENT")}}
