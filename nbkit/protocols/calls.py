"""Tool calls being put together from the pieces of a stream.

`find_call` decides which call a piece belongs to, for every protocol that joins: by the index and the id, where there
are such, by the name, and by whether the arguments so far are a whole JSON object. Whole calls are never merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nbkit.conversation.completion import ToolCallDelta
from nbkit.conversation.tools import ToolCall
from nbkit.json_text import read_json, write_json
from nbkit.protocols.reading import join_arguments, string

Index = int | str | None

NAMELESS = "the answer has a tool call without a name"


class Call:
    """A tool call being put together."""

    __slots__ = ("id", "index", "name", "pieces", "place", "signature", "value", "wire_id")

    def __init__(self, place: int, index: Index = None) -> None:
        self.place, self.index = place, index
        self.wire_id = ""
        """The id as the server gives it; `id` is another one where two calls have the same."""
        self.id = self.name = ""
        self.signature: str | None = None
        self.pieces: list[str] = []
        self.value: Any = None
        """Arguments that came as an object at the beginning; they count where no pieces come."""

    @property
    def text(self) -> str:
        """The arguments so far."""
        return "".join(self.pieces)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments so far are a whole JSON object."""
        if not (self.pieces and self.pieces[-1].rstrip().endswith("}")):
            return False
        try:
            return isinstance(read_json(self.text), dict)
        except ValueError:
            return False


def find_call(calls: Sequence[Call], index: Index, call_id: str, name: str, piece: str) -> Call | None:
    """Find the call that a piece continues; None where it begins another one. Pure."""
    same_id = next((call for call in reversed(calls) if call_id and call.wire_id == call_id), None)
    if index is not None:
        call = next((call for call in reversed(calls) if call.index == index), None)
        if not name and same_id and (call is None or call.wire_id != call_id):
            call = same_id  # the index counts pieces, not calls
    elif same_id or not calls:
        call = same_id
    else:  # Gemini's shim, older Ollama and SGLang send no index: another id with a name is another call
        call = None if call_id and (name or calls[-1].is_whole) else calls[-1]
    return call if call and continues(call, index, call_id, name, piece) else None


def continues(call: Call, index: Index, call_id: str, name: str, piece: str) -> bool:
    """Return whether a piece continues the call that has its index or its id, or was the last. Pure."""
    other_id = bool(call_id and call.wire_id and call.wire_id != call_id)
    if not name:  # arguments alone
        return not (other_id and call.is_whole)
    if not call.name:  # the name comes after the first piece
        return not other_id
    if name != call.name:
        return False
    # The same name again: some repeat it in every piece, but it may also be another call of the same tool.
    if call.is_whole:
        return not other_id and (not piece or (bool(call_id) and piece == call.text))
    if not call.pieces:
        return not other_id and (index is not None or bool(call_id) or bool(piece))
    return True  # arguments that are not whole go on, also where each piece has an id of its own


class Calls:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @property
    def all_whole(self) -> bool:
        """Whether there are calls, and all of them are whole."""
        return bool(self._calls) and all(call.name and call.is_whole for call in self._calls)

    @property
    def nameless(self) -> bool:
        """Whether a call has no name."""
        return not all(call.name for call in self._calls)

    def begin(self, index: Index = None) -> Call:
        """Begin another call."""
        call = Call(len(self._calls), index)
        self._calls.append(call)
        return call

    def take(self, index: Any, call_id: str, name: str, arguments: Any) -> tuple[Call, ToolCallDelta]:
        """Take a piece: the call that it belongs to, and what is new in it.

        `arguments` is text, a piece of it or all, or a whole JSON value.
        """
        index = index if isinstance(index, int | str) and not isinstance(index, bool) and index != "" else None
        piece = "" if arguments is None else arguments if isinstance(arguments, str) else write_json(arguments).decode()
        call = find_call(self._calls, index, call_id, name, piece) or self.begin(index)
        return call, self.grow(call, call_id, name, piece)

    def grow(self, call: Call, call_id: str, name: str, piece: str) -> ToolCallDelta:
        """Add a piece to a call. Some repeat id, name or all of the call: the pieces have them once."""
        new_id, new_name = "", ""
        if call_id and not call.wire_id:
            taken = any(other.id == call_id for other in self._calls)
            call.wire_id = call_id
            call.id = new_id = f"{call_id}_{call.place}" if taken else call_id  # an output answers one call
        if name and not call.name:
            call.name = new_name = name
        elif name and piece and call.is_whole:
            piece = ""
        if piece:
            call.pieces.append(piece)
        return ToolCallDelta(call.place, new_id, new_name, piece)

    def build(self, answer_id: str = "", *, made_up: str = "") -> tuple[ToolCall, ...]:
        """Build the calls that have a name. One without an id could not be answered: it gets one."""
        ending = made_up or (f"_{answer_id}" if answer_id else "")
        return tuple(
            ToolCall(
                id=call.id or f"call_{call.place}{ending}"[:40],
                name=call.name,
                arguments=join_arguments(call.pieces, call.value),
                signature=call.signature,
            )
            for call in self._calls
            if call.name
        )


def read_function(entry: dict[str, Any]) -> tuple[str, str, Any]:
    """Read (id, name, arguments) of a tool call in OpenAI's form."""
    function = entry.get("function")
    function = function if isinstance(function, dict) else {}
    return string(entry.get("id")), string(function.get("name")), function.get("arguments")
