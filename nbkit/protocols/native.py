"""Content that only one protocol has a form for, in its place: the work of providers' own tools, sent back as it came.

The turn keeps text, reasoning and calls where every turn has them; its `native` has the rest, and the order of all. So
what becomes of a turn on its way (another id of a call, a text that is trimmed) becomes of what is sent, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from nbkit.conversation.completion import Change
from nbkit.conversation.content import ContentEntry, NativeContent, Reasoning, TextEntry
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation
from nbkit.protocols import PROTOCOLS

_NOTHING: dict[str, Any] = {}


class Piece(NamedTuple):
    """A piece of an answer, as one of its kinds; `data` is what the protocol keeps beside it, or a whole block."""

    text: str = ""
    reasoning: tuple[Reasoning, ...] = ()
    call: ToolCall | None = None
    entry: ContentEntry | None = None
    data: dict[str, Any] = _NOTHING


def fit_native(conversation: Conversation, protocol: str) -> tuple[Conversation, tuple[Change, ...]]:
    """Leave out what another protocol's answers hold in its own form."""
    if not any(turn.native for turn in conversation.turns):
        return conversation, ()
    own = PROTOCOLS[protocol].native if protocol in PROTOCOLS else ""
    natives: list[NativeContent | None] = [turn.native for turn in conversation.turns]
    if all(native is None or native.protocol == own for native in natives):
        return conversation, ()
    turns, changes = [], []
    for turn, native in zip(conversation.turns, natives, strict=True):
        foreign = native is not None and native.protocol != own
        turns.append(replace(turn, native=None) if foreign else turn)
        if native and foreign and (what := native.describe()):
            changes.append(Change("dropped", what, f"only {native.protocol} takes it back"))
    return Conversation(turns), tuple(dict.fromkeys(changes))


def list_pieces(turn: AnyTurn, native: NativeContent) -> Iterator[Piece]:
    """List the pieces of a turn in the order in which they came.

    What the turn has more of than its answer had comes as early as it can; what it has less of is left out.
    """
    text, calls, blocks = turn.text, list(getattr(turn, "tool_calls", ())), list(getattr(turn, "reasoning", ()))
    counts = {kind: sum(part.length for part in native.parts if part.kind == kind) for kind in ("text", "reasoning")}
    if surplus := blocks[: max(len(blocks) - counts["reasoning"], 0)]:
        yield Piece(reasoning=tuple(surplus))
        del blocks[: len(surplus)]
    last_text = max((n for n, part in enumerate(native.parts) if part.kind == "text"), default=None)
    media = [entry for entry in turn.entries if not isinstance(entry, TextEntry)]
    if last_text is None and text:
        yield Piece(text)
    for number, part in enumerate(native.parts):
        if part.kind == "text":
            end = len(text) if number == last_text else part.length
            # citations belong to the text as it came, not to one that was edited
            yield Piece(text[:end], data=part.data if min(end, len(text)) == part.length else _NOTHING)
            text = text[end:]
        elif part.kind == "reasoning":
            yield Piece(reasoning=tuple(blocks[: part.length]))
            del blocks[: part.length]
        elif part.kind == "other":
            yield Piece(data=part.data)
        elif calls:
            yield Piece(call=calls.pop(0), data=part.data)
    yield from (Piece(entry=entry) for entry in media)
    yield from (Piece(call=call) for call in calls)
