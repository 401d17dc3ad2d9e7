"""How the body of a stream is cut into events: one push decoder for each framing, all with the same three names.

`feed(data)` takes bytes as they arrive and returns the events that they complete, `finish()` says that the body has
ended, and `stray` is what was no event: a plain body that came in the stream's place.
"""

from __future__ import annotations

from typing import Protocol

from nbkit.http.events import Event, EventDecoder
from nbkit.http.frames import FrameDecoder
from nbkit.http.lines import LineDecoder


class Framing(Protocol):
    """Cuts one body into events."""

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the body; return the events that it completes."""

    def finish(self) -> list[Event]:
        """The body has ended; return what is left."""

    @property
    def stray(self) -> bytes:
        """What was no event; complete after `finish()`."""


FRAMINGS: dict[str, type[Framing]] = {
    "sse": EventDecoder,  # server-sent events
    "aws-event-stream": FrameDecoder,  # Amazon's binary events
    "ndjson": LineDecoder,  # JSON lines
}
