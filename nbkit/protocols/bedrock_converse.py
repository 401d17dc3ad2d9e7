"""Amazon Bedrock's Converse API: `POST {base}/model/{id}/converse`, `/converse-stream`.

Wire facts: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and botocore's service model.
What the API does not name itself goes to the model in `additionalModelRequestFields`; where, is the dialect's matter.

Usage: `inputTokens` excludes what was read from and written to a cache; `outputTokens` includes reasoning, which is
not counted apart. The tokens come after the finish signal, `messageStop`, in an event `metadata`.

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
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.bedrock_turns import FORMAT, put_turns, tool_name
from nbkit.protocols.failures import failure
from nbkit.protocols.reading import arguments, count, expect_object, first_count, mapping, objects, parse_object, string
from nbkit.protocols.wire import Dialect, WireRequest
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
"""The status that an exception amidst a stream would have had; the others are the provider's failures."""


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {})
    put_turns(draft, conversation)
    draft.put("max_tokens", options.max_tokens, "inferenceConfig.maxTokens")
    draft.put("stop", list(options.stop) if options.stop else None, "inferenceConfig.stopSequences")
    thinks = _put_reasoning(draft, options)
    for name, key in _SAMPLING.items():
        if thinks and name in dialect.reasoning_excludes and getattr(options, name) is not None:
            draft.change("dropped", name, "not together with reasoning")
        else:
            draft.put(name, getattr(options, name), key)
    _put_tools(draft, options, thinks)
    if options.response_format:
        draft.put("response_format", _format(options.response_format), "outputConfig.textFormat")
    if options.prompt_cache:
        _mark(draft.body)
    return draft.request(f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}")


def _put_reasoning(draft: Draft, options: ExecuteOptions) -> bool:
    """Write how much to reason; says whether it was asked for."""
    dialect, limit = draft.dialect, options.max_tokens
    if options.reasoning_effort == "none" and dialect.reasoning_off:
        merge(draft.body, dialect.reasoning_off)
        return False
    name = "reasoning_budget" if options.reasoning_budget else "reasoning_effort"
    asked = getattr(options, name)
    if asked is None:
        return False
    if name not in dialect.rename and (name == "reasoning_budget" or asked == "none"):
        draft.change("dropped", name, "the model cannot be told so")
        return False
    if name == "reasoning_budget" and limit is not None and asked >= limit:
        asked = limit - 1
        draft.change("clamped", name, f"less than max_tokens: {asked}")
    draft.put(name, asked, "outputConfig.effort")
    merge(draft.body, dialect.reasoning_on.get(name, {}))
    return bool(asked != "none")


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    """Write `toolConfig`, which the API demands as soon as a message holds a tool's call or output."""
    blocks = [block for message in draft.body["messages"] for block in message["content"]]
    called = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    tools = [_tool(draft, tool) for tool in options.tools or ()]
    choice = options.tool_choice
    if choice == "none":
        told = "the tools of earlier calls must be sent: auto" if called else "no tools are sent"
        draft.change("transformed", "tool_choice", f"Bedrock knows no none: {told}")
        tools, choice = tools if called else [], None
    if called and not tools:
        draft.change("transformed", "tools", "where tools were called, some must be sent: their names")
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in called]
    if not tools:
        return
    if choice not in ("auto", None) and thinks and "tool_choice" in draft.dialect.reasoning_excludes:
        draft.change("transformed", "tool_choice", "not to be forced together with reasoning: auto")
        choice = "auto"
    draft.body["toolConfig"] = {"tools": tools}
    if choice is not None:
        draft.body["toolConfig"]["toolChoice"] = _CHOICES.get(choice) or {"tool": {"name": tool_name(draft, choice)}}


def _tool(draft: Draft, tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    schema = {"json": {"type": "object"} | tool.parameters}
    return {"toolSpec": {"name": tool_name(draft, tool.name), **described, "inputSchema": schema, **strict}}


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    asked = mapping(wanted.get("json_schema"))
    named = {key: asked[key] for key in ("name", "description") if asked.get(key)}
    schema = {"schema": to_json(asked.get("schema")).decode(), **named}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _mark(body: dict[str, Any]) -> None:
    """Two of the four cache points: after the system's words, which every call repeats, and at the user's last.

    docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html.
    """
    point = {"cachePoint": {"type": "default"}}
    if "system" in body:
        body["system"].append(point)
    if body["messages"][-1]["role"] == "user":
        body["messages"][-1]["content"].append(point)


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    return failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    if "output" not in body:
        raise failure(body)
    content = mapping(mapping(body["output"]).get("message")).get("content")
    if not isinstance(content, list):
        raise ProviderError("the answer has no content")
    decoder = Decoder(dialect)
    for index, block in enumerate(objects(content)):
        for name, event in _events(block):
            decoder.take(name, {"contentBlockIndex": index, **event})
    decoder.take("messageStop", body)
    decoder.take("metadata", body)
    return decoder.completion(raw=body)


def _events(block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream that say the same as a block of a whole answer."""
    if "toolUse" in block:
        return [("contentBlockStart", {"start": block})]
    if "citationsContent" in block:
        cited = mapping(block["citationsContent"])
        deltas = objects(cited.get("content")) + [{"citation": one} for one in objects(cited.get("citations"))]
    elif "reasoningContent" in block:
        said = mapping(block["reasoningContent"])
        deltas = [{"reasoningContent": said | mapping(said.get("reasoningText"))}]
    else:
        deltas = [block]
    return [("contentBlockDelta", {"delta": delta}) for delta in deltas]


class _Call:
    """A tool call being put together. `number` counts those of the caller's tools; the provider's own have none."""

    __slots__ = ("given", "id", "name", "number", "parts")

    def __init__(self, start: dict[str, Any], number: int | None) -> None:
        self.id, self.name = string(start.get("toolUseId")), string(start.get("name"))
        self.given = start.get("input")
        self.number = number
        self.parts: list[str] = []


class _Thought:
    """A block of reasoning being put together."""

    __slots__ = ("data", "parts", "signature")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.signature = self.data = ""


class Decoder:
    """Builds a completion from a stream's events; content blocks may be interleaved."""

    def __init__(self, dialect: Dialect) -> None:
        self._text: list[str] = []
        self._calls: dict[int | None, _Call] = {}
        self._thoughts: dict[int | None, _Thought] = {}
        self._citations: list[dict[str, Any]] = []
        self._said: dict[str, Any] = {}  # of `messageStop` and `metadata`
        self._finish_reason: str | None = None

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        body = parse_object(data)
        if event == "error" or event.endswith("Exception"):
            raise failure({"code": event} | body, _STATUS.get(event))
        chunk = self.take(event, body)
        return [chunk] if chunk else []

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where the message was not finished."""
        if self._finish_reason is None:
            raise StreamError("the stream ended without a stop reason", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far."""
        return self.completion()

    def take(self, name: str, body: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one event's JSON."""
        match name:
            case "contentBlockDelta":
                return self._take_delta(count(body.get("contentBlockIndex")), mapping(body.get("delta")))
            case "contentBlockStart":
                start = mapping(mapping(body.get("start")).get("toolUse"))
                return self._take_call(count(body.get("contentBlockIndex")), start) if start else None
            case "messageStop":
                self._said |= {key: value for key, value in body.items() if key != "p"}  # padding
                reason = string(body.get("stopReason"))
                if reason:
                    self._finish_reason = _FINISH.get(reason, reason)
                    return ChatCompletionChunk(finish_reason=self._finish_reason)
            case "metadata":
                self._said |= {key: value for key, value in body.items() if key != "p"}
        return None

    def _take_call(self, index: int | None, start: dict[str, Any]) -> ChatCompletionChunk | None:
        own = start.get("type") == "server_tool_use"  # the provider's tool, which it runs itself
        number = None if own else sum(call.number is not None for call in self._calls.values())
        call = self._calls[index] = _Call(start, number)
        if number is None:
            return None
        if not call.name:
            raise ProviderError("the answer calls a tool without a name")
        return ChatCompletionChunk(tool_calls=(ToolCallDelta(number, call.id, call.name),))

    def _take_delta(self, index: int | None, delta: dict[str, Any]) -> ChatCompletionChunk | None:
        if text := string(delta.get("text")):
            self._text.append(text)
            return ChatCompletionChunk(text)
        if "toolUse" in delta:
            return self._take_arguments(index, string(mapping(delta["toolUse"]).get("input")))
        if "reasoningContent" in delta:
            return self._take_thought(index, mapping(delta["reasoningContent"]))
        if "citation" in delta:
            self._citations.append(mapping(delta["citation"]))
        return None

    def _take_arguments(self, index: int | None, piece: str) -> ChatCompletionChunk | None:
        call = self._calls.get(index)
        if call is None:
            raise ProviderError(f"the stream goes on with block {index!r}, which it did not begin")
        call.parts.append(piece)
        if call.number is None or not piece:
            return None
        return ChatCompletionChunk(tool_calls=(ToolCallDelta(call.number, arguments=piece),))

    def _take_thought(self, index: int | None, said: dict[str, Any]) -> ChatCompletionChunk | None:
        thought = self._thoughts.setdefault(index, _Thought())
        thought.signature += string(said.get("signature"))
        thought.data += _opaque(string(said.get("redactedContent")))
        if not (text := string(said.get("text"))):
            return None
        thought.parts.append(text)
        return ChatCompletionChunk("", text)

    def completion(self, raw: Any = None) -> ChatCompletion:
        """What was said, complete or not."""
        if raw is None:
            raw = self._said | ({"citations": self._citations} if self._citations else {})
        router = mapping(mapping(self._said.get("trace")).get("promptRouter"))
        return ChatCompletion(
            text="".join(self._text),
            model=string(router.get("invokedModelId")),
            finish_reason=self._finish_reason,
            tool_calls=tuple(_tool_call(call) for call in self._calls.values() if call.number is not None),
            reasoning_blocks=tuple(_reasoning(thought) for thought in self._thoughts.values()),
            usage=_usage(mapping(self._said.get("usage"))),
            raw=raw,
        )


def _opaque(blob: str) -> str:
    """Redacted reasoning as Anthropic itself writes it: Bedrock puts the same text into a blob, in base64."""
    try:
        return b64decode(blob).decode("latin-1")
    except ValueError:
        pass
    raise ProviderError("the answer holds redacted reasoning that is no base64")


def _tool_call(call: _Call) -> ToolCall:
    return ToolCall(id=call.id or f"call_{call.number}", name=call.name, arguments=arguments(call.parts, call.given))


def _reasoning(thought: _Thought) -> Reasoning:
    if thought.data:
        return Reasoning(data=thought.data, format=FORMAT)
    signed = {"signature": thought.signature, "format": FORMAT} if thought.signature else {}
    return Reasoning(text="".join(thought.parts), **signed)


def _usage(usage: dict[str, Any]) -> Usage | None:
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
