"""JSON lines (NDJSON) from bytes: a push decoder, pure.

`LineDecoder.feed(data)` takes the body as it arrives, cut anywhere, and returns the lines that it completes, each a
JSON object and an event without a name; `finish()` says that the body has ended and returns what is left. A line ends
at LF or CRLF; an empty one is skipped.
"""

from __future__ import annotations

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT, Event


class LineDecoder:
    """Decodes one body.

    `stray` is whatever was no JSON object, and all that came after it: a stream that lost a line does not go on as if
    it were whole. What begins and ends with a brace is taken for an object.

    Raises ProviderError, naming no provider, when one line is longer than 32 MiB.
    """

    __slots__ = ("_size", "_stray", "_tail")

    def __init__(self) -> None:
        self._tail: list[bytes] = []  # pieces of an unfinished line, joined once it ends
        self._size = 0  # bytes of the pieces
        self._stray = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the body; return the lines that it completes."""
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
        """The body has ended: return the last line, which needs no line end."""
        return self._read([b"".join(self._tail)])

    @property
    def stray(self) -> bytes:
        """What was no line of JSON; complete after `finish()`."""
        return bytes(self._stray)

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in filter(None, map(bytes.strip, lines)):
            if not self._stray and line[:1] == b"{" and line[-1:] == b"}":
                events.append(("", line))
            elif len(self._stray) < MAX_EVENT:
                self._stray += line + b"\n"
        return events
