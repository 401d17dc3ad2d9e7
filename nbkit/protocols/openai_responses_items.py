"""A conversation as the items that OpenAI's Responses API takes for input.

Wire facts: platform.openai.com/docs/api-reference/responses/create and /guides/reasoning: reasoning is sent
back as it arrived, before the message or the calls that it led to, and, where nothing is stored, only with its
`encrypted_content`.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.content import FileEntry, ImageEntry, NativeContent, Reasoning, TextEntry
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn, ToolOutputTurn, ToolsCallTurn
from nbkit.protocols.native import list_pieces
from nbkit.protocols.writing import Draft, choose_filename

FORMAT = "openai-responses-v1"
"""OpenRouter's name for reasoning that this API has encrypted."""
NATIVE = "openai-responses"
"""The protocol of the items that turns keep for this API: those of its own tools, and compactions."""
BREAK = "\n"
"""Separates two reasoning texts of one answer; it stands at the beginning of the second."""


def encode_turn(draft: Draft, turn: AnyTurn) -> None:
    """Append the items of one turn to the `input`."""
    items: list[dict[str, Any]] = draft.body["input"]
    if isinstance(turn, ToolOutputTurn):
        output = turn.content if isinstance(turn.content, str) else _encode_entries(turn)
        items.append({"type": "function_call_output", "call_id": turn.tool_call_id, "output": output})
        return
    if getattr(turn, "name", None):
        draft.change("dropped", "name", "the API takes no names")
    if turn.role == "assistant":
        items += _encode_assistant(draft, turn, len(items))
        return
    role: str = turn.role
    if role not in ("user", draft.dialect.system_role):
        role = draft.dialect.system_role
        draft.change("renamed", f"role {turn.role}", f"the model calls it {role}")
    content = getattr(turn, "content", "")
    items.append({"role": role, "content": content if isinstance(content, str) else _encode_entries(turn)})


def _encode_assistant(draft: Draft, turn: AnyTurn, place: int) -> list[dict[str, Any]]:
    """Write reasoning, then the message (empty where the turn has no text and no calls), then the calls."""
    calls = turn.tool_calls if isinstance(turn, ToolsCallTurn) else ()
    phase = {"phase": "commentary" if calls else "final_answer"} if draft.dialect.phase else {}
    if turn.media:
        draft.change("dropped", "content of the assistant", "its messages are text")
    if native := getattr(turn, "native", None):
        return _encode_native(draft, turn, native, place, phase)
    items = _encode_reasoning(draft, getattr(turn, "reasoning", ()), place)
    if turn.text or not calls:
        items.append({"role": "assistant", "content": turn.text, **phase})
    return items + [_encode_call(call) for call in calls]


def _encode_call(call: ToolCall) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}


def _encode_native(
    draft: Draft, turn: AnyTurn, native: NativeContent, place: int, phase: dict[str, str]
) -> list[dict[str, Any]]:
    """Write a turn with items of this API's own, all items in their order."""
    items: list[dict[str, Any]] = []
    for piece in list_pieces(turn, native):
        if piece.text:
            items.append(_encode_message(piece.text, phase | piece.data))
        elif piece.call:
            items.append(_encode_call(piece.call))
        elif piece.reasoning:
            items += _encode_reasoning(draft, piece.reasoning, place + len(items))
        elif piece.data.get("type"):
            items.append(piece.data)
    return items


def _encode_message(text: str, own: dict[str, Any]) -> dict[str, Any]:
    """Write a message; the API takes annotations only in a message that is written as an item of its output."""
    if "annotations" not in own:
        return {"role": "assistant", "content": text, **own}
    part = {"type": "output_text", "text": text, "annotations": own["annotations"]}
    beside = {key: value for key, value in own.items() if key != "annotations"}
    return {"type": "message", "role": "assistant", "content": [part], **beside}


def _encode_reasoning(draft: Draft, blocks: tuple[Reasoning, ...], place: int) -> list[dict[str, Any]]:
    """Write the reasoning that can be sent back; blocks of one id are one item, each a part of its summary."""
    items: list[dict[str, Any]] = []
    before: Reasoning | None = None
    for number, block in enumerate(blocks):
        joins = before and before.format == block.format == FORMAT and before.id == block.id
        if not joins or (block.data and "encrypted_content" in items[-1]):
            items.append({"type": "reasoning", "id": block.id or f"rs_{place + number}", "summary": []})
        item, text, before = items[-1], block.text.removeprefix(BREAK), block
        if block.format == FORMAT:
            if text:
                item["summary"].append({"type": "summary_text", "text": text})
            if block.data:
                item["encrypted_content"] = block.data
        elif text and draft.dialect.replay_reasoning and not (block.signature or block.data):
            item["content"] = [{"type": "reasoning_text", "text": text}]
    kept = [item for item in items if "encrypted_content" in item or "content" in item]
    if len(kept) < len(items):
        draft.change("dropped", "reasoning", "only what the model itself has encrypted can be sent back")
    return kept


def _encode_entries(turn: AnyTurn) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for entry in turn.entries:
        match entry:
            case TextEntry():
                parts.append({"type": "input_text", "text": entry.text})
            case ImageEntry():
                detail = entry.image_url.detail or "auto"
                parts.append({"type": "input_image", "image_url": entry.url, "detail": detail})
            case FileEntry():
                parts.append({"type": "input_file", "filename": choose_filename(entry), "file_data": entry.url})
    return parts
