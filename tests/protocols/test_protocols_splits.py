"""Streamed and whole, the same answer is the same completion, usage and cost, wherever the network cuts the bytes."""

from dataclasses import replace

import pytest
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
