"""Plausible arguments for a tool, made from its JSON schema."""

from __future__ import annotations

import math
import re
from typing import Any

MAX_DEPTH = 5
"""A schema may contain itself; below this depth lists are empty."""


def make_arguments(schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Make arguments that fit the schema: a name or a number of the prompt, or else the type's plainest value.

    The required properties are filled, or all where the schema requires none. The same input gives the same output.
    """
    arguments = _make_value(schema | {"type": "object"}, prompt, schema, 0)
    return arguments if isinstance(arguments, dict) else {}


def _make_value(schema: Any, prompt: str, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict):  # `true`: anything fits
        return _choose_word(prompt)
    if "$ref" in schema:
        return _make_value(_resolve(schema["$ref"], root), prompt, root, depth + 1) if depth < MAX_DEPTH else None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _make_value(schema[key][0], prompt, root, depth + 1)
    if schema.get("enum"):
        mentioned = [value for value in schema["enum"] if str(value).lower() in prompt.lower()]
        return (mentioned or schema["enum"])[0]
    return _make_typed(schema, prompt, root, depth)


def _make_typed(schema: dict[str, Any], prompt: str, root: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    match str(kind[0] if isinstance(kind, list) and kind else kind).lower():  # Google writes OBJECT
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required") or list(properties)
            return {name: _make_value(properties.get(name), prompt, root, depth + 1) for name in names}
        case "array":
            return [_make_value(schema.get("items"), prompt, root, depth + 1)] if depth < MAX_DEPTH else []
        case "integer":
            return int(_choose_number(schema, prompt))
        case "number":
            return _choose_number(schema, prompt)
        case "boolean":
            return True
        case "null":
            return None
    return _choose_word(prompt)


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    """Follow a reference within the schema; None where it leads nowhere."""
    schema: Any = root
    for step in reference.removeprefix("#/").split("/"):
        schema = schema.get(step) if isinstance(schema, dict) else None
    return schema


def _choose_number(schema: dict[str, Any], prompt: str) -> float:
    """Return the prompt's first number, or else 1, within the limits of the schema."""
    match = re.search(r"-?\d+(?:\.\d+)?", prompt)
    number = float(match[0]) if match else 1.0
    return float(max(schema.get("minimum", -math.inf), min(schema.get("maximum", math.inf), number)))


def _choose_word(prompt: str) -> str:
    """Return the prompt's first name (a capitalized word that does not begin it), or else its last word."""
    names = re.findall(r"(?<=[\w,] )[A-Z]\w+", prompt)
    words = names or re.findall(r"\w+", prompt)[::-1]
    return words[0] if words else "example"
