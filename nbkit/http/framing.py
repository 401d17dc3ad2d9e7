"""Framings: how the body of a stream is cut into events. One push decoder for each, all with the same three members.

`feed(data)` takes the next bytes and returns the events that they complete, `finish()` ends the body, and `stray` is
the part that is not a stream: an error in plain JSON, for example, in place of events.
"""

from __future__ import annotations

from typing import Protocol

from nbkit.http.events import Event, EventDecoder
from nbkit.http.frames import FrameDecoder
from nbkit.http.lines import LineDecoder


class Framing(Protocol):
    """Decoder that cuts one body into events."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the events that they complete."""

    def finish(self) -> list[Event]:
        """End the body; return the last event if it was still open."""

    @property
    def stray(self) -> bytes:
        """The part of the body that is not a stream; complete after `finish()`."""


FRAMINGS: dict[str, type[Framing]] = {
    "sse": EventDecoder,  # server-sent events
    "aws-event-stream": FrameDecoder,  # Amazon's binary events
    "ndjson": LineDecoder,  # JSON lines
}
