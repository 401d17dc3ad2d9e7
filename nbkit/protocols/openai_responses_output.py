"""Items of the output of OpenAI's Responses API, being put together: `openai_responses_answer` reads the events.

Items of the tools that OpenAI runs itself, and compactions, are kept as they came, to be sent back.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.content import NativeContent, NativePart, Reasoning
from nbkit.json_text import write_json
from nbkit.protocols.calls import Call
from nbkit.protocols.openai_responses_items import BREAK, FORMAT, NATIVE
from nbkit.protocols.reading import join_arguments, objects, string

# Kinds of items -> the kind that they are read as. A custom tool's call is one whose arguments are plain text. Items
# that are not named here are OTHER.
ITEMS = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
    "custom_tool_call": "function_call",
}
# Kind of an item -> its parts, as they are typed on the wire -> what they are. LiteLLM types reasoning as output_text.
PARTS = {
    "message": {"output_text": "output_text", "text": "output_text", "refusal": "refusal"},
    "reasoning": {
        "summary_text": "summary_text",
        "reasoning_text": "reasoning_text",
        "output_text": "reasoning_text",
        "text": "reasoning_text",
    },
    "function_call": {"arguments": "arguments"},
}
OTHER = "other"
Part = tuple[str, int]


class Item:
    """An item of the output being put together."""

    __slots__ = ("announced", "call", "closed", "data", "ended", "id", "parts", "type", "whole")

    def __init__(self, kind: str, call: Call | None) -> None:
        self.type, self.call = kind, call
        self.id = self.data = ""
        self.announced = self.closed = False
        self.parts: dict[Part, list[str]] = {}  # (part, index) -> its pieces
        self.ended: set[Part] = set()
        self.whole: dict[str, Any] = {}  # the item as the last event about it had it

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


def find_kind(given: dict[str, Any]) -> str:
    """Return the kind as which an item is read; "" where it does not say what it is."""
    wire_type = string(given.get("type"))
    return ITEMS.get(wire_type, OTHER) if wire_type else ""


def is_same(item: Item, given: dict[str, Any], item_id: str, event: str) -> bool:
    """Return whether an item that begins or is whole is the one that stands in its place so far."""
    if item_id and item_id == item.id:
        return True
    if item.closed or (item_id and item.id and event.endswith("added")):
        return False
    return item.call is None or item.fits(*_describe(given))


def match_items(items: list[Item], output: list[dict[str, Any]]) -> list[tuple[Item | None, str, dict[str, Any]]]:
    """Pair the items of a whole response with those that have arrived, by id, by what they hold, or by order.

    Each is (the item, None where it is new; its kind; the whole item).
    """
    free, pairs = items.copy(), []
    for given in output:
        kind = find_kind(given)
        if not kind:
            continue
        known = [item for item in free if item.type == kind]
        if kind == OTHER:
            known = [item for item in known if item.whole.get("type") == given["type"]]
        fitting = [item for item in known if item.fits(*_describe(given))]
        same_id = [item for item in known if item.id and item.id == given.get("id")]
        rest = [] if kind == "function_call" else known
        item = next(iter(same_id + [item for item in fitting if item.text] + fitting + rest), None)
        if item:
            free.remove(item)
        pairs.append((item, kind, given))
    return pairs


def read_arguments(given: dict[str, Any]) -> str:
    """Return the arguments of a whole call as text."""
    value = given.get("arguments") or given.get("input")
    return write_json(value).decode() if isinstance(value, dict) else string(value)


def list_parts(kind: str, given: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """List the parts of a whole message or reasoning: (what it is, index, text)."""
    content = given.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts = []
    for entries in (objects(given.get("summary")), objects(content)):
        for index, entry in enumerate(entries):
            if part := PARTS[kind].get(string(entry.get("type"))):
                parts.append((part, index, entry.get("refusal" if part == "refusal" else "text")))
    return parts


def _describe(given: dict[str, Any]) -> tuple[str, str, str]:
    """Return (name, call id, text) of a whole item."""
    kind = ITEMS.get(string(given.get("type")), "")
    if kind == "function_call":
        return string(given.get("name")), string(given.get("call_id")), read_arguments(given)
    return "", "", "".join(string(text) for _, _, text in list_parts(kind, given)) if kind else ""


def build_reasoning(items: list[Item]) -> tuple[Reasoning, ...]:
    """Build the blocks: each part of a summary is one; the encrypted data stand in the first."""
    blocks: list[Reasoning] = []
    for item in items:
        if item.type != "reasoning":
            continue
        opaque: dict[str, Any] = {"format": FORMAT} if item.data else {}
        for number, text in enumerate(_list_thoughts(item)):
            lead = BREAK if text and any(block.text for block in blocks) else ""
            data = None if number else item.data or None
            blocks.append(Reasoning(text=lead + text, data=data, id=item.id or None, **opaque))
    return tuple(blocks)


def _list_thoughts(item: Item) -> list[str]:
    """List the texts of an item of reasoning, one for each block."""
    texts = ["".join(pieces) for pieces in item.parts.values()]
    if not item.data:
        return texts and [BREAK.join(texts)]
    return texts or [""]


def build_native(items: list[Item]) -> NativeContent | None:
    """Build the order of all items, and those of the tools that OpenAI runs itself; None where there are none.

    A call that waits for an output of the caller's computer or shell is left out: no turn can bring the output.
    """
    others = [item.whole for item in items if item.type == OTHER]
    ids = [other.get("call_id") for other in others]
    waiting = [
        other
        for other in others
        if other.get("call_id") and string(other["type"]).endswith("_call") and ids.count(other["call_id"]) == 1
    ]
    if len(waiting) == len(others):
        return None
    parts = [part for item in items if item.whole not in waiting and (part := _describe_part(item))]
    return NativeContent(protocol=NATIVE, parts=tuple(parts))


def _describe_part(item: Item) -> NativePart | None:
    """Describe an item as a part of the answer; None for an empty one."""
    if item.type == OTHER:
        return NativePart(kind="other", data=item.whole)
    if item.call is not None:
        return NativePart(kind="call")
    if item.type == "reasoning":
        length = len(_list_thoughts(item))
        return NativePart(kind="reasoning", length=length) if length else None
    length = sum(len(piece) for (part, _), pieces in item.parts.items() if part == "output_text" for piece in pieces)
    return NativePart(kind="text", length=length, data=_list_own(item.whole)) if length else None


def _list_own(message: dict[str, Any]) -> dict[str, Any]:
    """List what only this API can hold of a message: its phase, and the annotations of a text that is all of it."""
    own = {"phase": message["phase"]} if message.get("phase") else {}
    content = objects(message.get("content"))
    if len(content) == 1 and message.get("id") and message.get("status") and content[0].get("annotations"):
        own |= {key: message[key] for key in ("id", "status")} | {"annotations": content[0]["annotations"]}
    return own
