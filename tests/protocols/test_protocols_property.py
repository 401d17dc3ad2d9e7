"""Every decoder, fed with the events of its vectors cut, reordered, repeated, mutated and mixed.

It gives a completion or an AdapterError, with the partial completion on a StreamError; it loses no text that it gave
out; no count is negative. NBKIT_EXAMPLES=20000 tries more examples.
"""

import json
import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vector_files import load

from nbkit import errors
from nbkit.protocols import PROTOCOLS, protocol
from nbkit.protocols.reading import parse
from nbkit.protocols.wire import Dialect

EXAMPLES = int(os.environ.get("NBKIT_EXAMPLES", "200"))
VALUES = st.sampled_from(
    [
        None,
        0,
        -1,
        1e30,
        5.0,
        True,
        "",
        "x",
        "stop",
        "\ud83d",
        "{",
        '{"q":1}',
        [],
        [None],
        {},
        {"error": "x"},
        {"a": "b"},
    ]
)
RAW = st.sampled_from([b"[DONE]", b"", b"junk", b"{}", b"[]", b"null", b'{"error":{"message":"x"}}', b'"x"', b"[{}]"])


def list_streams(name):
    vectors = load(name)
    return [list(vector.pairs()) for vector in (*vectors.decode, *vectors.broken)]


def list_dialects(name):
    return [vector.make_dialect() for vector in load(name).decode]


def list_paths(value, path=()):
    """The path of each value inside JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from list_paths(item, (*path, key))


@st.composite
def mutated(draw, event):
    """An event with one value of its JSON replaced, removed or repeated, or its data cut."""
    name, data = event
    how = draw(st.sampled_from(["keep", "keep", "keep", "replace", "remove", "cut", "rename"]))
    if how == "cut":
        return name, data[: draw(st.integers(0, len(data)))]
    if how == "rename":
        return draw(st.sampled_from(["", "error", "x"])), data
    try:
        body = json.loads(data)
    except ValueError:
        return name, data
    if how == "keep" or not isinstance(body, dict | list):
        return name, data
    path = draw(st.sampled_from(list(list_paths(body))))
    if not path:
        return name, json.dumps(draw(VALUES)).encode() if how == "replace" else data
    place = body
    for key in path[:-1]:
        place = place[key]
    if how == "remove":
        del place[path[-1]]
    else:
        place[path[-1]] = draw(VALUES)
    return name, json.dumps(body).encode()


@st.composite
def streams(draw, name):
    """The events of one or two vectors, each perhaps mutated, with some repeated, left out, moved or put between."""
    chosen = draw(st.lists(st.sampled_from(list_streams(name)), min_size=1, max_size=2))
    events = [event for stream in chosen for event in stream]
    if draw(st.booleans()):
        events = events[: draw(st.integers(0, len(events)))]
    for _ in range(draw(st.integers(0, 3))):
        if not events:
            break
        at, to = draw(st.integers(0, len(events) - 1)), draw(st.integers(0, len(events)))
        how = draw(st.sampled_from(["repeat", "move", "drop", "insert"]))
        event = events.pop(at) if how in ("move", "drop") else events[at]
        if how in ("repeat", "move"):
            events.insert(to, event)
        elif how == "insert":
            events.insert(to, ("", draw(RAW)))
    return [draw(mutated(event)) for event in events]


def check_completion(completion, texts, reasoning):
    assert completion.text.startswith(texts)  # what may be the beginning of a tag is held back
    # Blocks of reasoning may be interleaved, and a line break parts them: so no order is compared.
    assert Counter("".join(reasoning.split())) <= Counter("".join(completion.reasoning.split()))
    completion.text.encode()
    completion.reasoning.encode()
    usage = completion.usage
    assert usage is None or all(getattr(usage, bucket) >= 0 for bucket in usage.__slots__)
    assert completion.reported_cost is None or completion.reported_cost >= 0
    assert all(call.name and call.id for call in completion.tool_calls)
    json.dumps(completion.to_dict())


@pytest.mark.parametrize("name", PROTOCOLS)
def test_whatever_comes_is_a_completion_or_an_adapter_error(name):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(streams(name), st.sampled_from([Dialect(), *list_dialects(name)]))
    def check(events, dialect):
        decoder = protocol(name).Decoder(dialect)
        texts = reasoning = ""
        try:
            for event, data in events:
                for chunk in decoder.feed(event, data):
                    texts, reasoning = texts + chunk.text, reasoning + chunk.reasoning
                    assert all(delta.index >= 0 for delta in chunk.tool_calls)
            completion = decoder.finish()
        except errors.AdapterError as failure:
            completion, broken = failure.partial, isinstance(failure, errors.StreamError)
            completion = completion if broken else completion or decoder.partial()
        check_completion(completion, texts, reasoning)

    check()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_whatever_body_comes_is_a_completion_or_an_adapter_error(name):
    bodies = [json.dumps(vector.whole).encode() for vector in load(name).decode]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(bodies).flatmap(lambda body: mutated(("", body))))
    def check(event):
        try:
            completion = protocol(name).decode(parse(event[1]), Dialect())
        except errors.AdapterError as failure:
            completion = failure.partial
        if completion is not None:
            usage = completion.usage
            assert usage is None or all(getattr(usage, bucket) >= 0 for bucket in usage.__slots__)

    check()
