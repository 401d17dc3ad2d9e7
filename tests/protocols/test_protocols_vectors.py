"""Every protocol against its vectors (`vectors/<protocol>.json`): a new protocol brings a file, no test code.

vector_files.py documents the keys; the `encode` vectors are used by tests/adapters/test_requests.py.
"""

import copy
import json

import pytest
from vector_files import load

from nbkit import errors
from nbkit.protocols import PROTOCOLS, protocol
from nbkit.protocols.wire import Dialect


def cases(kind):
    rows = [(name, vector) for name in PROTOCOLS for vector in getattr(load(name), kind)]
    return pytest.mark.parametrize(("name", "vector"), rows, ids=[f"{name}: {vector.name}" for name, vector in rows])


@cases("decode")
def test_decode_whole(name, vector):
    completion = protocol(name).decode(vector.whole, vector.make_dialect())
    assert vector.completion.describe(completion) == vector.completion
    assert completion.raw == vector.whole


@cases("decode")
def test_decode_stream(name, vector):
    decoder = protocol(name).Decoder(vector.make_dialect())
    chunks = []
    for event, data in vector.pairs():
        chunks += decoder.feed(event, data)
        assert decoder.partial().text.startswith("".join(chunk.text for chunk in chunks))  # looking changes nothing
    completion = decoder.finish()
    assert vector.completion.describe(completion) == vector.completion
    assert vector.raw is None or completion.raw == vector.raw

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
def test_a_stream_cut_before_its_finish_signal_is_an_error_with_the_partial_answer(name, vector):
    events = list(vector.pairs())
    signal = (vector.signal or load(name).signal).encode()
    complete = 1 + next(n for n, (_, data) in enumerate(events) if signal in data.replace(b'": ', b'":'))
    for length in range(complete):
        decoder = protocol(name).Decoder(vector.make_dialect())
        text = "".join(chunk.text for event, data in events[:length] for chunk in decoder.feed(event, data))
        with pytest.raises(errors.StreamError) as caught:
            decoder.finish()
        assert caught.value.partial.text.startswith(text)
        assert vector.completion.text.startswith(text)
    decoder = protocol(name).Decoder(vector.make_dialect())
    for event, data in events[:complete]:
        decoder.feed(event, data)
    assert decoder.finish().text == vector.completion.text


@cases("broken")
def test_broken_streams(name, vector):
    decoder = protocol(name).Decoder(vector.make_dialect())
    with pytest.raises(errors.AdapterError) as caught:  # noqa: PT012  # it may break on any event, or at the end
        for event, data in vector.pairs():
            decoder.feed(event, data)
        decoder.finish()
    assert type(caught.value).__name__ == vector.error
    assert vector.message in (None, caught.value.message)
    if vector.partial:
        assert vector.partial.describe(caught.value.partial) == vector.partial


@cases("refused")
def test_whole_bodies_that_are_not_answers(name, vector):
    with pytest.raises(errors.AdapterError) as caught:
        protocol(name).decode(vector.body, vector.make_dialect())
    assert (type(caught.value).__name__, caught.value.message) == (vector.error, vector.message)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_reads_an_error_by_its_status(name):
    error = protocol(name).error(429, b'{"error": {"message": "Slow down", "type": "rate_limit_error"}}', Dialect())
    assert (type(error), error.message, error.code) == (errors.RateLimitError, "Slow down", "rate_limit_error")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_text_is_always_encodable(name):
    vector = load(name).decode[0]
    decoder = protocol(name).Decoder(Dialect())
    for event, data in vector.pairs():
        decoder.feed(event, data.replace(b"Hel", b"\\ud83d\xff\\ud83d\\ude00"))
    assert decoder.finish().text == "��😀lo"


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("junk", [7, "x", [7], {"x": [None]}, True])
def test_junk_anywhere_is_skipped_or_an_adapter_error(name, junk):
    """Each value of each event replaced by junk: an answer or an AdapterError, never another exception."""

    def places(value, path=()):
        yield path
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inner:
            yield from places(item, (*path, key))

    for vector in load(name).decode:
        whole = vector.whole
        events = [(event, json.loads(data)) for event, data in vector.pairs() if data[:1] == b"{"]
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


def test_an_unknown_protocol_is_an_error_that_lists_those_that_there_are():
    with pytest.raises(
        errors.ProviderNotSupportedError, match="'telegraph'; there are openai-chat, anthropic-messages"
    ):
        protocol("telegraph")
