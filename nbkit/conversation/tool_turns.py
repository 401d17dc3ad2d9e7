"""Tool calls and their outputs made whole: every call has an id of its own and one output, right behind its turn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from nbkit.conversation.encodable import make_encodable
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import (
    AnyTurn,
    Conversation,
    FunctionCallTurn,
    FunctionOutputTurn,
    ToolOutputTurn,
    ToolsCallTurn,
)
from nbkit.errors import ConversationError
from nbkit.json_text import read_json, write_json

NO_OUTPUT = "(no output)"
"""Text of a tool output that is empty or missing."""

_NOT_FINITE = re.compile(r"NaN|Infinity|[0-9][eE]\+?[0-9]{3}")
Note = Callable[[str, str, str], None]


def check_outputs(conversation: Conversation) -> None:
    """Raise ConversationError, which names the turn, for an output whose call is missing, or has an output already."""
    if conversation.is_text:
        return
    waiting: Counter[str] = Counter()
    answered: set[str] = set()
    for index, turn in enumerate(conversation):
        if isinstance(turn, ToolsCallTurn):
            waiting.update(call.id for call in turn.tool_calls)
        elif isinstance(turn, FunctionCallTurn):
            waiting[f"function {turn.function_call.name}"] += 1
        elif isinstance(turn, ToolOutputTurn | FunctionOutputTurn):
            is_tool = isinstance(turn, ToolOutputTurn)
            call = turn.tool_call_id if isinstance(turn, ToolOutputTurn) else f"function {turn.name}"
            what = f"the call {call!r}" if is_tool else f"a call of the {call}"
            if waiting[call]:
                waiting[call] -= 1
                answered.add(call)
            elif call in answered:
                raise ConversationError(f"turn {index} ({turn.role}): a second output of {what}")
            else:
                raise ConversationError(f"turn {index} ({turn.role}): no turn before it makes {what}")


class _Group:
    """A turn with calls, and their outputs in the order in which they stand in the conversation."""

    def __init__(self, turn: ToolsCallTurn) -> None:
        self.turn = turn
        self.outputs: dict[int, ToolOutputTurn] = {}  # number of the call -> its output

    def find_call(self, call_id: str) -> int | None:
        """Find the number of the first call with this id that has no output."""
        numbers = (number for number, call in enumerate(self.turn.tool_calls) if call.id == call_id)
        return next((number for number in numbers if number not in self.outputs), None)


def pair_outputs(turns: list[AnyTurn], note: Note) -> list[AnyTurn]:
    """Put each output right behind its call, one into the place of each that is missing, and give each call an id."""
    out: list[AnyTurn | _Group] = []
    for turn in turns:
        if isinstance(turn, ToolsCallTurn):
            out.append(_Group(turn))
        elif not isinstance(turn, ToolOutputTurn) or not _add_output(out, turn, note):
            out.append(turn)
    taken: set[str] = set()
    return [turn for item in out for turn in (_close(item, taken, note) if isinstance(item, _Group) else [item])]


def _add_output(out: list[AnyTurn | _Group], turn: ToolOutputTurn, note: Note) -> bool:
    """Add an output to the nearest turn before it that waits for it; False where there is none."""
    for item in reversed(out):
        if isinstance(item, _Group) and (number := item.find_call(turn.tool_call_id)) is not None:
            item.outputs[number] = turn
            if item is not out[-1]:
                note("transformed", "turns", "a tool output must follow its call: moved before the turns in between")
            return True
    return False


def _close(group: _Group, taken: set[str], note: Note) -> list[AnyTurn]:
    """Return the turns of a group: the calls, and an output for each."""
    ids = [_choose_id(call, taken, note) for call in group.turn.tool_calls]
    calls = tuple(_renew_call(call, new, note) for call, new in zip(group.turn.tool_calls, ids, strict=True))
    renamed = {call.id: new for call, new in zip(group.turn.tool_calls, ids, strict=True) if call.id and call.id != new}
    turn = group.turn
    if any(new is not old for new, old in zip(calls, turn.tool_calls, strict=True)):
        update: dict[str, Any] = {"tool_calls": calls}
        if renamed:  # a signature that stands apart names the call that it is of
            update["reasoning"] = tuple(
                replace(block, id=renamed[block.id]) if block.id in renamed else block for block in turn.reasoning
            )
        turn = replace(turn, **update)
    outputs: list[AnyTurn] = [
        output if output.tool_call_id == ids[number] else replace(output, tool_call_id=ids[number])
        for number, output in group.outputs.items()
    ]
    for number, call in enumerate(calls):
        if number not in group.outputs:
            note("transformed", f"call {call.id} of {call.name}", f"a call must have an output: {NO_OUTPUT} was added")
            outputs.append(ToolOutputTurn(content=NO_OUTPUT, tool_call_id=call.id, name=call.name))
    return [turn, *outputs]


def _choose_id(call: ToolCall, taken: set[str], note: Note) -> str:
    """Choose the id of a call: its own, unless it is empty or an earlier call has it."""
    stem = call.id or "call"
    new, number = call.id, 1
    while not new or new in taken:
        number += 1
        new = f"{stem}_{number}"
    taken.add(new)
    if new != call.id:
        note("transformed", "ids of tool calls", "each call must have an id of its own")
    return new


def _renew_call(call: ToolCall, new_id: str, note: Note) -> ToolCall:
    """Return the call with its id, and without numbers that JSON does not have, which models write at times."""
    arguments = call.arguments
    if _NOT_FINITE.search(arguments):
        try:
            value = read_json(arguments, nan=True)
        except ValueError:
            value = None
        finite = make_encodable(value)
        if finite is not value:
            note("transformed", f"arguments of {call.name}", "JSON has no NaN and no infinity: null")
            arguments = write_json(finite).decode()
    if new_id == call.id and arguments == call.arguments:
        return call
    return replace(call, id=new_id, arguments=arguments)
