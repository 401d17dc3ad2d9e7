"""Every protocol against its vectors (`vectors/<protocol>.json`): a new protocol brings a file, no test code.

A decode vector holds one answer three times: as a stream's events, as a whole body, and as the completion that both
must give. They are written from the documented wire formats; those of `encode` are tests/adapters/test_requests.py's.
"""

import copy
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nbkit import errors
from nbkit.protocols import PROTOCOLS, protocol
from nbkit.protocols.wire import Dialect

VECTORS = {name: json.loads((Path(__file__).parent / "vectors" / f"{name}.json").read_text()) for name in PROTOCOLS}


def cases(kind):
    rows = [(name, vector) for name in PROTOCOLS for vector in VECTORS[name][kind]]
    return pytest.mark.parametrize(("name", "vector"), rows, ids=[f"{name}: {row['name']}" for name, row in rows])


def dialect(vector):
    return Dialect(**vector.get("dialect", {}))


def wire(events):
    """(event, data) as a server sends them; `[name, data]` is an event whose JSON does not name it."""
    for event in events:
        if isinstance(event, str):
            yield "", event.encode()
        else:
            name, body = event if isinstance(event, list) else (event.get("type", ""), event)
            yield name, json.dumps(body).encode()


def told(completion):
    """What a vector says of a completion; what says nothing is left out."""
    usage = completion.usage and {bucket: tokens for bucket, tokens in asdict(completion.usage).items() if tokens}
    said = {
        "id": completion.id,
        "model": completion.model,
        "text": completion.text,
        "reasoning": completion.reasoning,
        "refusal": completion.refusal,
        "finish_reason": completion.finish_reason,
        "tool_calls": [[call.id, call.name, call.arguments] for call in completion.tool_calls],
        "usage": usage,
        "reported_cost": completion.reported_cost,
        "choices": [choice.text for choice in completion.choices],
    }
    return {key: value for key, value in said.items() if value or (key == "text")}


def check(completion, expected):
    expected = dict(expected)
    details, signatures = expected.pop("details", None), expected.pop("signatures", None)
    assert told(completion) == expected
    if details is not None:
        assert [block.to_detail() for block in completion.reasoning_blocks] == details
    if signatures is not None:
        assert [call.signature for call in completion.tool_calls] == signatures


@cases("decode")
def test_decode_whole(name, vector):
    completion = protocol(name).decode(vector["whole"], dialect(vector))
    check(completion, vector["completion"])
    assert completion.raw == vector["whole"]


@cases("decode")
def test_decode_stream(name, vector):
    decoder = protocol(name).Decoder(dialect(vector))
    chunks = []
    for event, data in wire(vector["events"]):
        chunks += decoder.feed(event, data)
        assert decoder.partial().text.startswith("".join(chunk.text for chunk in chunks))  # looking changes nothing
    completion = decoder.finish()
    check(completion, vector["completion"])
    assert "raw" not in vector or completion.raw == vector["raw"]

    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert "".join(chunk.reasoning for chunk in chunks) == completion.reasoning
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [completion.finish_reason]
    calls = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.setdefault(delta.index, ["", "", ""])
        for place, piece in enumerate((delta.id, delta.name, delta.arguments)):
            call[place] += piece
    assert list(calls) == list(range(len(completion.tool_calls)))
    for (call_id, call_name, arguments), call in zip(calls.values(), completion.tool_calls, strict=True):
        assert (call_id or call.id, call_name, arguments or "{}") == (call.id, call.name, call.arguments)


@cases("decode")
def test_a_stream_cut_before_its_finish_signal_is_an_error_with_what_came(name, vector):
    events = list(wire(vector["events"]))
    signal = VECTORS[name]["signal"].encode()
    complete = 1 + next(n for n, (_, data) in enumerate(events) if signal in data.replace(b'": ', b'":'))
    for length in range(complete):
        decoder = protocol(name).Decoder(dialect(vector))
        text = "".join(chunk.text for event, data in events[:length] for chunk in decoder.feed(event, data))
        with pytest.raises(errors.StreamError) as caught:
            decoder.finish()
        assert caught.value.partial.text.startswith(text)
        assert vector["completion"]["text"].startswith(text)
    decoder = protocol(name).Decoder(dialect(vector))
    for event, data in events[:complete]:
        decoder.feed(event, data)
    assert decoder.finish().text == vector["completion"]["text"]


@cases("broken")
def test_broken_streams(name, vector):
    decoder = protocol(name).Decoder(dialect(vector))
    with pytest.raises(errors.AdapterError) as caught:  # noqa: PT012  # it may break on any event, or at the end
        for event, data in wire(vector["events"]):
            decoder.feed(event, data)
        decoder.finish()
    assert type(caught.value).__name__ == vector["error"]
    if "message" in vector:
        assert caught.value.message == vector["message"]
    if "partial" in vector:
        check(caught.value.partial, vector["partial"])


@cases("refused")
def test_whole_answers_that_are_none(name, vector):
    with pytest.raises(errors.AdapterError) as caught:
        protocol(name).decode(vector["body"], dialect(vector))
    assert type(caught.value).__name__ == vector["error"]
    assert caught.value.message == vector["message"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_tells_an_error_by_its_status(name):
    error = protocol(name).error(429, b'{"error": {"message": "Slow down", "type": "rate_limit_error"}}', Dialect())
    assert (type(error), error.message, error.code) == (errors.RateLimitError, "Slow down", "rate_limit_error")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_text_is_always_encodable(name):
    vector = VECTORS[name]["decode"][0]
    decoder = protocol(name).Decoder(Dialect())
    for event, data in wire(vector["events"]):
        decoder.feed(event, data.replace(b"Hel", b"\\ud83d\xff\\ud83d\\ude00"))
    assert decoder.finish().text == "��😀lo"


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("junk", [7, "x", [7], {"x": [None]}, True])
def test_junk_anywhere_is_read_past_or_told(name, junk):
    """Each value of each event replaced by junk: an answer or an AdapterError, never another exception."""

    def places(value, path=()):
        yield path
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inner:
            yield from places(item, (*path, key))

    for vector in VECTORS[name]["decode"]:
        whole = vector["whole"]
        events = [(event, json.loads(data)) for event, data in wire(vector["events"]) if data[:1] == b"{"]
        for event, body in [("", whole), *events]:
            for *path, last in filter(None, places(body)):
                spoilt = copy.deepcopy(body)
                spot = spoilt
                for key in path:
                    spot = spot[key]
                spot[last] = junk
                try:
                    if body is whole:
                        protocol(name).decode(spoilt, Dialect())
                    else:
                        decoder = protocol(name).Decoder(Dialect())
                        decoder.feed(event, json.dumps(spoilt).encode())
                        decoder.finish()
                except errors.AdapterError:
                    pass


def test_an_unknown_protocol_is_told_with_those_that_there_are():
    with pytest.raises(
        errors.ProviderNotSupportedError, match="'telegraph'; there are openai-chat, anthropic-messages"
    ):
        protocol("telegraph")
