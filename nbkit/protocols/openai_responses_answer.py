"""The answers of OpenAI's Responses API, whole and streamed: `openai_responses` describes the API.

Wire facts: platform.openai.com/docs/api-reference/responses-streaming, and what LiteLLM, xAI, Bedrock and the routers
send. `response.completed` holds the whole answer once more: what did not arrive in pieces is taken from there, and a
whole answer is read like that event alone.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletionChunk, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.errors import ProviderError
from nbkit.protocols.calls import Call
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer, read_failure
from nbkit.protocols.finish import read_finish
from nbkit.protocols.openai_responses_items import BREAK, FORMAT
from nbkit.protocols.reading import count, first_count, join_arguments, mapping, merge_counts, objects, string
from nbkit.protocols.wire import Chunks, Dialect

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
# Kind of an item -> its parts, as they are typed on the wire -> what they are. LiteLLM types reasoning as output_text.
_PARTS = {
    "message": {"output_text": "output_text", "text": "output_text", "refusal": "refusal"},
    "reasoning": {
        "summary_text": "summary_text",
        "reasoning_text": "reasoning_text",
        "output_text": "reasoning_text",
        "text": "reasoning_text",
    },
    "function_call": {"arguments": "arguments"},
}
# Tools that OpenAI runs itself, and bills by the call.
_BILLED = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call")

_Part = tuple[str, int]


class _Item:
    """An item of the output being put together."""

    __slots__ = ("announced", "call", "closed", "data", "ended", "id", "parts", "type")

    def __init__(self, kind: str, call: Call | None) -> None:
        self.type, self.call = kind, call
        self.id = self.data = ""
        self.announced = self.closed = False
        self.parts: dict[_Part, list[str]] = {}  # (part, index) -> its pieces
        self.ended: set[_Part] = set()

    @property
    def text(self) -> str:
        """The text that has arrived of it."""
        pieces = [self.call.pieces] if self.call else self.parts.values()
        return "".join(piece for part in pieces for piece in part)

    def fits(self, name: str, call_id: str, text: str) -> bool:
        """Return whether a whole item may be this one."""
        if self.call is not None:
            other_id = call_id and self.call.wire_id not in ("", call_id)
            if other_id or (name and self.call.name not in ("", name)):
                return False
            if call_id and call_id == self.call.wire_id:
                return True
        return text.startswith(self.text) or join_arguments([text]) == join_arguments([self.text])


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events.

    An event says by `output_index` which item it is about; ids may be missing, and some routers change them.
    """

    SIGNAL = "response.completed"
    ANSWER = "a response"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._reasons = False  # a piece of reasoning has arrived
        self._items: list[_Item] = []
        self._slots: dict[tuple[int | str, str], _Item] = {}  # the wire's index, or else id, and the kind

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        if "output" not in body:
            raise not_an_answer(body, self.ANSWER, "output")
        text = string(body["output"]) or (string(body.get("output_text")) if body["output"] == [] else "")
        if text:  # relatives
            body = body | {"output": [{"type": "message", "content": text}]}
        if not isinstance(body["output"], list):
            raise ProviderError("the answer has no output")
        self.take({"type": "response.completed", "response": body})

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        subject, _, stage = string(body.get("type")).removeprefix("response.").rpartition(".")
        if subject in _PIECES and stage in ("delta", "done"):
            kind, part, key = _PIECES[subject]
            item = self._find_item(kind, body, string(body.get("item_id")))
            part = _PARTS[item.type][part]
            index = first_count(body.get("content_index"), body.get("summary_index"))
            if stage == "delta":
                return self._grow(item, part, index, string(body.get("delta")))
            return self._complete_parts(item, [(part, index, body.get(key))], ends=True)
        if subject == "output_item" and stage in ("added", "done"):
            given = mapping(body.get("item"))
            kind = _ITEMS.get(string(given.get("type")), "")
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

    def _find_item(self, kind: str, body: dict[str, Any], item_id: str, given: dict[str, Any] | None = None) -> _Item:
        """Find the item that an event is about; begin a new one where none fits, or another begins or is `given`."""
        index = count(body.get("output_index"))
        slot = item_id if index is None else index
        item = self._slots.get((slot, kind))
        if item is None and kind == "message" and given is None:
            other = self._slots.get((slot, "reasoning"))  # a part of it that is typed as output_text
            if other and other.announced and not other.closed and item_id in ("", other.id):
                return other
        if item is not None and given is not None and not _is_same(item, given, item_id, string(body.get("type"))):
            item = None
        if item is None:
            item = self._slots[slot, kind] = self._begin_item(kind)
        return item

    def _begin_item(self, kind: str) -> _Item:
        item = _Item(kind, self.calls.begin() if kind == "function_call" else None)
        self._items.append(item)
        return item

    def _take_names(self, item: _Item, given: dict[str, Any]) -> Chunks:
        """Take an item's ids, and the name of the tool that it calls."""
        item.id = item.id or string(given.get("id"))
        if item.call is None:
            return []
        delta = self.calls.grow(item.call, string(given.get("call_id")), string(given.get("name")), "")
        return [ChatCompletionChunk(tool_calls=(delta,))] if delta.id or delta.name else []

    def _fill(self, item: _Item, given: dict[str, Any]) -> Chunks:
        """Take from a whole item what did not arrive in pieces."""
        if item.call is not None:
            return self._complete_parts(item, [("arguments", 0, _read_arguments(given))])
        item.data = item.data or string(given.get("encrypted_content"))
        return self._complete_parts(item, _list_parts(item.type, given))

    def _complete_parts(self, item: _Item, wholes: list[tuple[str, int, Any]], ends: bool = False) -> Chunks:
        """Take from whole parts what did not arrive in pieces.

        Routers number the parts of an item in their own way, so a whole part is the one that begins as it does.
        """
        chunks: Chunks = []
        free = [key for key in item.parts if key not in item.ended or not ends]
        unmatched = []
        for part, index, value in wholes:
            whole = to_json(value).decode() if isinstance(value, dict) else string(value)
            fitting = [key for key in free if key[0] == part and whole.startswith("".join(item.parts[key]))]
            key = next((key for key in fitting if key[1] == index), next(iter(fitting), None))
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

    def _grow(self, item: _Item, part: str, index: int, piece: str) -> Chunks:
        """Add a piece. Some send reasoning as a summary and at length: then the long form is left out."""
        if not piece or (part == "reasoning_text" and any(key[0] == "summary_text" for key in item.parts)):
            return []
        pieces = item.parts.setdefault((part, index), [])
        pieces.append(piece)
        if part == "output_text":
            self.text.append(piece)
            return [ChatCompletionChunk(piece)]
        if item.call is not None:
            return [ChatCompletionChunk(tool_calls=(self.calls.grow(item.call, "", "", piece),))]
        if part == "refusal":
            return []
        lead = BREAK if self._reasons and len(pieces) == 1 else ""
        self._reasons = True
        return [ChatCompletionChunk("", lead + piece)]

    def _take_end(self, stage: str) -> Chunks:
        """Take the whole response."""
        response = self.rest
        status = string(response.get("status")) or stage
        if response.get("error"):
            raise read_failure(response)
        if status not in ("completed", "incomplete"):
            raise ProviderError(f"the answer is incomplete: {status}")
        chunks: Chunks = []
        for known, kind, given in _match_items(self._items, objects(response.get("output"))):
            item = known or self._begin_item(kind)
            chunks += self._take_names(item, given) + self._fill(item, given)
        reason = "stop"
        if status == "incomplete":
            reason = string(mapping(response.get("incomplete_details")).get("reason")) or status
        self.finish_reason = read_finish(reason, bool(self.calls))
        self.marked = True
        return [*chunks, ChatCompletionChunk(finish_reason=self.finish_reason)]

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls; one without a call id goes by the id of its item."""
        for item in self._items:
            if item.call is not None:
                item.call.id = item.call.id or item.id
        return self.calls.build()

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return _build_reasoning(self._items)

    def read_refusal(self) -> str:
        """Join the refusal."""
        parts = [pieces for item in self._items for (part, _), pieces in item.parts.items() if part == "refusal"]
        return "".join(piece for pieces in parts for piece in pieces)

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(self.usage)

    def read_unpriced(self) -> tuple[str, ...]:
        """List the calls of OpenAI's own tools, and what else may cost something beside the tokens."""
        kinds = [string(item.get("type")) for item in objects(self.rest.get("output"))]
        counts = {kind.replace("_", " "): kinds.count(kind) for kind in _BILLED if kind in kinds}
        uses = (f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in counts.items())
        return (*super().read_unpriced(), *uses)

    def read_raw(self) -> Any:
        """Return the response as the last event had it."""
        return self.rest or None


def _is_same(item: _Item, given: dict[str, Any], item_id: str, event: str) -> bool:
    """Return whether an item that begins or is whole is the one that stands in its place so far."""
    if item_id and item_id == item.id:
        return True
    if item.closed or (item_id and item.id and event.endswith("added")):
        return False
    return item.call is None or item.fits(*_describe(given))


def _match_items(items: list[_Item], output: list[dict[str, Any]]) -> list[tuple[_Item | None, str, dict[str, Any]]]:
    """Pair the items of a whole response with those that have arrived, by id, by what they hold, or by order.

    Each is (the item, None where it is new; its kind; the whole item).
    """
    free, pairs = items.copy(), []
    for given in output:
        kind = _ITEMS.get(string(given.get("type")))
        if not kind:
            continue
        known = [item for item in free if item.type == kind]
        fitting = [item for item in known if item.fits(*_describe(given))]
        same_id = [item for item in known if item.id and item.id == given.get("id")]
        rest = [] if kind == "function_call" else known
        item = next(iter(same_id + [item for item in fitting if item.text] + fitting + rest), None)
        if item:
            free.remove(item)
        pairs.append((item, kind, given))
    return pairs


def _read_arguments(given: dict[str, Any]) -> str:
    value = given.get("arguments") or given.get("input")
    return to_json(value).decode() if isinstance(value, dict) else string(value)


def _list_parts(kind: str, given: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """List the parts of a whole message or reasoning: (what it is, index, text)."""
    content = given.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts = []
    for entries in (objects(given.get("summary")), objects(content)):
        for index, entry in enumerate(entries):
            if part := _PARTS[kind].get(string(entry.get("type"))):
                parts.append((part, index, entry.get("refusal" if part == "refusal" else "text")))
    return parts


def _describe(given: dict[str, Any]) -> tuple[str, str, str]:
    """Return (name, call id, text) of a whole item."""
    kind = _ITEMS.get(string(given.get("type")), "")
    if kind == "function_call":
        return string(given.get("name")), string(given.get("call_id")), _read_arguments(given)
    return "", "", "".join(string(text) for _, _, text in _list_parts(kind, given)) if kind else ""


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
