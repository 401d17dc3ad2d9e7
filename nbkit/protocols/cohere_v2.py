"""Cohere's chat, version 2: `POST {base}/chat`.

Wire facts: docs.cohere.com/reference/chat and /reference/chat-stream, /docs/streaming, tool-use-streaming, reasoning,
structured-outputs.

Usage: `billed_units` are what is paid for, without the tokens of Cohere's own prompt around the conversation; `tokens`
count those too, and are read only where nothing is billed. Both output counts include thinking, which
`tokens.reasoning_tokens` names. `cached_tokens` are a part of `tokens.input_tokens`; the bill does not know them.

The plan that a model makes before it calls tools (`tool_plan`) is reasoning. Citations stay in `raw`. The answer is
complete when `message-end` has come with its finish reason.

A whole answer is read like the events of a stream, so both give the same completion.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import ImageEntry, Reasoning, TextEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.reading import (
    arguments,
    count,
    expect_object,
    first_count,
    mapping,
    objects,
    parse_object,
    reported_cost,
    string,
)
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

FRAMING = "sse"
PATH = "/chat"
PLAN = "tool_plan"
"""The id of the block of reasoning that is a plan for tools: it goes back where it came from."""

_RANGES = {  # option -> its name, its least and its largest value
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
}
_CHOICES = {"none": "NONE", "required": "REQUIRED"}
_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
_FAILED = ("ERROR", "TIMEOUT")


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "stream": stream})
    draft.body["messages"] = [_message(draft, turn) for turn in conversation]
    draft.put("max_tokens", options.max_tokens)
    draft.put("temperature", options.temperature)
    draft.put("seed", options.seed)
    for option, (key, least, most) in _RANGES.items():
        value = getattr(options, option)
        if value is not None and not least <= value <= most:
            draft.change("clamped", option, f"Cohere's goes from {least} to {most}")
            value = min(max(value, least), most)
        draft.put(option, value, key)
    draft.put("stop", list(options.stop) if options.stop else None, "stop_sequences")
    _put_thinking(draft, options)
    _put_tools(draft, options)
    _put_format(draft, options)
    return draft.request(PATH)


def _message(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    if isinstance(turn, ToolOutputTurn):
        return {"role": "tool", "tool_call_id": turn.tool_call_id, "content": _content(draft, turn)}
    if getattr(turn, "name", None):
        draft.change("dropped", f"name of the {turn.role}", "Cohere's messages have none")
    if turn.role == "assistant":
        return _assistant(draft, turn)
    if turn.role == "developer":
        draft.change("renamed", "role developer", "Cohere calls it system")
    return {"role": "user" if turn.role == "user" else "system", "content": _content(draft, turn)}


def _assistant(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    plain = [block for block in blocks if block.text and not block.format]
    if len(plain) < len(blocks):
        draft.change("dropped", "reasoning", "what another vendor signed or encrypted means nothing to Cohere")
    thinking = [{"type": "thinking", "thinking": block.text} for block in plain if block.id != PLAN]
    plan = "".join(block.text for block in plain if block.id == PLAN)
    content = _content(draft, turn)
    if thinking:
        text = [{"type": "text", "text": content}] if content else []
        content = thinking + (text if isinstance(content, str) else content)
    message: dict[str, Any] = {"role": "assistant"}
    if content or not isinstance(turn, ToolsCallTurn):
        message["content"] = content
    if plan:
        message["tool_plan"] = plan
    if isinstance(turn, ToolsCallTurn):
        message["tool_calls"] = [_tool_call(call) for call in turn.tool_calls]
    return message


def _content(draft: Draft, turn: AnyTurn) -> str | list[dict[str, Any]]:
    """A turn's text, or its parts where there is more to it; images are the user's only."""
    if all(isinstance(entry, TextEntry) for entry in turn.entries):
        return turn.text
    parts = []
    for entry in turn.entries:
        if isinstance(entry, TextEntry) or (isinstance(entry, ImageEntry) and turn.role == "user"):
            parts.append(entry.model_dump())
        else:
            draft.change("dropped", f"{entry.type} of the {turn.role}", "Cohere reads text, and images of the user")
    return parts


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def _put_thinking(draft: Draft, options: ExecuteOptions) -> None:
    if options.reasoning_effort == "none":
        merge(draft.body, draft.dialect.reasoning_off or {"thinking": {"type": "disabled"}})
    elif options.reasoning_budget:
        merge(draft.body, {"thinking": {"type": "enabled"}})
        draft.put("reasoning_budget", options.reasoning_budget, "thinking.token_budget")


def _put_tools(draft: Draft, options: ExecuteOptions) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [_tool(tool) for tool in options.tools]
    strict = [bool(tool.strict) for tool in options.tools]
    if any(strict):
        draft.body["strict_tools"] = True
        if not all(strict):
            draft.change("transformed", "strict", "it is for all tools or none: for all")
    draft.put("tool_choice", _CHOICES.get(options.tool_choice or ""))


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}


def _put_format(draft: Draft, options: ExecuteOptions) -> None:
    wanted = options.response_format or {}
    if wanted.get("type") in ("json_object", "json_schema"):
        schema = mapping(wanted.get("json_schema")).get("schema")
        draft.put("response_format", {"type": "json_object"} | ({"json_schema": schema} if schema else {}))


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    return failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    message = body.get("message")
    if not isinstance(message, dict):  # an error's is text
        raise failure(body)
    decoder = Decoder(dialect)
    decoder.take({"type": "message-start", "id": body.get("id")})
    for part in objects(message.get("content")):
        decoder.take({"type": "content-start", "delta": {"message": {"content": part}}})
    decoder.take({"type": "tool-plan-delta", "delta": {"message": message}})
    for index, call in enumerate(objects(message.get("tool_calls"))):
        decoder.take({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}})
    decoder.take({"type": "message-end", "delta": body})
    return decoder.completion(raw=body)


class _Call:
    """A tool call being put together."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.id, self.name = call_id, name
        self.arguments: list[str] = []


class Decoder:
    """Builds a completion from a stream's events."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._id = ""
        self._text: list[str] = []
        self._thoughts: list[tuple[str | None, str]] = []  # (PLAN or None, piece)
        self._calls: list[_Call] = []
        self._places: dict[int | None, int] = {}  # the wire's index -> the place in `_calls`
        self._citations: list[dict[str, Any]] = []
        self._said: dict[str, Any] = {}  # the delta of the message's end: finish reason, usage
        self._finish_reason: str | None = None

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        if not data or data == b"[DONE]":
            return []
        body = parse_object(data)
        if event == "error" or "type" not in body:
            raise failure(body)
        chunk = self.take(body)
        return [chunk] if chunk else []

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where the message did not end."""
        if self._finish_reason is None:
            raise StreamError("the stream ended without a finish reason", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far."""
        return self.completion()

    def take(self, body: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one event's JSON; what is not known is not meant for us (`debug`, the ends of parts)."""
        delta = mapping(body.get("delta"))
        message = mapping(delta.get("message"))
        match body.get("type"):
            case "content-delta" | "content-start":
                return self._take_content(mapping(message.get("content")))
            case "tool-plan-delta":
                return self._take_thought(PLAN, string(message.get("tool_plan")))
            case "tool-call-start":
                return self._take_call(count(body.get("index")), mapping(message.get("tool_calls")))
            case "tool-call-delta":
                function = mapping(mapping(message.get("tool_calls")).get("function"))
                return self._take_arguments(count(body.get("index")), string(function.get("arguments")))
            case "citation-start":
                self._citations.append(mapping(message.get("citations")))
            case "message-start":
                self._id = string(body.get("id"))
            case "message-end":
                return self._take_end(delta)
        return None

    def _take_content(self, part: dict[str, Any]) -> ChatCompletionChunk | None:
        if text := string(part.get("text")):
            self._text.append(text)
            return ChatCompletionChunk(text)
        return self._take_thought(None, string(part.get("thinking")))

    def _take_thought(self, name: str | None, piece: str) -> ChatCompletionChunk | None:
        if not piece:
            return None
        self._thoughts.append((name, piece))
        return ChatCompletionChunk("", piece)

    def _take_call(self, index: int | None, entry: dict[str, Any]) -> ChatCompletionChunk:
        function = mapping(entry.get("function"))
        call = _Call(string(entry.get("id")), string(function.get("name")))
        if not call.name:
            raise ProviderError("the answer calls a tool without a name")
        piece = string(function.get("arguments"))
        call.arguments.append(piece)
        self._places[index] = place = len(self._calls)
        self._calls.append(call)
        return ChatCompletionChunk(tool_calls=(ToolCallDelta(place, call.id, call.name, piece),))

    def _take_arguments(self, index: int | None, piece: str) -> ChatCompletionChunk | None:
        place = self._places.get(index)
        if place is None:
            raise ProviderError(f"the stream goes on with tool call {index!r}, which it did not begin")
        self._calls[place].arguments.append(piece)
        return ChatCompletionChunk(tool_calls=(ToolCallDelta(place, arguments=piece),))

    def _take_end(self, delta: dict[str, Any]) -> ChatCompletionChunk | None:
        self._said = delta
        reason = string(delta.get("finish_reason"))
        if reason in _FAILED or delta.get("error"):
            raise failure({"message": string(delta.get("error")) or f"the answer broke off: {reason}"})
        if not reason:
            return None
        self._finish_reason = _FINISH.get(reason, reason)
        return ChatCompletionChunk(finish_reason=self._finish_reason)

    def completion(self, raw: Any = None) -> ChatCompletion:
        """What was said, complete or not."""
        if raw is None:
            raw = self._said | ({"citations": self._citations} if self._citations else {})
        return ChatCompletion(
            text="".join(self._text),
            id=self._id,
            finish_reason=self._finish_reason,
            tool_calls=tuple(self._tool_call(place, call) for place, call in enumerate(self._calls)),
            reasoning_blocks=self._blocks(),
            usage=_usage(mapping(self._said.get("usage"))),
            reported_cost=reported_cost(self._said, self._dialect),
            raw=raw,
        )

    def _tool_call(self, place: int, call: _Call) -> ToolCall:
        made_up = f"call_{place}_{self._id}"[:40]  # a call without an id could not be answered
        return ToolCall(id=call.id or made_up, name=call.name, arguments=arguments(call.arguments))

    def _blocks(self) -> tuple[Reasoning, ...]:
        return tuple(
            Reasoning(text="".join(piece for _, piece in pieces), id=name)
            for name, pieces in groupby(self._thoughts, itemgetter(0))
        )


def _usage(usage: dict[str, Any]) -> Usage | None:
    billed, tokens = mapping(usage.get("billed_units")), mapping(usage.get("tokens"))
    counted = billed if "input_tokens" in billed else tokens
    prompt, completion = count(counted.get("input_tokens")), count(counted.get("output_tokens"))
    if prompt is None or completion is None:
        return None
    cached = 0 if counted is billed else min(first_count(usage.get("cached_tokens")), prompt)
    reasoning = min(first_count(tokens.get("reasoning_tokens")), completion)
    return Usage(input=prompt - cached, output=completion - reasoning, cache_read=cached, reasoning=reasoning)
