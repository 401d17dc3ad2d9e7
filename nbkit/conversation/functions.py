"""Python functions as tools: their description for a model, a model's arguments, and their results as content."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic_core import to_json

from nbkit.conversation.content import AudioEntry, ContentEntry, FileEntry, ImageEntry, TextEntry
from nbkit.conversation.encodable import make_encodable
from nbkit.conversation.media import attach, is_media
from nbkit.conversation.schemas import PydanticUserError, TypeAdapter, ValidationError, find_problem, write_schema
from nbkit.conversation.values import to_plain
from nbkit.errors import ConfigError, ConversationError
from nbkit.json_text import read_json

_ENTRIES = (TextEntry, ImageEntry, FileEntry, AudioEntry)

# A docstring's description of one parameter, in Google's style and in numpy's.
_GOOGLE = r"^([ \t]+){name}(?: *\([^)\n]*\))?:[ \t]*(\S.*(?:\n\1[ \t]+\S.*)*)"
_NUMPY = r"^(){name}(?: *:.*)?\n((?:[ \t]+\S.*\n?)+)"


def name_of(function: Callable[..., Any]) -> str:
    """Return the function's name; for a callable object, its class's name."""
    function = function.func if isinstance(function, partial) else function
    return str(getattr(function, "__name__", type(function).__name__))


def describe_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the fields of the `Tool` for a function.

    The description is the docstring's first paragraph; a parameter's description is its `Field(description=...)` or
    its entry in the docstring. Arguments that a `functools.partial` binds are left out: the model must not choose them.
    Raises ConfigError, which names the parameter that a model cannot pass (without a type hint, positional only,
    `*args`) or the type that JSON cannot hold.
    """
    doc = inspect.getdoc(function.func if isinstance(function, partial) else function) or ""
    try:
        schema = write_schema(_make_validator(function))
    except PydanticUserError as unfit:
        problem = str(unfit).partition("\n")[0]
    else:
        for name, part in schema["properties"].items():
            if description := _find_description(name, doc):
                part.setdefault("description", description)
        name = {"name": name_of(function)} if name_of(function).isidentifier() else {}  # a lambda has no valid name
        return name | {"description": _join_lines(doc.partition("\n\n")[0]), "parameters": schema}
    raise ConfigError(f"tool {name_of(function)}: {problem}")


def bind(function: Callable[..., Any], arguments: str) -> Callable[[], Any]:
    """Prepare the call that a model requests: its JSON arguments are validated and coerced by the type hints.

    Nothing runs before the result is called. Raises ConversationError, whose message is for the model.
    """
    try:
        if not isinstance(read_json(arguments or "{}", nan=True), dict):
            raise ConversationError("the arguments are not a JSON object")
        positional, named = _make_validator(function).validate_json(arguments or "{}")
        return partial(function, *positional, **named)
    except ValidationError as invalid:
        problem = find_problem(invalid)
    except ValueError as invalid:
        problem = str(invalid)
    raise ConversationError(problem)


def to_content(value: Any) -> str | tuple[ContentEntry, ...]:
    """Convert a function's result into the content of a turn: text stays, images and figures are images, the rest JSON.

    A list may mix them. A path stays text: a tool decides itself which files it reads and returns. Raises
    ConversationError for bytes and images that models do not read.
    """
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # file names may hold characters that UTF-8 cannot encode
    parts = value if isinstance(value, list | tuple) else (value,)
    if not any(isinstance(part, _ENTRIES) or _is_media(part) for part in parts):
        return to_json(make_encodable(value), fallback=_to_plain, inf_nan_mode="null").decode()
    return tuple(map(_to_entry, parts))


def _to_entry(part: Any) -> ContentEntry:
    if isinstance(part, _ENTRIES):
        return part
    return attach(part) if _is_media(part) else TextEntry(text=str(to_content(part)))


def _is_media(value: Any) -> bool:
    return is_media(value) and not isinstance(value, Path)


def _to_plain(value: Any) -> Any:
    """Convert a value for JSON: numpy's numbers and arrays into Python's, anything else into its text."""
    if isinstance(value, Struct):
        return to_plain(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _make_validator(function: Callable[..., Any]) -> TypeAdapter[Any]:
    """Make an adapter that validates arguments by the function's signature, and returns them without a call."""
    name, bound = name_of(function), function.keywords if isinstance(function, partial) else {}
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, ValueError, TypeError) as unknown:
        problem = f"{unknown}"
    else:
        parameters = [one for one in signature.parameters.values() if one.name not in bound]
        for one in parameters:
            if one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL):
                raise ConfigError(f"tool {name}: parameter {one}: a model passes arguments by name only")
            if one.annotation is one.empty:
                raise ConfigError(f"tool {name}: parameter {one} has no type hint")

        def collect(*positional: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return positional, named

        twin: Any = collect  # pydantic reads both the signature and the annotations
        twin.__signature__ = inspect.Signature(parameters)
        twin.__annotations__ = {one.name: one.annotation for one in parameters}
        return TypeAdapter(twin)
    raise ConfigError(f"tool {name}: its signature cannot be read: {problem}")


def _find_description(name: str, doc: str) -> str:
    """Find a parameter's description in a docstring; "" if it has none."""
    for style in (_GOOGLE, _NUMPY):
        if match := re.search(style.replace("{name}", name), doc, re.MULTILINE):
            return _join_lines(match[2])
    return ""


def _join_lines(text: str) -> str:
    return " ".join(text.split())
