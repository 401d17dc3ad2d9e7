"""The pace of a stream: its pieces and their times are noted while they arrive, and an answer that was kept comes in
them again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from nbkit.billing.entry import Piece, Sample
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta
from nbkit.settings import settings

_JOINED = 40
"""Milliseconds within which pieces are one: eyes see no less."""


def note_piece(pieces: list[Piece], chunks: Sequence[ChatCompletionChunk], started: float) -> None:
    """Note how much of an answer has arrived now."""
    text, reasoning = sum(len(chunk.text) for chunk in chunks), sum(len(chunk.reasoning) for chunk in chunks)
    now = round((time.monotonic() - started) * 1000)
    if pieces and now - pieces[-1][0] < _JOINED:
        now, text, reasoning = pieces[-1][0], pieces[-1][1] + text, pieces[-1][2] + reasoning
        del pieces[-1]
    if text or reasoning:
        pieces.append((now, text, reasoning))


def split_answer(
    completion: ChatCompletion, sample: Sample | None, started: float
) -> Iterator[tuple[float, ChatCompletionChunk]]:
    """Split an answer into its pieces, each with the seconds to wait before it; without a pace it is one, at once.

    The last piece has what no piece has noted: the calls of tools, and how it ended.
    """
    pieces = sample.pieces if sample and sample.paced else []
    text = reasoning = 0
    for moment, more_text, more_reasoning in pieces:
        part = completion.text[text : text + more_text], completion.reasoning[reasoning : reasoning + more_reasoning]
        text, reasoning = text + more_text, reasoning + more_reasoning
        yield _count_wait(moment / 1000, started), ChatCompletionChunk(*part)
    end = completion.timing.total if sample and sample.paced and completion.timing else 0.0
    rest = make_whole_chunk(completion, completion.text[text:], completion.reasoning[reasoning:])
    yield _count_wait(end, started), rest


def _count_wait(moment: float, started: float) -> float:
    """Count the seconds until a moment of the call; no call takes longer than its deadline."""
    return max(0.0, started + min(moment, settings().http_deadline) - time.monotonic())


def make_whole_chunk(
    completion: ChatCompletion, text: str | None = None, reasoning: str | None = None
) -> ChatCompletionChunk:
    """Make one piece of an answer that did not come in pieces, or of the rest of its text and reasoning."""
    calls = (ToolCallDelta(at, call.id, call.name, call.arguments) for at, call in enumerate(completion.tool_calls))
    return ChatCompletionChunk(
        completion.text if text is None else text,
        completion.reasoning if reasoning is None else reasoning,
        tuple(calls),
        completion.finish_reason,
        id=completion.id,
        model=completion.model,
    )
