"""Turns and conversations, as values.

Every type reads OpenAI-style dicts and writes them again (`model_dump()`, JSON). `Conversation` also reads a plain
string (one user turn), a single dict, and lists of strings, dicts, turns and completions. Images, figures and files
can be used in a turn's content directly (`media.attach` reads them). An image alone is a user turn; a list of images,
or of strings and images, is one user turn, while a list of strings is one turn per string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, SupportsInt, overload

from msgspec import Meta

from nbkit.arguments import check_arguments, describe
from nbkit.conversation.content import (
    AudioEntry,
    ContentEntry,
    FileEntry,
    ImageEntry,
    NativeContent,
    Reasoning,
    TextEntry,
    prepare_entry,
)
from nbkit.conversation.media import attach, is_media
from nbkit.conversation.problems import explain_word
from nbkit.conversation.reasoning import read_reasoning, write_reasoning
from nbkit.conversation.summary import summarize_turn, summarize_turns
from nbkit.conversation.tools import FunctionCall, ToolCall
from nbkit.conversation.trim import count_roughly, trim_turns
from nbkit.conversation.values import Value, new, to_plain
from nbkit.errors import ConversationError

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


# Output-only keys of the SDKs' assistant messages, which people append to their lists unchanged; the last two, of
# Mistral and Moonshot, say that a message is to be continued, as every last one of the assistant is here.
_IGNORED = frozenset({"annotations", "audio", "refusal", "provider_specific_fields", "prefix", "partial"})


class _BaseTurn(Value, frozen=True, kw_only=True):
    """Base of all turns: reads and writes OpenAI's format, without keys that are None."""

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        data = {key: value for key, value in data.items() if value is not None or key == "content"}
        if isinstance(content := data.get("content"), list | tuple):
            data["content"] = tuple(_read_entry(piece, place) for place, piece in enumerate(content))
        elif not isinstance(content, str | None):
            raise ValueError(f"content: expected text or a list, got {describe(content)}")
        for name, kind in (("tool_calls", ToolCall), ("function_call", FunctionCall)):
            if isinstance(data.get(name), dict):
                data[name] = kind._prepare(data[name])
            elif isinstance(data.get(name), list | tuple):
                data[name] = tuple(kind._prepare(call) if isinstance(call, dict) else call for call in data[name])
        if data.get("role") == "assistant":
            if data.get("content") is None and isinstance(data.get("refusal"), str):
                data["content"] = data["refusal"]
            data = {key: value for key, value in data.items() if key not in _IGNORED}
            data = read_reasoning(data)
        if isinstance(content := data.get("content"), tuple):
            data["content"] = tuple(_prepare_entry(piece, place) for place, piece in enumerate(content))
        return data

    def model_dump(self) -> dict[str, Any]:
        """Write OpenAI's message."""
        out: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "reasoning":
                out |= write_reasoning(value)
            elif value is not None or name == "content":
                out[name] = to_plain(value)
        return out

    @property
    def entries(self) -> tuple[ContentEntry, ...]:
        """The content as entries; none if it is empty."""
        content: str | tuple[ContentEntry, ...] | None = getattr(self, "content", None)
        if isinstance(content, tuple):
            return content
        return (new(TextEntry, text=content),) if content else ()

    @property
    def media(self) -> tuple[ImageEntry | FileEntry | AudioEntry, ...]:
        """The images, files and recordings."""
        content: str | tuple[ContentEntry, ...] | None = getattr(self, "content", None)
        if isinstance(content, tuple):
            return tuple(entry for entry in content if not isinstance(entry, TextEntry))
        return ()

    @property
    def text(self) -> str:
        """The turn's text, without images, files and recordings."""
        content: str | tuple[ContentEntry, ...] | None = getattr(self, "content", None)
        if isinstance(content, str):
            return content
        return "".join(entry.text for entry in self.entries if isinstance(entry, TextEntry))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {summarize_turn(self)}>"

    __str__ = __repr__


def _read_entry(piece: Any, place: int) -> Any:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    if isinstance(piece, dict | Value):
        return piece
    try:
        return attach(piece)
    except ConversationError as invalid:
        problem = str(invalid)
    raise ValueError(f"content[{place}]: {problem}")


def _prepare_entry(piece: Any, place: int) -> Any:
    try:
        return prepare_entry(piece)
    except ValueError as invalid:
        problem = str(invalid)
    raise ValueError(f"content[{place}].{problem}")


class Turn(_BaseTurn, frozen=True, kw_only=True):
    """Text of the system, the user or the assistant."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str
    name: str | None = None
    reasoning: tuple[Reasoning, ...] = ()
    native: NativeContent | None = None


_TEXT_ROLES = frozenset(("system", "developer", "user", "assistant"))


def _make_text_turn(role: str, content: str) -> Turn:
    """Make what `Turn(role=role, content=content)` is, of one of these roles and a string."""
    turn: Turn = new(Turn, role=role, content=content)
    return turn


class ContentTurn(_BaseTurn, frozen=True, kw_only=True):
    """Text, images, files and recordings. Among the entries, strings and the values that `attach` reads are allowed."""

    role: Literal["system", "developer", "user", "assistant"]
    content: tuple[ContentEntry, ...]
    name: str | None = None
    reasoning: tuple[Reasoning, ...] = ()
    native: NativeContent | None = None


class ToolsCallTurn(_BaseTurn, frozen=True, kw_only=True):
    """An assistant turn that calls tools; it may contain text and reasoning, too."""

    role: Literal["assistant"] = "assistant"
    content: str | tuple[ContentEntry, ...] | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], Meta(min_length=1)]
    reasoning: tuple[Reasoning, ...] = ()
    native: NativeContent | None = None


class ToolOutputTurn(_BaseTurn, frozen=True, kw_only=True):
    """Output of a tool for the call `tool_call_id`. Reads null as an empty output."""

    role: Literal["tool"] = "tool"
    content: str | tuple[ContentEntry, ...]
    tool_call_id: str
    name: str | None = None
    reasoning: ClassVar[tuple[Reasoning, ...]] = ()
    native: ClassVar[NativeContent | None] = None


class FunctionCallTurn(_BaseTurn, frozen=True, kw_only=True):
    """An assistant turn with OpenAI's deprecated `function_call`."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    function_call: FunctionCall
    reasoning: tuple[Reasoning, ...] = ()
    native: ClassVar[NativeContent | None] = None


class FunctionOutputTurn(_BaseTurn, frozen=True, kw_only=True):
    """Output of a function, for OpenAI's deprecated `function_call`."""

    role: Literal["function"] = "function"
    name: str
    content: str
    reasoning: ClassVar[tuple[Reasoning, ...]] = ()
    native: ClassVar[NativeContent | None] = None


AnyTurn = Turn | ContentTurn | ToolsCallTurn | ToolOutputTurn | FunctionCallTurn | FunctionOutputTurn
_TURNS = (Turn, ContentTurn, ToolsCallTurn, ToolOutputTurn, FunctionCallTurn, FunctionOutputTurn)


def _choose_type(data: dict[str, Any]) -> type[_BaseTurn]:
    """Choose the type of a turn by the dict's role and keys, not by trial and error."""
    if data["role"] == "tool":
        return ToolOutputTurn
    if data["role"] == "function":
        return FunctionOutputTurn
    if data.get("tool_calls"):
        return ToolsCallTurn
    if data.get("function_call"):
        return FunctionCallTurn
    return ContentTurn if isinstance(data.get("content"), list | tuple) else Turn


def _is_piece(value: Any) -> bool:
    """Tell whether a value other than a string can be an entry of a turn's content."""
    return isinstance(value, TextEntry | ImageEntry | FileEntry | AudioEntry) or is_media(value)


def _mark_last(message: dict[str, Any], mark: Any) -> dict[str, Any]:
    """Move a message's mark for the cache, as routers take it, to the last part of its content."""
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
    if not isinstance(parts, list | tuple) or not parts or not isinstance(parts[-1], dict):
        return message
    return message | {"content": [*parts[:-1], {"cache_control": mark} | parts[-1]]}


def _read_plain(value: Any) -> Turn | None:
    """Read a string, or a dict of a role and a string, which nearly all are; None for anything else."""
    if isinstance(value, str):
        return _make_text_turn("user", value) if type(value) is str else Turn(role="user", content=value)
    if type(value) is not dict or len(value) != 2:
        return None
    role, content = value.get("role"), value.get("content")
    if type(content) is str and type(role) is str and role in _TEXT_ROLES:
        return _make_text_turn(role, content)
    return None


def to_turn(value: Any, index: int = 0) -> AnyTurn:
    """Read one turn: a turn, a completion, a string or an image (a user turn) or an OpenAI-style dict.

    Raises ConversationError, which names `index` and what was expected.
    """
    if plain := _read_plain(value):
        return plain
    if isinstance(value, _TURNS):
        return value
    if isinstance(turn := getattr(value, "turn", None), _TURNS):  # a ChatCompletion
        return turn
    if _is_piece(value):
        value = {"role": "user", "content": value}
    elif hasattr(value, "model_dump"):  # an SDK's message object
        value = value.model_dump()
    if not isinstance(value, dict):
        raise ConversationError(f"turn {index}: expected a string, a dict or a turn, got {describe(value)}")
    if value.get("role") not in ROLES:
        raise ConversationError(f"turn {index}: {explain_word(value, 'role', ROLES)}")
    if _is_piece(value.get("content")):
        value = value | {"content": [value["content"]]}
    if mark := value.get("cache_control"):
        value = {key: item for key, item in _mark_last(value, mark).items() if key != "cache_control"}
    kind_of_turn = _choose_type(value)
    data = {key: item for key, item in value.items() if item or key not in ("tool_calls", "function_call")}
    if kind_of_turn is Turn and data["role"] == "assistant" and data.get("content") is None:
        data["content"] = value.get("refusal") or ""  # the SDKs write null for an answer without text
    if kind_of_turn is ToolOutputTurn and data.get("content", "") is None:
        data["content"] = ""
    try:
        return kind_of_turn.read(data)  # type: ignore[return-value]
    except ValueError as invalid:
        problem = str(invalid)
    raise ConversationError(f"turn {index} ({value['role']}): {problem}")


class Conversation(Value, frozen=True, kw_only=True):
    """Turns, in order. Immutable: `conversation + turn` makes a new one.

    `Conversation("Hello")`, `Conversation([{"role": "user", "content": "Hello"}, ...])`,
    `Conversation(["What is this?", Path("cat.png")])`.
    """

    turns: tuple[AnyTurn, ...] = ()

    if TYPE_CHECKING:

        def __init__(self, turns: Any = (), /, **data: Any) -> None: ...

    @classmethod
    def _make(cls, turns: Any = (), /, **fields: Any) -> Conversation:
        made: Conversation = new(cls, turns=_to_turns(fields.get("turns", fields) if fields else turns))
        return made

    @classmethod
    def read(cls, data: Any) -> Conversation:
        """Read whatever `Conversation()` takes. Raises ConversationError."""
        return cls._make(data)

    def model_dump(self) -> dict[str, Any]:
        """Write the turns as OpenAI's messages."""
        return {"turns": self.to_openai()}

    def to_openai(self) -> list[dict[str, Any]]:
        """Write the conversation as OpenAI-style message dicts."""
        return [turn.model_dump() for turn in self.turns]

    @property
    def is_text(self) -> bool:
        """Whether each turn is plain text: no media, no list of parts, no calls and no outputs."""
        return _TEXT_TURNS.issuperset(map(type, self.turns))

    @property
    def text(self) -> str:
        """The text of all turns, without images, files and recordings."""
        return "\n".join(turn.text for turn in self.turns)

    def __add__(self, other: Any) -> Conversation:
        return Conversation(self.turns + _to_turns(other))

    def __len__(self) -> int:
        return len(self.turns)

    @overload
    def __getitem__(self, index: int) -> AnyTurn: ...

    @overload
    def __getitem__(self, index: slice) -> Conversation: ...

    def __getitem__(self, index: int | slice) -> AnyTurn | Conversation:
        return Conversation(self.turns[index]) if isinstance(index, slice) else self.turns[index]

    @check_arguments
    def trimmed(self, tokens: int, count: Callable[[Conversation], SupportsInt] | None = None) -> Conversation:
        """Leave out the oldest turns, so that what is left has at most about `tokens` tokens.

        System turns at the beginning and the last turn of the user, with all that follows it, always stay; the turns
        between go whole, from one turn of the user to the next, so that tool calls stay with their outputs. `count`
        counts a conversation's tokens, `nbkit.count_tokens` for example; without it four characters count as one.
        """
        measure = count or count_roughly
        turns = trim_turns(self.turns, lambda turns: int(measure(Conversation(turns))) <= tokens)
        return self if turns == self.turns else Conversation(turns)

    def __iter__(self) -> Iterator[AnyTurn]:
        return iter(self.turns)

    def __repr__(self) -> str:
        return summarize_turns(self.turns) or "<an empty Conversation>"

    __str__ = __repr__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the turns in a cell, rendered. Only a notebook calls this."""
        from nbkit import _write_conversation  # the root of the package knows the room that can

        return _write_conversation(self)


_TURNS_OR_DICTS = frozenset((*_TURNS, dict))
_TEXT_TURNS = frozenset((Turn,))


def _to_turns(value: Any) -> tuple[AnyTurn, ...]:
    if isinstance(value, Conversation):
        return value.turns
    if plain := _read_plain(value):
        return (plain,)
    if type(value) in (list, tuple) and _TURNS_OR_DICTS.issuperset(map(type, value)):
        return tuple(to_turn(turn, index) for index, turn in enumerate(value))
    if isinstance(value, dict) and set(value) == {"turns"}:
        value = value["turns"]
    if isinstance(value, list | tuple) and _is_one_turn(value):
        value = {"role": "user", "content": value}
    single = isinstance(value, (str, dict, *_TURNS)) or hasattr(value, "turn") or _is_piece(value)
    if single:
        return (to_turn(value),)
    # Other values to loop over are not lists of turns: a DataFrame gives the names of its columns, a set has no order.
    if not isinstance(value, Sequence | Iterator):
        raise ConversationError(f"expected a string, a turn or a list of them, got {describe(value)}")
    return tuple(to_turn(turn, index) for index, turn in enumerate(value))


def _is_one_turn(values: list[Any] | tuple[Any, ...]) -> bool:
    """Tell whether a list is the content of one turn: images, files or recordings, with or without strings."""
    return all(isinstance(v, str) or _is_piece(v) for v in values) and not all(isinstance(v, str) for v in values)
