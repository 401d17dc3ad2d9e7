"""Cohere's chat, version 2: `POST {base}/chat`.

Wire facts: docs.cohere.com/reference/chat and /reference/chat-stream, /docs/streaming, tool-use-streaming, reasoning,
structured-outputs.

Usage: `billed_units` are what is paid for, without the tokens of Cohere's own prompt around the conversation; `tokens`
count those too, and are read only where nothing is billed. Both output counts include thinking, which
`tokens.reasoning_tokens` counts apart. `cached_tokens` are a part of `tokens.input_tokens`; they are not billed apart.

The plan that a model makes before it calls tools (`tool_plan`) is reasoning. Citations stay in `raw`. The answer is
complete when `message-end` has arrived with its finish reason.

A whole answer is read like the events of a stream, so both give the same completion.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.conversation.content import ImageEntry, Reasoning, TextEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError
from nbkit.protocols.calls import NAMELESS, read_function
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer, read_failure
from nbkit.protocols.finish import read_finish
from nbkit.protocols.reading import count, first_count, mapping, objects, string
from nbkit.protocols.wire import Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

FRAMING = "sse"
PATH = "/chat"
PLAN = "tool_plan"
"""Id of the block of reasoning that is a plan for tools: it is sent back as one."""

_RANGES = {  # option -> Cohere's name, its smallest and its largest value
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
}
_CHOICES = {"none": "NONE", "required": "REQUIRED"}
_FAILED = ("ERROR", "TIMEOUT")


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "stream": stream})
    draft.body["messages"] = [_encode_turn(draft, turn) for turn in conversation]
    if options.given:
        _put_options(draft, options)
    return draft.request(PATH)


def _put_options(draft: Draft, options: ExecuteOptions) -> None:
    draft.put("max_tokens", options.max_tokens)
    draft.put("temperature", options.temperature)
    draft.put("seed", options.seed)
    draft.put("logprobs", None if options.logprobs is None else True)
    for option, (key, least, most) in _RANGES.items():
        value = getattr(options, option)
        if value is not None and not least <= value <= most:
            draft.change("clamped", option, f"Cohere takes {least} to {most}")
            value = min(max(value, least), most)
        draft.put(option, value, key)
    draft.put("stop", list(options.stop) if options.stop else None, "stop_sequences")
    _put_thinking(draft, options)
    _put_tools(draft, options)
    _put_format(draft, options)


def _encode_turn(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    if isinstance(turn, ToolOutputTurn):
        return {"role": "tool", "tool_call_id": turn.tool_call_id, "content": _encode_content(draft, turn)}
    if getattr(turn, "name", None):
        draft.change("dropped", f"name of the {turn.role}", "Cohere's messages have none")
    if turn.role == "assistant":
        return _encode_assistant(draft, turn)
    if turn.role == "developer":
        draft.change("renamed", "role developer", "Cohere calls it system")
    return {"role": "user" if turn.role == "user" else "system", "content": _encode_content(draft, turn)}


def _encode_assistant(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    plain = [block for block in blocks if block.text and not block.format]
    if len(plain) < len(blocks):
        draft.change("dropped", "reasoning", "Cohere cannot read what another vendor has signed or encrypted")
    thinking = [{"type": "thinking", "thinking": block.text} for block in plain if block.id != PLAN]
    plan = "".join(block.text for block in plain if block.id == PLAN)
    content = _encode_content(draft, turn)
    if thinking:
        text = [{"type": "text", "text": content}] if content else []
        content = thinking + (text if isinstance(content, str) else content)
    message: dict[str, Any] = {"role": "assistant"}
    if content or not isinstance(turn, ToolsCallTurn):
        message["content"] = content
    if plan:
        message["tool_plan"] = plan
    if isinstance(turn, ToolsCallTurn):
        message["tool_calls"] = [_encode_call(call) for call in turn.tool_calls]
    return message


def _encode_content(draft: Draft, turn: AnyTurn) -> str | list[dict[str, Any]]:
    """Write a turn's text, or its parts where it is not text alone; only the user's turns may have images."""
    if not turn.media:
        return turn.text
    parts = []
    for entry in turn.entries:
        if isinstance(entry, TextEntry) or (isinstance(entry, ImageEntry) and turn.role == "user"):
            parts.append(entry.model_dump())
        else:
            draft.change("dropped", f"{entry.type} of the {turn.role}", "Cohere reads text, and images of the user")
    return parts


def _encode_call(call: ToolCall) -> dict[str, Any]:
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
    draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
    strict = [bool(tool.strict) for tool in options.tools]
    if any(strict):
        draft.body["strict_tools"] = True
        if not all(strict):
            draft.change("transformed", "strict", "Cohere takes it for all tools or for none: sent for all")
    draft.put("tool_choice", _CHOICES.get(options.tool_choice or ""))


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}


def _put_format(draft: Draft, options: ExecuteOptions) -> None:
    response_format = options.response_format or {}
    if response_format.get("type") in ("json_object", "json_schema"):
        schema = mapping(response_format.get("json_schema")).get("schema")
        draft.put("response_format", {"type": "json_object"} | ({"json_schema": schema} if schema else {}))


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no message."""
    return Decoder(dialect).read_whole(body)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events."""

    ANSWER = "an answer of Cohere's chat"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._thoughts: list[tuple[str | None, str]] = []  # (PLAN or None, piece)
        self._citations: list[dict[str, Any]] = []

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        message = body.get("message")
        if not isinstance(message, dict):
            raise not_an_answer(body, self.ANSWER, "message")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)
        self.take({"type": "message-start", "id": body.get("id")})
        for part in parts:
            self.take({"type": "content-start", "delta": {"message": {"content": part}}})
        self.take({"type": "tool-plan-delta", "delta": {"message": message}})
        for index, call in enumerate(objects(message.get("tool_calls"))):
            self.take({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}})
        self.take({"type": "message-end", "delta": body})

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON; unknown events are skipped (`debug`, the ends of parts)."""
        delta = mapping(body.get("delta"))
        message = mapping(delta.get("message"))
        match body.get("type"):
            case "content-delta" | "content-start":
                content = message.get("content")
                return self._take_content({"text": content} if isinstance(content, str) else mapping(content))
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
                self.id = string(body.get("id"))
            case "message-end":
                return self._take_end(delta)
        return []

    def _take_content(self, part: dict[str, Any]) -> Chunks:
        if text := string(part.get("text")):
            self.text.append(text)
            return [self.make_chunk(text)]
        return self._take_thought(None, string(part.get("thinking")))

    def _take_thought(self, name: str | None, piece: str) -> Chunks:
        if not piece:
            return []
        self._thoughts.append((name, piece))
        return [self.make_chunk("", piece)]

    def _take_call(self, index: int | None, entry: dict[str, Any]) -> Chunks:
        call_id, name, arguments = read_function(entry)
        if not name:
            raise ProviderError(NAMELESS)
        _, delta = self.calls.take(index, call_id, name, arguments)
        return [self.make_chunk(tool_calls=(delta,))]

    def _take_arguments(self, index: int | None, piece: str) -> Chunks:
        if not any(index is None or call.index == index for call in self.calls):
            raise ProviderError(f"the stream continues tool call {index!r}, which did not start")
        _, delta = self.calls.take(index, "", "", piece)
        return [self.make_chunk(tool_calls=(delta,))]

    def _take_end(self, delta: dict[str, Any]) -> Chunks:
        self.rest = self.rest | delta
        self.take_usage(delta)
        reason = string(delta.get("finish_reason"))
        if reason in _FAILED or delta.get("error"):
            raise read_failure({"error": string(delta.get("error")) or f"the answer is incomplete: {reason}"})
        if not (finish := read_finish(reason, bool(self.calls))):
            return []
        self.finish_reason, self.marked = finish, True
        return [self.make_chunk(finish_reason=self.finish_reason)]

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning: pieces of one kind in a row are a block."""
        return tuple(
            Reasoning(text="".join(piece for _, piece in pieces), id=name)
            for name, pieces in groupby(self._thoughts, itemgetter(0))
        )

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        usage = self.usage
        billed, tokens = mapping(usage.get("billed_units")), mapping(usage.get("tokens"))
        counts = billed if "input_tokens" in billed else tokens
        prompt, completion = count(counts.get("input_tokens")), count(counts.get("output_tokens"))
        if prompt is None or completion is None:
            return None
        cached = 0 if counts is billed else min(first_count(usage.get("cached_tokens")), prompt)
        reasoning = min(first_count(tokens.get("reasoning_tokens")), completion)
        return Usage(input=prompt - cached, output=completion - reasoning, cache_read=cached, reasoning=reasoning)

    def read_raw(self) -> Any:
        """Return the last event, and the citations."""
        return self.rest | ({"citations": self._citations} if self._citations else {})
