"""Turns as Anthropic's messages: alternating roles, the user first, the system apart, no empty text.

Wire facts: docs.claude.com/en/api/messages, /build-with-claude/vision, tool-use, extended-thinking.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from nbkit.conversation.content import (
    ContentEntry,
    FileEntry,
    ImageEntry,
    NativeContent,
    Reasoning,
    TextEntry,
    inline,
)
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.protocols.native import list_pieces
from nbkit.protocols.writing import Draft, add_blocks, parse_arguments, split_system

FORMAT = "anthropic-claude-v1"
"""OpenRouter's name for reasoning that Claude has signed."""
_SERVER_CALLS = ("server_tool_use", "mcp_tool_use")
NATIVE = "anthropic-messages"
"""The protocol of the blocks that turns keep for this API: its server tools, compactions, citations."""


def encode_turns(draft: Draft, conversation: Conversation) -> None:
    """Write `system` and `messages`."""
    system, turns = split_system(conversation)
    if any(entry.cache_control for turn in system for entry in turn.entries):
        draft.body["system"] = [
            _mark(entry, {"type": "text", "text": entry.text})
            for turn in system
            for entry in turn.entries
            if isinstance(entry, TextEntry)
        ]
    elif texts := [text for turn in system if (text := _encode_system(draft, turn))]:
        draft.body["system"] = "\n\n".join(texts)
    messages: list[dict[str, Any]] = []
    for turn in turns:
        add_blocks(messages, "assistant" if turn.role == "assistant" else "user", _encode_turn(draft, turn))
    for message in messages:  # the results of tools must stand before other blocks of the user
        message["content"].sort(key=lambda block: block["type"] != "tool_result" and message["role"] == "user")
    draft.body["messages"] = messages
    if messages and any(getattr(turn, "native", None) for turn in turns):
        _drop_open_calls(draft, messages)
    for turn in reversed(turns):  # an answer that is not at its end goes on where its tools ran
        if turn.role == "user":
            break
        if native := getattr(turn, "native", None):
            draft.body |= native.request
            break


def _drop_open_calls(draft: Draft, messages: list[dict[str, Any]]) -> None:
    """Drop calls of Anthropic's own tools without a result, which can come only while their answer goes on."""
    done = {block.get("tool_use_id") for message in messages for block in message["content"]}
    brings_outputs = messages[-1]["role"] == "user" and messages[-1]["content"][0]["type"] == "tool_result"
    for message in messages[: -2 if brings_outputs else -1]:
        kept = [block for block in message["content"] if block["type"] not in _SERVER_CALLS or block["id"] in done]
        if len(kept) < len(message["content"]):
            draft.change("dropped", "server_tool_use", "it has no result, and the answer does not go on")
            message["content"] = kept
    messages[:] = [message for message in messages if message["content"]]


def _encode_system(draft: Draft, turn: AnyTurn) -> str:
    if turn.media:
        draft.change("dropped", "image", "the system prompt must be text")
    return turn.text


def _encode_turn(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    if isinstance(turn, ToolOutputTurn):
        result = {"type": "tool_result", "tool_use_id": turn.tool_call_id}
        content = turn.content if isinstance(turn.content, str) else _encode_entries(draft, turn)
        return [result | ({"content": content} if content else {})]
    if native := getattr(turn, "native", None):
        return _encode_native(draft, turn, native)
    blocks = [block for reasoning in getattr(turn, "reasoning", ()) if (block := _encode_reasoning(draft, reasoning))]
    blocks += _encode_entries(draft, turn)
    if isinstance(turn, ToolsCallTurn):
        blocks += [_encode_call(draft, call) for call in turn.tool_calls]
    return blocks


def _encode_native(draft: Draft, turn: AnyTurn, native: NativeContent) -> list[dict[str, Any]]:
    """Write a turn with blocks of this API's own, all blocks in their order."""
    blocks: list[dict[str, Any]] = []
    for piece in list_pieces(turn, native):
        if piece.text.strip():  # a text of white space alone is refused
            blocks.append({"type": "text", "text": piece.text} | piece.data)
        elif piece.call:
            blocks.append(_encode_call(draft, piece.call) | piece.data)
        elif piece.entry:
            blocks += _encode_entry(draft, piece.entry)
        elif piece.reasoning:
            blocks += [block for one in piece.reasoning if (block := _encode_reasoning(draft, one))]
        elif piece.data.get("type"):
            blocks.append(piece.data.copy())
    return blocks


def _encode_entries(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    return [block for entry in turn.entries for block in _encode_entry(draft, entry)]


def _encode_entry(draft: Draft, entry: ContentEntry) -> list[dict[str, Any]]:
    if isinstance(entry, TextEntry):
        return [_mark(entry, {"type": "text", "text": entry.text})]
    if isinstance(entry, ImageEntry):
        return [_mark(entry, _encode_image(draft, entry))]
    return [_mark(entry, _encode_document(entry))] if isinstance(entry, FileEntry) else []


def _mark(entry: ContentEntry, block: dict[str, Any]) -> dict[str, Any]:
    """Add the caller's mark for the cache."""
    return block | ({"cache_control": entry.cache_control} if entry.cache_control else {})


def _encode_document(entry: FileEntry) -> dict[str, Any]:
    media_type, data = inline(entry.url) or ("", "")
    title = {"title": entry.file.filename} if entry.file.filename else {}
    if media_type.startswith("text/"):
        text = b64decode(data).decode(errors="replace")
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **title}
    return {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}, **title}


def _encode_image(draft: Draft, entry: ImageEntry) -> dict[str, Any]:
    if entry.image_url.detail:
        draft.change("dropped", "detail of an image", "Anthropic has no such option")
    if (content := inline(entry.url)) is None:
        return {"type": "image", "source": {"type": "url", "url": entry.url}}
    media_type, data = content
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _encode_reasoning(draft: Draft, block: Reasoning) -> dict[str, Any] | None:
    """Write a block of Claude's own reasoning unchanged; another vendor's cannot be sent back."""
    own = block.format == FORMAT
    if own and block.signature is not None:
        return {"type": "thinking", "thinking": block.text, "signature": block.signature}
    if own and block.data is not None:
        return {"type": "redacted_thinking", "data": block.data}
    draft.change("dropped", "reasoning", "only what Claude has signed can be sent back")
    return None


def _encode_call(draft: Draft, call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": parse_arguments(draft, call)}
