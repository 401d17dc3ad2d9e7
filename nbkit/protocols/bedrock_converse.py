"""Amazon Bedrock's Converse API: `POST {base}/model/{id}/converse`, `/converse-stream`.

Wire facts: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and botocore's service model.
Options that the API does not name go to the model in `additionalModelRequestFields`, where the dialect says.

Usage: `inputTokens` excludes what was read from and written to a cache; `outputTokens` includes reasoning, which is
not counted apart. The counts come after the finish signal, `messageStop`, in an event `metadata`.

The events of the stream are not named in their JSON, but by a header of their frame. A whole answer is read like the
stream of its blocks, so both give the same completion.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError
from nbkit.protocols.bedrock_turns import FORMAT, encode_turns, fit_tool_name
from nbkit.protocols.failures import read_failure
from nbkit.protocols.reading import (
    count,
    expect_object,
    first_count,
    join_arguments,
    mapping,
    objects,
    parse_object,
    string,
)
from nbkit.protocols.wire import BaseDecoder, Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

FRAMING = "aws-event-stream"

_SAMPLING = {
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
}
_CHOICES: dict[str | None, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_STATUS = {"validationException": 400, "throttlingException": 429}
"""HTTP statuses that these exceptions amidst a stream stand for; others are failures of the provider."""


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
    _put_tools(draft, options, thinks)
    if options.response_format:
        draft.put("response_format", _encode_format(options.response_format), "outputConfig.textFormat")
    if options.prompt_cache:
        _mark_cache(draft.body)
    return draft.request(f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}")


def _put_reasoning(draft: Draft, options: ExecuteOptions) -> bool:
    """Write how much to reason; return whether reasoning is switched on."""
    dialect, limit = draft.dialect, options.max_tokens
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
    if name == "reasoning_budget" and limit is not None and value >= limit:
        value = limit - 1
        draft.change("clamped", name, f"must be less than max_tokens: {value}")
    draft.put(name, value, "outputConfig.effort")
    merge(draft.body, dialect.reasoning_on.get(name, {}))
    return bool(value != "none")


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    """Write `toolConfig`, which the API demands as soon as a message holds a tool's call or output."""
    blocks = [block for message in draft.body["messages"] for block in message["content"]]
    called = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    tools = [_encode_tool(draft, tool) for tool in options.tools or ()]
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
        named = {"tool": {"name": fit_tool_name(draft, choice)}}
        draft.body["toolConfig"]["toolChoice"] = _CHOICES.get(choice) or named


def _encode_tool(draft: Draft, tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    schema = {"json": {"type": "object"} | tool.parameters}
    return {"toolSpec": {"name": fit_tool_name(draft, tool.name), **described, "inputSchema": schema, **strict}}


def _encode_format(response_format: dict[str, Any]) -> dict[str, Any]:
    described = mapping(response_format.get("json_schema"))
    named = {key: described[key] for key in ("name", "description") if described.get(key)}
    schema = {"schema": to_json(described.get("schema")).decode(), **named}
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
    body = expect_object(body)
    if "output" not in body:
        raise read_failure(body)
    content = mapping(mapping(body["output"]).get("message")).get("content")
    if not isinstance(content, list):
        raise ProviderError("the answer has no content")
    decoder = Decoder(dialect)
    for index, block in enumerate(objects(content)):
        for name, event in _split_block(block):
            decoder.take_event(name, {"contentBlockIndex": index, **event})
    decoder.take_event("messageStop", body)
    decoder.take_event("metadata", body)
    return decoder.build(raw=body)


def _split_block(block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Split a block of a whole answer into the events that a stream would have for it."""
    if "toolUse" in block:
        return [("contentBlockStart", {"start": block})]
    if "citationsContent" in block:
        cited = mapping(block["citationsContent"])
        deltas = objects(cited.get("content")) + [{"citation": one} for one in objects(cited.get("citations"))]
    elif "reasoningContent" in block:
        reasoning = mapping(block["reasoningContent"])
        deltas = [{"reasoningContent": reasoning | mapping(reasoning.get("reasoningText"))}]
    else:
        deltas = [block]
    return [("contentBlockDelta", {"delta": delta}) for delta in deltas]


class _Call:
    """A tool call being put together. `number` counts those of the caller's tools; the provider's own have none."""

    __slots__ = ("id", "input", "name", "number", "parts")

    def __init__(self, start: dict[str, Any], number: int | None) -> None:
        self.id, self.name = string(start.get("toolUseId")), string(start.get("name"))
        self.input = start.get("input")
        self.number = number
        self.parts: list[str] = []


class _Thought:
    """A block of reasoning being put together."""

    __slots__ = ("data", "parts", "signature")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.signature = self.data = ""


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events; content blocks may be interleaved."""

    SIGNAL = "a stop reason"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._calls: dict[int | None, _Call] = {}
        self._thoughts: dict[int | None, _Thought] = {}
        self._citations: list[dict[str, Any]] = []

    def feed(self, event: str, data: bytes) -> Chunks:
        """Take one event; its name, which may be that of an exception, stands in a header of its frame."""
        body = parse_object(data)
        if event == "error" or event.endswith("Exception"):
            raise read_failure({"code": event} | body, _STATUS.get(event))
        return self.take_event(event, body)

    def take_event(self, name: str, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        match name:
            case "contentBlockDelta":
                return self._take_delta(count(body.get("contentBlockIndex")), mapping(body.get("delta")))
            case "contentBlockStart":
                start = mapping(mapping(body.get("start")).get("toolUse"))
                return self._take_call(count(body.get("contentBlockIndex")), start) if start else []
            case "messageStop" | "metadata":
                self.rest |= {key: value for key, value in body.items() if key != "p"}  # p is padding
                return self._take_stop(string(body.get("stopReason"))) if name == "messageStop" else []
        return []

    def _take_stop(self, reason: str) -> Chunks:
        if not reason:
            return []
        self.finish_reason = _FINISH.get(reason, reason)
        return [ChatCompletionChunk(finish_reason=self.finish_reason)]

    def _take_call(self, index: int | None, start: dict[str, Any]) -> Chunks:
        own = start.get("type") == "server_tool_use"  # the provider's tool, which it runs itself
        number = None if own else sum(call.number is not None for call in self._calls.values())
        call = self._calls[index] = _Call(start, number)
        if number is None:
            return []
        if not call.name:
            raise ProviderError("the answer has a tool call without a name")
        return [ChatCompletionChunk(tool_calls=(ToolCallDelta(number, call.id, call.name),))]

    def _take_delta(self, index: int | None, delta: dict[str, Any]) -> Chunks:
        if text := string(delta.get("text")):
            self.text.append(text)
            return [ChatCompletionChunk(text)]
        if "toolUse" in delta:
            return self._take_arguments(index, string(mapping(delta["toolUse"]).get("input")))
        if "reasoningContent" in delta:
            return self._take_thought(index, mapping(delta["reasoningContent"]))
        if "citation" in delta:
            self._citations.append(mapping(delta["citation"]))
        return []

    def _take_arguments(self, index: int | None, piece: str) -> Chunks:
        call = self._calls.get(index)
        if call is None:
            raise ProviderError(f"the stream continues block {index!r}, which did not start")
        call.parts.append(piece)
        if call.number is None or not piece:
            return []
        return [ChatCompletionChunk(tool_calls=(ToolCallDelta(call.number, arguments=piece),))]

    def _take_thought(self, index: int | None, reasoning: dict[str, Any]) -> Chunks:
        thought = self._thoughts.setdefault(index, _Thought())
        thought.signature += string(reasoning.get("signature"))
        thought.data += _decode_redacted(string(reasoning.get("redactedContent")))
        if not (text := string(reasoning.get("text"))):
            return []
        thought.parts.append(text)
        return [ChatCompletionChunk("", text)]

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not. The model is named where a router has chosen it."""
        self.model = string(mapping(mapping(self.rest.get("trace")).get("promptRouter")).get("invokedModelId"))
        return super().build(raw)

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls."""
        return tuple(_build_call(call) for call in self._calls.values() if call.number is not None)

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(_build_reasoning(thought) for thought in self._thoughts.values())

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(mapping(self.rest.get("usage")))

    def read_raw(self) -> Any:
        """Return what `messageStop` and `metadata` hold, and the citations."""
        return self.rest | ({"citations": self._citations} if self._citations else {})


def _decode_redacted(blob: str) -> str:
    """Return redacted reasoning as Anthropic itself writes it: Bedrock puts the same text into a blob, in base64."""
    try:
        return b64decode(blob).decode("latin-1")
    except ValueError:
        pass
    raise ProviderError("the answer has redacted reasoning that is not base64")


def _build_call(call: _Call) -> ToolCall:
    arguments = join_arguments(call.parts, call.input)
    return ToolCall(id=call.id or f"call_{call.number}", name=call.name, arguments=arguments)


def _build_reasoning(thought: _Thought) -> Reasoning:
    if thought.data:
        return Reasoning(data=thought.data, format=FORMAT)
    signed = {"signature": thought.signature, "format": FORMAT} if thought.signature else {}
    return Reasoning(text="".join(thought.parts), **signed)


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion = count(usage.get("inputTokens")), count(usage.get("outputTokens"))
    if prompt is None or completion is None:
        return None
    written = first_count(usage.get("cacheWriteInputTokens"))
    lives = objects(usage.get("cacheDetails"))
    an_hour = min(sum(first_count(one.get("inputTokens")) for one in lives if one.get("ttl") == "1h"), written)
    return Usage(
        input=prompt,
        output=completion,
        cache_read=first_count(usage.get("cacheReadInputTokens")),
        cache_write=written - an_hour,
        cache_write_1h=an_hour,
    )
