"""AWS event streams from bytes: a push decoder, pure.

`FrameDecoder.feed(data)` takes the body of an `application/vnd.amazon.eventstream` as it arrives, cut anywhere, and
returns the events that it completes. A frame is its length, its headers' length, a checksum of these two, headers,
payload, and a checksum of it all: https://smithy.io/2.0/aws/amazon-eventstream.html. An event's name is the header
`:event-type`, or `:exception-type` where the frame reports one; its data is the payload. A frame of the type `error`
has no payload: it is the event `error`, its code and message as JSON.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from zlib import crc32

from pydantic_core import to_json

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT, Event

MAX_HEADERS = 128 * 2**10
"""Bytes, the limit of AWS's own SDKs."""

_LENGTHS = Struct(">III")
"""The prelude: the frame's length, its headers' length, and the checksum of the two."""
_PRELUDE = _LENGTHS.size
_CHECKSUM = 4
_STRING, _BYTES = 7, 6
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; strings and byte arrays say their own."""


class FrameDecoder:
    """Decodes one body.

    `stray` is a body that does not begin with a frame: a whole answer or an error in plain JSON, a proxy's HTML page.

    Raises ProviderError, naming no provider, where a frame is damaged or longer than 32 MiB.
    """

    __slots__ = ("_framed", "_stray", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()  # an unfinished frame
        self._framed = False  # a frame has begun
        self._stray = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the body; return the events that it completes."""
        if self._stray:
            if len(self._stray) < MAX_EVENT:
                self._stray += data
            return []
        self._tail += data
        events, start = [], 0
        while (size := self._size(start)) and start + size <= len(self._tail):
            events.append(_event(bytes(self._tail[start : start + size])))
            start += size
        del self._tail[:start]
        return events

    def finish(self) -> list[Event]:
        """The body has ended: an unfinished frame is none, and the parser misses the events that should follow."""
        if not self._framed:
            self._stray += self._tail
        return []

    @property
    def stray(self) -> bytes:
        """The body, where it does not begin with a frame; complete after `finish()`."""
        return bytes(self._stray)

    def _size(self, start: int) -> int:
        """Bytes of the frame that begins at `start`; 0 where that is not known yet, or the body has no frames."""
        if len(self._tail) < start + _PRELUDE:
            return 0
        size, headers, checksum = _LENGTHS.unpack_from(self._tail, start)
        if crc32(self._tail[start : start + _PRELUDE - _CHECKSUM]) != checksum:
            if self._framed:
                raise ProviderError("the stream is damaged: the beginning of an event does not match its checksum")
            self._stray, self._tail = self._tail, bytearray()
            return 0
        self._framed = True
        if size > MAX_EVENT or headers > MAX_HEADERS:
            raise ProviderError(f"one event of the stream is longer than {MAX_EVENT // 2**20} MiB, or its headers are")
        if size < _PRELUDE + headers + _CHECKSUM:
            raise ProviderError("the stream is damaged: an event is shorter than its headers")
        return int(size)


def _event(frame: bytes) -> Event:
    if crc32(frame[:-_CHECKSUM]) != int.from_bytes(frame[-_CHECKSUM:]):
        raise ProviderError("the stream is damaged: an event does not match its checksum")
    end = _PRELUDE + _LENGTHS.unpack_from(frame)[1]
    headers = _headers(frame[_PRELUDE:end])
    if headers.get(":message-type") == "error":
        said = {"code": headers.get(":error-code", ""), "message": headers.get(":error-message", "")}
        return "error", to_json(said)
    return headers.get(":exception-type") or headers.get(":event-type", ""), frame[end:-_CHECKSUM]


@lru_cache(maxsize=32)  # those of the pieces of an answer are all the same
def _headers(data: bytes) -> dict[str, str]:
    """The headers whose value is a string."""
    found: dict[str, str] = {}
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
                found[name.decode("utf-8", "replace")] = data[at : at + size].decode("utf-8", "replace")
            at += size
    except LookupError:
        raise ProviderError("the stream is damaged: the headers of an event cannot be read") from None
    return found
