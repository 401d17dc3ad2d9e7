"""Values made fit for JSON, and the quick look that tells whether there is something to do."""

import math

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

from nbkit.conversation.content import TextEntry
from nbkit.conversation.encodable import DEEPEST, find_foreign, is_plain, make_encodable
from nbkit.conversation.turns import ContentTurn, Turn

HALF, WHOLE, FFFD = "a\ud83db", "\ud83d\ude00", "\ufffd"


class Name(str):
    __slots__ = ()


class Point(BaseModel):
    name: str


def nest(levels, value):
    for _ in range(levels):
        value = [value]
    return value


CLEAN = {
    "text": "Grüße, 日本 😀",
    "numbers": {"a": [0, -1.5, 10**40, True, None]},
    "tuples": {"stop": ("a", "b")},
    "empty": {"a": {}, "b": [], "c": ()},
    "deepest": nest(DEEPEST, "x"),
}
SPOILT = {
    "half": (HALF, f"a{FFFD}b"),
    "pair of halves": ({"a": [WHOLE]}, {"a": ["😀"]}),
    "half in a key": ({HALF: 1}, {f"a{FFFD}b": 1}),
    "nan": ([1.0, math.nan, {"x": -math.inf}], [1.0, None, {"x": None}]),
    "tuple": ((HALF,), (f"a{FFFD}b",)),
    "subclass": ([Name(HALF)], [f"a{FFFD}b"]),
    "a turn": (Turn(role="user", content=HALF), Turn(role="user", content=f"a{FFFD}b")),
    "a turn of parts": (
        ContentTurn(role="user", content=(TextEntry(text=HALF),)),
        ContentTurn(role="user", content=(TextEntry(text=f"a{FFFD}b"),)),
    ),
    "another model": ({"x": Point(name=HALF)}, {"x": Point(name=f"a{FFFD}b")}),
}
FOREIGN = {
    "set": ({"a": {"b": {1}}}, "a.b: set"),
    "bytes": ([b"x"], "0: bytes"),
    "number as a key": ({"a": {1: 2}}, "a: the key 1 is not text"),
    "function": ({"f": print}, "f: builtin_function_or_method"),
    "model": ({"x": Point(name="x")}, "x: Point"),
}


@pytest.mark.parametrize("value", CLEAN.values(), ids=CLEAN)
def test_what_is_json_is_left_as_it_is(value):
    assert is_plain(value)
    assert make_encodable(value) is value
    assert find_foreign(value) == ""
    to_json(value)


@pytest.mark.parametrize(("value", "expected"), SPOILT.values(), ids=SPOILT)
def test_what_cannot_be_sent_is_replaced(value, expected):
    assert not is_plain(value)
    assert not is_plain(value, foreign=True)
    assert make_encodable(value) == expected


@pytest.mark.parametrize(("value", "where"), FOREIGN.values(), ids=FOREIGN)
def test_what_json_does_not_have_is_named_and_left_alone(value, where):
    assert not is_plain(value)
    assert find_foreign(value) == where
    assert make_encodable(value) is value


def test_keys_in_other_alphabets_are_no_fault():
    value = {"größe": 1}
    assert (make_encodable(value) is value, find_foreign(value)) == (True, "")


def make_cycle():
    cycle = {}
    cycle |= {"a": cycle, "b": cycle}
    return cycle


@pytest.mark.parametrize("value", [nest(DEEPEST + 1, "x"), make_cycle()], ids=["deep", "cycle"])
def test_what_is_nested_too_deeply_is_refused(value):
    assert not is_plain(value)
    assert find_foreign(value).endswith("nested too deeply")
    with pytest.raises(ValueError, match="nested too deeply"):
        make_encodable(value)
