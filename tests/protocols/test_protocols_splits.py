"""Streamed and whole, the same answer is the same completion, usage and cost, wherever the network cuts the bytes."""

import json
from dataclasses import replace

import pytest
from test_protocols_vectors import VECTORS, dialect, wire

from nbkit.billing.cost import Cost, bill
from nbkit.demo.wire_bedrock import frame
from nbkit.http.framing import FRAMINGS
from nbkit.protocols import PROTOCOLS, protocol

RATES = {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75, "reasoning": 20.0}
CASES = [(name, vector) for name in PROTOCOLS for vector in VECTORS[name]["decode"]]
vectors = pytest.mark.parametrize(("name", "vector"), CASES, ids=[f"{name}: {row['name']}" for name, row in CASES])


def sse(event, data):
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + data + b"\n\n"


def ndjson(event, data):
    return data + b"\n"


def aws(event, data):
    return frame({":message-type": "event", ":event-type": event}, data)


WRITE = {"sse": sse, "ndjson": ndjson, "aws-event-stream": aws}


def body_of(name, vector):
    write = WRITE[protocol(name).FRAMING]
    return b"".join(write(event, json.dumps(json.loads(data)).encode() if data[:1] == b"{" else data)
                    for event, data in wire(vector["events"]))  # fmt: skip


def events_of(name, pieces):
    framing = FRAMINGS[protocol(name).FRAMING]()
    events = [event for piece in pieces for event in framing.feed(piece)] + framing.finish()
    assert framing.stray == b""
    return events


def streamed(name, vector, events):
    decoder = protocol(name).Decoder(dialect(vector))
    for event, data in events:
        decoder.feed(event, data)
    return replace(decoder.finish(), raw=None)


@vectors
def test_streamed_is_whole_and_costs_the_same(name, vector):
    body = body_of(name, vector)
    one_by_one = streamed(name, vector, events_of(name, [body[at : at + 1] for at in range(len(body))]))
    whole = replace(protocol(name).decode(vector["whole"], dialect(vector)), raw=None)
    assert one_by_one == whole
    bills = [bill(each.usage, Cost(RATES, ()), reported=each.reported_cost) for each in (one_by_one, whole)]
    assert bills[0] == bills[1]


@vectors
def test_every_cut_of_the_bytes_gives_the_same_events(name, vector):
    body = body_of(name, vector)
    events = events_of(name, [body])
    for at in range(len(body) + 1):
        assert events_of(name, [body[:at], body[at:]]) == events
