"""OpenAI's Responses API, used without state: `POST {base}/responses`.

Wire facts: platform.openai.com/docs/api-reference/responses and /responses-streaming, and what xAI, DeepSeek, Bedrock
and the routers send. Nothing is stored (`store` is false), so reasoning comes encrypted and goes back with the
conversation. Summaries of it are not asked for: OpenAI gives them to verified organizations only and refuses the calls
of others; `extra_body={"reasoning": {"summary": "auto"}}` asks for them.

Usage: `input_tokens` includes what was read from and written to a cache, `output_tokens` includes reasoning. Of what
was written, `cache_write_tokens_details` counts apart what lives for 12 hours; it goes into `cache_write_1h`.

The answer is complete when `response.completed` or `response.incomplete` has arrived. They hold the whole answer once
more: what did not arrive in pieces is taken from there, and a whole answer is read like that event alone.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError
from nbkit.protocols.failures import read_failure
from nbkit.protocols.openai_responses_items import BREAK, FORMAT, encode_turn
from nbkit.protocols.reading import count, expect_object, first_count, join_arguments, mapping, objects, string
from nbkit.protocols.wire import BaseDecoder, Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

FRAMING = "sse"
PATH = "/responses"
LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` that the API takes."""

_FINISH = {"max_output_tokens": "length", "max_tokens": "length"}
# Kinds of items -> the kind that they are read as. A custom tool's call is one whose arguments are plain text.
_ITEMS = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
    "custom_tool_call": "function_call",
}
# Events that bring pieces, named without "response." and ".delta" or ".done" -> the kind of the item, the part of it,
# and the key under which the part is whole.
_PIECES = {
    "output_text": ("message", "output_text", "text"),
    "refusal": ("message", "refusal", "refusal"),
    "reasoning_summary_text": ("reasoning", "summary_text", "text"),
    "reasoning_text": ("reasoning", "reasoning_text", "text"),
    "function_call_arguments": ("function_call", "arguments", "arguments"),
    "custom_tool_call_input": ("function_call", "arguments", "input"),
}
_KEYS = {part: key for item, part, key in _PIECES.values() if item != "function_call"}


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "input": [], "store": False})
    for turn in conversation:
        encode_turn(draft, turn)
    if dialect.encrypted_reasoning:
        draft.body["include"] = ["reasoning.encrypted_content"]
    if stream:
        draft.body["stream"] = True
    limit = options.max_tokens
    if limit is not None and limit < LEAST_OUTPUT:
        draft.change("clamped", "max_tokens", f"the API takes {LEAST_OUTPUT} or more")
        limit = LEAST_OUTPUT
    draft.put("max_tokens", limit, "max_output_tokens")
    draft.put("temperature", options.temperature)
    draft.put("top_p", options.top_p)
    draft.put("user", options.user, "safety_identifier")
    if options.response_format:
        draft.put("response_format", _encode_format(options.response_format), "text.format")
    if options.reasoning_effort == "none" and dialect.reasoning_off:
        merge(draft.body, dialect.reasoning_off)
    else:
        draft.put("reasoning_effort", options.reasoning_effort, "reasoning.effort")
    if options.tools:
        draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
        draft.put("parallel_tool_calls", options.parallel_tool_calls)
        named = options.tool_choice not in ("auto", "none", "required", None)
        choice = {"type": "function", "name": options.tool_choice} if named else options.tool_choice
        draft.put("tool_choice", choice)
    return draft.request(PATH)


def _encode_format(response_format: dict[str, Any]) -> dict[str, Any]:
    if response_format.get("type") != "json_schema":
        return response_format
    return {"type": "json_schema", "name": "answer"} | mapping(response_format.get("json_schema"))


def _encode_tool(tool: Tool) -> dict[str, Any]:
    """Write a tool; `strict` is always sent, for this API takes a missing one as true."""
    described = {"description": tool.description} if tool.description else {}
    strict = bool(tool.strict)
    return {"type": "function", "name": tool.name, **described, "parameters": tool.parameters, "strict": strict}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no output."""
    body = expect_object(body)
    if body.get("error") or "output" not in body:
        raise read_failure(body)
    if not isinstance(body["output"], list):
        raise ProviderError("the answer has no output")
    decoder = Decoder(dialect)
    decoder.take({"type": "response.completed", "response": body})
    return decoder.build()


class _Item:
    """An item of the output being put together."""

    __slots__ = ("call", "call_id", "data", "id", "name", "parts", "type")

    def __init__(self, kind: str, call: int) -> None:
        self.type = kind
        self.id = self.call_id = self.name = self.data = ""
        self.call = call
        self.parts: dict[tuple[str, int], list[str]] = {}  # (part, index) -> its pieces


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events.

    An event says by `output_index` which item it is about; ids may be missing, and some routers change them.
    """

    SIGNAL = "response.completed"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._reasons = False  # a piece of reasoning has arrived
        self._items: list[_Item] = []
        self._slots: dict[int | str, _Item] = {}  # the wire's index, or else id -> the item that it stands for now

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        subject, _, stage = string(body.get("type")).removeprefix("response.").rpartition(".")
        if subject in _PIECES and stage in ("delta", "done"):
            kind, part, key = _PIECES[subject]
            item = self._find_item(kind, body, string(body.get("item_id")))
            index = first_count(body.get("content_index"), body.get("summary_index"))
            if stage == "delta":
                return self._grow(item, part, index, string(body.get("delta")))
            return self._complete(item, part, index, body.get(key))
        if subject == "output_item" and stage in ("added", "done"):
            given = mapping(body.get("item"))
            kind = _ITEMS.get(string(given.get("type")), "")
            if not kind:
                return []
            item = self._find_item(kind, body, string(given.get("id")), begins=stage == "added")
            return self._take_names(item, given) + (self._fill(item, given) if stage == "done" else [])
        if stage == "error" and not subject:  # its code and message stand in the event itself
            raise read_failure(body)
        self.rest = mapping(body.get("response")) or self.rest
        return self._take_end(stage) if stage in ("completed", "incomplete", "failed") and not subject else []

    def _find_item(self, kind: str, body: dict[str, Any], item_id: str, begins: bool = False) -> _Item:
        """Find the item that an event is about; begin a new one where none is of its kind, or another begins."""
        index = count(body.get("output_index"))
        slot = item_id if index is None else index
        item = self._slots.get(slot)
        if item is None or item.type != kind or (begins and item.id != item_id):
            item = self._slots[slot] = self._begin_item(kind)
        return item

    def _begin_item(self, kind: str) -> _Item:
        item = _Item(kind, len(self._calls))
        self._items.append(item)
        return item

    def _take_names(self, item: _Item, given: dict[str, Any]) -> Chunks:
        """Take an item's ids, and the name of the tool that it calls."""
        item.id = item.id or string(given.get("id"))
        if item.type != "function_call":
            return []
        call_id = "" if item.call_id else string(given.get("call_id"))
        name = "" if item.name else string(given.get("name"))
        item.call_id, item.name = item.call_id or call_id, item.name or name
        return [ChatCompletionChunk(tool_calls=(ToolCallDelta(item.call, call_id, name),))] if call_id or name else []

    def _fill(self, item: _Item, given: dict[str, Any]) -> Chunks:
        """Take from a whole item what did not arrive in pieces."""
        if item.type == "function_call":
            return self._complete(item, "arguments", 0, given.get("arguments") or given.get("input"))
        item.data = item.data or string(given.get("encrypted_content"))
        chunks: Chunks = []
        for parts in (objects(given.get("summary")), objects(given.get("content"))):
            for index, part in enumerate(parts):
                kind = string(part.get("type"))
                if kind in _KEYS:
                    chunks += self._complete(item, kind, index, part.get(_KEYS[kind]))
        return chunks

    def _complete(self, item: _Item, part: str, index: int, whole: Any) -> Chunks:
        """Take from a whole part what did not arrive in pieces."""
        whole = to_json(whole).decode() if isinstance(whole, dict) else string(whole)
        known = "".join(item.parts.get((part, index), ()))
        return self._grow(item, part, index, whole[len(known) :]) if whole.startswith(known) else []

    def _grow(self, item: _Item, part: str, index: int, piece: str) -> Chunks:
        """Add a piece. Some send reasoning as a summary and at length: then the long form is left out."""
        if not piece or (part == "reasoning_text" and ("summary_text", 0) in item.parts):
            return []
        pieces = item.parts.setdefault((part, index), [])
        pieces.append(piece)
        if part == "output_text":
            self.text.append(piece)
            return [ChatCompletionChunk(piece)]
        if part == "arguments":
            return [ChatCompletionChunk(tool_calls=(ToolCallDelta(item.call, arguments=piece),))]
        if part == "refusal":
            return []
        lead = BREAK if self._reasons and len(pieces) == 1 else ""
        self._reasons = True
        return [ChatCompletionChunk("", lead + piece)]

    def _take_end(self, stage: str) -> Chunks:
        """Take the whole response; its items of a kind stand in the order in which they arrived before."""
        response = self.rest
        status = string(response.get("status")) or stage
        if response.get("error"):
            raise read_failure(response)
        if status not in ("completed", "incomplete"):
            raise ProviderError(f"the answer is incomplete: {status}")
        known = {kind: iter([item for item in self._items if item.type == kind]) for kind in _ITEMS.values()}
        chunks: Chunks = []
        for given in objects(response.get("output")):
            if kind := _ITEMS.get(string(given.get("type"))):
                item = next(known[kind], None) or self._begin_item(kind)
                chunks += self._take_names(item, given) + self._fill(item, given)
        if not all(call.name for call in self._calls):
            raise ProviderError("the answer has a tool call without a name")
        reason = "tool_calls" if self._calls else "stop"
        if status == "incomplete":
            reason = string(mapping(response.get("incomplete_details")).get("reason")) or status
        self.finish_reason = _FINISH.get(reason, reason)
        return [*chunks, ChatCompletionChunk(finish_reason=self.finish_reason)]

    @property
    def _calls(self) -> list[_Item]:
        return [item for item in self._items if item.type == "function_call"]

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not."""
        self.model, self.id = string(self.rest.get("model")), string(self.rest.get("id"))
        return super().build(raw)

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls; one without a name, in an answer that is not complete, is left out."""
        return tuple(_build_call(call) for call in self._calls if call.name)

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return _build_reasoning(self._items)

    def read_refusal(self) -> str:
        """Join the refusal."""
        parts = [pieces for item in self._items for (part, _), pieces in item.parts.items() if part == "refusal"]
        return "".join(piece for pieces in parts for piece in pieces)

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(mapping(self.rest.get("usage")))

    def read_raw(self) -> Any:
        """Return the response as the last event had it."""
        return self.rest or None


def _build_call(item: _Item) -> ToolCall:
    arguments = join_arguments(item.parts.get(("arguments", 0), ()))
    return ToolCall(id=item.call_id or item.id or f"call_{item.call}", name=item.name, arguments=arguments)


def _build_reasoning(items: list[_Item]) -> tuple[Reasoning, ...]:
    """Build the blocks: each part of a summary is one; the encrypted data stand in the first."""
    blocks: list[Reasoning] = []
    for item in items:
        if item.type != "reasoning":
            continue
        texts = ["".join(pieces) for pieces in item.parts.values()]
        if not item.data:
            texts = texts and [BREAK.join(texts)]
        elif not texts:
            texts = [""]
        opaque = {"format": FORMAT} if item.data else {}
        for number, text in enumerate(texts):
            lead = BREAK if text and any(block.text for block in blocks) else ""
            data = None if number else item.data or None
            blocks.append(Reasoning(text=lead + text, data=data, id=item.id or None, **opaque))
    return tuple(blocks)


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if prompt is None or completion is None:
        return None
    details = mapping(usage.get("input_tokens_details"))
    by_life = mapping(details.get("cache_write_tokens_details"))
    cached = min(first_count(details.get("cached_tokens")), prompt)
    long_lived = first_count(by_life.get("ttl_12h_tokens"))
    by_lives = first_count(by_life.get("ttl_30m_tokens")) + long_lived
    written = min(max(first_count(details.get("cache_write_tokens")), by_lives), prompt - cached)
    long_lived = min(long_lived, written)
    of_completion = mapping(usage.get("output_tokens_details"))
    reasoning = min(first_count(of_completion.get("reasoning_tokens")), completion)
    return Usage(
        input=prompt - cached - written,
        output=completion - reasoning,
        cache_read=cached,
        cache_write=written - long_lived,
        cache_write_1h=long_lived,
        reasoning=reasoning,
    )
