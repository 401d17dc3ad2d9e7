"""Amazon Bedrock's Converse API (`POST /v1/model/{model}/converse`, `-stream`), the provider's side.

Shapes from AWS's API reference: ConverseResponse, ConverseStreamOutput. A stream is binary frames: a prelude of two
lengths and a checksum, headers, payload, checksum. `inputTokens` excludes the cached tokens, `outputTokens` includes
the reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from nbkit.demo.dialog import Request, Tool, Turn, field, objects, positive, required
from nbkit.demo.reply import Part, Reply, json_bytes

PATH = r"/v1/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?"
STREAM_TYPE = "application/vnd.amazon.eventstream"
REQUEST_ID = "x-amzn-requestid"
ID_PREFIX = ""

SIGNATURE = "c2ltdWxhdGVk"  # opaque to the caller, who returns it with the reasoning
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "calls": "tool_use"}


def parse(body: dict[str, Any], model: str, stream: str | None) -> Request:
    """The request of a body and its path. Raises ValueError, saying which field is wrong."""
    inference = field(body, "inferenceConfig", dict, {})
    more = field(body, "additionalModelRequestFields", dict, {})
    tools = field(body, "toolConfig", dict, {})
    system, _ = _content(field(body, "system", list, []))
    turns = _turns(objects(required(body, "messages", list), "messages"))
    if any(turn.role == "tool" for turn in turns) and not tools:
        raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    return Request(
        model=unquote(model),
        turns=(*((Turn("system", system),) if system else ()), *turns),
        tools=tuple(_tool(tool) for tool in objects(field(tools, "tools", list, []), "tools") if "toolSpec" in tool),
        tool_choice=_choice(field(tools, "toolChoice", dict, {"auto": {}})),
        stream=stream is not None,
        max_tokens=positive(inference, "maxTokens"),
        stop=tuple(map(str, field(inference, "stopSequences", list, []))),
        thinks=field(more, "thinking", dict, {}).get("type") != "disabled",
    )


def _choice(choice: dict[str, Any]) -> str:
    if "tool" in choice:
        return str(required(required(choice, "tool", dict), "name", str))
    return "required" if "any" in choice else "auto"


def _tool(tool: dict[str, Any]) -> Tool:
    spec = required(tool, "toolSpec", dict)
    return Tool(required(spec, "name", str), required(required(spec, "inputSchema", dict), "json", dict))


def _turns(messages: list[dict[str, Any]]) -> tuple[Turn, ...]:
    if not messages or messages[0].get("role") != "user":
        raise ValueError("A conversation must start with a user message.")
    called: set[str] = set()
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        blocks = objects(required(message, "content", list), "content")
        match message.get("role"):
            case "user":
                turns += _user(blocks, called)
            case "assistant":
                turns.append(Turn("assistant", _assistant(blocks, called)))
            case role:
                raise ValueError(f"messages.{index}.role: {role!r} is not one of user, assistant")
    return tuple(turns)


def _user(blocks: list[dict[str, Any]], called: set[str]) -> Iterator[Turn]:
    """The tool outputs, each as a turn, then what the user says with them."""
    outputs = [block["toolResult"] for block in blocks if "toolResult" in block]
    for output in objects(outputs, "toolResult"):
        if output.get("toolUseId") not in called:
            raise ValueError("toolResult: it must answer one of the toolUse blocks before it")
        yield Turn("tool", *_content(required(output, "content", list)))
    said = [block for block in blocks if "toolResult" not in block]
    if said or not outputs:
        yield Turn("user", *_content(said))


def _assistant(blocks: list[dict[str, Any]], called: set[str]) -> str:
    """The text that counts as input: what was said and called. Earlier reasoning does not count."""
    text = ""
    for block in blocks:
        if "toolUse" in block:
            call = required(block, "toolUse", dict)
            called.add(required(call, "toolUseId", str))
            text += required(call, "name", str) + json.dumps(required(call, "input", dict))
        elif "reasoningContent" not in block:
            text += _content([block])[0]
    return text


def _content(blocks: list[Any]) -> tuple[str, int]:
    text, images = "", 0
    for block in objects(blocks, "content"):
        match next(iter(block), ""):
            case "text":
                text += required(block, "text", str)
                if not block["text"].strip():
                    raise ValueError("The text field in the ContentBlock object is blank.")
            case "image":
                required(required(block, "image", dict), "source", dict)
                images += 1
            case "cachePoint":
                pass
            case kind:
                raise ValueError(f"content: {kind!r} is not one of text, image, cachePoint")
    return text, images


def _metadata(reply: Reply) -> dict[str, Any]:
    usage = {
        "inputTokens": reply.prompt - reply.cached,
        "outputTokens": reply.completion,
        "totalTokens": reply.prompt + reply.completion,
        "cacheReadInputTokens": reply.cached,
        "cacheWriteInputTokens": 0,
    }
    return {"usage": usage, "metrics": {"latencyMs": 0}}


def _block(part: Part) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": SIGNATURE}}}
        case "text":
            return {"text": part.text}
        case "call":
            return {"toolUse": _call(part) | {"input": json.loads(part.text)}}


def _call(part: Part) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{part.id}", "name": part.name}


def whole(reply: Reply, request: Request, identity: str, created: int) -> dict[str, Any]:
    """The body of an answer that is not streamed. The protocol has no place for `identity` and `created`."""
    message = {"role": "assistant", "content": [_block(part) for part in reply.parts]}
    return {"output": {"message": message}, "stopReason": FINISH[reply.finish], **_metadata(reply)}


def events(reply: Reply, request: Request, identity: str, created: int) -> Iterator[tuple[int, bytes]]:
    """The frames of an answer, each with the tokens it takes to say: 1 for a piece of it, else 0."""
    yield 0, _event("messageStart", role="assistant")
    for index, part in enumerate(reply.parts):
        if part.kind == "call":
            yield 0, _event("contentBlockStart", contentBlockIndex=index, start={"toolUse": _call(part)})
        for piece in part.pieces:
            yield 1, _event("contentBlockDelta", contentBlockIndex=index, delta=_delta(part, piece))
        if part.kind == "reasoning":
            signature = {"reasoningContent": {"signature": SIGNATURE}}
            yield 0, _event("contentBlockDelta", contentBlockIndex=index, delta=signature)
        yield 0, _event("contentBlockStop", contentBlockIndex=index)
    yield 0, _event("messageStop", stopReason=FINISH[reply.finish])
    yield 0, _event("metadata", **_metadata(reply))


def _delta(part: Part, piece: str) -> dict[str, Any]:
    match part.kind:
        case "reasoning":
            return {"reasoningContent": {"text": piece}}
        case "text":
            return {"text": piece}
        case "call":
            return {"toolUse": {"input": piece}}


def _event(kind: str, **fields: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json_bytes(fields))


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame of an event stream, with headers that are strings."""
    written = b"".join(
        len(name).to_bytes(1) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for name, value in headers.items()
    )
    prelude = (16 + len(written) + len(payload)).to_bytes(4) + len(written).to_bytes(4)
    whole = prelude + crc32(prelude).to_bytes(4) + written + payload
    return whole + crc32(whole).to_bytes(4)


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that reports an error; its kind would stand in a header."""
    return {"message": message}
