"""Gemini's generateContent (`POST /v1/models/{model}:generateContent`, `:streamGenerateContent`), the provider's side.

Shapes from Google's API reference: GenerateContentResponse, the status object. `promptTokenCount` includes the cached
tokens, `candidatesTokenCount` excludes the thoughts; each event of a stream counts what was said up to it. As Gemini 3
does, it signs calls and what it says after thinking, and wants the first call of a turn back with its signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nbkit.demo.dialog import Request, Role, Tool, Turn, field, objects, positive, required
from nbkit.demo.reply import SSE, Part, Reply, json_bytes

PATH = r"/v1/models/(?P<model>[^:/]+):(?P<action>generateContent|streamGenerateContent)"
STREAM_TYPE = SSE
REQUEST_ID = "x-request-id"
ID_PREFIX = ""

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the call or the text
ROLES: dict[str, Role] = {"user": "user", "model": "assistant"}
MODES = {"AUTO": "auto", "VALIDATED": "auto", "NONE": "none", "ANY": "required"}
FINISH = {"stop": "STOP", "sequence": "STOP", "calls": "STOP", "length": "MAX_TOKENS"}
STATUSES = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


def parse(body: dict[str, Any], model: str, action: str) -> Request:
    """The request of a body and its path. Raises ValueError, saying which field is wrong."""
    config = field(body, "generationConfig", dict, {})
    thinking = field(config, "thinkingConfig", dict, {})
    system, _ = _content(objects(field(field(body, "systemInstruction", dict, {}), "parts", list, []), "parts"))
    tools = objects(field(body, "tools", list, []), "tools")
    functions = [objects(field(tool, "functionDeclarations", list, []), "functionDeclarations") for tool in tools]
    return Request(
        model=model,
        turns=(
            *((Turn("system", system),) if system else ()),
            *_turns(objects(required(body, "contents", list), "contents")),
        ),
        tools=tuple(_tool(function) for declared in functions for function in declared),
        tool_choice=_choice(field(field(body, "toolConfig", dict, {}), "functionCallingConfig", dict, {})),
        stream=action == "streamGenerateContent",
        max_tokens=positive(config, "maxOutputTokens"),
        stop=tuple(map(str, field(config, "stopSequences", list, []))),
        thinks=field(thinking, "includeThoughts", bool, True) and field(thinking, "thinkingBudget", int) != 0,
    )


def _turns(contents: list[dict[str, Any]]) -> tuple[Turn, ...]:
    if not contents:
        raise ValueError("contents: must not be empty")
    turns: list[Turn] = []
    called: list[str] = []  # the functions that the turn before called
    for content in contents:
        role = ROLES.get(field(content, "role", str, "user"))
        if role is None:
            raise ValueError("Please use a valid role: user, model.")
        parts = objects(required(content, "parts", list), "parts")
        if not parts:
            raise ValueError("contents.parts: must not be empty")
        outputs = [required(part, "functionResponse", dict) for part in parts if "functionResponse" in part]
        if sorted(required(output, "name", str) for output in outputs) != sorted(called):
            raise ValueError("the function responses must be as many as the calls of the turn before, with their names")
        if outputs and len(outputs) < len(parts):
            raise ValueError("a turn of function responses must hold nothing else")
        calls = [part for part in parts if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            raise ValueError("Function call is missing a thought_signature in functionCall parts.")
        called = [required(required(part, "functionCall", dict), "name", str) for part in calls]
        turns += [_output(output) for output in outputs] or [Turn(role, *_content(parts))]
    return tuple(turns)


def _output(output: dict[str, Any]) -> Turn:
    said = required(output, "response", dict)
    text = said["output"] if isinstance(said.get("output"), str) else json.dumps(said, ensure_ascii=False)
    return Turn("tool", text, len(field(output, "parts", list, [])))


def _content(parts: list[dict[str, Any]]) -> tuple[str, int]:
    """The text that counts as input, and the number of images. Earlier thoughts do not count."""
    text, images = "", 0
    for part in parts:
        match part:
            case {"thought": True}:
                continue
            case {"text": str(said)}:
                text += said
            case {"functionCall": {"name": str(name)} as call}:
                text += name + json.dumps(field(call, "args", dict, {}))
            case {"inlineData": {"mimeType": str(), "data": str()}} | {"fileData": {"fileUri": str()}}:
                images += 1
            case _:
                raise ValueError("parts: a part is one of text, inlineData, fileData, functionCall, functionResponse")
    return text, images


def _tool(function: dict[str, Any]) -> Tool:
    schema = field(function, "parametersJsonSchema", dict) or field(function, "parameters", dict, {})
    return Tool(required(function, "name", str), schema)


def _choice(calling: dict[str, Any]) -> str:
    allowed = field(calling, "allowedFunctionNames", list, [])
    if len(allowed) == 1:
        return str(allowed[0])
    mode = field(calling, "mode", str, "AUTO")
    if mode not in MODES:
        raise ValueError(f"functionCallingConfig.mode: {mode!r} is not one of {', '.join(MODES)}")
    return MODES[mode]


def _part(part: Part, signed: bool) -> dict[str, Any]:
    signature = {"thoughtSignature": SIGNATURE} if signed else {}
    match part.kind:
        case "reasoning":
            return {"text": part.text, "thought": True}
        case "text":
            return {"text": part.text} | signature
        case "call":
            return {"functionCall": {"id": part.id, "name": part.name, "args": json.loads(part.text)}} | signature


def _signed(reply: Reply) -> Part | None:
    """The part with the signature: the first call, or else the text of a model that has thought."""
    if calls := [part for part in reply.parts if part.kind == "call"]:
        return calls[0]
    return next((part for part in reply.parts if part.kind == "text" and reply.reasoning), None)


def _event(
    reply: Reply,
    request: Request,
    identity: str,
    parts: list[dict[str, Any]],
    said: int,
    thought: int,
    finished: bool = False,
) -> dict[str, Any]:
    """What was said, after `said` tokens of the answer and `thought` tokens of the reasoning in all."""
    counts = {
        "promptTokenCount": reply.prompt,
        "cachedContentTokenCount": reply.cached,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": thought,
        "totalTokenCount": reply.prompt + said + thought,
    }
    content = {"role": "model"} | ({"parts": parts} if parts else {})
    return {
        "candidates": [{"content": content, "index": 0} | ({"finishReason": FINISH[reply.finish]} if finished else {})],
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": request.model,
        "responseId": identity,
    }


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. The protocol has no place for `created`."""
    signed = _signed(reply)
    parts = [_part(part, part is signed) for part in reply.parts]
    return _event(reply, request, identity, parts, reply.completion - reply.reasoning, reply.reasoning, finished=True)


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The server-sent events of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0."""
    signed, said, thought = _signed(reply), 0, 0

    def event(parts: list[dict[str, Any]], finished: bool = False) -> bytes:
        return b"data: " + json_bytes(_event(reply, request, identity, parts, said, thought, finished)) + b"\n\n"

    yield 0, event([])
    for part in reply.parts:
        if part.kind == "call":  # a call is not said in pieces
            said += len(part.pieces)
            yield 1, event([_part(part, part is signed)])
            continue
        for piece in part.pieces:
            if part.kind == "reasoning":
                thought += 1
            else:
                said += 1
            yield 1, event([{"text": piece} | ({"thought": True} if part.kind == "reasoning" else {})])
    behind = [{"text": "", "thoughtSignature": SIGNATURE}] if signed and signed.kind == "text" else []
    yield 0, event(behind, finished=True)


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error."""
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "INVALID_ARGUMENT")}}
