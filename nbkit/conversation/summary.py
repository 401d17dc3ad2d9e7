"""Turns in a line each, for people: the reprs of turns and conversations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LINE = 100
"""Characters of a turn, in its line."""
_MOST = 40
"""Turns of a conversation; of a longer one the first and the last."""
_KINDS = {"image_url": "image", "file": "file", "input_audio": "recording"}


def summarize_turn(turn: Any) -> str:
    """Write a turn in one line, "user: What is this? [image]"; what hides or controls something is spelled out."""
    return f"{turn.role}: {' '.join(filter(None, [_cut(turn.text), *list_extras(turn)]))}".rstrip()


def list_extras(turn: Any) -> list[str]:
    """Name what a turn has beside its text, each in one line: "[image]", "[report.pdf]", "get_weather({...})"."""
    calls = [*getattr(turn, "tool_calls", ()), *filter(None, [getattr(turn, "function_call", None)])]
    names = [getattr(getattr(entry, "file", None), "filename", "") or _KINDS[entry.type] for entry in turn.media]
    return [*(f"[{_cut(name)}]" for name in names), *(_cut(f"{call.name}({call.arguments})") for call in calls)]


def summarize_turns(turns: Iterable[Any]) -> str:
    """Write some turns, a line each."""
    lines = [summarize_turn(turn) for turn in turns]
    if len(lines) > _MOST:
        half = _MOST // 2
        lines[half:-half] = [f"... ({len(lines) - _MOST:,} more turns)"]
    return "\n".join(lines)


def _cut(text: str) -> str:
    """Write the beginning of a text in one line. Python spells out the same characters in the repr of a string."""
    start = " ".join(text[: 4 * _LINE].split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start[:_LINE])
    return f"{shown} ... ({len(text):,} characters)" if len(start) > _LINE or len(text) > 4 * _LINE else shown
