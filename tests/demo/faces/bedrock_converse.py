"""Amazon Bedrock's Converse API (`POST /v1/model/{model}/converse`, `-stream`), the provider's side.

Shapes from AWS's API reference: ConverseResponse, ConverseStreamOutput. `inputTokens` excludes the
cached tokens, `outputTokens` includes the reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from stream_writers import write_frame

from nbkit.demo.reply import DemoPart, DemoReply, write_json
from nbkit.demo.request import DemoRequest, DemoTool, DemoTurn, check_objects, get_count, get_field, require_field

PATH = r"/v1/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?"
STREAM_TYPE = "application/vnd.amazon.eventstream"
REQUEST_ID = "x-amzn-requestid"
ID_PREFIX = ""

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the reasoning
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "calls": "tool_use"}


def parse(body: dict[str, Any], model: str, stream: str | None) -> DemoRequest:
    """Read the request of a body and its path. Raises ValueError, naming the wrong field."""
    inference = get_field(body, "inferenceConfig", dict, {})
    more = get_field(body, "additionalModelRequestFields", dict, {})
    tools = get_field(body, "toolConfig", dict, {})
    system, _ = _read_content(get_field(body, "system", list, []))
    turns = _read_turns(check_objects(require_field(body, "messages", list), "messages"))
    if any(turn.role == "tool" for turn in turns) and not tools:
        raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    return DemoRequest(
        model=unquote(model),
        turns=(*((DemoTurn("system", system),) if system else ()), *turns),
        tools=tuple(
            _read_tool(tool)
            for tool in check_objects(get_field(tools, "tools", list, []), "tools")
            if "toolSpec" in tool
        ),
        tool_choice=_read_choice(get_field(tools, "toolChoice", dict, {"auto": {}})),
        stream=stream is not None,
        max_tokens=get_count(inference, "maxTokens"),
        stop=tuple(map(str, get_field(inference, "stopSequences", list, []))),
        thinks=get_field(more, "thinking", dict, {}).get("type") != "disabled",
    )


def _read_choice(choice: dict[str, Any]) -> str:
    if "tool" in choice:
        return str(require_field(require_field(choice, "tool", dict), "name", str))
    return "required" if "any" in choice else "auto"


def _read_tool(tool: dict[str, Any]) -> DemoTool:
    spec = require_field(tool, "toolSpec", dict)
    return DemoTool(
        require_field(spec, "name", str), require_field(require_field(spec, "inputSchema", dict), "json", dict)
    )


def _read_turns(messages: list[dict[str, Any]]) -> tuple[DemoTurn, ...]:
    if not messages or messages[0].get("role") != "user":
        raise ValueError("A conversation must start with a user message.")
    called: set[str] = set()
    turns: list[DemoTurn] = []
    for index, message in enumerate(messages):
        blocks = check_objects(require_field(message, "content", list), "content")
        match message.get("role"):
            case "user":
                turns += _read_user(blocks, called)
            case "assistant":
                turns.append(DemoTurn("assistant", _read_assistant(blocks, called)))
            case role:
                raise ValueError(f"messages.{index}.role: {role!r} is not one of user, assistant")
    return tuple(turns)


def _read_user(blocks: list[dict[str, Any]], called: set[str]) -> Iterator[DemoTurn]:
    """Read the tool outputs, each as a turn, then the other content of the user."""
    outputs = [block["toolResult"] for block in blocks if "toolResult" in block]
    for output in check_objects(outputs, "toolResult"):
        if output.get("toolUseId") not in called:
            raise ValueError("toolResult: it must answer one of the toolUse blocks before it")
        yield DemoTurn("tool", *_read_content(require_field(output, "content", list)))
    rest = [block for block in blocks if "toolResult" not in block]
    if rest or not outputs:
        yield DemoTurn("user", *_read_content(rest))


def _read_assistant(blocks: list[dict[str, Any]], called: set[str]) -> str:
    """Read the text that counts as input: text and calls. Earlier reasoning does not count."""
    text = ""
    for block in blocks:
        if "toolUse" in block:
            call = require_field(block, "toolUse", dict)
            called.add(require_field(call, "toolUseId", str))
            text += require_field(call, "name", str) + json.dumps(require_field(call, "input", dict))
        elif "reasoningContent" not in block:
            text += _read_content([block])[0]
    return text


def _read_content(blocks: list[Any]) -> tuple[str, tuple[str, ...]]:
    text, media = "", []
    for block in check_objects(blocks, "content"):
        match next(iter(block), ""):
            case "text":
                text += require_field(block, "text", str)
                if not block["text"].strip():
                    raise ValueError("The text field in the ContentBlock object is blank.")
            case "image" | "document" as kind:
                require_field(require_field(block, kind, dict), "source", dict)
                media.append(kind)
            case "cachePoint":
                pass
            case kind:
                raise ValueError(f"content: {kind!r} is not one of text, image, document, cachePoint")
    return text, tuple(media)


def _write_metadata(reply: DemoReply) -> dict[str, Any]:
    usage = {
        "inputTokens": reply.prompt - reply.cached,
        "outputTokens": reply.completion,
        "totalTokens": reply.prompt + reply.completion,
        "cacheReadInputTokens": reply.cached,
        "cacheWriteInputTokens": 0,
    }
    return {"usage": usage, "metrics": {"latencyMs": 0}}


def _write_block(part: DemoPart) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": SIGNATURE}}}
        case "text":
            return {"text": part.text}
        case "call":
            return {"toolUse": _write_call(part) | {"input": json.loads(part.text)}}


def _write_call(part: DemoPart) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{part.id}", "name": part.name}


def write_whole(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
    """Write the body of an answer that is not streamed. The protocol has no place for `identity` and `created`."""
    message = {"role": "assistant", "content": [_write_block(part) for part in reply.parts]}
    return {"output": {"message": message}, "stopReason": FINISH[reply.finish], **_write_metadata(reply)}


def write_events(reply: DemoReply, request: DemoRequest, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """Write the frames of an answer, each with the tokens that it takes: 1 for a piece of it, else 0."""
    yield 0, _write_event("messageStart", role="assistant")
    for index, part in enumerate(reply.parts):
        if part.kind == "call":
            yield 0, _write_event("contentBlockStart", contentBlockIndex=index, start={"toolUse": _write_call(part)})
        for piece in part.pieces:
            yield 1, _write_event("contentBlockDelta", contentBlockIndex=index, delta=_write_delta(part, piece))
        if part.kind == "reasoning":
            signature = {"reasoningContent": {"signature": SIGNATURE}}
            yield 0, _write_event("contentBlockDelta", contentBlockIndex=index, delta=signature)
        yield 0, _write_event("contentBlockStop", contentBlockIndex=index)
    yield 0, _write_event("messageStop", stopReason=FINISH[reply.finish])
    yield 0, _write_event("metadata", **_write_metadata(reply))


def _write_delta(part: DemoPart, piece: str) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"reasoningContent": {"text": piece}}
        case "text":
            return {"text": piece}
        case "call":
            return {"toolUse": {"input": piece}}


def _write_event(kind: str, **fields: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return write_frame(headers, write_json(fields))


def write_error(status: int, message: str) -> dict[str, Any]:
    """Write the body of an answer that reports an error; its kind would stand in a header."""
    return {"message": message}
