"""Anthropic's messages: `POST {base}/messages`.

Wire facts: docs.claude.com/en/api/messages and /build-with-claude/streaming, extended-thinking, structured-outputs.

Usage: `input_tokens` excludes what was read from and written to a cache; `output_tokens` includes thinking, which
`output_tokens_details.thinking_tokens` counts apart. `iterations` of type `compaction` are added; an `advisor_message`
is another model's work at its own price and is not counted; a `fallback_message` names the model that really answered.

The answer is complete when both a stop reason and `message_stop` have arrived.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError
from nbkit.protocols.anthropic_turns import FORMAT, encode_turns
from nbkit.protocols.failures import read_failure
from nbkit.protocols.reading import count, expect_object, first_count, join_arguments, mapping, objects, string
from nbkit.protocols.wire import BaseDecoder, Chunks, Dialect, WireRequest
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
    encode_turns(draft, conversation)
    if stream:
        draft.body["stream"] = True
    thinks = _put_thinking(draft, options)
    _put_sampling(draft, options, thinks)
    _put_tools(draft, options, thinks)
    if options.response_format:
        schema = mapping(options.response_format.get("json_schema")).get("schema")
        draft.put("response_format", {"type": "json_schema", "schema": schema}, "output_config.format")
    if options.prompt_cache:
        _mark_cache(draft.body)
    return draft.request(PATH, HEADERS)


def _put_thinking(draft: Draft, options: ExecuteOptions) -> bool:
    """Write `thinking`; return whether it is switched on."""
    if options.reasoning_effort == "none":
        merge(draft.body, draft.dialect.reasoning_off or {"thinking": {"type": "disabled"}})
        return False
    if options.reasoning_effort:
        merge(draft.body, {"thinking": {"type": "adaptive"}, "output_config": {"effort": options.reasoning_effort}})
        return True
    return options.reasoning_budget is not None and _put_budget(draft, options.reasoning_budget, options.max_tokens)


def _put_budget(draft: Draft, budget: int, max_tokens: int | None) -> bool:
    """Write a budget, which must be less than `max_tokens`: our own limit grows by it, the caller's does not."""
    if max_tokens is None and draft.dialect.max_output is None:
        draft.body["max_tokens"] += budget
    limit = draft.body["max_tokens"]
    if limit <= LEAST_BUDGET:
        draft.change("dropped", "reasoning", f"needs at least {LEAST_BUDGET} tokens, and max_tokens is {limit}")
        return False
    fitting = min(max(budget, LEAST_BUDGET), limit - 1)
    if fitting != budget:
        draft.change("clamped", "reasoning_budget", f"{LEAST_BUDGET} or more and less than max_tokens: {fitting}")
    draft.body["thinking"] = {"type": "enabled", "budget_tokens": fitting}
    return True


def _put_sampling(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if thinks and getattr(options, name) is not None:
            draft.change("dropped", name, "cannot be combined with thinking")
        else:
            draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None, "stop_sequences")
    draft.put("user", options.user, "metadata.user_id")


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
    choice = options.tool_choice
    if thinks and choice not in ("auto", "none", None):
        draft.change("transformed", "tool_choice", "cannot be forced while the model thinks: auto")
        choice = "auto"
    encoded: dict[str, Any] = {}
    if choice is not None:
        encoded = {"type": _CHOICES[choice]} if choice in _CHOICES else {"type": "tool", "name": choice}
    if options.parallel_tool_calls is False and choice != "none":
        encoded = encoded or {"type": "auto"}
        encoded["disable_parallel_tool_use"] = True
    draft.put("tool_choice", encoded or None)


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "input_schema": {"type": "object"} | tool.parameters, **strict}


def _mark_cache(body: dict[str, Any]) -> None:
    """Set two of the four breakpoints: after tools and system, which every call repeats, and at the end, for the next.

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
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no content."""
    body = expect_object(body)
    if body.get("error") or "content" not in body:
        raise read_failure(body)
    if not isinstance(body["content"], list):
        raise ProviderError("the answer has no content")
    decoder = Decoder(dialect)
    decoder.take({"type": "message_start", "message": body})
    for index, block in enumerate(objects(body["content"])):
        decoder.take({"type": "content_block_start", "index": index, "content_block": block})
    decoder.take({"type": "message_delta", "delta": body, "usage": body.get("usage")})
    return decoder.build(raw=body)


class _Block:
    """A content block being put together."""

    __slots__ = ("call", "data", "id", "input", "name", "parts", "signature", "type")

    def __init__(self, block: dict[str, Any], call: int) -> None:
        self.type = string(block.get("type"))
        self.id, self.name = string(block.get("id")), string(block.get("name"))
        self.data = string(block.get("data"))
        self.signature = string(block.get("signature"))
        self.input = mapping(block.get("input"))
        self.call = call
        self.parts: list[str] = []


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events; content blocks may be interleaved."""

    SIGNAL = "a stop reason"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._blocks: dict[int | None, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._citations: list[Any] = []
        self._stopped = False
        self.rest = {"usage": self._usage}

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now."""
        return super().find_problem() or ("" if self._stopped else " without message_stop")

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        match body.get("type"):
            case "content_block_delta":
                return self._take_delta(count(body.get("index")), mapping(body.get("delta")))
            case "content_block_start":
                return self._take_block(count(body.get("index")), mapping(body.get("content_block")))
            case "message_start":
                message = mapping(body.get("message"))
                self.id, self.model = string(message.get("id")), string(message.get("model"))
                self._take_usage(message.get("usage"))
                self._usage.pop("output_tokens", None)  # a placeholder: message_delta has the count
            case "message_delta":
                self._take_usage(body.get("usage"))
                return self._take_stop(mapping(body.get("delta")))
            case "message_stop":
                self._stopped = True
        return []

    def _take_usage(self, usage: Any) -> None:
        self._usage |= {key: value for key, value in mapping(usage).items() if value is not None}

    def _take_stop(self, delta: dict[str, Any]) -> Chunks:
        kept = ("stop_reason", "stop_sequence", "stop_details")
        self.rest |= {key: delta[key] for key in kept if delta.get(key) is not None}
        reason = string(self.rest.get("stop_reason"))
        if not reason:
            return []
        self.finish_reason = _FINISH.get(reason, reason)
        return [ChatCompletionChunk(finish_reason=self.finish_reason)]

    def _take_block(self, index: int | None, start: dict[str, Any]) -> Chunks:
        calls = sum(block.type == "tool_use" for block in self._blocks.values())
        block = self._blocks[index] = _Block(start, calls)
        self._citations += objects(start.get("citations"))
        if block.type == "tool_use":
            if not block.name:
                raise ProviderError("the answer has a tool call without a name")
            return [ChatCompletionChunk(tool_calls=(ToolCallDelta(calls, block.id, block.name),))]
        return self._grow(block, string(start.get("text") or start.get("thinking")))

    def _take_delta(self, index: int | None, delta: dict[str, Any]) -> Chunks:
        block = self._blocks.get(index)
        if block is None:
            raise ProviderError(f"the stream continues block {index!r}, which did not start")
        if "signature" in delta:
            block.signature += string(delta["signature"])
        elif "citation" in delta:
            self._citations.append(delta["citation"])
        return self._grow(block, string(delta.get("text") or delta.get("thinking") or delta.get("partial_json")))

    def _grow(self, block: _Block, piece: str) -> Chunks:
        """Add a piece to a block."""
        if not piece:
            return []
        block.parts.append(piece)
        if block.type == "text":
            self.text.append(piece)
            return [ChatCompletionChunk(piece)]
        if block.type == "thinking":
            return [ChatCompletionChunk("", piece)]
        if block.type == "tool_use":
            return [ChatCompletionChunk(tool_calls=(ToolCallDelta(block.call, arguments=piece),))]
        return []  # the provider's own tools, which it runs itself: server_tool_use and the like

    def partial(self) -> ChatCompletion:
        """Build the completion as far as it has arrived; of the usage, the prompt's is known from the start."""
        return replace(self.build(), usage=_read_usage({"output_tokens": 0} | self._usage))

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not; a `fallback_message` is the work of another model, which it names."""
        iterations = objects(self._usage.get("iterations"))
        for iteration in iterations:
            if iteration.get("type") == "fallback_message":
                self.model = string(iteration.get("model")) or self.model
        return super().build(raw)

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls."""
        return tuple(_build_call(block) for block in self._blocks.values() if block.type == "tool_use")

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(_build_reasoning(block) for block in self._blocks.values() if "thinking" in block.type)

    def read_refusal(self) -> str:
        """Return the explanation of a refusal."""
        return string(mapping(self.rest.get("stop_details")).get("explanation"))

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(self._usage)

    def read_raw(self) -> Any:
        """Return stop reason, usage and citations."""
        return self.rest | ({"citations": self._citations} if self._citations else {})


def _build_call(block: _Block) -> ToolCall:
    arguments = join_arguments(block.parts, block.input)
    return ToolCall(id=block.id or f"call_{block.call}", name=block.name, arguments=arguments)


def _build_reasoning(block: _Block) -> Reasoning:
    if block.type == "redacted_thinking":
        return Reasoning(data=block.data, format=FORMAT)
    signed = {"signature": block.signature, "format": FORMAT} if block.signature else {}
    return Reasoning(text="".join(block.parts), **signed)


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    if count(usage.get("input_tokens")) is None or count(usage.get("output_tokens")) is None:
        return None
    billed = [usage] + [one for one in objects(usage.get("iterations")) if one.get("type") == "compaction"]
    read, written, long_lived, output = 0, 0, 0, 0
    for one in billed:
        by_life = mapping(one.get("cache_creation"))
        an_hour = first_count(by_life.get("ephemeral_1h_input_tokens"))
        all_written = first_count(one.get("cache_creation_input_tokens"))
        short = first_count(by_life.get("ephemeral_5m_input_tokens"))
        written += max(all_written - an_hour, short)  # relatives of the API send one of the two forms alone
        long_lived += an_hour
        read += first_count(one.get("cache_read_input_tokens"))
        output += first_count(one.get("output_tokens"))
    thinking = min(first_count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")), output)
    return Usage(
        input=sum(first_count(one.get("input_tokens")) for one in billed),
        output=output - thinking,
        cache_read=read,
        cache_write=written,
        cache_write_1h=long_lived,
        reasoning=thinking,
    )
