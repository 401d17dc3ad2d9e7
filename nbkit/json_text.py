"""JSON, read and written by msgspec: importing it takes a fifth of what pydantic takes, and it writes twice as fast."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from msgspec.json import Decoder, Encoder

DEEPEST = 200
"""Levels of nested JSON that are read."""


def read_json(text: bytes | str, *, nan: bool = False) -> Any:
    """Read JSON as RFC 8259 has it; with `nan` also NaN, infinities, and numbers that are too large for a float.

    Raises ValueError for anything else, and for what is nested more than 200 levels deep.
    """
    try:
        value = _read(text)
        if len(text) > 2 * DEEPEST and _may_be_deep(text) and _is_deep(value):  # shorter ones cannot be
            raise ValueError("nested too deeply")
        return value
    except RecursionError:
        pass
    except ValueError:
        if not nan:
            raise
        return _read_with_nan(text)
    raise ValueError("nested too deeply")


_read = Decoder().decode


def _read_with_nan(text: bytes | str) -> Any:
    try:
        value = json.loads(text)
    except RecursionError:
        value = None
    if value is None or _is_deep(value):
        raise ValueError("nested too deeply")
    return value


def _may_be_deep(text: bytes | str) -> bool:
    if isinstance(text, str):
        return text.count("[") + text.count("{") > DEEPEST
    return text.count(b"[") + text.count(b"{") > DEEPEST


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _list_inner(outer) if type(inner) is dict or type(inner) is list]
        if not level:
            return False
    return True


def _list_inner(value: Any) -> Iterator[Any]:
    yield from value.values() if type(value) is dict else value if type(value) is list else ()


def write_json(value: Any, fallback: Callable[[Any], Any] | None = None) -> bytes:
    """Write compact JSON in UTF-8; NaN and infinities become null. `fallback` converts what JSON does not have.

    Raises ValueError for text that UTF-8 cannot encode, TypeError for a value that JSON does not have.
    """
    return _write(value) if fallback is None else Encoder(enc_hook=lambda odd: _to_plain(odd, fallback)).encode(value)


def _to_plain(value: Any, fallback: Callable[[Any], Any] | None = None) -> Any:
    """Convert a value of a type that msgspec does not write: subclasses of Python's own, and a few others."""
    if isinstance(value, str):
        return str.__str__(value)  # not what a class of its own makes of it
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, deque | Iterator):
        return list(value)
    if fallback is not None:
        return fallback(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


_write = Encoder(enc_hook=_to_plain).encode
