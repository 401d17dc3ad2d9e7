from __future__ import annotations

import tracemalloc

import pytest

from nbkit.errors import ProviderError
from nbkit.http.events import MAX_EVENT
from nbkit.http.lines import LineDecoder

# name: (body, its lines ended by \n; events; stray)
VECTORS = {
    "one line": (b'{"a": 1}\n', [b'{"a": 1}'], b""),
    "several": (b'{"a":1}\n{"a":2}\n{}\n', [b'{"a":1}', b'{"a":2}', b"{}"], b""),
    "no line end at the end": (b'{"a":1}\n{"a":2}', [b'{"a":1}', b'{"a":2}'], b""),
    "empty lines": (b'\n\n{"a":1}\n \t\n{"a":2}\n\n', [b'{"a":1}', b'{"a":2}'], b""),
    "white space around": (b'  {"a":1}\t\n', [b'{"a":1}'], b""),
    "unicode's other line ends": (
        '{"a":"\u2028\u2029\x85\x0b\x0c"}\n'.encode(),
        ['{"a":"\u2028\u2029\x85\x0b\x0c"}'.encode()],
        b"",
    ),
    "cut amidst a line": (b'{"a":1}\n{"a":', [b'{"a":1}'], b'{"a":\n'),
    "printed JSON": (b'{\n  "error": "no"\n}\n', [], b'{\n"error": "no"\n}\n'),
    "HTML": (b"<p>Bad gateway</p>", [], b"<p>Bad gateway</p>\n"),
    "no object": (b'[{"a":1}]\n', [], b'[{"a":1}]\n'),
    "nothing goes on after a lost line": (
        b'{"a":1}\n"a":2}\n{"a":3}\n',
        [b'{"a":1}'],
        b'"a":2}\n{"a":3}\n',
    ),
    "nothing": (b"", [], b""),
}


def decode(*pieces: bytes) -> tuple[list[bytes], bytes]:
    decoder = LineDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    assert {name for name, _ in events} <= {""}
    return [data for _, data in events], decoder.stray


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_at_every_split(name, end):
    body, events, stray = VECTORS[name]
    body = body.replace(b"\n", end)
    assert decode(body) == (events, stray)
    assert decode(*(body[i : i + 1] for i in range(len(body)))) == (events, stray)
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert decode(body[:first], body[first:second], body[second:]) == (events, stray), (first, second)


def test_a_line_is_delivered_as_soon_as_it_ends():
    decoder = LineDecoder()
    assert decoder.feed(b'{"a":1}') == []
    assert decoder.feed(b'\n{"a"') == [("", b'{"a":1}')]
    assert decoder.feed(b":2}\n{}\n{") == [("", b'{"a":2}'), ("", b"{}")]


def test_a_line_without_an_end_is_given_up():
    decoder, piece = LineDecoder(), b" " * 2**20
    for _ in range(MAX_EVENT // len(piece)):
        assert decoder.feed(piece) == []
    with pytest.raises(ProviderError, match="one line of the stream is longer than 32 MiB"):
        decoder.feed(b" ")


def test_many_lines_are_no_long_line():
    decoder, line = LineDecoder(), b'{"a":"' + b"x" * (2**20 - 9) + b'"}\n'
    assert sum(len(decoder.feed(line)) for _ in range(40)) == 40


def test_what_is_no_json_takes_no_more_memory_than_a_line_may():
    decoder, line = LineDecoder(), b"x" * (2**20 - 1) + b"\n"
    tracemalloc.start()
    try:
        for _ in range(100):
            decoder.feed(line)
        assert tracemalloc.get_traced_memory()[0] < 2 * MAX_EVENT
    finally:
        tracemalloc.stop()
    assert len(decoder.stray) == MAX_EVENT


def test_an_unfinished_line_in_small_pieces_costs_a_small_multiple_of_its_size():
    decoder = LineDecoder()
    tracemalloc.start()
    for _ in range(2**17):
        decoder.feed(b"xy")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2**19
