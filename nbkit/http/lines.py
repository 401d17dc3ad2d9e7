"""JSON lines (NDJSON) from bytes: a push decoder without I/O.

`LineDecoder.feed(data)` takes the next bytes of the body, cut anywhere, and returns the lines that they complete, each
a JSON object and an event without a name; `finish()` ends the body and returns its last line. A line ends at LF or
CRLF; empty lines and a byte order mark are skipped.
"""

from __future__ import annotations

from nbkit.errors import ProviderError
from nbkit.http.events import BOM, MAX_EVENT, Event


class LineDecoder:
    """Decoder of one body.

    `stray` is the first line that is not a JSON object and everything after it: a stream that lost a line must not go
    on as if it were complete. A line that begins and ends with a brace counts as an object.

    Raises ProviderError when one line is longer than 32 MiB; the caller adds the provider's name.
    """

    __slots__ = ("_stray", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()  # an unfinished line
        self._stray = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the lines that they complete."""
        if data.find(b"\n") == len(data) - 1 and data[:1] == b"{" and data[-2:] == b"}\n" and self._is_between():
            return [("", data[:-1])]  # one line: the usual case
        if b"\n" not in data:
            self._tail += data
            lines: list[bytes] = []
        else:
            *lines, rest = (bytes(self._tail) + data if self._tail else data).split(b"\n")
            self._tail = bytearray(rest)
        events = self._read(lines)
        if len(self._tail) > MAX_EVENT and not events:  # those before it count first: the next bytes meet it again
            raise ProviderError(f"one line of the stream is longer than {MAX_EVENT // 2**20} MiB")
        return events

    def finish(self) -> list[Event]:
        """End the body; return its last line, which needs no line end."""
        return self._read([bytes(self._tail)])

    @property
    def stray(self) -> bytes:
        """The first line that is not a JSON object, and everything after it; complete after `finish()`."""
        return bytes(self._stray)

    def _is_between(self) -> bool:
        """Tell whether the next byte begins a line of the stream."""
        return not (self._tail or self._stray)

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in filter(None, (line.strip().removeprefix(BOM) for line in lines)):
            if not self._stray and line[:1] == b"{" and line[-1:] == b"}":
                events.append(("", line))
            elif len(self._stray) < MAX_EVENT:
                self._stray += line + b"\n"
        return events
