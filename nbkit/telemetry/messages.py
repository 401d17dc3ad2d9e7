"""Conversations and answers in OpenTelemetry's form for content, without keys."""

from __future__ import annotations

from typing import Any

from opentelemetry.util.genai.types import (
    BlobPart,
    FunctionToolDefinition,
    InputMessage,
    MessagePart,
    Modality,
    OutputMessage,
    ReasoningPart,
    TextPart,
    ToolCallRequestPart,
    ToolCallResponsePart,
    ToolDefinition,
    UriPart,
)
from opentelemetry.util.genai.utils import decode_base64

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.content import AudioEntry, ContentEntry, ImageEntry, TextEntry, inline
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import AnyTurn, Conversation
from nbkit.telemetry.content import hide_keys


def write_input(conversation: Conversation | None) -> list[InputMessage]:
    """Write what is asked."""
    return [InputMessage(_name_role(turn), _write_parts(turn)) for turn in (conversation.turns if conversation else ())]


def write_output(completion: ChatCompletion) -> list[OutputMessage]:
    """Write the answers."""
    return [OutputMessage("assistant", _write_parts(one.turn)) for one in completion.choices or (completion,)]


def write_tools(tools: tuple[Tool, ...]) -> list[ToolDefinition]:
    """Write the tools that are offered."""
    return [FunctionToolDefinition(tool.name, tool.description or None, tool.parameters) for tool in tools]


def _name_role(turn: AnyTurn) -> str:
    role: str = getattr(turn, "role", "assistant")
    return "system" if role == "developer" else role


def _write_parts(turn: AnyTurn) -> list[MessagePart]:
    if (answered := getattr(turn, "tool_call_id", None)) is not None:
        return [ToolCallResponsePart(hide_keys(turn.text), answered)]
    parts: list[MessagePart] = [
        ReasoningPart(hide_keys(block.text)) for block in getattr(turn, "reasoning", ()) if block.text
    ]
    parts += [_write_entry(entry) for entry in turn.entries]
    return parts + [
        ToolCallRequestPart(hide_keys(call.arguments), call.name, call.id or None)
        for call in getattr(turn, "tool_calls", ())
    ]


def _write_entry(entry: ContentEntry) -> MessagePart:
    if isinstance(entry, TextEntry):
        return TextPart(hide_keys(entry.text))
    if isinstance(entry, AudioEntry):
        return BlobPart(entry.media_type, Modality.AUDIO, decode_base64(entry.input_audio.data) or b"")
    kind = Modality.IMAGE if isinstance(entry, ImageEntry) else Modality.DOCUMENT
    data: Any = inline(entry.url)
    if data is None:
        return UriPart(None, kind, hide_keys(entry.url))
    return BlobPart(data[0], kind, decode_base64(data[1]) or b"")
