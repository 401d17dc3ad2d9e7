"""Streamed and whole, the same answer is the same completion, usage and cost, wherever the network cuts the bytes."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from vector_files import load

from nbkit.billing.cost import Cost, bill
from nbkit.http.framing import FRAMINGS
from nbkit.protocols import PROTOCOLS, protocol

RATES = {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75, "reasoning": 20.0}
CASES = [(name, vector) for name in PROTOCOLS for vector in load(name).decode]
vectors = pytest.mark.parametrize(("name", "vector"), CASES, ids=[f"{name}: {vector.name}" for name, vector in CASES])


def split_events(name, pieces):
    framing = FRAMINGS[protocol(name).FRAMING]()
    events = [event for piece in pieces for event in framing.feed(piece)] + framing.finish()
    assert framing.stray == b""
    return events


def decode_stream(name, vector, events):
    decoder = protocol(name).Decoder(vector.make_dialect())
    for event, data in events:
        decoder.feed(event, data)
    return replace(decoder.finish(), raw=None)


@vectors
def test_streamed_is_whole_and_costs_the_same(name, vector):
    body = vector.body(protocol(name).FRAMING)
    streamed = decode_stream(name, vector, split_events(name, [body[at : at + 1] for at in range(len(body))]))
    whole = replace(protocol(name).decode(vector.whole, vector.make_dialect()), raw=None)
    assert streamed == whole
    bills = [bill(each.usage, Cost(RATES, ()), reported=each.reported_cost) for each in (streamed, whole)]
    assert bills[0] == bills[1]


@vectors
def test_every_cut_of_the_bytes_gives_the_same_events(name, vector):
    body = vector.body(protocol(name).FRAMING)
    events = split_events(name, [body])
    for at in range(len(body) + 1):
        assert split_events(name, [body[:at], body[at:]]) == events


def read_chunks(name, vector, pieces):
    """The pieces and the completion of a stream, whose bytes arrive in the given pieces."""
    decoder = protocol(name).Decoder(vector.make_dialect())
    chunks = [
        (chunk, chunk.id, chunk.model)
        for event, data in split_events(name, pieces)
        for chunk in decoder.feed(event, data)
    ]
    return chunks, decoder.finish()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_any_cuts_of_the_bytes_give_the_same_pieces(name):
    @settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data):
        vector = data.draw(st.sampled_from(load(name).decode))
        body = vector.body(protocol(name).FRAMING)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(body)))))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert read_chunks(name, vector, pieces) == read_chunks(name, vector, [body])

    check()


SHORT = ({"content"}, {"role", "content"}, {"text"}, {"type", "text"})
"""Keys of the deltas and parts for which there is a short path."""


def add_key(value):
    """JSON in which each object that could take a short path has a further key, and so takes the long one."""
    if isinstance(value, list):
        return [add_key(item) for item in value]
    if not isinstance(value, dict):
        return value
    short = value.keys() in SHORT and value.get("type") in (None, "text_delta")
    return {key: add_key(item) for key, item in value.items()} | ({"nbkit": None} if short else {})


@pytest.mark.parametrize(("name", "vector"), [case for case in CASES if not case[0].startswith("bedrock")])
def test_the_short_path_of_an_event_gives_what_the_long_one_gives(name, vector):
    decoders = [protocol(name).Decoder(vector.make_dialect()) for _ in range(3)]
    for event, data in split_events(name, [vector.body(protocol(name).FRAMING)]):
        longer = data
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if isinstance(body, dict):
            longer = json.dumps(add_key(body)).encode()
        forms = (data, b"\v" + data, longer)  # a strict parser of JSON refuses the second one at first
        chunks, *others = [decoder.feed(event, form) for decoder, form in zip(decoders, forms, strict=True)]
        assert [chunks, chunks] == others
    completion, *others = [replace(decoder.finish(), raw=None) for decoder in decoders]
    assert [completion, completion] == others
