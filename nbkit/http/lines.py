"""JSON lines (NDJSON) from bytes: a push decoder without I/O.

`LineDecoder.feed(data)` takes the next bytes of the body, cut anywhere, and returns the lines that they complete, each
a JSON object and an event without a name; `finish()` ends the body and returns its last line. A line ends at LF or
CRLF; empty lines are skipped.
"""

from __future__ import annotations

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT, Event


class LineDecoder:
    """Decoder of one body.

    `stray` is the first line that is not a JSON object and everything after it: a stream that lost a line must not go
    on as if it were complete. A line that begins and ends with a brace counts as an object.

    Raises ProviderError when one line is longer than 32 MiB; the caller adds the provider's name.
    """

    __slots__ = ("_size", "_stray", "_tail")

    def __init__(self) -> None:
        self._tail: list[bytes] = []  # pieces of an unfinished line, joined once it ends
        self._size = 0  # bytes of the pieces
        self._stray = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the lines that they complete."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail, self._size = [], 0
        self._tail.append(rest)
        self._size += len(rest)
        if self._size > MAX_EVENT:
            raise ProviderError(f"one line of the stream is longer than {MAX_EVENT // 2**20} MiB")
        return self._read(lines)

    def finish(self) -> list[Event]:
        """End the body; return its last line, which needs no line end."""
        return self._read([b"".join(self._tail)])

    @property
    def stray(self) -> bytes:
        """The first line that is not a JSON object, and everything after it; complete after `finish()`."""
        return bytes(self._stray)

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in filter(None, map(bytes.strip, lines)):
            if not self._stray and line[:1] == b"{" and line[-1:] == b"}":
                events.append(("", line))
            elif len(self._stray) < MAX_EVENT:
                self._stray += line + b"\n"
        return events
