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
from nbkit.protocols.writing import Draft, arguments_of, say, system_apart

FORMAT = "anthropic-claude-v1"
"""Only Claude signs its reasoning here. What OpenRouter calls it; the same blocks go to Anthropic itself."""
LONGEST = 64
"""Characters of a tool's name and of a call's id."""
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
_IMAGES = {"image/jpg": "jpeg"}


def put_turns(draft: Draft, conversation: Conversation) -> None:
    """Write `system` and `messages`."""
    system, turns = system_apart(conversation)
    if any(not isinstance(entry, TextEntry) for turn in system for entry in turn.entries):
        draft.change("dropped", "image", "the system prompt is text")
    if said := [{"text": turn.text} for turn in system if turn.text]:
        draft.body["system"] = said
    messages: list[dict[str, Any]] = []
    for turn in turns:
        say(messages, "assistant" if turn.role == "assistant" else "user", _blocks(draft, turn))
    _name_documents(draft, messages)
    draft.body["messages"] = messages


def tool_name(draft: Draft, given: str) -> str:
    """A tool's name in the characters that are allowed."""
    return _fitting(draft, given, r"[^a-zA-Z0-9_-]", "names of tools")


def _tool_id(draft: Draft, given: str) -> str:
    return _fitting(draft, given, r"[^a-zA-Z0-9_.:-]", "ids of tool calls")


def _fitting(draft: Draft, given: str, others: str, what: str) -> str:
    fitting = re.sub(others, "_", given)[:LONGEST] or "_"
    if fitting != given:
        draft.change("transformed", what, f"they are at most {LONGEST} letters, digits, _ and -")
    return fitting


def _blocks(draft: Draft, turn: AnyTurn) -> list[dict[str, Any]]:
    said = [_block(draft, entry) for entry in turn.entries]
    if isinstance(turn, ToolOutputTurn):
        return [{"toolResult": {"toolUseId": _tool_id(draft, turn.tool_call_id), "content": said}}]
    blocks = [block for reasoning in getattr(turn, "reasoning", ()) if (block := _reasoning(draft, reasoning))]
    blocks += said
    if isinstance(turn, ToolsCallTurn):
        blocks += [_tool_use(draft, call) for call in turn.tool_calls]
    return blocks


def _block(draft: Draft, entry: ContentEntry) -> dict[str, Any]:
    match entry:
        case TextEntry():
            return {"text": entry.text}
        case ImageEntry():
            if entry.image_url.detail:
                draft.change("dropped", "detail of an image", "Bedrock has no such choice")
            return {"image": _media(entry.url, _IMAGES)}
        case FileEntry():
            return {"document": {"name": entry.file.filename, **_media(entry.url, _DOCUMENTS)}}
        case AudioEntry():
            return {"audio": {"format": entry.input_audio.format, "source": {"bytes": entry.input_audio.data}}}


def _media(url: str, formats: dict[str, str]) -> dict[str, Any]:
    """Format and source; what is no `data:` URL is an address in S3."""
    if (content := inline(url)) is None:
        return {"format": url.rpartition(".")[2], "source": {"s3Location": {"uri": url}}}
    media_type, data = content
    return {"format": formats.get(media_type) or media_type.rpartition("/")[2], "source": {"bytes": data}}


def _name_documents(draft: Draft, messages: list[dict[str, Any]]) -> None:
    """Give each document a name of its own, in the characters that are allowed, and a text to stand beside."""
    taken: set[str] = set()
    for message in messages:
        for document in _documents(message["content"]):
            given = document["name"]
            plain = re.sub(r"[^a-zA-Z0-9()\[\]-]+", " ", re.sub(r"\.\w+$", "", given)).strip()[:LONGEST_NAME]
            name, number = plain or "document", 1
            while name in taken:
                number += 1
                name = f"{plain[: LONGEST_NAME - 6] or 'document'} {number}"
            if given and name != given:
                draft.change("renamed", f"file {given}", f"a name is letters, digits and hyphens, and unique: {name}")
            taken.add(name)
            document["name"] = name
        blocks = message["content"]
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            draft.change("transformed", "document", "a text must stand beside it: one was put in front")
            blocks.insert(0, {"text": PLACEHOLDER})


def _documents(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        if "document" in block:
            yield block["document"]
        elif "toolResult" in block:
            yield from _documents(block["toolResult"]["content"])


def _reasoning(draft: Draft, block: Reasoning) -> dict[str, Any] | None:
    """A block of signed reasoning, unchanged, where the model is of the vendor that signed it."""
    if block.format == draft.dialect.reasoning_format == FORMAT:
        if block.signature is not None:
            return {"reasoningContent": {"reasoningText": {"text": block.text, "signature": block.signature}}}
        if block.data is not None:
            data = b64encode(block.data.encode("latin-1", "replace")).decode()
            return {"reasoningContent": {"redactedContent": data}}
    draft.change("dropped", "reasoning", "only what the model's own vendor has signed can be sent back")
    return None


def _tool_use(draft: Draft, call: ToolCall) -> dict[str, Any]:
    name = tool_name(draft, call.name)
    return {"toolUse": {"toolUseId": _tool_id(draft, call.id), "name": name, "input": arguments_of(draft, call)}}
