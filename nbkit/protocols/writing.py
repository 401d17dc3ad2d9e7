"""What the encoders write with: a request's draft, which lists every change made to what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from nbkit.conversation.completion import Change
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn
from nbkit.protocols.wire import Dialect, WireRequest


@dataclass(slots=True)
class Draft:
    """A request being written."""

    dialect: Dialect
    body: dict[str, Any]
    changes: list[Change] = field(default_factory=list)

    def change(self, kind: str, what: str, why: str) -> None:
        """List one change."""
        self.changes.append(Change(kind, what, why))

    def put(self, option: str, value: Any, key: str = "") -> None:
        """Write an option under the protocol's `key`, as the dialect wants it; None is not written."""
        if value is None:
            return
        if renamed := self.dialect.rename.get(option):
            self.change("renamed", option, f"the provider calls it {renamed}")
        merge(self.body, nested(renamed or key or option, value))

    def request(self, path: str, headers: dict[str, str] | None = None) -> WireRequest:
        """The finished request; the same change is listed once."""
        return WireRequest(path, self.body, headers or {}, tuple(dict.fromkeys(self.changes)))


def nested(path: str, value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` for the dotted path `a.b`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def merge(body: dict[str, Any], more: dict[str, Any]) -> None:
    """Add `more` to `body`, object by object."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            merge(body[key], value)
        else:
            body[key] = deepcopy(value)


def system_apart(turns: Iterable[AnyTurn]) -> tuple[list[AnyTurn], list[AnyTurn]]:
    """The system's turns at the beginning, and what comes after them."""
    said = list(turns)
    system = list(takewhile(lambda turn: turn.role in ("system", "developer"), said))
    return system, said[len(system) :]


def say(messages: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]], key: str = "content") -> None:
    """Add blocks to the messages; what one role says in a row (a tool's output is the user's) is one message."""
    if messages and messages[-1]["role"] == role:
        messages[-1][key] += blocks
    elif blocks:
        messages.append({"role": role, key: blocks})


def arguments_of(draft: Draft, call: ToolCall) -> dict[str, Any]:
    """A call's arguments, for a wire that takes them as a JSON object only."""
    try:
        return call.parsed()
    except ValueError:
        draft.change("transformed", f"arguments of {call.name}", "not a JSON object: sent as text in one")
        return {"arguments": call.arguments}
