"""The tools of the decoders."""

from itertools import combinations

import pytest

from nbkit.errors import ProviderError
from nbkit.protocols.reading import ThinkTags, count, parse, read_cost


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
def test_broken_json_and_json_too_deep_are_the_providers_fault(data):
    with pytest.raises(ProviderError) as caught:
        parse(data)
    assert caught.value.__context__ is None


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
def test_reported_costs(body, usd):
    assert read_cost(body, "usage.ticks", 0.01) == usd
    assert read_cost(body, "", 1.0) is None


@pytest.mark.parametrize(
    ("answer", "text", "reasoning"),
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
def test_think_blocks_torn_anywhere(answer, text, reasoning):
    for cuts in combinations(range(len(answer) + 1), 2):
        tags, got = ThinkTags(), []
        for piece in (answer[: cuts[0]], answer[cuts[0] : cuts[1]], answer[cuts[1] :]):
            got.append(tags.feed(piece) if tags.open else (piece, ""))
        got.append(tags.flush())
        assert ("".join(piece for piece, _ in got), "".join(piece for _, piece in got)) == (text, reasoning)
