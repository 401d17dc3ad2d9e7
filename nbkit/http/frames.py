"""AWS event streams from bytes: a push decoder without I/O.

`FrameDecoder.feed(data)` takes the next bytes of an `application/vnd.amazon.eventstream` body, cut anywhere, and
returns the events that they complete. A frame consists of its length, the length of its headers, a checksum of these
two, the headers, the payload, and a checksum of all: https://smithy.io/2.0/aws/amazon-eventstream.html. An event's name
is the header `:event-type`, or `:exception-type` if the frame reports an exception; its data is the payload. A frame of
the type `error` has no payload: it becomes the event `error` with its code and message as JSON.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from zlib import crc32

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT, Event
from nbkit.json_text import write_json

MAX_HEADERS = 128 * 2**10
"""Bytes, the limit of AWS's own SDKs."""

_LENGTHS = Struct(">III")
"""The prelude: the frame's length, its headers' length, and the checksum of the two."""
_PRELUDE = _LENGTHS.size
_CHECKSUM = 4
_TEXT_STARTS = (b"{", b"[", b"<")
_STRING, _BYTES = 7, 6
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; strings and byte arrays carry their own length."""


class FrameDecoder:
    """Decoder of one body.

    `stray` is a body that does not begin with a frame, or what follows the frames without being one: a complete
    response or an error in plain JSON, a proxy's HTML page.

    Raises ProviderError when a frame is damaged or longer than 32 MiB; the caller adds the provider's name.
    """

    __slots__ = ("_framed", "_stray", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()  # an unfinished frame
        self._framed = False  # the body begins with a frame
        self._stray = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the events that they complete."""
        if self._stray:
            if len(self._stray) < MAX_EVENT:
                self._stray += data
            return []
        known: bytes | bytearray = data  # mostly whole frames, which are not copied first
        if self._tail:
            self._tail += data
            known = self._tail
        events: list[Event] = []
        start = 0
        try:
            while (size := self._read_size(known, start)) and start + size <= len(known):
                events.append(_read_frame(bytes(known[start : start + size])))
                start += size
        except ProviderError:
            if not events:  # those before the damage count first; it is met again with the next bytes, or the end
                raise
        if self._stray:
            self._tail.clear()
        elif self._tail:
            del self._tail[:start]
        else:
            self._tail += data[start:]
        return events

    def finish(self) -> list[Event]:
        """End the body. An unfinished frame is dropped: its parser notices that the last events are missing."""
        self.feed(b"")
        if not self._framed or self._tail[:1] in _TEXT_STARTS:
            self._stray += self._tail
        return []

    @property
    def stray(self) -> bytes:
        """The bytes that are not frames; complete after `finish()`."""
        return bytes(self._stray)

    def _read_size(self, known: bytes | bytearray, start: int) -> int:
        """Return the size in bytes of the frame at `start`; 0 if it is not known yet, or the body has no frames."""
        if len(known) < start + _PRELUDE:
            return 0
        size, headers, checksum = _LENGTHS.unpack_from(known, start)
        if crc32(known[start : start + _PRELUDE - _CHECKSUM]) != checksum:
            if self._framed and known[start : start + 1] not in _TEXT_STARTS:
                raise ProviderError("the stream is damaged: the beginning of an event does not match its checksum")
            self._stray += known[start:]  # JSON or HTML: as the length of a frame it would be more than a gigabyte
            return 0
        self._framed = True
        if size > MAX_EVENT or headers > MAX_HEADERS:
            raise ProviderError(f"one event of the stream is longer than {MAX_EVENT // 2**20} MiB, or its headers are")
        if size < _PRELUDE + headers + _CHECKSUM:
            raise ProviderError("the stream is damaged: an event is shorter than its headers")
        return int(size)


def seal_frames(body: bytes) -> bytes:
    """Write the checksums anew of frames whose payloads were changed, and are as long as before."""
    sealed, start = bytearray(body), 0
    while start + _PRELUDE <= len(body):
        end = start + _LENGTHS.unpack_from(body, start)[0]
        if not start + _PRELUDE + _CHECKSUM <= end <= len(body):
            break
        sealed[end - _CHECKSUM : end] = crc32(sealed[start : end - _CHECKSUM]).to_bytes(_CHECKSUM)
        start = end
    return bytes(sealed)


def _read_frame(frame: bytes) -> Event:
    if crc32(frame[:-_CHECKSUM]) != int.from_bytes(frame[-_CHECKSUM:]):
        raise ProviderError("the stream is damaged: an event does not match its checksum")
    end = _PRELUDE + _LENGTHS.unpack_from(frame)[1]
    headers = _read_headers(frame[_PRELUDE:end])
    if headers.get(":message-type") == "error":
        return "error", write_json(
            {"code": headers.get(":error-code", ""), "message": headers.get(":error-message", "")}
        )
    return headers.get(":exception-type") or headers.get(":event-type", ""), frame[end:-_CHECKSUM]


@lru_cache(maxsize=32)  # all chunks of an answer have the same headers
def _read_headers(data: bytes) -> dict[str, str]:
    """Read the headers whose value is a string."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind, at = data[at + 1 : name_end], data[name_end], name_end + 1
            if kind in (_STRING, _BYTES):
                size, at = int.from_bytes(data[at : at + 2]), at + 2
            else:
                size = _SIZES[kind]
            if kind == _STRING:
                headers[name.decode("utf-8", "replace")] = data[at : at + size].decode("utf-8", "replace")
            at += size
    except LookupError:
        raise ProviderError("the stream is damaged: the headers of an event cannot be read") from None
    return headers
