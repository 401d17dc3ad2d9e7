"""Transforms of turns for models that do not accept every conversation: one for each rule that some model has.

`fit_turns` makes new turns and lists the changes; the given turns are never modified. Where a turn must be added, its
text is as short as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from nbkit.conversation.completion import Change
from nbkit.conversation.content import ContentEntry, TextEntry
from nbkit.conversation.tool_turns import NO_OUTPUT, pair_outputs
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import (
    AnyTurn,
    ContentTurn,
    Conversation,
    FunctionCallTurn,
    FunctionOutputTurn,
    ToolOutputTurn,
    ToolsCallTurn,
    Turn,
)

PLACEHOLDER = "."
"""Text of a turn of the user that is added where one is required."""
CONTINUE = "Continue."
"""Text of a turn of the user that is added behind the assistant's, which must not be the last."""
Turns = list[AnyTurn]
Note = Callable[[str, str, str], None]
"""Function that lists a change: kind, what, why."""


def fit_turns(conversation: Conversation, lacks: Collection[str]) -> tuple[Conversation, tuple[Change, ...]]:
    """Fit a conversation to a model that `lacks` some of the keys of TRANSFORMS; return it with the changes."""
    needed = (_OF_TEXT if conversation.is_text else _ALL).intersection(lacks)
    if not needed:
        return conversation, ()
    turns, changes = list(conversation.turns), []

    def note(kind: str, what: str, why: str) -> None:
        changes.append(Change(kind, what, why))

    for transform in _choose(needed):
        turns = transform(turns, note)
    unchanged = turns == list(conversation.turns)
    return conversation if unchanged else Conversation(turns), tuple(dict.fromkeys(changes))


@lru_cache(1000)
def _choose(names: frozenset[str]) -> tuple[Callable[[Turns, Note], Turns], ...]:
    """Choose transforms by their names; they keep their order."""
    return tuple(transform for name, transform in TRANSFORMS.items() if name in names)


def _convert_function_calls(turns: Turns, note: Note) -> Turns:
    """Convert OpenAI's deprecated function calls into tool calls, whose ids count the calls."""
    out: Turns = []
    calls: dict[str, str] = {}  # function -> the id of its last call
    for turn in turns:
        if isinstance(turn, FunctionCallTurn):
            function = turn.function_call
            calls[function.name] = call_id = f"call_function_{len(out)}"
            call = ToolCall(id=call_id, name=function.name, arguments=function.arguments)
            out.append(ToolsCallTurn(content=turn.content, tool_calls=(call,), reasoning=turn.reasoning))
        elif isinstance(turn, FunctionOutputTurn):
            call_id = calls.get(turn.name, f"call_function_{len(out)}")
            out.append(ToolOutputTurn(content=turn.content, tool_call_id=call_id, name=turn.name))
        else:
            out.append(turn)
            continue
        note("renamed", "function_call", "deprecated: sent as a tool call")
    return out


def _is_system(turn: AnyTurn) -> bool:
    return turn.role in ("system", "developer")


def _count_leading(turns: Turns) -> int:
    """Count the system turns at the beginning."""
    return sum(1 for _ in takewhile(_is_system, turns))


def _to_user(turn: AnyTurn) -> AnyTurn:
    return replace(turn, role="user", name=None)


def _replace_system(turns: Turns, note: Note) -> Turns:
    if any(map(_is_system, turns)):
        note("transformed", "system", "the model does not accept system turns: sent as the user's")
    return [_to_user(turn) if _is_system(turn) else turn for turn in turns]


def _replace_lone_system(turns: Turns, note: Note) -> Turns:
    if not all(map(_is_system, turns)):
        return turns
    note("transformed", "system", "the model needs a turn besides the system's: sent as the user's")
    return [_to_user(turn) for turn in turns]


def _replace_later_system(turns: Turns, note: Note) -> Turns:
    """Send later system turns as the user's, in tags."""
    first = _count_leading(turns)
    if any(map(_is_system, turns[first:])):
        note("transformed", "system turn", "not at the beginning: sent as the user's, in <system> tags")
    later = [_tag(turn) if _is_system(turn) else turn for turn in turns[first:]]
    return turns[:first] + later


def _tag(turn: AnyTurn) -> AnyTurn:
    if isinstance(turn, ContentTurn):
        content = (TextEntry(text="<system>\n"), *turn.content, TextEntry(text="\n</system>"))
        return ContentTurn(role="user", content=content)
    return Turn(role="user", content=f"<system>\n{turn.text}\n</system>")


def _merge_system(turns: Turns, note: Note) -> Turns:
    first = _count_leading(turns)
    if first > 1:
        note("transformed", "system turns", "the model accepts one only: merged")
        turns = [_merge(turns[:first]), *turns[first:]]
    return _replace_later_system(turns, note)


def _join_texts(turns: Turns, note: Note) -> Turns:
    """Write content as a string where all entries are text."""
    return [turn if isinstance(turn.content, str) else _to_text(turn) for turn in turns]


def _to_text(turn: AnyTurn) -> AnyTurn:
    if any(not isinstance(entry, TextEntry) for entry in turn.entries):
        return turn
    if isinstance(turn, ContentTurn):
        kept: dict[str, Any] = {"reasoning": turn.reasoning, "native": turn.native}
        return Turn(role=turn.role, content=turn.text, name=turn.name, **kept)
    return replace(turn, content=turn.text)


def _is_empty(entry: ContentEntry) -> bool:
    return isinstance(entry, TextEntry) and not entry.text.strip()


def _is_full(entries: tuple[ContentEntry, ...]) -> bool:
    return bool(entries) and not any(map(_is_empty, entries))


def _drop_empty(turns: Turns, note: Note) -> Turns:
    """Drop empty texts, and turns that contain nothing else."""
    out: Turns = []
    for turn in turns:
        if turn.content.strip() if isinstance(turn.content, str) else _is_full(turn.entries):
            out.append(turn)
            continue
        entries = tuple(entry for entry in turn.entries if not _is_empty(entry))
        if isinstance(turn, ToolOutputTurn):
            out.append(replace(turn, content=entries or ""))
        elif isinstance(turn, ToolsCallTurn):
            out.append(replace(turn, content=entries or None))
        elif entries:
            out.append(replace(turn, content=entries))
        elif getattr(turn, "native", None):  # the work of the provider's own tools
            out.append(replace(turn, content=""))
        else:
            note("dropped", f"empty turn of the {turn.role}", "text must not be empty")
    return out


def _empty_lists(turns: Turns, note: Note) -> Turns:
    """Write content that is a list of nothing as no text: nobody takes an empty list."""
    return [
        replace(turn, content=None)
        if isinstance(turn, ToolsCallTurn) and turn.content == ()
        else replace(turn, content="")
        if isinstance(turn, ToolOutputTurn) and turn.content == ()
        else Turn(role=turn.role, content="", name=turn.name, reasoning=turn.reasoning, native=turn.native)
        if isinstance(turn, ContentTurn) and not turn.content
        else turn
        for turn in turns
    ]


def _drop_marks(turns: Turns, note: Note) -> Turns:
    """Drop the marks for a cache that needs none, or takes them otherwise."""
    if any(entry.cache_control for turn in turns for entry in turn.entries):
        note("dropped", "cache_control", "the provider takes no marks in the content")
    return [_drop_mark(turn) if any(entry.cache_control for entry in turn.entries) else turn for turn in turns]


def _drop_mark(turn: AnyTurn) -> AnyTurn:
    entries = tuple(replace(entry, cache_control=None) for entry in turn.entries)
    return replace(turn, content=entries)


def _fill_null(turns: Turns, note: Note) -> Turns:
    """Write "" instead of null beside tool calls."""
    return [
        replace(turn, content="") if isinstance(turn, ToolsCallTurn) and turn.content is None else turn
        for turn in turns
    ]


def _move_last_system(turns: Turns, note: Note) -> Turns:
    """Move system turns at the end before the turn that is to be answered."""
    at = len(turns)
    while at and _is_system(turns[at - 1]):
        at -= 1
    if not at or at == len(turns):
        return turns
    before = at - 1
    while before and turns[before].role == "tool":  # outputs stay behind their calls
        before -= 1
    note("transformed", "system turn", "a system turn must not be the last: moved before the turn that is answered")
    return [*turns[:before], *turns[at:], *turns[before:at]]


def _fill_empty_output(turns: Turns, note: Note) -> Turns:
    out: Turns = []
    for turn in turns:
        empty = isinstance(turn, ToolOutputTurn) and all(map(_is_empty, turn.entries))
        out.append(replace(turn, content=NO_OUTPUT) if empty else turn)
        if empty:
            note("transformed", "empty tool output", f"text must not be empty: {NO_OUTPUT}")
    return out


def _merge_repeats(turns: Turns, note: Note) -> Turns:
    """Merge consecutive turns of the user, or of the assistant."""
    out: Turns = []
    for turn in turns:
        repeats = bool(out) and turn.role == out[-1].role and turn.role in ("user", "assistant")
        if repeats and not (turn.native or out[-1].native):  # whose parts stay in order
            note("transformed", f"turns of the {turn.role}", "roles must alternate: merged")
            out[-1] = _merge([out[-1], turn])
        else:
            out.append(turn)
    return out


def _merge(turns: Turns) -> AnyTurn:
    """Merge turns of one role into one turn; texts become its paragraphs."""
    fields: dict[str, Any] = {"reasoning": sum((getattr(turn, "reasoning", ()) for turn in turns), ())}
    calls = tuple(call for turn in turns for call in getattr(turn, "tool_calls", ()))
    entries = tuple(entry for turn in turns for entry in turn.entries)
    content: Any = entries
    if all(isinstance(entry, TextEntry) and not entry.cache_control for entry in entries):
        content = "\n\n".join(turn.text for turn in turns if turn.entries)
    if calls:
        return ToolsCallTurn(content=content or None, tool_calls=calls, **fields)
    kind = Turn if isinstance(content, str) else ContentTurn
    return kind(**fields | {"role": turns[0].role, "content": content})


def _begin_with_user(turns: Turns, note: Note) -> Turns:
    first = _count_leading(turns)
    if turns[first:] and turns[first].role != "assistant":
        return turns
    note("transformed", "turns", "the user must be first: a turn was added")
    return [*turns[:first], Turn(role="user", content=PLACEHOLDER), *turns[first:]]


def _add_user(turns: Turns, note: Note) -> Turns:
    if any(turn.role in ("user", "tool") for turn in turns):
        return turns
    note("transformed", "turns", "a turn of the user is required: one was added")
    return [*turns, Turn(role="user", content=CONTINUE)]


def _end_with_user(turns: Turns, note: Note) -> Turns:
    native = getattr(turns[-1], "native", None) if turns else None
    if not turns or turns[-1].role != "assistant" or (native and native.paused):
        return turns
    note("transformed", "turns", "the assistant must not be the last: a turn was added")
    return [*turns, Turn(role="user", content=CONTINUE)]


def _answer_tools(turns: Turns, note: Note) -> Turns:
    """Add a turn of the assistant between a tool output and the user."""
    out: Turns = []
    for turn in turns:
        if out and out[-1].role == "tool" and turn.role == "user":
            note("transformed", "turns", "a user turn must not follow a tool output: a turn of the assistant was added")
            out.append(Turn(role="assistant", content="OK"))
        out.append(turn)
    return out


def _split_calls(turns: Turns, note: Note) -> Turns:
    """Split parallel calls into turns with one call each, followed by its output."""
    outputs = {turn.tool_call_id: turn for turn in turns if isinstance(turn, ToolOutputTurn)}
    out: Turns = []
    for turn in turns:
        if not isinstance(turn, ToolsCallTurn) or len(turn.tool_calls) == 1:
            if turn not in out or not isinstance(turn, ToolOutputTurn):
                out.append(turn)
            continue
        note("transformed", "parallel tool calls", "the model accepts one per turn: sent one after another")
        for number, call in enumerate(turn.tool_calls):
            once = {} if number == 0 else {"content": None, "reasoning": (), "native": None}
            out.append(replace(turn, tool_calls=(call,), **once))
            out += [outputs[call.id]] if call.id in outputs else []
    return out


def _move_media(turns: Turns, note: Note) -> Turns:
    """Move images of tool outputs into a turn of the user behind the last output."""
    out: Turns = []
    moved: list[ContentEntry] = []
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        media = [entry for entry in turn.entries if not isinstance(entry, TextEntry)]
        if isinstance(turn, ToolOutputTurn) and media:
            note("transformed", "tool output", "it must be text: its other content is in a turn of the user")
            moved += [TextEntry(text=f"From {turn.name or turn.tool_call_id}:"), *media]
            out.append(replace(turn, content=turn.text))
        else:
            out.append(turn)
        if moved and not isinstance(following, ToolOutputTurn):
            out.append(ContentTurn(role="user", content=tuple(moved)))
            moved = []
    return out


def _trim(turns: Turns, note: Note) -> Turns:
    """Trim a last turn of the assistant, which the model continues: it must not end with white space."""
    last = turns[-1] if turns else None
    if not isinstance(last, Turn | ContentTurn) or last.role != "assistant" or last.text == last.text.rstrip():
        return turns
    if last.native:  # goes back as it came
        return turns
    *before, end = last.entries
    if not isinstance(end, TextEntry):
        return turns
    note("transformed", "last turn of the assistant", "must not end with white space")
    trimmed = end.text.rstrip()
    content = trimmed if isinstance(last, Turn) else (*before, TextEntry(text=trimmed))
    return [*turns[:-1], replace(last, content=content)]


TRANSFORMS: dict[str, Callable[[Turns, Note], Turns]] = {  # in this order: what one makes is right for the next
    "function_calls": _convert_function_calls,
    "whole_calls": pair_outputs,
    "empty_lists": _empty_lists,
    "cache_marks": _drop_marks,
    "empty_content": _drop_empty,
    "system": _replace_system,
    "multiple_system": _merge_system,
    "later_system": _replace_later_system,
    "last_system": _move_last_system,
    "only_system": _replace_lone_system,
    "parallel_calls": _split_calls,
    "output_media": _move_media,
    "empty_output": _fill_empty_output,
    "null_content": _fill_null,
    "repeating_roles": _merge_repeats,
    "first_assistant": _begin_with_user,
    "only_assistant": _add_user,
    "last_assistant": _end_with_user,
    "trailing_space": _trim,
    "user_after_tool": _answer_tools,
    "json_content": _join_texts,
}
_NOT_FOR_TEXT = frozenset(
    (
        "function_calls",
        "whole_calls",
        "empty_lists",
        "cache_marks",
        "parallel_calls",
        "output_media",
        "empty_output",
        "null_content",
        "json_content",
    )
)
"""Transforms of calls, outputs and parts: where all turns are plain text, so are those that the others make of them."""
_ALL = frozenset(TRANSFORMS)
_OF_TEXT = _ALL - _NOT_FOR_TEXT
