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
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from nbkit.demo.answers import Answer, answer
from nbkit.demo.dialog import Request, Turn

IMAGE_TOKENS = 256
SSE = "text/event-stream; charset=utf-8"
"""The content type of server-sent events."""
_TOKEN = re.compile(r"\s?\w{1,5}|\s?[^\w\s]{1,2}|\s+")


@dataclass(frozen=True, slots=True)
class Part:
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


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire. `finish` is `stop`, `length`, `calls`, or `sequence` (then `stopped_at` says which)."""

    parts: tuple[Part, ...]
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


def tokens(text: str) -> tuple[str, ...]:
    """The text in tokens; joined they are the text."""
    return tuple(_TOKEN.findall(text))


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def reply(request: Request) -> Reply:
    """The reply to a request: its answer, cut at the first stop sequence and at `max_tokens`."""
    said = answer(request)
    text, stopped_at = _stop(said.text, request.stop)
    whole = _parts(said, text, len(request.turns))
    parts = _limit(whole, request.max_tokens)
    asked = [index for index, turn in enumerate(request.turns) if turn.role == "user"]
    tools = sum(len(tokens(tool.name + json.dumps(tool.schema))) for tool in request.tools)
    return Reply(
        parts=parts,
        finish="length" if parts != whole else "calls" if said.calls else "sequence" if stopped_at else "stop",
        failure=said.failure,
        prompt=tools + _count(request.turns),
        cached=tools + _count(request.turns[: asked[-1]]) if len(asked) > 1 else 0,
        stopped_at=stopped_at if parts == whole else None,
    )


def _count(turns: Sequence[Turn]) -> int:
    return sum(len(tokens(turn.text)) + IMAGE_TOKENS * turn.images for turn in turns)


def _stop(text: str, sequences: Sequence[str]) -> tuple[str, str | None]:
    """The text before the stop sequence that comes first, and that sequence."""
    found = [(text.find(sequence), sequence) for sequence in sequences if sequence and sequence in text]
    if not found:
        return text, None
    at, sequence = min(found)
    return text[:at], sequence


def _parts(said: Answer, text: str, turns: int) -> tuple[Part, ...]:
    parts = [Part("reasoning", tokens(said.reasoning)), Part("text", tokens(text))]
    for index, call in enumerate(said.calls):
        written = json.dumps(call.arguments, ensure_ascii=False)
        identity = hashlib.sha256(f"{turns} {index} {call.name} {written}".encode(errors="replace"))
        parts.append(Part("call", tokens(written), call.name, identity.hexdigest()[:24]))
    return tuple(part for part in parts if part.pieces)


def _limit(parts: tuple[Part, ...], budget: int | None) -> tuple[Part, ...]:
    """As many tokens as the budget allows. A call that does not fit is left out: half its JSON would be of no use."""
    if budget is None:
        return parts
    kept = []
    for part in parts:
        pieces = tuple(islice(part.pieces, budget))
        budget -= len(pieces)
        if pieces and (part.kind != "call" or pieces == part.pieces):
            kept.append(Part(part.kind, pieces, part.name, part.id))
    return tuple(kept)
