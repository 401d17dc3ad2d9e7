"""Amazon Bedrock's Converse API: `POST {base}/model/{id}/converse`, `/converse-stream`.

Wire facts: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and botocore's service model.
Options that the API does not name go to the model in `additionalModelRequestFields`, where the dialect says.

Usage: `inputTokens` excludes what was read from and written to a cache; `outputTokens` includes reasoning, which is
not counted apart. The counts come after the finish signal, `messageStop`, in an event `metadata`.

`bedrock_answer` reads the answers.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError
from nbkit.json_text import write_json
from nbkit.protocols.bedrock_answer import Decoder
from nbkit.protocols.bedrock_turns import encode_turns
from nbkit.protocols.failures import read_failure
from nbkit.protocols.reading import mapping
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

FRAMING = "aws-event-stream"

_SAMPLING = {
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
}
_CHOICES: dict[str | None, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}}


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {})
    encode_turns(draft, conversation)
    draft.put("max_tokens", options.max_tokens, "inferenceConfig.maxTokens")
    draft.put("stop", list(options.stop) if options.stop else None, "inferenceConfig.stopSequences")
    thinks = _put_reasoning(draft, options)
    for name, key in _SAMPLING.items():
        if thinks and name in dialect.reasoning_excludes and getattr(options, name) is not None:
            draft.change("dropped", name, "cannot be combined with reasoning")
        else:
            draft.put(name, getattr(options, name), key)
    draft.put("service_tier", options.service_tier, "serviceTier.type")
    _put_tools(draft, options, thinks)
    if options.response_format:
        draft.put("response_format", _encode_format(options.response_format), "outputConfig.textFormat")
    if options.prompt_cache:
        _mark_cache(draft.body)
    return draft.request(f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}")


def _put_reasoning(draft: Draft, options: ExecuteOptions) -> bool:
    """Write how much to reason; return whether reasoning is switched on."""
    dialect = draft.dialect
    if options.reasoning_effort == "none" and dialect.reasoning_off:
        merge(draft.body, dialect.reasoning_off)
        return False
    name = "reasoning_budget" if options.reasoning_budget else "reasoning_effort"
    value = getattr(options, name)
    if value is None:
        return False
    if name not in dialect.rename and (name == "reasoning_budget" or value == "none"):
        draft.change("dropped", name, "the model has no such option")
        return False
    draft.put(name, value, "outputConfig.effort")
    merge(draft.body, dialect.reasoning_on.get(name, {}))
    return bool(value != "none")


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    """Write `toolConfig`, which the API demands as soon as a message holds a tool's call or output."""
    blocks = [block for message in draft.body["messages"] for block in message["content"]]
    called = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    tools = [_encode_tool(tool) for tool in options.tools or ()]
    choice = options.tool_choice
    if choice == "none":
        instead = "auto, as the tools of earlier calls must be sent" if called else "no tools are sent"
        draft.change("transformed", "tool_choice", f"Bedrock does not know none: {instead}")
        tools, choice = tools if called else [], None
    if called and not tools:
        draft.change("transformed", "tools", "where tools were called, some must be sent: their names alone")
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in called]
    if not tools:
        return
    if choice not in ("auto", None) and thinks and "tool_choice" in draft.dialect.reasoning_excludes:
        draft.change("transformed", "tool_choice", "cannot be forced while the model reasons: auto")
        choice = "auto"
    draft.body["toolConfig"] = {"tools": tools}
    if choice is not None:
        named = {"tool": {"name": choice}}
        draft.body["toolConfig"]["toolChoice"] = _CHOICES.get(choice) or named


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    schema = {"json": {"type": "object"} | tool.parameters}
    return {"toolSpec": {"name": tool.name, **described, "inputSchema": schema, **strict}}


def _encode_format(response_format: dict[str, Any]) -> dict[str, Any]:
    described = mapping(response_format.get("json_schema"))
    named = {key: described[key] for key in ("name", "description") if described.get(key)}
    schema = {"schema": write_json(described.get("schema")).decode(), **named}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _mark_cache(body: dict[str, Any]) -> None:
    """Set two of the four cache points: after the system prompt, which every call repeats, and after the last turn.

    docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html.
    """
    point = {"cachePoint": {"type": "default"}}
    if "system" in body:
        body["system"].append(point)
    if body["messages"][-1]["role"] == "user":
        body["messages"][-1]["content"].append(point)


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no content."""
    return Decoder(dialect).read_whole(body)
