"""Messages about data that no value can be made of: where, what is expected, what is given, in one sentence.

The place is written as the data have it: `content[1].image_url.detail`, `tools[0].function.name`. What is expected
follows from the annotations; a wrong word is answered with the right ones and the nearest of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, StructMeta, ValidationError, convert

from nbkit.arguments import describe, explain_choice, suggest

_STEP = re.compile(r"\.([^.`\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`")
_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "True or False",
    dict: "a dict",
    list: "a list",
    tuple: "a list",
    Mapping: "a dict",
    datetime: "a time with its zone, such as '2026-11-27T18:00:00Z'",
    NoneType: "None",
}


def explain(invalid: ValidationError, data: Any, kind: Any, given: Any = None, *, strict: bool = True) -> str:
    """Say what is wrong with data that are not of a kind; `given` is what they were prepared from, if not the data."""
    text, _, steps = str(invalid).partition(" - at ")
    given = data if given is None else given
    place = ""
    for name, index in _STEP.findall(steps):
        if not name and not isinstance(data, list | tuple | Mapping):  # a set
            break
        key: Any = _find_key(data, kind, strict) if index == "..." else name or int(index)
        kind, data = _step(kind, data, key), _get(data, key)
        written, given = _find_given(given, key, data)
        place += f"[{key!r}]" if index else written
    if field := _FIELD.fullmatch(text):
        known = [name for one in _list_kinds(kind) if _fits(one, data) for name in _list_fields(one)]
        place += _find_given(given, field[2], ...)[0]
        text = "missing" if field[1] == "missing required" else f"unknown field{suggest(field[2], known)}"
    elif steps.startswith("`key`"):
        text = "expected text for its keys"
    else:
        hint = suggest(data, _list_words(kind), listed=True)
        text = f"expected {_describe_kind(kind)}, got {describe(data)}{hint}"
    return f"{place.removeprefix('.')}: {text}" if place else text


def _find_key(data: Mapping[str, Any], kind: Any, strict: bool) -> str:
    """Find which of the values of a dict is wrong: the error does not say it."""
    return next(key for key, value in data.items() if not _is_kind(value, _step(kind, data, key), strict))


def _is_kind(value: Any, kind: Any, strict: bool) -> bool:
    try:
        convert(value, kind, strict=strict)
    except ValidationError:
        return False
    return True


def _get(data: Any, step: Any) -> Any:
    return getattr(data, step) if isinstance(type(data), StructMeta) else data[step]


def _find_given(given: Any, step: Any, value: Any) -> tuple[str, Any]:
    """Find where a part stands in what was given, and how its place is written there.

    It may be inside of OpenAI's `function`, have another name (`input_schema`), or stand alone in the place of a dict
    (a plain URL).
    """
    if isinstance(step, int):
        return f"[{step}]", given[step] if isinstance(given, list | tuple) and step < len(given) else value
    if not isinstance(given, Mapping):
        return ("" if given is value else f".{step}"), value
    if step in given:
        return f".{step}", given[step]
    if isinstance(inner := given.get("function"), Mapping):
        written, part = _find_given(inner, step, value)
        return f".function{written}", part
    return f".{next((name for name, item in given.items() if item is value), step)}", value


def explain_word(data: Mapping[str, Any], name: str, words: Iterable[str]) -> str:
    """Say what is wrong with a key that must be there and hold one of these words."""
    words = list(words)
    if name not in data:
        return f"{name}: missing; expected one of {', '.join(words)}"
    return f"{name}: {explain_choice(data[name], words)}"


# Kinds, as annotations write them


def _list_kinds(kind: Any) -> Iterator[Any]:
    """List the kinds that a union is of; any other kind alone. `Annotated` ones keep what is annotated."""
    if get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from _list_kinds(one)
    elif get_origin(kind) is ClassVar:
        yield from _list_kinds(get_args(kind)[0])
    else:
        yield kind


def _step(kind: Any, data: Any, step: Any) -> Any:
    """Find the kind of a part: a field of a value, an item of a list, a value of a dict. Any where nothing says it."""
    for one in (get_args(one)[0] if get_origin(one) is Annotated else one for one in _list_kinds(kind)):
        origin, inner = get_origin(one), get_args(one)
        if origin in (list, tuple) and isinstance(step, int):
            return inner[0] if origin is list or ... in inner else inner[step]
        if origin in (dict, Mapping):
            return inner[1]
        if _fits(one, data) and step in (hints := get_type_hints(one, include_extras=True)):
            return hints[step]
    return Any


def _fits(kind: Any, data: Any) -> bool:
    """Tell whether a kind is a value, and data have its tag, where it has one."""
    if not isinstance(kind, StructMeta):
        return False
    tag = kind.__struct_config__
    return tag.tag_field is None or not isinstance(data, Mapping) or data.get(tag.tag_field) == tag.tag


def _list_fields(kind: StructMeta) -> list[str]:
    tag = kind.__struct_config__.tag_field
    return [*([tag] if tag else []), *kind.__struct_fields__]


def _list_words(kind: Any) -> list[Any]:
    """List the words that a kind takes, in the order of its annotation."""
    return [word for one in _list_kinds(kind) if get_origin(one) is Literal for word in get_args(one)]


def _describe_kind(kind: Any) -> str:
    """Describe a kind: "a number from 0 to 1 or None", "one of low, high"."""
    if words := _list_words(kind):
        return repr(words[0]) if len(words) == 1 else f"one of {', '.join(map(str, words))}"
    *most, last = dict.fromkeys(" or ".join(map(_describe_one, _list_kinds(kind))).split(" or "))
    return f"{', '.join(most)} or {last}" if most else last


def _describe_one(kind: Any) -> str:
    if get_origin(kind) is not Annotated:
        return "a dict" if isinstance(kind, StructMeta) else _WORDS.get(get_origin(kind) or kind, "another value")
    plain, *notes = get_args(kind)
    words, meta = _describe_kind(plain), next(note for note in notes if isinstance(note, Meta))
    if meta.description:
        return meta.description
    if meta.min_length:
        return words.replace("a list", "a non-empty list").replace("text", "non-empty text")
    if meta.gt is not None:
        return f"{words} above {meta.gt}"
    if meta.ge is None:
        return words if meta.le is None else f"{words} of at most {meta.le}"
    return f"{words} of at least {meta.ge}" if meta.le is None else f"{words} from {meta.ge} to {meta.le}"
