"""Tools of the encoders: a request's draft, which lists every change made to what the caller gave."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import takewhile
from typing import Any

from msgspec import Struct, field

from nbkit.conversation.completion import Change
from nbkit.conversation.content import FileEntry, inline
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn
from nbkit.protocols.wire import Dialect, WireRequest


class Draft(Struct):
    """A request being written."""

    dialect: Dialect
    body: dict[str, Any]
    changes: list[Change] = field(default_factory=list)

    def change(self, kind: str, what: str, why: str) -> None:
        """List one change: its kind, what was changed, and the reason."""
        self.changes.append(Change(kind, what, why))

    def put(self, option: str, value: Any, key: str = "") -> None:
        """Write an option under the protocol's `key`, as the dialect wants it; None is not written."""
        if value is None:
            return
        if renamed := self.dialect.rename.get(option):
            self.change("renamed", option, f"the provider calls it {renamed}")
        name = renamed or key or option
        if isinstance(value, str | int | float) and "." not in name:
            self.body[name] = value
        else:
            merge(self.body, nest(name, value))

    def request(self, path: str, headers: dict[str, str] | None = None) -> WireRequest:
        """Build the finished request; the same change is listed once."""
        return WireRequest(path, self.body, headers or {}, tuple(dict.fromkeys(self.changes)))


ROOM = 256
"""Tokens that a budget of reasoning leaves at least for the answer, where it is a part of `max_tokens`."""


def fit_budget(budget: int, limit: int) -> int:
    """Return the budget of reasoning that leaves room for an answer within `limit` tokens."""
    return budget if limit - budget >= ROOM else min(budget, limit - max(ROOM, limit // 4))


_EXTENSIONS = {
    "text/plain": "txt",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}


def choose_filename(entry: FileEntry) -> str:
    """Return a file's name; one made from its media type where it has none, as OpenAI demands one."""
    media_type, _ = inline(entry.url) or ("", "")
    return entry.file.filename or f"document.{_EXTENSIONS.get(media_type) or media_type.rpartition('/')[2]}"


def nest(path: str, value: Any) -> dict[str, Any]:
    """Build `{"a": {"b": value}}` for the dotted path `a.b`."""
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


def split_system(conversation: Iterable[AnyTurn]) -> tuple[list[AnyTurn], list[AnyTurn]]:
    """Split a conversation into the system turns at its beginning and the turns after them."""
    turns = list(conversation)
    system = list(takewhile(lambda turn: turn.role in ("system", "developer"), turns))
    return system, turns[len(system) :]


def add_blocks(messages: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]], key: str = "content") -> None:
    """Add blocks to the messages; those of one role in a row are one message, whose list of blocks is under `key`."""
    if messages and messages[-1]["role"] == role:
        messages[-1][key] += blocks
    elif blocks:
        messages.append({"role": role, key: blocks})


def parse_arguments(draft: Draft, call: ToolCall) -> dict[str, Any]:
    """Parse a call's arguments, for a protocol that takes them as a JSON object only."""
    try:
        return call.parsed()
    except ValueError:
        draft.change("transformed", f"arguments of {call.name}", "not a JSON object: sent as text in one")
        return {"arguments": call.arguments}
