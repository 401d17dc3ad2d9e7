"""Server-sent events from bytes: a push decoder without I/O.

`EventDecoder.feed(data)` takes the next bytes of the body, cut anywhere, and returns the events that they complete;
`finish()` ends the body and returns the last event if its blank line is missing. The rules are those of the HTML
standard (9.2.6, "Interpreting an event stream"), with one exception that `finish` explains. Data stays bytes, for a
JSON parser to read. A line ends at CR, LF or CRLF only, because JSON may contain U+2028 and similar characters.
"""

from __future__ import annotations

from nbkit.errors import ProviderError

MAX_EVENT = 32 * 2**20
"""Bytes; large, because an image arrives as one event with several MiB of base64."""

MANY_LINES = 256
"""Data lines of one event from which on they are joined."""

Event = tuple[str, bytes]
"""An event's name ("" for none) and its data."""

BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # numbers, for a search for one byte is slower with bytes


class EventDecoder:
    """Decoder of one body.

    `stray` collects lines that are not part of an event stream: their field is unknown to the standard. A body without
    events but with stray lines is something else: a complete response or an error in plain JSON, a proxy's HTML page.
    The field `error`, with which GPUStack breaks off, is an event of that name.

    Raises ProviderError when one event is longer than 32 MiB; the caller adds the provider's name.
    """

    __slots__ = ("_after_cr", "_at_start", "_long", "_name", "_open", "_size", "_skips", "_stray", "_tail", "_values")

    def __init__(self) -> None:
        self._at_start = True  # a byte order mark may still arrive
        self._after_cr = False  # the last byte was a CR: an LF that follows belongs to the same line end
        self._skips = True  # one of the two
        self._open = False  # a line or an event is unfinished
        self._tail = bytearray()  # the unfinished line
        self._name = ""
        self._values: list[bytes] = []  # data lines of an unfinished event
        self._long = bytearray()  # those before them, of an event with many lines
        self._stray = bytearray()
        self._size = 0  # bytes of the data lines

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the events that they complete."""
        if self._skips or _CR in data:
            data = self._unify_lines(data)
        if self._open or data[-2:] != b"\n\n":
            return self._read_any(data)
        return self._read_whole(data)

    def finish(self) -> list[Event]:
        """End the body; return the last event if its blank line is missing.

        The standard discards such an event. It is returned here because some providers leave out the blank line after
        their last event. If the body was cut off, so is the event's data, and parsing it as JSON will fail.
        """
        return self._read([bytes(self._tail), b""])

    @property
    def stray(self) -> bytes:
        """The lines that are not part of an event stream; complete after `finish()`."""
        return bytes(self._stray)

    def _unify_lines(self, data: bytes) -> bytes:
        """End all lines with LF, and drop a byte order mark."""
        if self._at_start or self._after_cr:
            data = self._skip(data)
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._skips = self._at_start or self._after_cr
        return data

    def _skip(self, data: bytes) -> bytes:
        """Drop a byte order mark at the start, and the LF of a CRLF that was cut in two."""
        if self._at_start:
            data = bytes(self._tail) + data
            self._tail.clear()
            self._at_start = len(data) < len(BOM) and BOM.startswith(data)
            return data if self._at_start else data.removeprefix(BOM)
        self._after_cr = not data
        return data.removeprefix(b"\n")

    def _read_whole(self, data: bytes) -> list[Event]:
        """Read bytes that are whole events and follow a whole one: the usual case, and the fast path.

        An event of other lines than `data: ...`, or `event: ...` and that, goes the general way.
        """
        events, at, last = [], 0, len(data) - 2
        while at <= last:
            start = data.find(b"\n", at) + 1 if data[at : at + 7] == b"event: " else at
            end = data.find(b"\n", start)
            if data[start : start + 6] == b"data: " and data[end + 1] == _LF:
                name = data[at + 7 : start - 1].decode("utf-8", "replace") if start > at else ""
                events.append((name, data[start + 6 : end]))
            else:
                end = data.find(b"\n\n", at)
                events += self._read([*data[at:end].split(b"\n"), b""])
            at = end + 2
        return events

    def _read_any(self, data: bytes) -> list[Event]:
        """Read bytes that begin or end anywhere."""
        events: list[Event] = []
        if _LF in data:
            *lines, rest = (bytes(self._tail) + data if self._tail else data).split(b"\n")
            self._tail = bytearray(rest)
            events = self._read(lines)
        else:
            self._tail += data
        if self._size + len(self._tail) > MAX_EVENT and not events:  # those before it count first
            raise ProviderError(f"one event of the stream is longer than {MAX_EVENT // 2**20} MiB")
        self._open = bool(self._tail or self._size or self._name)
        return events

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in lines:
            if line[:6] == b"data: ":
                self._add(line[6:], len(line))
            elif line:
                events += self._read_field(line)
            else:
                if self._size:
                    events.append((self._name, bytes(self._long) + b"\n".join(self._values)))
                    self._values.clear()
                    self._long.clear()
                    self._size = 0
                self._name = ""
        return events

    def _add(self, value: bytes, size: int) -> None:
        """Keep a data line; many short ones take no more memory than their bytes."""
        self._values.append(value)
        self._size += size + 1
        if len(self._values) > MANY_LINES:
            self._long += b"\n".join((*self._values, b""))
            self._values.clear()

    def _read_field(self, line: bytes) -> list[Event]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._add(value, len(line))
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"error" and value:
            return [("error", value)]
        elif field not in (b"", b"id", b"retry") and len(self._stray) < MAX_EVENT:
            self._stray += line + b"\n"
        return []
