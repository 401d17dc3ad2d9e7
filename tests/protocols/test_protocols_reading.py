"""What the decoders read with."""

from itertools import combinations

import pytest

from nbkit.errors import ProviderError
from nbkit.protocols.reading import ThinkTags, count, parse, reported_cost
from nbkit.protocols.wire import Dialect


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'["\ud83d", {"\udc00": "x"}]', ["�", {"�": "x"}]),
        (b'"caf\xe9"', "caf�"),
        (b"\xef\xbb\xbf7", 7),
        ('"line\u2028separator"'.encode(), "line\u2028separator"),
    ],
)
def test_parse(data, value):
    assert parse(data) == value


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"[" * 100_000, b'["\\ud800",' + b"[" * 500 + b"]" * 501])
def test_what_is_no_json_or_too_deep_is_the_providers_fault(data):
    with pytest.raises(ProviderError):
        parse(data)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (0, 0),
        (7, 7),
        (10**9, 10**9),
        (10**9 + 1, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("7", None),
        (None, None),
    ],
)
def test_counts(value, tokens):
    assert count(value) == tokens


@pytest.mark.parametrize(
    ("body", "usd"),
    [
        ({"usage": {"ticks": 25}}, 0.25),
        ({"usage": {"ticks": 0}}, 0.0),
        ({"usage": {"ticks": "25"}}, None),
        ({"usage": {"ticks": -1}}, None),
        ({"usage": {"ticks": float("nan")}}, None),
        ({"usage": {"ticks": True}}, None),
        ({"usage": None}, None),
        ({}, None),
    ],
)
def test_reported_cost(body, usd):
    assert reported_cost(body, Dialect(reported_cost="usage.ticks", reported_cost_unit=0.01)) == usd
    assert reported_cost(body, Dialect()) is None


@pytest.mark.parametrize(
    ("said", "text", "reasoning"),
    [
        ("Hello", "Hello", ""),
        ("", "", ""),
        (" \n", " \n", ""),
        ("<think>a</think>b", "b", "a"),
        (" <think>a</think>\n b", "b", "a"),
        ("<think></think>", "", ""),
        ("<think>a</thin", "", "a</thin"),
        ("<think>a<</think>b</think>", "b</think>", "a<"),
        ("x<think>a</think>", "x<think>a</think>", ""),
        ("<thin air>", "<thin air>", ""),
        ("<", "<", ""),
    ],
)
def test_think_blocks_torn_anywhere(said, text, reasoning):
    for cuts in combinations(range(len(said) + 1), 2):
        tags, got = ThinkTags(), []
        for piece in (said[: cuts[0]], said[cuts[0] : cuts[1]], said[cuts[1] :]):
            got.append(tags.feed(piece) if tags.open else (piece, ""))
        got.append(tags.flush())
        assert ("".join(piece for piece, _ in got), "".join(piece for _, piece in got)) == (text, reasoning)
