"""Reasoning in the messages of assistants, under the names and in the parts that providers have for it."""

from __future__ import annotations

from typing import Any

from nbkit.arguments import describe
from nbkit.conversation.content import Reasoning
from nbkit.errors import ConversationError

_TEXTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Names under which providers send the text of the reasoning; several at once hold the same."""


def read_reasoning(data: dict[str, Any]) -> dict[str, Any]:
    """Read the reasoning of an assistant's message, from its keys and from the parts of its content."""
    details = data.pop("reasoning_details", None)
    texts = [data.pop(name) for name in _TEXTS if isinstance(data.get(name), str)]
    text = next(filter(None, texts), "")
    blocks: tuple[Reasoning, ...] = ()
    if isinstance(content := data.get("content"), tuple):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") in _THINKING]
        blocks = tuple(block for part in parts if (block := _read_thinking(part)))
        data["content"] = tuple(part for part in content if part not in parts) if parts else content
    if details:
        if not isinstance(details, list | tuple) or not all(isinstance(detail, dict) for detail in details):
            raise ValueError(f"reasoning_details: expected a list of dicts, got {describe(details)}")
        data["reasoning"] = tuple(_read_detail(detail, place) for place, detail in enumerate(details))
    elif blocks:
        data.setdefault("reasoning", blocks)
    elif text:
        data.setdefault("reasoning", (Reasoning(text=text),))
    return data


def _read_detail(detail: dict[str, Any], place: int) -> Reasoning:
    try:
        return Reasoning.from_detail(detail)
    except ConversationError as invalid:
        problem = str(invalid).removeprefix("Reasoning: ")
    raise ValueError(f"reasoning_details[{place}].{problem}")


_THINKING = ("thinking", "redacted_thinking")


def _read_thinking(part: dict[str, Any]) -> Reasoning | None:
    """Read a part of a message's content that is reasoning: Mistral's and Cohere's, or Anthropic's signed one."""
    thinking = part.get("thinking") or ""
    if isinstance(thinking, list):  # Mistral's is a list of texts
        thinking = "".join(str(piece.get("text") or "") for piece in thinking if isinstance(piece, dict))
    opaque: dict[str, Any] = {name: part[name] for name in ("signature", "data") if isinstance(part.get(name), str)}
    vendor: dict[str, Any] = {"format": "anthropic-claude-v1"} if opaque else {}
    return Reasoning(text=str(thinking), **opaque, **vendor) if thinking or opaque else None


def write_reasoning(blocks: tuple[Reasoning, ...]) -> dict[str, Any]:
    """Write the reasoning of a turn as the keys of a message."""
    if not blocks:
        return {}
    out: dict[str, Any] = {"reasoning_content": "".join(block.text for block in blocks)}
    if any(block != Reasoning(text=block.text) for block in blocks) or len(blocks) > 1:
        out["reasoning_details"] = [block.to_detail() for block in blocks]
    return out
