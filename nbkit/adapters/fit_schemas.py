"""Schemas of tools without what a provider refuses at their top level: alternatives become one object. Pure.

OpenAI and Anthropic refuse `anyOf`, `oneOf` and `allOf` there, Ollama does not see them, Gemini takes nothing beside
them. Deeper in a schema all of them take these keywords.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import unquote

from nbkit.json_text import write_json

Schema = dict[str, Any]

_COMBINING = ("allOf", "anyOf", "oneOf")
_DEEPEST = 16
_LONGEST = 1000  # characters of the alternatives in words


def flatten_schema(schema: Schema, refused: Collection[str]) -> tuple[Schema, str]:
    """Merge the alternatives and parts of an object's schema into one object, without the keywords `refused`.

    It allows at least what the schema allows; which properties belong together is said in the second value, in words,
    "" where nothing is lost. Raises ValueError where the schema has no object among its alternatives.
    """
    hints: list[str] = []
    flat = _flatten(schema, schema, hints, 0)
    if flat is None:
        raise ValueError("it is not an object, and none of its alternatives is one")
    return {key: value for key, value in flat.items() if key not in refused}, " ".join(dict.fromkeys(hints))[:_LONGEST]


def is_object(schema: Schema) -> bool:
    """Return whether a schema may be that of an object, by its type."""
    kind = schema.get("type")
    return kind in (None, "object") or (isinstance(kind, list) and "object" in kind)


def _flatten(schema: Any, root: Schema, hints: list[str], depth: int) -> Schema | None:
    """Flatten a schema; None for one that is not an object's. What is lost is added to the `hints`, in words."""
    schema = {} if schema is True else schema
    if not isinstance(schema, dict) or depth > _DEEPEST or not is_object(schema):
        return None
    flat = {key: value for key, value in schema.items() if key not in ("$ref", *_COMBINING)}
    flat["properties"] = dict(properties) if isinstance(properties := schema.get("properties"), dict) else {}
    if "$ref" in schema:
        if (target := _flatten(_resolve(schema["$ref"], root), root, hints, depth + 1)) is None:
            return None
        _merge_all(flat, [target])
    for key in _COMBINING:
        given = schema.get(key)
        if not isinstance(given, list) or not given:
            continue
        branches = [branch for one in given if (branch := _flatten(one, root, hints, depth + 1)) is not None]
        if not branches or (key == "allOf" and len(branches) < len(given)):
            return None
        if key == "allOf":
            _merge_all(flat, branches)
        else:
            _merge_any(flat, branches, hints)
    return flat


def _resolve(reference: Any, root: Schema) -> Any:
    """Return what a reference inside of the schema points to; None where it points elsewhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    value: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list_required(schema: Schema) -> list[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _merge_all(flat: Schema, branches: list[Schema]) -> None:
    """Merge schemas all of which hold."""
    for branch in branches:
        for name, prop in branch["properties"].items():
            known = flat["properties"].get(name)
            both = isinstance(known, dict) and isinstance(prop, dict)
            flat["properties"][name] = prop | known if both else prop
        _require(flat, _list_required(branch))
        for key, value in branch.items():
            flat.setdefault(key, value)


def _merge_any(flat: Schema, branches: list[Schema], hints: list[str]) -> None:
    """Merge schemas one of which holds: a property is required where all require it."""
    names = dict.fromkeys(name for branch in branches for name in branch["properties"])
    for name in names:
        alternatives = [branch["properties"][name] for branch in branches if name in branch["properties"]]
        prop = _join_alternatives(alternatives)
        known = flat["properties"].get(name)
        flat["properties"][name] = prop | known if isinstance(known, dict) and isinstance(prop, dict) else prop
    required = [_list_required(branch) for branch in branches]
    common = [name for name in required[0] if all(name in one for one in required)]
    _require(flat, common)
    if any(set(one) != set(common) for one in required):
        words = dict.fromkeys(_describe(branch) for branch in branches)
        hints.append(f"Give {'; or '.join(words)}.")
    if all(branch.get("additionalProperties") is False for branch in branches):
        flat.setdefault("additionalProperties", False)


def _join_alternatives(alternatives: list[Any]) -> Any:
    """Join what the branches say of one property: constants and lists of values into one list, others as anyOf."""
    different: list[Any] = []
    for one in alternatives:
        if one not in different:
            different.append(one)
    if len(different) == 1:
        return different[0]
    listed = [[one["const"]] if "const" in one else one.get("enum") for one in different if isinstance(one, dict)]
    if len(listed) == len(different) and all(isinstance(values, list) for values in listed):
        values: list[Any] = []
        for value in (value for one in listed for value in one or ()):
            if value not in values:
                values.append(value)
        shared = {
            key: value
            for key, value in different[0].items()
            if key not in ("const", "enum") and all(one.get(key) == value for one in different)
        }
        return shared | {"enum": values}
    return {"anyOf": different}


def _require(flat: Schema, names: list[str]) -> None:
    if names:
        flat["required"] = list(dict.fromkeys([*_list_required(flat), *names]))


def _describe(branch: Schema) -> str:
    """Say which properties an alternative requires, with the values of those that have one only."""
    words = []
    for name in _list_required(branch):
        prop = branch["properties"].get(name)
        const = isinstance(prop, dict) and "const" in prop
        words.append(f"{name} = {write_json(prop['const']).decode()}" if const else name)
    return " and ".join(words) or "nothing else"
