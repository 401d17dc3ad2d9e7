"""Turns as a model takes them: one transform for each thing that some model does not.

`fitted` makes new turns and says what it did; the given ones are never changed. Where a turn has to be made up, the
user says as little as can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import takewhile
from typing import Any

from nbkit.conversation.completion import Change
from nbkit.conversation.content import ContentEntry, TextEntry
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
"""What the user says where a turn of the user must stand and there is none."""
CONTINUE = "Continue."
"""What the user says where the assistant spoke last, and may not."""
NO_OUTPUT = "(no output)"

Turns = list[AnyTurn]
Note = Callable[[str, str, str], None]
"""Lists a change: kind, what, why."""


def fit_turns(conversation: Conversation, lacks: Collection[str]) -> tuple[Conversation, tuple[Change, ...]]:
    """The conversation for a model that `lacks` some of the keys of TRANSFORMS, and what was changed for it."""
    turns, changes = list(conversation.turns), []

    def note(kind: str, what: str, why: str) -> None:
        changes.append(Change(kind, what, why))

    for name, transform in TRANSFORMS.items():
        if name in lacks:
            turns = transform(turns, note)
    unchanged = turns == list(conversation.turns)
    return conversation if unchanged else Conversation(turns), tuple(dict.fromkeys(changes))


def modern(turns: Turns, note: Note) -> Turns:
    """OpenAI's deprecated function calls as tool calls; their ids count the calls."""
    out: Turns = []
    calls: dict[str, str] = {}  # function -> the id of its last call
    for turn in turns:
        if isinstance(turn, FunctionCallTurn):
            function = turn.function_call
            calls[function.name] = made_up = f"call_function_{len(out)}"
            call = ToolCall(id=made_up, name=function.name, arguments=function.arguments)
            out.append(ToolsCallTurn(content=turn.content, tool_calls=(call,), reasoning=turn.reasoning))
        elif isinstance(turn, FunctionOutputTurn):
            answered = calls.get(turn.name, f"call_function_{len(out)}")
            out.append(ToolOutputTurn(content=turn.content, tool_call_id=answered, name=turn.name))
        else:
            out.append(turn)
            continue
        note("renamed", "function_call", "deprecated: sent as a tool call")
    return out


def _tools_first(turns: Turns, note: Note) -> Turns:
    """The outputs of tools right behind the turn that called them, before what else was said meanwhile."""
    out: Turns = []
    for turn in turns:
        at = len(out)
        if isinstance(turn, ToolOutputTurn):
            while at and out[at - 1].role not in ("assistant", "tool"):
                at -= 1
            if at < len(out) and (not at or not _calls(out[at - 1], turn.tool_call_id)):
                at = len(out)
            elif at < len(out):
                note("transformed", "turns", "a tool's output must follow its call: moved in front of what was said")
        out.insert(at, turn)
    return out


def _calls(turn: AnyTurn, call_id: str) -> bool:
    """Whether a turn makes the call, or is the output of one made in the same turn."""
    if isinstance(turn, ToolsCallTurn):
        return any(call.id == call_id for call in turn.tool_calls)
    return isinstance(turn, ToolOutputTurn)


def _is_system(turn: AnyTurn) -> bool:
    return turn.role in ("system", "developer")


def _leading(turns: Turns) -> int:
    """How many turns of the system stand at the beginning."""
    return sum(1 for _ in takewhile(_is_system, turns))


def _by_the_user(turn: AnyTurn) -> AnyTurn:
    return turn.model_copy(update={"role": "user", "name": None})


def _no_system(turns: Turns, note: Note) -> Turns:
    if any(map(_is_system, turns)):
        note("transformed", "system", "the model takes no system turn: said by the user")
    return [_by_the_user(turn) if _is_system(turn) else turn for turn in turns]


def _no_system_alone(turns: Turns, note: Note) -> Turns:
    if not all(map(_is_system, turns)):
        return turns
    note("transformed", "system", "there is no other turn: said by the user")
    return [_by_the_user(turn) for turn in turns]


def _no_later_system(turns: Turns, note: Note) -> Turns:
    """What the system says later is said by the user, in tags."""
    first = _leading(turns)
    if any(map(_is_system, turns[first:])):
        note("transformed", "system turn", "not at the beginning: said by the user, in <system> tags")
    later = [_tagged(turn) if _is_system(turn) else turn for turn in turns[first:]]
    return turns[:first] + later


def _tagged(turn: AnyTurn) -> AnyTurn:
    if isinstance(turn, ContentTurn):
        content = (TextEntry(text="<system>\n"), *turn.content, TextEntry(text="\n</system>"))
        return ContentTurn(role="user", content=content)
    return Turn(role="user", content=f"<system>\n{turn.text}\n</system>")


def _one_system(turns: Turns, note: Note) -> Turns:
    first = _leading(turns)
    if first > 1:
        note("transformed", "system turns", "the model takes one: merged")
        turns = [_joined(turns[:first]), *turns[first:]]
    return _no_later_system(turns, note)


def _plain(turns: Turns, note: Note) -> Turns:
    """Content as a string: entries are joined where all are text."""
    return [turn if isinstance(turn.content, str) else _as_text(turn) for turn in turns]


def _as_text(turn: AnyTurn) -> AnyTurn:
    if any(not isinstance(entry, TextEntry) for entry in turn.entries):
        return turn
    if isinstance(turn, ContentTurn):
        return Turn(role=turn.role, content=turn.text, name=turn.name, reasoning=turn.reasoning)
    return turn.model_copy(update={"content": turn.text})


def _says_nothing(entry: ContentEntry) -> bool:
    return isinstance(entry, TextEntry) and not entry.text.strip()


def _no_empty(turns: Turns, note: Note) -> Turns:
    """Without empty texts, and without turns in which nothing else is."""
    out: Turns = []
    for turn in turns:
        if not any(map(_says_nothing, turn.entries)) and turn.entries:
            out.append(turn)
            continue
        said = tuple(entry for entry in turn.entries if not _says_nothing(entry))
        if isinstance(turn, ToolOutputTurn):
            out.append(turn.model_copy(update={"content": said or ""}))
        elif isinstance(turn, ToolsCallTurn):
            out.append(turn.model_copy(update={"content": said or None}))
        elif said:
            out.append(turn.model_copy(update={"content": said}))
        else:
            note("dropped", f"empty turn of the {turn.role}", "text must not be empty")
    return out


def _no_empty_output(turns: Turns, note: Note) -> Turns:
    out: Turns = []
    for turn in turns:
        empty = isinstance(turn, ToolOutputTurn) and all(map(_says_nothing, turn.entries))
        out.append(turn.model_copy(update={"content": NO_OUTPUT}) if empty else turn)
        if empty:
            note("transformed", "empty output of a tool", f"text must not be empty: {NO_OUTPUT}")
    return out


def _no_repeats(turns: Turns, note: Note) -> Turns:
    """What the user, or the assistant, says in several turns in a row is one turn."""
    out: Turns = []
    for turn in turns:
        if out and turn.role == out[-1].role and turn.role in ("user", "assistant"):
            note("transformed", f"turns of the {turn.role}", "one after another: merged")
            out[-1] = _joined([out[-1], turn])
        else:
            out.append(turn)
    return out


def _joined(turns: Turns) -> AnyTurn:
    """One turn of several by the same role: paragraphs where all is text."""
    fields: dict[str, Any] = {"reasoning": sum((getattr(turn, "reasoning", ()) for turn in turns), ())}
    calls = tuple(call for turn in turns for call in getattr(turn, "tool_calls", ()))
    entries = tuple(entry for turn in turns for entry in turn.entries)
    content: Any = entries
    if all(isinstance(entry, TextEntry) for entry in entries):
        content = "\n\n".join(turn.text for turn in turns if turn.entries)
    if calls:
        return ToolsCallTurn(content=content or None, tool_calls=calls, **fields)
    kind = Turn if isinstance(content, str) else ContentTurn
    return kind(role=turns[0].role, content=content, **fields)


def _user_first(turns: Turns, note: Note) -> Turns:
    first = _leading(turns)
    if turns[first:] and turns[first].role != "assistant":
        return turns
    note("transformed", "turns", "the user must begin: a turn was put in front")
    return [*turns[:first], Turn(role="user", content=PLACEHOLDER), *turns[first:]]


def _user_somewhere(turns: Turns, note: Note) -> Turns:
    if any(turn.role in ("user", "tool") for turn in turns):
        return turns
    note("transformed", "turns", "the user must say something: a turn was added")
    return [*turns, Turn(role="user", content=CONTINUE)]


def _user_last(turns: Turns, note: Note) -> Turns:
    if not turns or turns[-1].role != "assistant":
        return turns
    note("transformed", "turns", "the assistant must not be the last: a turn was added")
    return [*turns, Turn(role="user", content=CONTINUE)]


def _answer_between(turns: Turns, note: Note) -> Turns:
    """Between a tool's output and the user stands the assistant."""
    out: Turns = []
    for turn in turns:
        if out and out[-1].role == "tool" and turn.role == "user":
            note("transformed", "turns", "a user's turn must not follow a tool's: one of the assistant was put between")
            out.append(Turn(role="assistant", content="OK"))
        out.append(turn)
    return out


def _one_call_a_turn(turns: Turns, note: Note) -> Turns:
    """Parallel calls one after another, each with its output."""
    outputs = {turn.tool_call_id: turn for turn in turns if isinstance(turn, ToolOutputTurn)}
    out: Turns = []
    for turn in turns:
        if not isinstance(turn, ToolsCallTurn) or len(turn.tool_calls) == 1:
            if turn not in out or not isinstance(turn, ToolOutputTurn):
                out.append(turn)
            continue
        note("transformed", "parallel tool calls", "the model takes one a turn: one after another")
        for number, call in enumerate(turn.tool_calls):
            once = {} if number == 0 else {"content": None, "reasoning": ()}
            out.append(turn.model_copy(update={"tool_calls": (call,), **once}))
            out += [outputs[call.id]] if call.id in outputs else []
    return out


def _media_apart(turns: Turns, note: Note) -> Turns:
    """Images that tools gave are shown by the user, when all tools have answered."""
    out: Turns = []
    shown: list[ContentEntry] = []
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        media = [entry for entry in turn.entries if not isinstance(entry, TextEntry)]
        if isinstance(turn, ToolOutputTurn) and media:
            note("transformed", "output of a tool", "it must be text: the user shows what else it gave")
            shown += [TextEntry(text=f"From {turn.name or turn.tool_call_id}:"), *media]
            out.append(turn.model_copy(update={"content": turn.text}))
        else:
            out.append(turn)
        if shown and not isinstance(following, ToolOutputTurn):
            out.append(ContentTurn(role="user", content=tuple(shown)))
            shown = []
    return out


def _trimmed(turns: Turns, note: Note) -> Turns:
    """A last turn of the assistant is continued, and must not end with white space."""
    last = turns[-1] if turns else None
    if not isinstance(last, Turn | ContentTurn) or last.role != "assistant" or last.text == last.text.rstrip():
        return turns
    *before, end = last.entries
    if not isinstance(end, TextEntry):
        return turns
    note("transformed", "last turn of the assistant", "must not end with white space")
    trimmed = end.text.rstrip()
    content = trimmed if isinstance(last, Turn) else (*before, TextEntry(text=trimmed))
    return [*turns[:-1], last.model_copy(update={"content": content})]


TRANSFORMS: dict[str, Callable[[Turns, Note], Turns]] = {  # in this order: what one makes is right for the next
    "function_calls": modern,
    "tools_later": _tools_first,
    "system": _no_system,
    "multiple_system": _one_system,
    "later_system": _no_later_system,
    "only_system": _no_system_alone,
    "parallel_calls": _one_call_a_turn,
    "output_media": _media_apart,
    "empty_content": _no_empty,
    "empty_output": _no_empty_output,
    "repeating_roles": _no_repeats,
    "first_assistant": _user_first,
    "only_assistant": _user_somewhere,
    "last_assistant": _user_last,
    "trailing_space": _trimmed,
    "user_after_tool": _answer_between,
    "json_content": _plain,
}
