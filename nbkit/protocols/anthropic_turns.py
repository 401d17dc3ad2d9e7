"""Turns as Anthropic's messages: alternating roles, the user first, the system's words apart, no empty text.

Wire facts: docs.claude.com/en/api/messages, /build-with-claude/vision, tool-use, extended-thinking.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from nbkit.conversation.content import ImageEntry, Reasoning, TextEntry, inline
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import (
    AnyTurn,
    Conversation,
    ToolOutputTurn,
    ToolsCallTurn,
    Turn,
)
from nbkit.protocols.writing import Draft, modern

FORMAT = "anthropic-claude-v1"
"""What OpenRouter calls reasoning that Claude signed."""
PLACEHOLDER = "."
"""What the user says where a user's turn must stand and there is none: text must not be empty."""


def put_turns(draft: Draft, conversation: Conversation) -> None:
    """Write `system` and `messages`."""
    turns = modern(draft, conversation)
    system = list(takewhile(_is_system, turns))
    if system and len(system) == len(turns):
        draft.change("transformed", "system", "there is no other turn: said by the user")
        turns, system = [Turn(role="user", content=_system_text(draft, turn)) for turn in system], []
    said = [text for turn in system if (text := _system_text(draft, turn))]
    if said:
        draft.body["system"] = "\n\n".join(said)
    draft.body["messages"] = _messages(draft, turns[len(system) :])


def _is_system(turn: AnyTurn) -> bool:
    return turn.role in ("system", "developer")


def _system_text(draft: Draft, turn: AnyTurn) -> str:
    if any(isinstance(entry, ImageEntry) for entry in _entries(turn)):
        draft.change("dropped", "image", "the system prompt is text")
    return turn.text


def _messages(draft: Draft, turns: list[AnyTurn]) -> list[dict[str, Any]]:
    """Messages of alternating roles, the user first; a user's tool results stand before what else is said."""
    messages: list[dict[str, Any]] = []
    previous: AnyTurn | None = None
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _blocks(draft, turn)
        if not blocks:
            draft.change("dropped", f"empty turn of the {turn.role}", "text must not be empty")
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
            if not isinstance(turn, ToolOutputTurn) and not isinstance(previous, ToolOutputTurn):
                draft.change("transformed", f"turns of the {role}", "one after another: merged")
        else:
            messages.append({"role": role, "content": blocks})
        previous = turn
    if not messages or messages[0]["role"] == "assistant":
        draft.change("transformed", "turns", "the user must begin: a turn was put in front")
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": PLACEHOLDER}]})
    for message in messages:
        message["content"].sort(key=lambda block: block["type"] != "tool_result" and message["role"] == "user")
    _trim(draft, messages[-1])
    return messages


def _trim(draft: Draft, last: dict[str, Any]) -> None:
    """A last turn of the assistant is continued, and must not end with white space."""
    block = last["content"][-1]
    if last["role"] == "assistant" and block["type"] == "text" and block["text"] != block["text"].rstrip():
        draft.change("transformed", "last turn of the assistant", "must not end with white space")
        block["text"] = block["text"].rstrip()


def _blocks(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    if isinstance(turn, ToolOutputTurn):
        result = {"type": "tool_result", "tool_use_id": _tool_id(draft, turn.tool_call_id)}
        if isinstance(turn.content, str):
            return [result | ({"content": turn.content} if turn.content else {})]
        return [result | {"content": _content(draft, turn)}]
    if _is_system(turn):
        text = _system_text(draft, turn)
        draft.change("transformed", f"{turn.role} turn", "not at the beginning: said by the user, in <system> tags")
        return [{"type": "text", "text": f"<system>\n{text}\n</system>"}] if text.strip() else []
    blocks = [block for reasoning in getattr(turn, "reasoning", ()) if (block := _thinking(draft, reasoning))]
    blocks += _content(draft, turn)
    if isinstance(turn, ToolsCallTurn):
        blocks += [_tool_use(draft, call) for call in turn.tool_calls]
    return blocks


def _entries(turn: AnyTurn) -> tuple[TextEntry | ImageEntry, ...]:
    content = getattr(turn, "content", None)
    return content if isinstance(content, tuple) else (TextEntry(text=content or ""),)


def _content(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    """The text and image blocks of a turn, without empty texts."""
    blocks: list[dict[str, Any]] = []
    for entry in _entries(turn):
        if isinstance(entry, ImageEntry):
            blocks.append(_image(draft, entry))
        elif entry.text.strip():
            blocks.append({"type": "text", "text": entry.text})
    return blocks


def _image(draft: Draft, entry: ImageEntry) -> dict[str, Any]:
    if entry.image_url.detail:
        draft.change("dropped", "detail of an image", "Anthropic has no such choice")
    if (content := inline(entry.url)) is None:
        return {"type": "image", "source": {"type": "url", "url": entry.url}}
    media_type, data = content
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _thinking(draft: Draft, block: Reasoning) -> dict[str, Any] | None:
    """A block of Claude's own reasoning, unchanged; another vendor's cannot be sent back."""
    own = block.format == FORMAT
    if own and block.signature is not None:
        return {"type": "thinking", "thinking": block.text, "signature": block.signature}
    if own and block.data is not None:
        return {"type": "redacted_thinking", "data": block.data}
    draft.change("dropped", "reasoning", "only what Claude has signed can be sent back")
    return None


def _tool_id(draft: Draft, given: str) -> str:
    fitting = re.sub(r"[^a-zA-Z0-9_-]", "_", given) or "_"
    if fitting != given:
        draft.change("transformed", "ids of tool calls", "they are letters, digits, _ and -")
    return fitting


def _tool_use(draft: Draft, call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.parsed()
    except ValueError:
        draft.change("transformed", f"arguments of {call.name}", "not a JSON object: sent as text in one")
        arguments = {"arguments": call.arguments}
    return {"type": "tool_use", "id": _tool_id(draft, call.id), "name": call.name, "input": arguments}
