"""One answer as it is kept: a line of JSON, read with the care that a file from elsewhere needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins
from msgspec.structs import replace

from nbkit.billing.digest import FORMAT
from nbkit.billing.entry import CallFacts, Sample
from nbkit.conversation.completion import Bill, ChatCompletion
from nbkit.conversation.values import read_as
from nbkit.errors import ConversationError
from nbkit.json_text import read_json

PROMPT_LENGTH = 120
"""Characters of the prompt that a line shows, for who reads it."""
_WHOLE = ("stop", "length", "tool_calls", None)
"""How an answer ends that is worth keeping: `length` is what was asked for, with `max_tokens`. None: whole, but the
server does not say it."""

_Count = Annotated[int, Meta(ge=0)]


class Recording(Struct, frozen=True, kw_only=True):
    """An answer, the request that it answers, and the pace at which it came."""

    completion: dict[str, Any]
    """As `ChatCompletion.to_dict` writes it."""
    format: Annotated[int, Meta(le=FORMAT, description=f"{FORMAT} at most (a newer nbkit has written it)")] = FORMAT
    kept: Annotated[datetime, Meta(tz=True)]
    """When the answer came."""
    model: str
    """The model id."""
    pieces: tuple[tuple[_Count, _Count, _Count], ...] = ()
    """Milliseconds since the call began, characters of text and of reasoning: of each piece of a stream."""
    prompt: str = ""
    """The beginning of the last turn that was sent, for who reads the file."""
    request: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits")]
    """The digest of the request."""
    sample: _Count
    """Which answer to this request it is, from 0."""

    @property
    def key(self) -> tuple[str, int]:
        """The request that it answers, and its number among the answers."""
        return self.request, self.sample

    def write(self) -> bytes:
        """Write a line without its end; keys are sorted, but those inside of a completion keep their order: a provider
        may get them back."""
        fields = to_builtins(self)
        plain = {name: fields[name] for name in sorted(fields)}
        return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")

    def restore(self) -> ChatCompletion:
        """Restore the completion: it costs nothing now, and has saved what it cost. Raises ConversationError."""
        return mark_replayed(ChatCompletion.from_dict(self.completion))


def read_recording(line: bytes) -> Recording:
    """Read a line. Raises ValueError, which says what is wrong."""
    try:
        recording: Recording = read_as(Recording, read_json(line))
        recording.restore()
        return recording
    except (ValueError, ConversationError) as invalid:
        problem = str(invalid)
    raise ValueError(problem)


def make_recording(call: CallFacts, sample: Sample, completion: ChatCompletion) -> Recording:
    """Make what is kept of a call."""
    return Recording(
        completion=_drop_unknown(completion.to_dict()),
        format=FORMAT,
        kept=datetime.now(UTC).replace(microsecond=0),
        model=call.model_id,
        pieces=tuple(sample.pieces),
        prompt=quote_prompt(call),
        request=sample.request,
        sample=sample.number,
    )


def _drop_unknown(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if value is not None}


def is_worth_keeping(completion: ChatCompletion) -> bool:
    """Tell whether an answer is whole, and was asked for now: not one that broke off, was filtered or is a replay."""
    if completion.bill is not None and completion.bill.source in ("partial", "replay"):
        return False
    paused = completion.native is not None and completion.native.paused  # goes on in the next call
    return paused or all(one.finish_reason in _WHOLE for one in (completion, *completion.choices))


def mark_replayed(completion: ChatCompletion) -> ChatCompletion:
    """Make the bill that of an answer for which nothing was paid."""
    first = completion.bill or Bill(None, "unknown")
    known = first.total is not None and isfinite(first.total) and first.total >= 0
    bill = Bill(
        0.0,
        "replay",
        catalog_date=first.catalog_date,
        tier=first.tier,
        lane=first.lane,
        model=first.model,
        saved=first.total if known else None,
    )
    return replace(completion, bill=bill)


def quote_prompt(call: CallFacts) -> str:
    """Quote the beginning of the last turn that is sent, on one line."""
    text = " ".join(call.conversation[-1].text.split()) if call.conversation else ""
    return text if len(text) <= PROMPT_LENGTH else f"{text[: PROMPT_LENGTH - 1]}…"
