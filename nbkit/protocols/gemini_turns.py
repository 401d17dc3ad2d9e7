"""Turns as Gemini's contents: the roles are user and model, the system stands apart, outputs of tools stand alone.

Wire facts: ai.google.dev/api/caching#Content, ai.google.dev/gemini-api/docs/thought-signatures, /function-calling and
/file-input-methods.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from nbkit.conversation.content import (
    AudioEntry,
    ContentEntry,
    ImageEntry,
    NativeContent,
    Reasoning,
    TextEntry,
    inline,
)
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.json_text import read_json
from nbkit.protocols.native import list_pieces
from nbkit.protocols.writing import Draft, add_blocks, parse_arguments, split_system

FORMAT = "google-gemini-v1"
"""OpenRouter's name for Gemini's reasoning: thoughts as text, and as `data` the signatures of other parts."""
NATIVE = "gemini-generate"
"""The protocol of the parts that turns keep for Gemini: images, and code that Google has run, with its results."""
UNSIGNED = "skip_thought_signature_validator"
"""The signature that Google documents for a call that has lost its own, or that another model made."""

_IMAGES = {name: f"image/{name}" for name in ("png", "jpeg", "webp", "bmp", "heic", "heif")}
_IMAGES["jpg"] = "image/jpeg"
_IN_OUTPUTS = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
"""The media that an output of a tool may hold, as data."""

Part = dict[str, Any]


def encode_turns(draft: Draft, conversation: Conversation) -> None:
    """Write `systemInstruction` and `contents`; outputs of parallel calls are one content, with nothing else in it."""
    system, turns = split_system(conversation)
    if any(turn.media for turn in system):
        draft.change("dropped", "image", "the system prompt must be text")
    if parts := [{"text": turn.text} for turn in system if turn.text]:
        draft.body["systemInstruction"] = {"parts": parts}
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}  # a call's id -> its function
    beside: list[Part] = []  # media of the tools' outputs that cannot be in them
    for turn in turns:
        if isinstance(turn, ToolOutputTurn):
            name = names.get(turn.tool_call_id) or turn.name or turn.tool_call_id
            output, media = _encode_output(draft, turn, name)
            add_blocks(contents, "function", [output], key="parts")
            beside += media
            continue
        add_blocks(contents, "user", beside, key="parts")
        beside = []
        if turn.role == "assistant":
            add_blocks(contents, "model", _encode_assistant(draft, turn), key="parts")
        else:
            add_blocks(contents, "user", _encode_entries(draft, turn), key="parts")
        if isinstance(turn, ToolsCallTurn):
            names |= {call.id: call.name for call in turn.tool_calls}
    add_blocks(contents, "user", beside, key="parts")
    for content in contents:
        if content["role"] == "function":  # kept the outputs apart from the user's words: Gemini calls both user
            content["role"] = "user"
    draft.body["contents"] = contents


def _encode_entries(draft: Draft, turn: AnyTurn) -> list[Part]:
    return [_encode_entry(draft, entry) for entry in turn.entries]


def _encode_entry(draft: Draft, entry: ContentEntry) -> Part:
    if isinstance(entry, TextEntry):
        return {"text": entry.text}
    if isinstance(entry, AudioEntry):
        return {"inlineData": {"mimeType": entry.media_type, "data": entry.input_audio.data}}
    if isinstance(entry, ImageEntry):
        if entry.image_url.detail in ("low", "high"):
            draft.change("dropped", "detail of an image", "Gemini has no such option")
    elif entry.file.filename:
        draft.change("dropped", "filename", "Gemini takes no name beside the content")
    if content := inline(entry.url):
        media_type, data = content
        return {"inlineData": {"mimeType": media_type, "data": data}}
    suffix = re.split(r"[?#]", entry.url)[0].rpartition(".")[2].lower()
    kind = {"mimeType": _IMAGES[suffix]} if suffix in _IMAGES else {}
    return {"fileData": kind | {"fileUri": entry.url}}


def _encode_output(draft: Draft, turn: ToolOutputTurn, name: str) -> tuple[Part, list[Part]]:
    """Write a tool's output, and the media that have to stand beside it."""
    response = _encode_id(draft, turn.tool_call_id) | {"name": name, "response": _encode_response(turn.text)}
    beside: list[Part] = []
    for media in (_encode_entry(draft, entry) for entry in turn.entries if not isinstance(entry, TextEntry)):
        if media.get("inlineData", {}).get("mimeType") in _IN_OUTPUTS and not draft.dialect.before_gemini_3:
            response.setdefault("parts", []).append(media)
        else:
            beside.append(media)
    return {"functionResponse": response}, beside


def _encode_id(draft: Draft, call_id: str) -> dict[str, Any]:
    return {"id": call_id} if draft.dialect.call_ids else {}


def _encode_response(text: str) -> dict[str, Any]:
    """Write an output as it is where it is a JSON object, else as text in one."""
    try:
        value = read_json(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"output": text}


def _encode_assistant(draft: Draft, turn: AnyTurn) -> list[Part]:
    """Write the model's thoughts, text and calls, each part with its signature."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    own = [block for block in blocks if block.format == FORMAT]
    if len(own) < len(blocks):
        draft.change("dropped", "reasoning", "only Gemini's own can be sent back")
    calls = turn.tool_calls if isinstance(turn, ToolsCallTurn) else ()
    ids = {call.id for call in calls}
    of_calls = {block.id: block.data for block in own if block.id in ids}  # OpenRouter's form: `id` is the call's
    signatures = [call.signature or of_calls.get(call.id) for call in calls]
    if calls and not any(signatures) and not draft.dialect.before_gemini_3:
        signatures[0] = UNSIGNED  # of parallel calls only the first is signed
    signed = [_sign(_encode_call(draft, call), one) for call, one in zip(calls, signatures, strict=True)]
    rest = [block for block in own if block.data is None or block.id not in of_calls]
    if native := getattr(turn, "native", None):
        return _encode_native(draft, replace(turn, reasoning=tuple(rest)), native, signed)
    parts = _encode_entries(draft, turn)
    for block in rest:
        if block.data is not None:
            _sign_last(parts, block.data)
    return [_encode_thought(block) for block in rest if block.data is None] + parts + signed


def _encode_native(draft: Draft, turn: AnyTurn, native: NativeContent, calls: list[Part]) -> list[Part]:
    """Write a turn with parts of Gemini's own, all parts in their order."""
    parts: list[Part] = []
    for piece in list_pieces(turn, native):
        if piece.text:
            parts.append({"text": piece.text})
        elif piece.call:
            parts.append(calls.pop(0))
        elif piece.entry:
            parts.append(_encode_entry(draft, piece.entry))
        elif piece.data:
            parts.append(piece.data.copy())
        for block in piece.reasoning:
            if block.data is None:
                parts.append(_encode_thought(block))
            else:
                _sign_last(parts, block.data)
    return parts


def _encode_thought(block: Reasoning) -> Part:
    return _sign({"text": block.text, "thought": True}, block.signature)


def _sign_last(parts: list[Part], signature: str) -> None:
    """Sign the last text; a stream has its signature in an empty part behind it, which means the same."""
    if not parts or "text" not in parts[-1] or parts[-1].get("thought") or "thoughtSignature" in parts[-1]:
        parts.append({"text": ""})
    parts[-1] = _sign(parts[-1], signature)


def _sign(part: Part, signature: str | None) -> Part:
    return part | ({"thoughtSignature": signature} if signature else {})


def _encode_call(draft: Draft, call: ToolCall) -> Part:
    return {"functionCall": _encode_id(draft, call.id) | {"name": call.name, "args": parse_arguments(draft, call)}}
