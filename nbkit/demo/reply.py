"""The simulated provider's reply to a request: the answer in tokens, cut at the limits, with its usage.

Tokens follow one rule: a token is up to five letters or digits with the space before them, up to two other characters
with the space before them, or a run of white space; about four characters of English. Usage counts exactly the pieces
that are streamed. Prompt caching is simulated without memory: from the second user turn on, all that comes before
it was seen in an earlier call, and counts as cached.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

from msgspec import Struct

from nbkit.demo.answers import DemoAnswer, answer
from nbkit.demo.request import DemoRequest, DemoTurn

IMAGE_TOKENS = 256
SSE = "text/event-stream; charset=utf-8"
"""The content type of server-sent events."""
UNKNOWN_PATH = "Unknown request URL: "
"""Beginning of the message for a path that no face serves; OpenAI's words."""
_TOKEN = re.compile(r"\s?\w{1,5}|\s?[^\w\s]{1,2}|\s+")


class DemoPart(Struct, frozen=True):
    """A stretch of the answer, in tokens: reasoning, text, or the JSON arguments of a call of the tool `name`."""

    kind: Literal["reasoning", "text", "call"]
    pieces: tuple[str, ...]
    name: str = ""
    id: str = ""
    """A call's id, without the protocol's prefix."""

    @property
    def text(self) -> str:
        """The pieces, joined."""
        return "".join(self.pieces)


class DemoReply(Struct, frozen=True):
    """An answer as it is sent. `finish` is `stop`, `length`, `calls`, or `sequence` (then `stopped_at` says which)."""

    parts: tuple[DemoPart, ...]
    finish: Literal["stop", "length", "calls", "sequence"]
    failure: str
    prompt: int
    """Tokens of the request, the cached ones included."""
    cached: int
    stopped_at: str | None = None

    @property
    def completion(self) -> int:
        """Tokens of the answer, the reasoning included."""
        return sum(len(part.pieces) for part in self.parts)

    @property
    def reasoning(self) -> int:
        """Tokens of the reasoning."""
        return sum(len(part.pieces) for part in self.parts if part.kind == "reasoning")


def split_tokens(text: str) -> tuple[str, ...]:
    """Split the text into tokens; joined they are the text again."""
    return tuple(_TOKEN.findall(text))


def write_json(value: Any) -> bytes:
    """Write compact JSON in UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def reply(request: DemoRequest) -> DemoReply:
    """Reply to a request with its answer, cut at the first stop sequence and at `max_tokens`."""
    answered = answer(request)
    text, stopped_at = _stop(answered.text, request.stop)
    whole = _split_parts(answered, text, len(request.turns))
    parts = _limit(whole, request.max_tokens)
    prompts = [index for index, turn in enumerate(request.turns) if turn.role == "user"]
    tools = sum(len(split_tokens(tool.name + json.dumps(tool.schema))) for tool in request.tools)
    return DemoReply(
        parts=parts,
        finish="length" if parts != whole else "calls" if answered.calls else "sequence" if stopped_at else "stop",
        failure=answered.failure,
        prompt=tools + _count(request.turns),
        cached=tools + _count(request.turns[: prompts[-1]]) if len(prompts) > 1 else 0,
        stopped_at=stopped_at if parts == whole else None,
    )


def _count(turns: Sequence[DemoTurn]) -> int:
    return sum(len(split_tokens(turn.text)) + IMAGE_TOKENS * len(turn.media) for turn in turns)


def _stop(text: str, sequences: Sequence[str]) -> tuple[str, str | None]:
    """Return the text before the stop sequence that comes first, and that sequence."""
    matches = [(text.find(sequence), sequence) for sequence in sequences if sequence and sequence in text]
    if not matches:
        return text, None
    at, sequence = min(matches)
    return text[:at], sequence


def _split_parts(answered: DemoAnswer, text: str, turns: int) -> tuple[DemoPart, ...]:
    parts = [DemoPart("reasoning", split_tokens(answered.reasoning)), DemoPart("text", split_tokens(text))]
    for index, call in enumerate(answered.calls):
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        identity = hashlib.sha256(f"{turns} {index} {call.name} {arguments}".encode(errors="replace"))
        parts.append(DemoPart("call", split_tokens(arguments), call.name, identity.hexdigest()[:24]))
    return tuple(part for part in parts if part.pieces)


def _limit(parts: tuple[DemoPart, ...], budget: int | None) -> tuple[DemoPart, ...]:
    """Cut the parts at the budget. A call that does not fit is left out: half its JSON would be of no use."""
    if budget is None:
        return parts
    kept = []
    for part in parts:
        pieces = tuple(islice(part.pieces, budget))
        budget -= len(pieces)
        if pieces and (part.kind != "call" or pieces == part.pieces):
            kept.append(DemoPart(part.kind, pieces, part.name, part.id))
    return tuple(kept)
