"""Values made fit for JSON: every text can be encoded as UTF-8, every number is finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

from nbkit.json_text import DEEPEST


def is_plain(value: Any, *, foreign: bool = False) -> bool:
    """Tell whether a value is JSON as it is, at every depth; False means only that a closer look is needed.

    `foreign`: what JSON does not have may be there. Nearly every request is plain, so this is what each of them pays.
    """
    return _are_plain((value,), foreign, 0)


_ATOMS = frozenset((type(None), int, bool))
_NEAR = (str, float, list, tuple, dict)
"""Types whose subclasses may hold what is not plain."""


def _are_plain(values: Iterable[Any], foreign: bool, depth: int) -> bool:
    if depth > DEEPEST:
        return not values
    for value in values:
        kind = type(value)
        if kind is str:
            if not (value.isascii() or _is_encodable(value)):
                return False
        elif kind is dict:
            if not (_are_names(value) and _are_plain(value.values(), foreign, depth + 1)):
                return False
        elif kind not in _ATOMS:
            inner = value if kind is tuple or kind is list else _find_inner(value, foreign)
            if inner is None or (inner and not _are_plain(inner, foreign, depth + 1)):
                return False
    return True


def _are_names(keys: Iterable[Any]) -> bool:
    """Tell whether the keys of a dict are text in ASCII."""
    try:
        return "".join(keys).isascii()
    except TypeError:
        return False


def _find_inner(value: Any, foreign: bool) -> Iterable[Any] | None:
    """Find the values inside of one that is neither a list nor a dict; None where it is not plain itself."""
    if type(value) is float:
        return () if isfinite(value) else None
    if foreign and not isinstance(value, _NEAR):
        return astuple(value) if isinstance(value, Struct) else _read_fields(value).values()
    return None


def make_encodable(value: Any) -> Any:
    """Put U+FFFD in the place of lone surrogates, and None in that of NaN and infinity, at every depth.

    A value in which there is nothing to replace is returned as it is; what JSON does not have is left alone. Raises
    ValueError where values are nested too deeply.
    """
    return value if is_plain(value, foreign=True) else _make_encodable(value, 0)


def _make_encodable(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _make_text(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        items = [_make_encodable(item, depth + 1) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        new = {_make_encodable(key, depth + 1): _make_encodable(item, depth + 1) for key, item in value.items()}
        same = all(item is value.get(key) for key, item in new.items())
        return value if same and len(new) == len(value) else new
    fields = _read_fields(value)
    changed = {name: new for name, old in fields.items() if (new := _make_encodable(old, depth + 1)) is not old}
    if not changed:
        return value
    return replace(value, **changed) if isinstance(value, Struct) else value.model_copy(update=changed)


def _read_fields(value: Any) -> dict[str, Any]:
    """Read the fields of a Struct, or of somebody's pydantic model; {} of anything else."""
    kind = type(value)
    names = kind.__struct_fields__ if isinstance(value, Struct) else getattr(kind, "model_fields", ())
    return {name: getattr(value, name) for name in names}


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _make_text(text: str) -> str:
    if text.isascii() or _is_encodable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs become their character


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
