"""Long conversations cut from the front, in whole exchanges: a question with the calls and answers that follow it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

_PER_MEDIUM = 1000
"""Tokens that an image or a page counts about."""
_Turns = tuple[Any, ...]  # the turns of `turns.py`, which imports this module


def trim_turns(turns: _Turns, fits: Callable[[_Turns], bool]) -> _Turns:
    """Leave out the oldest exchanges until the rest fits; system turns and the last exchange always stay."""
    start = len(list(takewhile(_is_system, turns)))
    exchanges = _split_exchanges(turns[start:])

    def leave_out(number: int) -> _Turns:
        kept = (turn for part in exchanges[:number] for turn in part if _is_system(turn))
        return (*turns[:start], *kept, *(turn for part in exchanges[number:] for turn in part))

    most = len(exchanges) - 1
    if most < 1 or fits(turns):
        return turns
    return leave_out(bisect_left(range(1, most), True, key=lambda number: fits(leave_out(number))) + 1)


def _is_system(turn: Any) -> bool:
    return turn.role in ("system", "developer")


def _split_exchanges(turns: _Turns) -> list[list[Any]]:
    """Split turns where one of the user follows one of another role, never between a call and its output."""
    exchanges: list[list[Any]] = []
    before = ""
    for index, turn in enumerate(turns):
        begins = turn.role == "user" and before != "user" and not _is_within_call(turns, index)
        if not exchanges or begins:
            exchanges.append([])
        exchanges[-1].append(turn)
        before = turn.role
    return exchanges


def _is_within_call(turns: _Turns, index: int) -> bool:
    """Tell whether an output from `index` on belongs to the last turn with calls before it."""
    calls = next((turn.tool_calls for turn in reversed(turns[:index]) if hasattr(turn, "tool_calls")), ())
    later = takewhile(lambda turn: not hasattr(turn, "tool_calls"), turns[index:])
    outputs = {turn.tool_call_id for turn in later if turn.role == "tool"}
    return any(call.id in outputs for call in calls)


def count_roughly(turns: Iterable[Any]) -> int:
    """Count tokens: four characters each, and a fixed number for an image, a document or a recording."""
    return sum(map(_count_turn, turns))


def _count_turn(turn: Any) -> int:
    calls = [*getattr(turn, "tool_calls", ()), *filter(None, [getattr(turn, "function_call", None)])]
    characters = len(turn.text) + sum(len(call.name) + len(call.arguments) for call in calls)
    media = sum(entry.type != "text" for entry in turn.entries)
    return int(-(-characters // 4) + media * _PER_MEDIUM)
