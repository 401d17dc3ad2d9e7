from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT, EventDecoder

# name: (body, its lines ended by \n; events; stray)
VECTORS = {
    "one event": (b"data: {}\n\n", [("", b"{}")], b""),
    "several": (b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n", [("", b"1"), ("", b"2"), ("", b"[DONE]")], b""),
    "no space after the colon": (b"data:1\n\ndata:  2\n\n", [("", b"1"), ("", b" 2")], b""),
    "named": (b"event: ping\ndata: 1\n\ndata: 2\n\n", [("ping", b"1"), ("", b"2")], b""),
    "the name after the data": (b"data: 1\nevent:end\n\n", [("end", b"1")], b""),
    "the last name wins": (b"event: a\nevent: b\ndata: 1\n\n", [("b", b"1")], b""),
    "a name without data is dropped": (b"event: a\n\ndata: 1\n\n", [("", b"1")], b""),
    "lines are joined": (b'data: {"a":\ndata: 1}\n\n', [("", b'{"a":\n1}')], b""),
    "empty data is an event": (b"data:\n\ndata\n\ndata\ndata\n\n", [("", b""), ("", b""), ("", b"\n")], b""),
    "comments": (b":\n\n: keep-alive\ndata: 1\n:data: 2\n\n:", [("", b"1")], b""),
    "id and retry": (b"id: 7\nretry: 10\ndata: 1\nid\n\n", [("", b"1")], b""),
    "blank lines": (b"\n\n\ndata: 1\n\n\n\n", [("", b"1")], b""),
    "a byte order mark": (b"\xef\xbb\xbfdata: 1\n\n", [("", b"1")], b""),
    "only the first mark": (b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n", [], b"\xef\xbb\xbfdata: 1\n"),
    "half a mark": (b"\xef\xbbdata: 1\n\n", [], b"\xef\xbbdata: 1\n"),
    "nothing but a piece of a mark": (b"\xef\xbb", [], b"\xef\xbb\n"),
    "unicode's other line ends": (
        "event: é\ndata: \u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\n\n".encode(),
        [("é", "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e".encode())],
        b"",
    ),
    "a name that is not UTF-8": (b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")], b""),
    "no blank line at the end": (b"data: 1\n\ndata: 2\n", [("", b"1"), ("", b"2")], b""),
    "no line end at the end": (b"data: 1\n\nevent: x\ndata: 2", [("", b"1"), ("x", b"2")], b""),
    "only a name at the end": (b"data: 1\n\nevent: x", [("", b"1")], b""),
    "JSON": (b'{"error": 1}', [], b'{"error": 1}\n'),
    "printed JSON": (b'{\n  "data": 1,\n  "id": 2\n}\n', [], b'{\n  "data": 1,\n  "id": 2\n}\n'),
    "HTML": (b"<!doctype html>\n<p>Bad gateway: 502</p>\n", [], b"<!doctype html>\n<p>Bad gateway: 502</p>\n"),
    "an error amidst events": (b'data: 1\n\n{"error": 2}\n\n', [("", b"1")], b'{"error": 2}\n'),
    "W5: a field named error": (b'data: 1\n\nerror: {"code": 5}\n\n', [("", b"1"), ("error", b'{"code": 5}')], b""),
    "an error amidst an event": (b"data: 1\nerror: x\ndata: 2\n\n", [("error", b"x"), ("", b"1\n2")], b""),
    "an error in printed JSON": (b'{\n  "error": 1\n}\n', [], b'{\n  "error": 1\n}\n'),
    "many lines": (b"data: x\n" * 600 + b"\n", [("", b"\n".join([b"x"] * 600))], b""),
    "nothing": (b"", [], b""),
}


def decode(*pieces: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish(), decoder.stray


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_at_every_split(name, end):
    body, events, stray = VECTORS[name]
    body = body.replace(b"\n", end)
    assert decode(body) == (events, stray)
    assert decode(*(body[i : i + 1] for i in range(len(body)))) == (events, stray)
    if len(body) > 200:
        return
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert decode(body[:first], body[first:second], body[second:]) == (events, stray), (first, second)


LINES = st.sampled_from(
    [b"", b"", b"data: 1", b"data: ", b"data:2", b"data", b"event: a", b"event: ", b"event:b", b"event",
     b"event: data: 3", b": x", b"id: 1", b"error: y", b"{}", b"data: event: c",
     "event: \u2028é".encode(), b"event: \xff"]
)  # fmt: skip


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"]))),
    st.lists(st.integers(0, 200)),
)
def test_any_lines_at_any_splits_give_the_events_of_single_bytes(lines, cuts):
    body = b"".join(line + end for line, end in lines)
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    single = decode(*(body[at : at + 1] for at in range(len(body))))
    assert decode(body) == decode(*pieces) == single
    ends = [at + 2 for at in range(len(body)) if body[at : at + 2] == b"\n\n"]  # each piece is whole events
    assert decode(*(body[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True))) == single


def test_line_ends_may_be_mixed():
    body = b"data: 1\r\n\ndata: 2\r\rdata: 3\n\r\ndata: 4\n\n"
    expected = [("", b"1"), ("", b"2"), ("", b"3"), ("", b"4")]
    assert decode(body)[0] == expected
    for cut in range(len(body)):
        assert decode(body[:cut], body[cut:])[0] == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_delivered_as_soon_as_its_blank_line_begins(end):
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1" + end) == []
    assert decoder.feed(end[:1]) == [("", b"1")]
    assert decoder.feed(end[1:] + b"data: 2" + end + end[:1]) == [("", b"2")]


def test_a_piece_that_is_one_event_keeps_the_unfinished_one_before_it():
    whole = b"data: 2\n\n"
    assert decode(b"data: 0\n\n", b"event: x\n", whole)[0] == [("", b"0"), ("x", b"2")]
    assert decode(b"data: 0\n\n", b"data:\n", whole)[0] == [("", b"0"), ("", b"\n2")]
    assert decode(b"data: 0\n\n", b"dat", b"a: 1\n", whole)[0] == [("", b"0"), ("", b"1\n2")]
    assert decode(b"data: 0\n\n", b": ", whole)[0] == [("", b"0")]
    assert decode(b"data: 0\r\r", whole, b"\ndata: 3\n\n")[0] == [("", b"0"), ("", b"2"), ("", b"3")]


@pytest.mark.parametrize(
    "line", [b"data: " + b"x" * 65_000, b"data: " + b"x" * 65_000 + b"\n", (b"data:" + b"x" * 1000 + b"\n") * 65]
)
def test_an_event_without_end_is_refused(line):
    decoder = EventDecoder()
    assert decoder.feed(b"data: 0\n\n") == [("", b"0")]
    for _ in range(MAX_EVENT // len(line)):
        assert decoder.feed(line) == []
    with pytest.raises(ProviderError, match="longer than 32 MiB"):
        decoder.feed(line)


def test_a_long_stream_of_short_events_is_not_refused():
    decoder = EventDecoder()
    piece = b"data: " + b"x" * 60_000 + b"\n\ndata: "
    count = sum(len(decoder.feed(piece)) for _ in range(MAX_EVENT // len(piece) + 10))
    assert count == MAX_EVENT // len(piece) + 10


def test_comments_that_keep_a_connection_alive_are_not_an_event():
    decoder = EventDecoder()
    comment = b": " + b"x" * 2**20 + b"\n\n"
    for _ in range(MAX_EVENT // len(comment) + 5):
        assert decoder.feed(comment) == []
    assert decoder.feed(b"data: 1\n\n") == [("", b"1")]


@pytest.mark.parametrize("piece", [b"xy", b"data: x\n", b"data\n"], ids=["F11: a line", "F11: lines", "F11: no data"])
def test_an_unfinished_event_in_small_pieces_costs_a_small_multiple_of_its_size(piece):
    decoder = EventDecoder()
    decoder.feed(b"data: ")
    tracemalloc.start()
    for _ in range(2**17):
        decoder.feed(piece)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2 * len(piece) * 2**17
    assert len(decoder.finish()) == 1


def test_a_large_event_costs_a_small_multiple_of_its_size():
    image = b"x" * 8 * 2**20
    decoder = EventDecoder()
    tracemalloc.start()
    for start in range(0, len(image), 2**16):
        decoder.feed((b"data: " if not start else b"") + image[start : start + 2**16])
    ((_, data),) = decoder.feed(b"\n\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data == image
    assert peak < 4 * len(image)
