"""A Python function as a tool: what a model reads of it, a model's arguments, and its value as a model reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json, to_json

from nbkit.conversation.content import AudioEntry, ContentEntry, FileEntry, ImageEntry, TextEntry
from nbkit.conversation.formats import first_problem, json_schema
from nbkit.conversation.media import attach, is_media
from nbkit.errors import ConfigError, ConversationError

_ENTRIES = (TextEntry, ImageEntry, FileEntry, AudioEntry)

# What a docstring says about one parameter, in Google's style and in numpy's.
_GOOGLE = r"^([ \t]+){name}(?: *\([^)\n]*\))?:[ \t]*(\S.*(?:\n\1[ \t]+\S.*)*)"
_NUMPY = r"^(){name}(?: *:.*)?\n((?:[ \t]+\S.*\n?)+)"


def name_of(function: Callable[..., Any]) -> str:
    """The function's name; that of the class for an object that can be called."""
    function = function.func if isinstance(function, partial) else function
    return str(getattr(function, "__name__", type(function).__name__))


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """The fields of the `Tool` that a function makes.

    The description is the docstring's first paragraph, a parameter's is its `Field(description=...)` or what the
    docstring says about it. What a `functools.partial` binds is not the model's to choose, so it is left out.
    Raises ConfigError, which names the parameter that a model could not give: one without a type hint, positional only,
    or `*args`; or the type that no JSON can hold.
    """
    doc = inspect.getdoc(function.func if isinstance(function, partial) else function) or ""
    try:
        schema = json_schema(_arguments(function))
    except PydanticUserError as unfit:
        problem = str(unfit).partition("\n")[0]
    else:
        for name, part in schema["properties"].items():
            if said := _said_about(name, doc):
                part.setdefault("description", said)
        name = {"name": name_of(function)} if name_of(function).isidentifier() else {}  # a lambda has none
        return name | {"description": _line(doc.partition("\n\n")[0]), "parameters": schema}
    raise ConfigError(f"tool {name_of(function)}: {problem}")


def bind(function: Callable[..., Any], arguments: str) -> Callable[[], Any]:
    """The call that a model asks for, its JSON arguments validated and coerced by the type hints; nothing is run yet.

    Raises ConversationError, whose message is for the model.
    """
    try:
        if not isinstance(from_json(arguments or "{}"), dict):
            raise ConversationError("the arguments are no JSON object")
        positional, named = _arguments(function).validate_json(arguments or "{}")
        return partial(function, *positional, **named)
    except ValidationError as invalid:
        problem = first_problem(invalid)
    except ValueError as invalid:
        problem = str(invalid)
    raise ConversationError(problem)


def written(value: Any) -> str | tuple[ContentEntry, ...]:
    """A function's value as the content of a turn: text as it is, images and figures as images, the rest as JSON.

    A list may mix them. A path is text: only what was read already is sent. Raises ConversationError for bytes and
    images that no model reads.
    """
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # a file's name may hold what no UTF-8 can carry
    parts = value if isinstance(value, list | tuple) else (value,)
    if not any(isinstance(part, _ENTRIES) or _is_media(part) for part in parts):
        return to_json(value, fallback=_plain).decode()
    return tuple(map(_entry, parts))


def _entry(part: Any) -> ContentEntry:
    if isinstance(part, _ENTRIES):
        return part
    return attach(part) if _is_media(part) else TextEntry(text=str(written(part)))


def _is_media(value: Any) -> bool:
    return is_media(value) and not isinstance(value, Path)


def _plain(value: Any) -> Any:
    """What stands in JSON for a value that is none: numpy's numbers and arrays as such, anything else as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _arguments(function: Callable[..., Any]) -> TypeAdapter[Any]:
    """Validates arguments as the function's signature has them, and gives them back."""
    name, bound = name_of(function), function.keywords if isinstance(function, partial) else {}
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, ValueError, TypeError) as unknown:
        problem = f"{unknown}"
    else:
        parameters = [one for one in signature.parameters.values() if one.name not in bound]
        for one in parameters:
            if one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL):
                raise ConfigError(f"tool {name}: parameter {one}: a model gives arguments by name")
            if one.annotation is one.empty:
                raise ConfigError(f"tool {name}: parameter {one} has no type hint")

        def given(*positional: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return positional, named

        twin: Any = given  # pydantic reads both
        twin.__signature__ = inspect.Signature(parameters)
        twin.__annotations__ = {one.name: one.annotation for one in parameters}
        return TypeAdapter(twin)
    raise ConfigError(f"tool {name}: its signature cannot be read: {problem}")


def _said_about(name: str, doc: str) -> str:
    for style in (_GOOGLE, _NUMPY):
        if found := re.search(style.replace("{name}", name), doc, re.MULTILINE):
            return _line(found[2])
    return ""


def _line(text: str) -> str:
    return " ".join(text.split())
