"""JSON as it is read and written."""

import json
import math
from collections import deque
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from nbkit.json_text import DEEPEST, read_json, write_json


class Color(StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()

    def __str__(self):
        return "another"


@pytest.mark.parametrize("text", [b"NaN", b'{"a": -Infinity}', b"[1e999]"])
def test_nan_is_read_where_it_is_allowed(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
    value = read_json(text, nan=True)
    assert repr(value) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1,]", b'{"a": 1} x', b"\xef\xbb\xbf{}", b'"\xff"', b'"\\ud83d"', "{'a': 1}"]
)
def test_what_is_not_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


@pytest.mark.parametrize("nan", [False, True])
def test_depth_is_limited(nan):
    deepest = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(read_json(deepest, nan=nan)) == deepest
    wide = json.dumps([{"a": [1]}] * 1000)
    assert read_json(wide.encode(), nan=nan) == json.loads(wide)
    for levels in (DEEPEST + 1, 900, 100_000):
        for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
            with pytest.raises(ValueError, match="nested too deeply"):
                read_json(text, nan=nan)
            with pytest.raises(ValueError, match="nested too deeply"):
                read_json(text.encode(), nan=nan)


def test_values_of_other_types_are_written_as_pythons():
    value = {"a": [Color.RED, Name("x"), np.float64(0.5), np.str_("y"), True, None, deque([1]), Path("a") / "b"]}
    plain = ["red", "x", 0.5, "y", True, None, [1], str(Path("a") / "b")]
    assert json.loads(write_json(value)) == {"a": plain}
    assert (
        write_json([math.nan, math.inf, 10**30, Decimal("1.5")]) == b'[null,null,1000000000000000000000000000000,"1.5"]'
    )
    assert write_json("Grüße \x00 😀") == '"Grüße \\u0000 😀"'.encode()


def test_what_json_does_not_have_is_an_error_or_the_fallbacks():
    with pytest.raises(TypeError, match="JSON has no object"):
        write_json({"a": object()})
    with pytest.raises(ValueError, match="surrogates"):
        write_json("a\ud83d")
    assert write_json({"a": object}, fallback=lambda odd: odd.__name__) == b'{"a":"object"}'
