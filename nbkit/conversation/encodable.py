"""Values made fit for JSON: every text can be encoded as UTF-8, every number is finite."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import BaseModel

DEEPEST = 200
"""Levels of nested values."""


def make_encodable(value: Any, depth: int = 0) -> Any:
    """Put U+FFFD in the place of lone surrogates, and None in that of NaN and infinity, at every depth.

    A value in which there is nothing to replace is returned as it is; what JSON does not have is left alone. Raises
    ValueError where values are nested too deeply.
    """
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _make_text(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        items = [make_encodable(item, depth + 1) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        new = {make_encodable(key, depth + 1): make_encodable(item, depth + 1) for key, item in value.items()}
        same = all(item is value.get(key) for key, item in new.items())
        return value if same and len(new) == len(value) else new
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: new for name, old in fields.items() if (new := make_encodable(old, depth + 1)) is not old}
        return value.model_copy(update=changed) if changed else value
    return value


def _make_text(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs become their character
    return text


def find_foreign(value: Any, where: str = "", depth: int = 0) -> str:
    """Find the first value that JSON does not have; return its place and its type, "" where there is none."""
    if depth > DEEPEST:
        return f"{where[:80]}...: nested too deeply"
    if isinstance(value, str | int | float | bool | None):
        return ""
    if isinstance(value, Mapping):
        items = list(value.items())
        if strange := next((key for key, _ in items if not isinstance(key, str)), None):
            return f"{where}: the key {strange!r} is not text"
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return f"{where}: {type(value).__name__}"
    return next(
        (
            problem
            for key, item in items
            if (problem := find_foreign(item, f"{where}.{key}" if where else str(key), depth + 1))
        ),
        "",
    )
