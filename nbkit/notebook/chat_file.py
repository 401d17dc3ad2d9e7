"""A chat as a file: JSON with a version, written whole or not at all. No key is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from nbkit.billing.total import Sum
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.conversation.values import read_as, to_plain
from nbkit.errors import ConversationError
from nbkit.files import write_atomically

_VERSION = 1
_MAY_HOLD_KEYS = ("extra_headers", "extra_body")


class ChatRecord(Struct, frozen=True):
    """Content of a chat's file."""

    model: str
    conversation: Conversation
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ExecuteOptions`."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """`max_turns` and `max_cost` of its runs."""
    spent: Mapping[str, Sum] = field(default_factory=dict)
    """What it has cost, by model id."""
    context_tokens: int | None = None
    left_out: tuple[str, ...] = ()
    """Options that a file does not hold: Python functions, and what may hold a key. Set by `read_chat`."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["nbkit chat"]
    version: Literal[1]
    model: str
    options: dict[str, Any]
    limits: dict[str, int | float | None]
    left_out: tuple[str, ...]
    spent: dict[str, Sum]
    context_tokens: int | None
    turns: list[dict[str, Any]]


def write_chat(path: Path, record: ChatRecord) -> None:
    """Write a chat. Raises ConversationError where the file cannot be written."""
    options = ExecuteOptions.of(dict(record.options))
    functions = any(tool.function for tool in options.tools or ())
    left_out = [name for name in (*_MAY_HOLD_KEYS, *(["tools"] if functions else [])) if name in options.given]
    data = {
        "format": "nbkit chat",
        "version": _VERSION,
        "model": record.model,
        "options": {name: value for name, value in options.model_dump().items() if name not in left_out},
        "limits": dict(record.limits),
        "left_out": left_out,
        "spent": to_plain(dict(record.spent)),
        "context_tokens": record.context_tokens,
        "turns": record.conversation.to_openai(),
    }
    try:
        # in ASCII: half of a character, which models do write, has no UTF-8
        write_atomically(path, json.dumps(data, indent=1, default=str).encode())
        return
    except OSError as failed:
        problem = failed.strerror or type(failed).__name__
    raise ConversationError(f"{path}: the chat cannot be written: {problem}")


def read_chat(path: Path) -> ChatRecord:
    """Read what `write_chat` wrote. Raises ConversationError, which names the file and says what is wrong with it."""
    try:
        data = json.loads(path.read_bytes())
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > _VERSION:
            problem = f"version {version} of the format, and this nbkit reads {_VERSION}: install a newer one"
        else:
            file: _File = read_as(_File, data)
            conversation = Conversation(file.turns)
            options, limits, spent = file.options, file.limits, file.spent
            return ChatRecord(file.model, conversation, options, limits, spent, file.context_tokens, file.left_out)
    except OSError as failed:
        problem = failed.strerror or type(failed).__name__
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        problem = "not a chat that nbkit saved: it is not JSON"
    except (ValueError, ConversationError) as invalid:
        problem = f"not a chat that nbkit saved: {invalid}"
    raise ConversationError(f"{path}: {problem}")
