"""The answers of OpenAI's Responses API, whole and streamed: `openai_responses` describes the API.

Wire facts: platform.openai.com/docs/api-reference/responses-streaming, and what LiteLLM, xAI, Bedrock and the routers
send. `response.completed` holds the whole answer once more: what did not arrive in pieces is taken from there, and a
whole answer is read like that event alone.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletionChunk, Usage
from nbkit.conversation.content import NativeContent, Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.errors import ProviderError
from nbkit.json_text import write_json
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer, read_failure
from nbkit.protocols.finish import read_finish
from nbkit.protocols.openai_responses_items import BREAK
from nbkit.protocols.openai_responses_output import (
    OTHER,
    PARTS,
    Item,
    Part,
    build_native,
    build_reasoning,
    find_kind,
    is_same,
    list_parts,
    match_items,
    read_arguments,
)
from nbkit.protocols.reading import count, first_count, mapping, merge_counts, objects, string
from nbkit.protocols.wire import Chunks, Dialect

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
_EVENTS = {
    f"{prefix}{subject}.{stage}": (*piece, stage == "delta")
    for prefix in ("response.", "")  # a router may leave it out
    for subject, piece in _PIECES.items()
    for stage in ("delta", "done")
}
"""Type of an event that brings a piece, or a whole part -> the row of `_PIECES`, and whether it is a piece."""
# Items of tools that OpenAI runs itself, and bills by the call.
_BILLED = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call")
_FREE_ACTIONS = ("open_page", "find_in_page", "find")
"""Actions of the search tool that are not searches, and cost their tokens alone (/docs/guides/tools-web-search)."""


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events.

    An event says by `output_index` which item it is about; ids may be missing, and some routers change them.
    """

    SIGNAL = "response.completed"
    ANSWER = "a response"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._reasons = False  # a piece of reasoning has arrived
        self._items: list[Item] = []
        self._slots: dict[tuple[int | str, str], Item] = {}  # the wire's index, or else id, and the kind
        self._place: tuple[Any, ...] = ()  # the event before: its type, item and part, where it was a piece of text
        self._pieces: list[str] = []  # of that part

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        if "output" not in body:
            raise not_an_answer(body, self.ANSWER, "output")
        self.take({"type": "response.completed", "response": body | {"output": _list_output(body)}})

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        piece = body.get("delta")
        place = (body.get("type"), body.get("output_index"), body.get("item_id"), body.get("content_index"))
        if place == self._place and piece and type(piece) is str:  # what the rest does with one more piece of a text
            self._pieces.append(piece)
            self.text.append(piece)
            return [ChatCompletionChunk(piece, "", (), None, 0, self.id, self.model)]
        self._place = ()
        event = string(body.get("type"))
        if event in _EVENTS:
            kind, part, key, is_piece = _EVENTS[event]
            item = self._find_item(kind, body, string(body.get("item_id")))
            if not (part := PARTS[item.type].get(part, "")):  # a text that such an item does not have
                return []
            index = first_count(body.get("content_index"), body.get("summary_index"))
            if is_piece:
                chunks = self._grow(item, part, index, string(body.get("delta")))
                if part == "output_text" and chunks and index == place[-1]:
                    self._place, self._pieces = place, item.parts[part, index]
                return chunks
            return self._complete_parts(item, [(part, index, body.get(key))], ends=True)
        subject, _, stage = event.removeprefix("response.").rpartition(".")
        if subject == "output_item" and stage in ("added", "done"):
            given = mapping(body.get("item"))
            kind = find_kind(given)
            return self._take_item(kind, body, given, stage) if kind else []
        if stage == "error" and not subject:  # its code and message stand in the event itself
            raise read_failure(body)
        if response := mapping(body.get("response")):
            self.rest = response
            self.take_usage(body)
            self.model, self.id = string(response.get("model")), string(response.get("id"))
        return self._take_end(stage) if stage in ("completed", "incomplete", "failed") and not subject else []

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts."""
        response = mapping(body.get("response")) or body
        self.usage = merge_counts(self.usage, response.get("usage"))

    def _take_item(self, kind: str, body: dict[str, Any], given: dict[str, Any], stage: str) -> Chunks:
        """Take an event that an item begins or is whole."""
        item = self._find_item(kind, body, string(given.get("id")), given)
        item.announced = True
        chunks = self._take_names(item, given)
        if stage == "done":
            chunks += self._fill(item, given)
            item.closed = True
        return chunks

    def _find_item(self, kind: str, body: dict[str, Any], item_id: str, given: dict[str, Any] | None = None) -> Item:
        """Find the item that an event is about; begin a new one where none fits, or another begins or is `given`."""
        slot = item_id if (index := count(body.get("output_index"))) is None else index
        item = self._slots.get((slot, kind))
        if item is None and kind == "message" and given is None:
            other = self._slots.get((slot, "reasoning"))  # a part of it that is typed as output_text
            if other and other.announced and not other.closed and item_id in ("", other.id):
                return other
        if item is not None and given is not None and not is_same(item, given, item_id, string(body.get("type"))):
            item = None
        if item is None:
            item = self._slots[slot, kind] = self._begin_item(kind)
        return item

    def _begin_item(self, kind: str, place: int | None = None) -> Item:
        item = Item(kind, self.calls.begin() if kind == "function_call" else None)
        self._items.insert(len(self._items) if place is None else place, item)
        return item

    def _take_names(self, item: Item, given: dict[str, Any]) -> Chunks:
        """Take an item's ids, and the name of the tool that it calls."""
        item.id, item.whole = item.id or string(given.get("id")), given
        if item.call is None:
            return []
        delta = self.calls.grow(item.call, string(given.get("call_id")), string(given.get("name")), "")
        return [self.make_chunk(tool_calls=(delta,))] if delta.id or delta.name else []

    def _fill(self, item: Item, given: dict[str, Any]) -> Chunks:
        """Take from a whole item what did not arrive in pieces."""
        if item.call is not None:
            return self._complete_parts(item, [("arguments", 0, read_arguments(given))])
        if item.type == OTHER:
            return []
        item.data = item.data or string(given.get("encrypted_content"))
        return self._complete_parts(item, list_parts(item.type, given))

    def _complete_parts(self, item: Item, wholes: list[tuple[str, int, Any]], ends: bool = False) -> Chunks:
        """Take from whole parts what did not arrive in pieces.

        Routers number the parts of an item in their own way, so a whole part is the one that begins as it does.
        """
        chunks: Chunks = []
        free = [key for key in item.parts if key not in item.ended or not ends]
        unmatched = []
        for part, index, value in wholes:
            whole = write_json(value).decode() if isinstance(value, dict) else string(value)
            key = _find_part(item, free, part, index, whole)
            if key is None:
                unmatched.append((part, index, whole))
                continue
            free.remove(key)
            item.ended |= {key} if ends else set()
            chunks += self._grow(item, part, key[1], whole[len("".join(item.parts[key])) :])
        for part, index, whole in unmatched:
            key = next((key for key in free if key[0] == part), None)
            if key is not None:  # it differs from its pieces, which have been handed out
                free.remove(key)
                continue
            while (part, index) in item.parts:
                index += 1  # noqa: PLW2901
            chunks += self._grow(item, part, index, whole)
            item.ended |= {(part, index)} if ends else set()
        return chunks

    def _grow(self, item: Item, part: str, index: int, piece: str) -> Chunks:
        """Add a piece. Some send reasoning as a summary and at length: then the long form is left out."""
        if not piece or (part == "reasoning_text" and any(key[0] == "summary_text" for key in item.parts)):
            return []
        pieces = item.parts.setdefault((part, index), [])
        pieces.append(piece)
        if part == "output_text":
            self.text.append(piece)
            return [self.make_chunk(piece)]
        if item.call is not None:
            return [self.make_chunk(tool_calls=(self.calls.grow(item.call, "", "", piece),))]
        if part == "refusal":
            return []
        lead = BREAK if self._reasons and len(pieces) == 1 else ""
        self._reasons = True
        return [self.make_chunk("", lead + piece)]

    def _take_end(self, stage: str) -> Chunks:
        """Take the whole response."""
        reason = _read_end(self.rest, stage)
        chunks: Chunks = []
        place = 0
        for known, kind, given in match_items(self._items, objects(self.rest.get("output"))):
            item = known or self._begin_item(kind, place if kind == OTHER else None)
            place = self._items.index(item) + 1
            chunks += self._take_names(item, given) + self._fill(item, given)
        self.finish_reason = read_finish(reason, bool(self.calls))
        self.marked = True
        return [*chunks, self.make_chunk(finish_reason=self.finish_reason)]

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls; one without a call id goes by the id of its item."""
        for item in self._items:
            if item.call is not None:
                item.call.id = item.call.id or item.id
        return self.calls.build()

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return build_reasoning(self._items)

    def read_native(self) -> NativeContent | None:
        """Build the order of all items, where there are some of OpenAI's own tools."""
        return build_native(self._items)

    def read_refusal(self) -> str:
        """Join the refusal."""
        parts = [part for item in self._items for part in item.parts.items()]
        return "".join("".join(pieces) for (name, _), pieces in parts if name == "refusal")

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(self.usage)

    def read_charges(self) -> Charges:
        """Read the calls of the provider's own tools: as it counts them (xAI, Perplexity), else by the items."""
        context = count(mapping(self.usage.get("context_details")).get("input_tokens"))  # xAI: of the last run
        tools = super().read_charges().tools or _count_billed(objects(self.rest.get("output")))
        return Charges(tools, longest_prompt=context) if tools or context else NO_CHARGES

    def read_raw(self) -> Any:
        """Return the response as the last event had it."""
        return self.rest or None


def _list_output(body: dict[str, Any]) -> list[Any]:
    """List the items of a whole answer; relatives write their text in the place of the list, or beside it."""
    text = string(body["output"]) or (string(body.get("output_text")) if body["output"] == [] else "")
    output = [{"type": "message", "content": text}] if text else body["output"]
    if not isinstance(output, list):
        raise ProviderError("the answer has no output")
    return output


def _find_part(item: Item, free: list[Part], part: str, index: int, whole: str) -> Part | None:
    """Find the part that came in pieces of a whole one: the whole begins as it does."""
    fitting = [key for key in free if key[0] == part and whole.startswith("".join(item.parts[key]))]
    return next((key for key in fitting if key[1] == index), next(iter(fitting), None))


def _read_end(response: dict[str, Any], stage: str) -> str:
    """Read why a whole response ended, in the provider's word. Raises an AdapterError where it failed."""
    status = string(response.get("status")) or stage
    if response.get("error"):
        raise read_failure(response)
    if status not in ("completed", "incomplete"):
        raise ProviderError(f"the answer is incomplete: {status}")
    if status == "completed":
        return "stop"
    return string(mapping(response.get("incomplete_details")).get("reason")) or status


def _count_billed(output: list[dict[str, Any]]) -> dict[str, int]:
    tools: dict[str, int] = {}
    containers: set[str] = set()
    for item in output:
        kind = string(item.get("type"))
        if kind not in _BILLED or mapping(item.get("action")).get("type") in _FREE_ACTIONS:
            continue
        container = string(item.get("container_id"))  # of code, which is paid for by the container
        if not container or container not in containers:
            name = kind.removesuffix("_call")
            tools[name] = tools.get(name, 0) + 1
        containers.add(container)
    return tools


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
