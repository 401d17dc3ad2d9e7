"""Plausible arguments for a tool, made from its JSON schema."""

from __future__ import annotations

import math
import re
from typing import Any

DEPTH = 5  # a schema may contain itself; below this, lists are empty


def arguments(schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Arguments that fit the schema: a name or a number of the prompt where one fits, else the type's plainest value.

    The required properties are filled, or all where the schema requires none. The same input gives the same output.
    """
    filled = _value(schema | {"type": "object"}, prompt, schema, 0)
    return filled if isinstance(filled, dict) else {}


def _value(schema: Any, prompt: str, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict):  # `true`: anything goes
        return _word(prompt)
    if "$ref" in schema:
        return _value(_resolve(schema["$ref"], root), prompt, root, depth + 1) if depth < DEPTH else None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], prompt, root, depth + 1)
    if schema.get("enum"):
        said = [value for value in schema["enum"] if str(value).lower() in prompt.lower()]
        return (said or schema["enum"])[0]
    return _typed(schema, prompt, root, depth)


def _typed(schema: dict[str, Any], prompt: str, root: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required") or list(properties)
            return {name: _value(properties.get(name), prompt, root, depth + 1) for name in names}
        case "array":
            return [_value(schema.get("items"), prompt, root, depth + 1)] if depth < DEPTH else []
        case "integer":
            return int(_number(schema, prompt))
        case "number":
            return _number(schema, prompt)
        case "boolean":
            return True
        case "null":
            return None
    return _word(prompt)


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _number(schema: dict[str, Any], prompt: str) -> float:
    said = re.search(r"-?\d+(?:\.\d+)?", prompt)
    number = float(said[0]) if said else 1.0
    return float(max(schema.get("minimum", -math.inf), min(schema.get("maximum", math.inf), number)))


def _word(prompt: str) -> str:
    """The prompt's first name (a capitalized word that does not begin it), else its last word."""
    names = re.findall(r"(?<=[\w,] )[A-Z]\w+", prompt)
    words = names or re.findall(r"\w+", prompt)[::-1]
    return words[0] if words else "example"
