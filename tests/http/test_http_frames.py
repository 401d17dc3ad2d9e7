from __future__ import annotations

import json
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT
from nbkit.http.frames import FrameDecoder

EVENT = b"\x0d:message-type\x07\x00\x05event"
EXCEPTION = b"\x0d:message-type\x07\x00\x09exception"


def string(name: str, value: str) -> bytes:
    return len(name).to_bytes(1) + name.encode() + b"\x07" + len(value.encode()).to_bytes(2) + value.encode()


def frame(headers: bytes, payload: bytes = b"") -> bytes:
    prelude = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    body = prelude + crc32(prelude).to_bytes(4) + headers + payload
    return body + crc32(body).to_bytes(4)


def named(name: str, payload: bytes) -> bytes:
    return frame(EVENT + string(":event-type", name) + string(":content-type", "application/json"), payload)


# A header of each type: true, false, byte, short, int, long, bytes, string, timestamp, UUID
EVERY_TYPE = (
    b"\x01a\x00\x01b\x01\x01c\x02\xff\x01d\x03\x00\x01\x01e\x04\x00\x00\x00\x01\x01f\x05" + bytes(8)
    + b"\x01g\x06\x00\x02\xff\x00\x01h\x07\x00\x02\xc3\xa9\x01i\x08" + bytes(8) + b"\x01j\x09" + bytes(16)
)  # fmt: skip

# name: (body, events, stray)
VECTORS = {
    "one event": (named("messageStart", b"{}"), [("messageStart", b"{}")], b""),
    "several": (
        named("a", b'{"x": 1}') + named("b", b"") + named("c", bytes(range(256))),
        [("a", b'{"x": 1}'), ("b", b""), ("c", bytes(range(256)))],
        b"",
    ),
    "an exception": (
        named("a", b"{}") + frame(EXCEPTION + string(":exception-type", "throttlingException"), b'{"message":"Slow"}'),
        [("a", b"{}"), ("throttlingException", b'{"message":"Slow"}')],
        b"",
    ),
    "headers of every type": (frame(EVERY_TYPE + EVENT + string(":event-type", "é"), b"1"), [("é", b"1")], b""),
    "no headers": (frame(b"", b"1"), [("", b"1")], b""),
    "an unfinished event": (named("a", b"{}") + named("b", b"{}")[:-1], [("a", b"{}")], b""),
    "nothing but the beginning of an event": (named("a", b"{}")[:-1], [], b""),
    "A4: JSON behind the events": (
        named("a", b"{}") + b'{\n  "message": "not now"\n}',
        [("a", b"{}")],
        b'{\n  "message": "not now"\n}',
    ),
    "A4: short JSON behind the events": (named("a", b"{}") + b'{"a": 1}', [("a", b"{}")], b'{"a": 1}'),
    "JSON": (b'{"message": "not now"}', [], b'{"message": "not now"}'),
    "short JSON": (b'{"a": 1}', [], b'{"a": 1}'),
    "HTML": (b"<!doctype html><p>Bad gateway", [], b"<!doctype html><p>Bad gateway"),
    "nothing": (b"", [], b""),
}


def decode(*pieces: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    decoder = FrameDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish(), decoder.stray


@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_at_every_split(name):
    body, events, stray = VECTORS[name]
    assert decode(body) == (events, stray)
    assert decode(*(body[i : i + 1] for i in range(len(body)))) == (events, stray)
    for cut in range(len(body) + 1):
        assert decode(body[:cut], body[cut:]) == (events, stray), cut


@pytest.mark.parametrize("name", [name for name, (_, _, stray) in VECTORS.items() if not stray])
def test_botocore_reads_the_same(name):
    body, events, _ = VECTORS[name]
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    read = [
        (event.headers.get(":exception-type", event.headers.get(":event-type", "")), event.payload) for event in buffer
    ]
    assert read == events


def test_an_error_without_a_payload_is_an_event_with_one():
    headers = string(":message-type", "error") + string(":error-code", "Inner") + string(":error-message", 'a "b"')
    ((name, data),) = FrameDecoder().feed(frame(headers))
    assert (name, json.loads(data)) == ("error", {"code": "Inner", "message": 'a "b"'})


def test_an_event_is_delivered_with_its_last_byte():
    decoder, whole = FrameDecoder(), named("a", b"{}")
    assert decoder.feed(whole[:-1]) == []
    assert decoder.feed(whole[-1:] + whole[:5]) == [("a", b"{}")]
    assert decoder.feed(whole[5:]) == [("a", b"{}")]


def test_each_spoilt_byte_is_noticed():
    whole = named("a", b'{"text": "Hello"}')
    for at in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[at] ^= 1
        decoder = FrameDecoder()
        assert decoder.feed(whole + spoilt) == [("a", b'{"text": "Hello"}')]
        with pytest.raises(ProviderError, match="the stream is damaged"):
            decoder.finish()


@pytest.mark.parametrize(
    "headers", [b"\x05a", b"\x01a", b"\x01a\x0a", b"\x00"], ids=["no name", "no type", "no such type", "nothing"]
)
def test_headers_that_cannot_be_read(headers):
    with pytest.raises(ProviderError, match="the headers of an event cannot be read"):
        FrameDecoder().feed(frame(headers, b"1"))


def test_lengths_that_lie():
    def prelude(size, headers):
        lengths = size.to_bytes(4) + headers.to_bytes(4)
        return lengths + crc32(lengths).to_bytes(4)

    with pytest.raises(ProviderError, match="longer than 32 MiB"):
        FrameDecoder().feed(prelude(MAX_EVENT + 1, 0))
    with pytest.raises(ProviderError, match="or its headers are"):
        FrameDecoder().feed(prelude(2**20, 2**18))
    for size, headers in ((0, 0), (15, 0), (100, 85)):
        with pytest.raises(ProviderError, match="shorter than its headers"):
            FrameDecoder().feed(prelude(size, headers))


def test_a_body_that_is_no_stream_is_kept_to_a_limit():
    decoder = FrameDecoder()
    for _ in range(3 * MAX_EVENT // 2**20):
        assert decoder.feed(b"<" * 2**20) == []
    decoder.finish()
    assert len(decoder.stray) <= MAX_EVENT + 2**20


def test_a_large_event_in_small_pieces():
    image = b"x" * 8 * 2**20
    whole = named("image", image)
    events = decode(*(whole[at : at + 2**14] for at in range(0, len(whole), 2**14)))[0]
    assert events == [("image", image)]
