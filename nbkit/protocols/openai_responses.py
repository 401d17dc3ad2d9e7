"""OpenAI's Responses API, used without state: `POST {base}/responses`.

Wire facts: platform.openai.com/docs/api-reference/responses and /responses-streaming, and what xAI, DeepSeek, Bedrock
and the routers send. Nothing is stored (`store` is false), so reasoning comes encrypted and goes back with the
conversation. Summaries of it are not asked for: OpenAI gives them to verified organizations only and refuses the calls
of others; `extra_body={"reasoning": {"summary": "auto"}}` asks.

Usage: `input_tokens` includes what was read from and written to a cache, `output_tokens` includes reasoning. Of what
was written, `cache_write_tokens_details` tells what lives for 12 hours; it is counted in `cache_write_1h`.

The answer is complete when `response.completed` or `response.incomplete` has come. They hold the whole answer once
more: what did not come in pieces is taken from there, and a whole answer is read like that event alone.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.openai_responses_items import BREAK, FORMAT, put_turn
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
PATH = "/responses"
LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` that the API takes."""

_FINISH = {"max_output_tokens": "length", "max_tokens": "length"}
# The items that are read, and what they are here. A custom tool's call is one whose arguments are plain text.
_ITEMS = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
    "custom_tool_call": "function_call",
}
# What comes in pieces: an event's name without "response." and ".delta" or ".done" -> the item, the part of it, and the
# key under which the part is whole.
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
        put_turn(draft, turn)
    if dialect.encrypted_reasoning:
        draft.body["include"] = ["reasoning.encrypted_content"]
    if stream:
        draft.body["stream"] = True
    limit = options.max_tokens
    if limit is not None and limit < LEAST_OUTPUT:
        draft.change("clamped", "max_tokens", f"the API takes {LEAST_OUTPUT} at least")
        limit = LEAST_OUTPUT
    draft.put("max_tokens", limit, "max_output_tokens")
    draft.put("temperature", options.temperature)
    draft.put("top_p", options.top_p)
    draft.put("user", options.user, "safety_identifier")
    if options.response_format:
        draft.put("response_format", _format(options.response_format), "text.format")
    if options.reasoning_effort == "none" and dialect.reasoning_off:
        merge(draft.body, dialect.reasoning_off)
    else:
        draft.put("reasoning_effort", options.reasoning_effort, "reasoning.effort")
    if options.tools:
        draft.body["tools"] = [_tool(tool) for tool in options.tools]
        draft.put("parallel_tool_calls", options.parallel_tool_calls)
        named = options.tool_choice not in ("auto", "none", "required", None)
        choice = {"type": "function", "name": options.tool_choice} if named else options.tool_choice
        draft.put("tool_choice", choice)
    return draft.request(PATH)


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    if wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "name": "answer"} | mapping(wanted.get("json_schema"))


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool; `strict` is always said, for here it is true where it is not."""
    described = {"description": tool.description} if tool.description else {}
    strict = bool(tool.strict)
    return {"type": "function", "name": tool.name, **described, "parameters": tool.parameters, "strict": strict}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    return failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    if body.get("error") or "output" not in body:
        raise failure(body)
    if not isinstance(body["output"], list):
        raise ProviderError("the answer has no output")
    decoder = Decoder(dialect)
    decoder.take({"type": "response.completed", "response": body})
    return decoder.completion()


class _Item:
    """An item of the output being put together."""

    __slots__ = ("call", "call_id", "data", "id", "name", "parts", "type")

    def __init__(self, kind: str, call: int) -> None:
        self.type = kind
        self.id = self.call_id = self.name = self.data = ""
        self.call = call
        self.parts: dict[tuple[str, int], list[str]] = {}  # (part, index) -> its pieces


class Decoder:
    """Builds a completion from a stream's events.

    An event says by `output_index` which item it is about; ids may be missing, and some routers change them.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._text: list[str] = []
        self._thought = False
        self._items: list[_Item] = []
        self._slots: dict[int | str, _Item] = {}  # the wire's index, or else id -> the item that it stands for now
        self._response: dict[str, Any] = {}  # as it was told last
        self._finish_reason: str | None = None

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        if not data or data == b"[DONE]":
            return []
        body = parse_object(data)
        if "error" in (event, body.get("type")) or body.get("error"):
            raise failure(body)
        return self.take(body)

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where the response was not completed."""
        if self._finish_reason is None:
            raise StreamError("the stream ended without response.completed", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far; a tool call without a name is not one yet."""
        return self.completion(calls=[call for call in self._calls if call.name])

    def take(self, body: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Take one event's JSON."""
        what, _, stage = string(body.get("type")).removeprefix("response.").rpartition(".")
        if what in _PIECES and stage in ("delta", "done"):
            kind, part, key = _PIECES[what]
            item = self._item(kind, body, string(body.get("item_id")))
            index = first_count(body.get("content_index"), body.get("summary_index"))
            if stage == "delta":
                return self._grow(item, part, index, string(body.get("delta")))
            return self._complete(item, part, index, body.get(key))
        if what == "output_item" and stage in ("added", "done"):
            given = mapping(body.get("item"))
            kind = _ITEMS.get(string(given.get("type")), "")
            if not kind:
                return []
            item = self._item(kind, body, string(given.get("id")), begins=stage == "added")
            return self._name(item, given) + (self._fill(item, given) if stage == "done" else [])
        self._response = mapping(body.get("response")) or self._response
        return self._end(stage) if stage in ("completed", "incomplete", "failed") and not what else []

    def _item(self, kind: str, body: dict[str, Any], item_id: str, begins: bool = False) -> _Item:
        """The item that an event is about; a new one where there is none of its kind, or another begins."""
        index = count(body.get("output_index"))
        slot = item_id if index is None else index
        item = self._slots.get(slot)
        if item is None or item.type != kind or (begins and item.id != item_id):
            item = self._slots[slot] = self._new(kind)
        return item

    def _new(self, kind: str) -> _Item:
        item = _Item(kind, len(self._calls))
        self._items.append(item)
        return item

    def _name(self, item: _Item, given: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Take an item's ids, and the name of the tool that it calls."""
        item.id = item.id or string(given.get("id"))
        if item.type != "function_call":
            return []
        call_id = "" if item.call_id else string(given.get("call_id"))
        name = "" if item.name else string(given.get("name"))
        item.call_id, item.name = item.call_id or call_id, item.name or name
        return [ChatCompletionChunk(tool_calls=(ToolCallDelta(item.call, call_id, name),))] if call_id or name else []

    def _fill(self, item: _Item, given: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Take from a whole item what did not come in pieces."""
        if item.type == "function_call":
            return self._complete(item, "arguments", 0, given.get("arguments") or given.get("input"))
        item.data = item.data or string(given.get("encrypted_content"))
        chunks: list[ChatCompletionChunk] = []
        for parts in (objects(given.get("summary")), objects(given.get("content"))):
            for index, part in enumerate(parts):
                kind = string(part.get("type"))
                if kind in _KEYS:
                    chunks += self._complete(item, kind, index, part.get(_KEYS[kind]))
        return chunks

    def _complete(self, item: _Item, part: str, index: int, whole: Any) -> list[ChatCompletionChunk]:
        """Take a whole part: what of it did not come in pieces."""
        whole = to_json(whole).decode() if isinstance(whole, dict) else string(whole)
        said = "".join(item.parts.get((part, index), ()))
        return self._grow(item, part, index, whole[len(said) :]) if whole.startswith(said) else []

    def _grow(self, item: _Item, part: str, index: int, piece: str) -> list[ChatCompletionChunk]:
        """Take a piece. Reasoning that has a summary may be told at length as well: that is left out."""
        if not piece or (part == "reasoning_text" and ("summary_text", 0) in item.parts):
            return []
        pieces = item.parts.setdefault((part, index), [])
        pieces.append(piece)
        if part == "output_text":
            self._text.append(piece)
            return [ChatCompletionChunk(piece)]
        if part == "arguments":
            return [ChatCompletionChunk(tool_calls=(ToolCallDelta(item.call, arguments=piece),))]
        if part == "refusal":
            return []
        lead = BREAK if self._thought and len(pieces) == 1 else ""
        self._thought = True
        return [ChatCompletionChunk("", lead + piece)]

    def _end(self, stage: str) -> list[ChatCompletionChunk]:
        """Take the whole response; the items of a kind come in the order in which they came before."""
        response = self._response
        status = string(response.get("status")) or stage
        if response.get("error"):
            raise failure(response)
        if status not in ("completed", "incomplete"):
            raise ProviderError(f"the answer is not complete: {status}")
        known = {kind: iter([item for item in self._items if item.type == kind]) for kind in _ITEMS.values()}
        chunks: list[ChatCompletionChunk] = []
        for given in objects(response.get("output")):
            if kind := _ITEMS.get(string(given.get("type"))):
                item = next(known[kind], None) or self._new(kind)
                chunks += self._name(item, given) + self._fill(item, given)
        reason = "tool_calls" if self._calls else "stop"
        if status == "incomplete":
            reason = string(mapping(response.get("incomplete_details")).get("reason")) or status
        self._finish_reason = _FINISH.get(reason, reason)
        return [*chunks, ChatCompletionChunk(finish_reason=self._finish_reason)]

    @property
    def _calls(self) -> list[_Item]:
        return [item for item in self._items if item.type == "function_call"]

    def completion(self, calls: list[_Item] | None = None) -> ChatCompletion:
        """What was said, complete or not. Raises ProviderError where a tool call has no name."""
        said = [(part, "".join(pieces)) for item in self._items for (part, _), pieces in item.parts.items()]
        return ChatCompletion(
            text="".join(self._text),
            model=string(self._response.get("model")),
            id=string(self._response.get("id")),
            finish_reason=self._finish_reason,
            tool_calls=tuple(_tool_call(call) for call in (self._calls if calls is None else calls)),
            reasoning_blocks=_reasoning(self._items),
            refusal="".join(text for part, text in said if part == "refusal") or None,
            usage=_usage(mapping(self._response.get("usage"))),
            reported_cost=reported_cost(self._response, self._dialect),
            raw=self._response or None,
        )


def _tool_call(item: _Item) -> ToolCall:
    if not item.name:
        raise ProviderError("the answer calls a tool without a name")
    written = arguments(item.parts.get(("arguments", 0), ()))
    return ToolCall(id=item.call_id or item.id or f"call_{item.call}", name=item.name, arguments=written)


def _reasoning(items: list[_Item]) -> tuple[Reasoning, ...]:
    """Each part of a summary is a block; what is encrypted stands in the first."""
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


def _usage(usage: dict[str, Any]) -> Usage | None:
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
    thought = min(first_count(of_completion.get("reasoning_tokens")), completion)
    return Usage(
        input=prompt - cached - written,
        output=completion - thought,
        cache_read=cached,
        cache_write=written - long_lived,
        cache_write_1h=long_lived,
        reasoning=thought,
    )
