"""Anthropic's messages: `POST {base}/messages`.

Wire facts: docs.claude.com/en/api/messages and /build-with-claude/streaming, extended-thinking, structured-outputs.

Usage: `input_tokens` excludes what was read from and written to a cache; `output_tokens` includes thinking, which
`output_tokens_details.thinking_tokens` names. `iterations` of type `compaction` come on top; an `advisor_message` is
another model's work at its own price and is not counted; a `fallback_message` names the model that really answered.

The answer is complete when both a stop reason and `message_stop` have come.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.anthropic_turns import FORMAT, put_turns
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
PATH = "/messages"
HEADERS = {"anthropic-version": "2023-06-01"}
DEFAULT_MAX_TOKENS = 4096
CACHED = {"type": "ephemeral"}
LEAST_BUDGET = 1024
"""The smallest `budget_tokens` that the API takes."""

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    draft.body["max_tokens"] = options.max_tokens or dialect.max_output or DEFAULT_MAX_TOKENS
    put_turns(draft, conversation)
    if stream:
        draft.body["stream"] = True
    thinks = _put_thinking(draft, options)
    _put_sampling(draft, options, thinks)
    _put_tools(draft, options, thinks)
    if wanted := options.response_format:
        schema = mapping(wanted.get("json_schema")).get("schema")
        draft.put("response_format", {"type": "json_schema", "schema": schema}, "output_config.format")
    if options.prompt_cache:
        _mark(draft.body)
    return draft.request(PATH, HEADERS)


def _put_thinking(draft: Draft, options: ExecuteOptions) -> bool:
    """Write `thinking`; says whether it was asked for."""
    if options.reasoning_effort == "none":
        merge(draft.body, draft.dialect.reasoning_off or {"thinking": {"type": "disabled"}})
        return False
    if options.reasoning_effort:
        merge(draft.body, {"thinking": {"type": "adaptive"}, "output_config": {"effort": options.reasoning_effort}})
        return True
    return options.reasoning_budget is not None and _put_budget(draft, options.reasoning_budget, options.max_tokens)


def _put_budget(draft: Draft, budget: int, asked: int | None) -> bool:
    """Write a budget, which must be less than `max_tokens`: an unasked limit makes room, the user's does not."""
    if asked is None and draft.dialect.max_output is None:
        draft.body["max_tokens"] += budget
    limit = draft.body["max_tokens"]
    if limit <= LEAST_BUDGET:
        draft.change("dropped", "reasoning", f"takes at least {LEAST_BUDGET} tokens, and max_tokens is {limit}")
        return False
    fitting = min(max(budget, LEAST_BUDGET), limit - 1)
    if fitting != budget:
        draft.change("clamped", "reasoning_budget", f"from {LEAST_BUDGET} to less than max_tokens: {fitting}")
    draft.body["thinking"] = {"type": "enabled", "budget_tokens": fitting}
    return True


def _put_sampling(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if thinks and getattr(options, name) is not None:
            draft.change("dropped", name, "not together with thinking")
        else:
            draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None, "stop_sequences")
    draft.put("user", options.user, "metadata.user_id")


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [_tool(tool) for tool in options.tools]
    choice = options.tool_choice
    if thinks and choice not in ("auto", "none", None):
        draft.change("transformed", "tool_choice", "not to be forced together with thinking: auto")
        choice = "auto"
    written: dict[str, Any] = {}
    if choice is not None:
        written = {"type": _CHOICES[choice]} if choice in _CHOICES else {"type": "tool", "name": choice}
    if options.parallel_tool_calls is False and choice != "none":
        written = written or {"type": "auto"}
        written["disable_parallel_tool_use"] = True
    draft.put("tool_choice", written or None)


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "input_schema": {"type": "object"} | tool.parameters, **strict}


def _mark(body: dict[str, Any]) -> None:
    """Two of the four breakpoints: tools and system, which every call repeats, and the end, which the next one does.

    docs.claude.com/en/docs/build-with-claude/prompt-caching. Thinking blocks cannot be marked.
    """
    if system := body.get("system"):
        body["system"] = [{"type": "text", "text": system, "cache_control": CACHED}]
    elif tools := body.get("tools"):
        tools[-1]["cache_control"] = CACHED
    end = body["messages"][-1]["content"][-1]
    if "thinking" not in end["type"]:
        end["cache_control"] = CACHED


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    return failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    if body.get("error") or "content" not in body:
        raise failure(body)
    if not isinstance(body["content"], list):
        raise ProviderError("the answer has no content")
    decoder = Decoder(dialect)
    decoder.take({"type": "message_start", "message": body})
    for index, block in enumerate(objects(body["content"])):
        decoder.take({"type": "content_block_start", "index": index, "content_block": block})
    decoder.take({"type": "message_delta", "delta": body, "usage": body.get("usage")})
    return decoder.completion(raw=body)


class _Block:
    """A content block being put together."""

    __slots__ = ("call", "data", "given", "id", "name", "parts", "signature", "type")

    def __init__(self, block: dict[str, Any], call: int) -> None:
        self.type = string(block.get("type"))
        self.id, self.name = string(block.get("id")), string(block.get("name"))
        self.data = string(block.get("data"))
        self.signature = string(block.get("signature"))
        self.given = mapping(block.get("input"))
        self.call = call
        self.parts: list[str] = []


class Decoder:
    """Builds a completion from a stream's events; content blocks may be interleaved."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._id = self._model = ""
        self._text: list[str] = []
        self._blocks: dict[int | None, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._said: dict[str, Any] = {}  # the delta of the message: stop reason, sequence, details
        self._citations: list[Any] = []
        self._finish_reason: str | None = None
        self._stopped = False

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        if not data or data == b"[DONE]":
            return []
        body = parse_object(data)
        if event == "error" or body.get("error"):
            raise failure(body)
        chunk = self.take(body)
        return [chunk] if chunk else []

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where the message was not finished."""
        if not self._stopped or self._finish_reason is None:
            missing = "message_stop" if self._finish_reason else "a stop reason"
            raise StreamError(f"the stream ended without {missing}", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far; of the usage, what was read."""
        return self.completion(usage={"output_tokens": 0} | self._usage)

    def take(self, body: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one event's JSON."""
        match body.get("type"):
            case "content_block_delta":
                return self._take_delta(count(body.get("index")), mapping(body.get("delta")))
            case "content_block_start":
                return self._take_block(count(body.get("index")), mapping(body.get("content_block")))
            case "message_start":
                message = mapping(body.get("message"))
                self._id, self._model = string(message.get("id")), string(message.get("model"))
                self._take_usage(message.get("usage"))
                self._usage.pop("output_tokens", None)  # a placeholder: message_delta counts
            case "message_delta":
                self._take_usage(body.get("usage"))
                return self._take_stop(mapping(body.get("delta")))
            case "message_stop":
                self._stopped = True
        return None

    def _take_usage(self, usage: Any) -> None:
        self._usage |= {key: value for key, value in mapping(usage).items() if value is not None}

    def _take_stop(self, delta: dict[str, Any]) -> ChatCompletionChunk | None:
        kept = ("stop_reason", "stop_sequence", "stop_details")
        self._said |= {key: delta[key] for key in kept if delta.get(key) is not None}
        reason = string(self._said.get("stop_reason"))
        if not reason:
            return None
        self._finish_reason = _FINISH.get(reason, reason)
        return ChatCompletionChunk(finish_reason=self._finish_reason)

    def _take_block(self, index: int | None, start: dict[str, Any]) -> ChatCompletionChunk | None:
        calls = sum(block.type == "tool_use" for block in self._blocks.values())
        block = self._blocks[index] = _Block(start, calls)
        self._citations += objects(start.get("citations"))
        if block.type == "tool_use":
            if not block.name:
                raise ProviderError("the answer calls a tool without a name")
            return ChatCompletionChunk(tool_calls=(ToolCallDelta(calls, block.id, block.name),))
        return self._grow(block, string(start.get("text") or start.get("thinking")))

    def _take_delta(self, index: int | None, delta: dict[str, Any]) -> ChatCompletionChunk | None:
        block = self._blocks.get(index)
        if block is None:
            raise ProviderError(f"the stream goes on with block {index!r}, which it did not begin")
        if "signature" in delta:
            block.signature += string(delta["signature"])
        elif "citation" in delta:
            self._citations.append(delta["citation"])
        return self._grow(block, string(delta.get("text") or delta.get("thinking") or delta.get("partial_json")))

    def _grow(self, block: _Block, piece: str) -> ChatCompletionChunk | None:
        if not piece:
            return None
        block.parts.append(piece)
        if block.type == "text":
            self._text.append(piece)
            return ChatCompletionChunk(piece)
        if block.type == "thinking":
            return ChatCompletionChunk("", piece)
        if block.type == "tool_use":
            return ChatCompletionChunk(tool_calls=(ToolCallDelta(block.call, arguments=piece),))
        return None  # the provider's own tools: server_tool_use and the like

    def completion(self, raw: Any = None, usage: dict[str, Any] | None = None) -> ChatCompletion:
        """What was said, complete or not."""
        if raw is None:
            raw = {**self._said, "usage": self._usage}
            if self._citations:
                raw["citations"] = self._citations
        blocks = self._blocks.values()
        iterations = objects(self._usage.get("iterations"))
        fallback = [string(one.get("model")) for one in iterations if one.get("type") == "fallback_message"]
        return ChatCompletion(
            text="".join(self._text),
            model=next(filter(None, reversed(fallback)), self._model),
            id=self._id,
            finish_reason=self._finish_reason,
            tool_calls=tuple(_tool_call(block) for block in blocks if block.type == "tool_use"),
            reasoning_blocks=tuple(_reasoning(block) for block in blocks if "thinking" in block.type),
            refusal=string(mapping(self._said.get("stop_details")).get("explanation")) or None,
            usage=_usage(usage or self._usage),
            reported_cost=reported_cost({"usage": self._usage}, self._dialect),
            raw=raw,
        )


def _tool_call(block: _Block) -> ToolCall:
    written = arguments(block.parts, block.given)
    return ToolCall(id=block.id or f"call_{block.call}", name=block.name, arguments=written)


def _reasoning(block: _Block) -> Reasoning:
    if block.type == "redacted_thinking":
        return Reasoning(data=block.data, format=FORMAT)
    signed = {"signature": block.signature, "format": FORMAT} if block.signature else {}
    return Reasoning(text="".join(block.parts), **signed)


def _usage(usage: dict[str, Any]) -> Usage | None:
    if count(usage.get("input_tokens")) is None or count(usage.get("output_tokens")) is None:
        return None
    billed = [usage] + [one for one in objects(usage.get("iterations")) if one.get("type") == "compaction"]
    read, written, long_lived, output = 0, 0, 0, 0
    for one in billed:
        by_life = mapping(one.get("cache_creation"))
        an_hour = first_count(by_life.get("ephemeral_1h_input_tokens"))
        all_written = first_count(one.get("cache_creation_input_tokens"))
        short = first_count(by_life.get("ephemeral_5m_input_tokens"))
        written += max(all_written - an_hour, short)
        long_lived += an_hour
        read += first_count(one.get("cache_read_input_tokens"))
        output += first_count(one.get("output_tokens"))
    thought = min(first_count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")), output)
    return Usage(
        input=sum(first_count(one.get("input_tokens")) for one in billed),
        output=output - thought,
        cache_read=read,
        cache_write=written,
        cache_write_1h=long_lived,
        reasoning=thought,
    )
