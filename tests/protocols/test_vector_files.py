"""The keys of vector files are those that are documented, with their defaults."""

import pytest
from vector_files import DecodeVector, EncodeVector, Expected, VectorFile, build, load

from nbkit.protocols import PROTOCOLS

HELLO = {"name": "hello", "events": [], "whole": {}, "completion": {"text": "Hello"}}
FILE = {"signal": "x", "decode": [HELLO], "broken": [], "refused": [], "encode": []}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_protocol_has_vectors_of_every_kind(name):
    vectors = load(name)
    assert vectors.decode[0].completion.text == "Hello"
    assert vectors.broken
    assert vectors.refused
    assert vectors.encode


def test_missing_keys_have_their_defaults():
    vectors = build(VectorFile, FILE, "x.json")
    assert vectors.decode == [
        DecodeVector(name="hello", events=[], whole={}, completion=Expected(text="Hello", tool_calls=[]), dialect={})
    ]
    encode = build(EncodeVector, {"name": "n", "turns": "Hi", "body": {}}, "x.json")
    assert (encode.options, encode.row, encode.stream, encode.path, encode.changes) == ({}, {}, False, None, [])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (FILE | {"signals": "x"}, r"x\.json: unknown key 'signals'; there are signal, "),
        (FILE | {"decode": [HELLO | {"event": []}]}, r"x\.json, decode 'hello': unknown key 'event'"),
        (FILE | {"decode": [HELLO | {"completion": {"txt": ""}}]}, r"decode 'hello', completion: unknown key 'txt'"),
        (FILE | {"encode": [{"name": "n", "turns": "Hi"}]}, r"x\.json, encode 'n': the key 'body' is missing"),
    ],
)
def test_other_keys_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        build(VectorFile, keys, "x.json")
