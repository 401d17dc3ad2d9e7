"""Turns as Bedrock's Converse API takes them: `system`, and `messages` of content blocks.

Wire facts: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html, _DocumentBlock, _ToolUseBlock,
_ReasoningContentBlock, and the service model in botocore.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from nbkit.conversation.content import AudioEntry, ContentEntry, FileEntry, ImageEntry, Reasoning, TextEntry, inline
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.transforms import PLACEHOLDER
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.protocols.writing import Draft, add_blocks, parse_arguments, split_system

FORMAT = "anthropic-claude-v1"
"""OpenRouter's name for signed reasoning; only Claude signs here, and Anthropic itself takes the same blocks."""
LONGEST_NAME = 200
"""Characters of a document's name."""

_DOCUMENTS = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/plain": "txt",
    "text/markdown": "md",
}
_TEXTS = ("text/csv", "text/html")


def encode_turns(draft: Draft, conversation: Conversation) -> None:
    """Write `system` and `messages`."""
    system, turns = split_system(conversation)
    if any(turn.media for turn in system):
        draft.change("dropped", "image", "the system prompt must be text")
    if blocks := [{"text": turn.text} for turn in system if turn.text]:
        draft.body["system"] = blocks
    messages: list[dict[str, Any]] = []
    for turn in turns:
        add_blocks(messages, "assistant" if turn.role == "assistant" else "user", _encode_turn(draft, turn))
    _name_documents(draft, messages)
    draft.body["messages"] = messages


def _encode_turn(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    content = [_encode_entry(draft, entry) for entry in turn.entries]
    if isinstance(turn, ToolOutputTurn):
        return [{"toolResult": {"toolUseId": turn.tool_call_id, "content": content}}]
    blocks = [block for reasoning in getattr(turn, "reasoning", ()) if (block := _encode_reasoning(draft, reasoning))]
    blocks += content
    if isinstance(turn, ToolsCallTurn):
        blocks += [_encode_call(draft, call) for call in turn.tool_calls]
    return blocks


def _encode_entry(draft: Draft, entry: ContentEntry) -> dict[str, Any]:
    match entry:
        case TextEntry():
            return {"text": entry.text}
        case ImageEntry():
            if entry.image_url.detail:
                draft.change("dropped", "detail of an image", "Bedrock has no such option")
            return {"image": _encode_media(entry.url, {})}
        case FileEntry():
            return {"document": {"name": entry.file.filename, **_encode_media(entry.url, _DOCUMENTS)}}
        case AudioEntry():
            return {"audio": {"format": entry.input_audio.format, "source": {"bytes": entry.input_audio.data}}}


def _encode_media(url: str, formats: dict[str, str]) -> dict[str, Any]:
    """Write format and source; an address that is not a `data:` URL is one in S3."""
    if (content := inline(url)) is None:
        return {"format": url.rpartition(".")[2], "source": {"s3Location": {"uri": url}}}
    media_type, data = content
    other = "txt" if media_type.startswith("text/") and media_type not in _TEXTS else media_type.rpartition("/")[2]
    return {"format": formats.get(media_type) or other, "source": {"bytes": data}}


def _name_documents(draft: Draft, messages: list[dict[str, Any]]) -> None:
    """Give each document a name of its own, in the characters that are allowed, and a text to stand beside."""
    taken: set[str] = set()
    for message in messages:
        for document in _find_documents(message["content"]):
            filename = document["name"]
            plain = re.sub(r"[^a-zA-Z0-9()\[\]-]+", " ", re.sub(r"\.\w+$", "", filename)).strip()[:LONGEST_NAME]
            name, number = plain or "document", 1
            while name in taken:
                number += 1
                name = f"{plain[: LONGEST_NAME - 6] or 'document'} {number}"
            if filename and name != filename:
                why = f"a name must be letters, digits and hyphens, and unique: {name}"
                draft.change("renamed", f"file {filename}", why)
            taken.add(name)
            document["name"] = name
        blocks = message["content"]
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            draft.change("transformed", "document", "a text must stand beside it: one was put in front")
            blocks.insert(0, {"text": PLACEHOLDER})


def _find_documents(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        if "document" in block:
            yield block["document"]
        elif "toolResult" in block:
            yield from _find_documents(block["toolResult"]["content"])


def _encode_reasoning(draft: Draft, block: Reasoning) -> dict[str, Any] | None:
    """Write a block of signed reasoning unchanged, where the model is of the vendor that has signed it."""
    if block.format == draft.dialect.reasoning_format == FORMAT:
        if block.signature is not None:
            return {"reasoningContent": {"reasoningText": {"text": block.text, "signature": block.signature}}}
        if block.data is not None:
            data = b64encode(block.data.encode("latin-1", "replace")).decode()
            return {"reasoningContent": {"redactedContent": data}}
    draft.change("dropped", "reasoning", "only what the model's own vendor has signed can be sent back")
    return None


def _encode_call(draft: Draft, call: ToolCall) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": parse_arguments(draft, call)}}
