"""Formats of answers: from a Python type to OpenAI's `response_format`, and from an answer's text to the type.

`strict` is OpenAI's "structured outputs": the model cannot write anything that does not match the schema. It supports
only a part of JSON schema (platform.openai.com/docs/guides/structured-outputs, "Supported schemas"): every object is
closed and every property is required. So `strict` is set for a type whose schema fulfills this, or can be changed to
fulfill it without another meaning: objects are closed (pydantic ignores unknown keys anyway), and a property that is
null by default becomes required, so that the model writes the null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from nbkit.arguments import describe, suggest
from nbkit.conversation.problems import explain_word
from nbkit.errors import AnswerFormatError, ConfigError

_STRICT = frozenset(
    """type properties required additionalProperties items anyOf enum const $ref $defs description title pattern format
    multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems""".split()  # noqa: SIM905 - a list to read
)
_TYPED = {"type", "anyOf", "enum", "const", "$ref"}  # strict mode requires one of them in each schema
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_EXPECTED = "expected 'text', 'json_object', a dict or a type"
_TYPES = ("text", "json_object", "json_schema", "object")
"""OpenAI's types of a format, and that of a JSON schema; providers have others, which are sent as they are."""
_ENDINGS = {
    "length": "; it was cut off at max_tokens",
    "content_filter": "; the provider's content filter cut it off",
    "tool_calls": "; the model calls a tool instead",
}


def read_format(wanted: Any) -> tuple[dict[str, Any] | None, Any]:
    """Return (OpenAI's `response_format`, the type of the parsed answer: None for plain text, Any for any JSON).

    `wanted`: "text" or "json_object", OpenAI's dict, the JSON schema of an object, or a type whose schema is an object:
    a pydantic model, a dataclass, a TypedDict. Raises ConfigError for anything else.
    """
    if wanted in (None, "text"):
        return None, None
    if wanted == "json_object":
        return {"type": "json_object"}, Any
    if not isinstance(wanted, dict):
        return _format_of_type(wanted), wanted
    kind = wanted.get("type")
    if not isinstance(kind, str) or (kind not in _TYPES and suggest(kind, _TYPES, listed=True)):
        raise ConfigError(f"response_format.{explain_word(wanted, 'type', _TYPES)}")
    if kind == "object":
        kind, wanted = "json_schema", {"type": "json_schema", "json_schema": {"schema": wanted}}
    if kind == "json_schema":
        form = wanted.get("json_schema")
        if not isinstance(form, dict) or not isinstance(form.get("schema"), dict):
            raise ConfigError("response_format: json_schema needs {'json_schema': {'name': ..., 'schema': {...}}}")
        wanted = wanted | {"json_schema": {"name": "answer"} | form}
    return wanted, None if kind == "text" else Any


def _format_of_type(kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    problem = "its JSON schema is not an object; make it a field of a model"
    if isinstance(kind, str):
        problem = f"{_EXPECTED}, got {describe(kind)}{suggest(kind, ('text', 'json_object'), listed=True)}"
    else:
        from nbkit.conversation.schemas import PydanticUserError, TypeAdapter, write_schema  # few calls need it

        try:
            schema = write_schema(TypeAdapter(kind))
        except PydanticUserError as unfit:
            problem = str(unfit).partition("\n")[0] if isinstance(kind, type) else f"{_EXPECTED}, got {describe(kind)}"
    if "$ref" in schema:  # a type that refers to itself; at the top level OpenAI does not accept a reference
        schema |= deepcopy(schema["$defs"][schema.pop("$ref").removeprefix("#/$defs/")])
    if schema.get("type") != "object":
        named = "" if problem.startswith(_EXPECTED) else f"{getattr(kind, '__name__', repr(kind))}: "
        raise ConfigError(f"response_format: {named}{problem}")
    _close(schema)
    name = re.sub(r"\W", "_", getattr(kind, "__name__", "answer"), flags=re.ASCII)[:64]  # the names that OpenAI accepts
    form = {"name": name, "schema": schema} | ({"strict": True} if _is_strict(schema) else {})
    return {"type": "json_schema", "json_schema": form}


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas directly inside a schema."""
    for key in ("properties", "$defs"):
        yield from schema.get(key, {}).values()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(key, ())
    yield from (schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict))


def _close(schema: dict[str, Any]) -> None:
    """Change a schema in place into the form that strict mode requires, as far as its meaning stays the same."""
    if "$ref" in schema and schema.keys() - {"$ref", "$defs"}:  # a reference must be alone in its object
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}]
    if schema.pop("discriminator", None):
        schema["anyOf"] = schema.pop("oneOf")
    for part in _parts(schema):
        _close(part)
    if "properties" in schema:
        properties = schema["properties"]
        required = set(schema.get("required", ()))
        for name, part in properties.items():
            if "default" in part and part["default"] is None and {"type": "null"} in part.get("anyOf", ()):
                del part["default"]
                required.add(name)
        schema["required"] = [name for name in properties if name in required]
        schema.setdefault("additionalProperties", False)


def _is_strict(schema: dict[str, Any]) -> bool:
    closed = schema.get("type") != "object" or (
        schema.get("additionalProperties") is False
        and set(schema.get("required", ())) == set(schema.get("properties", ()))
    )
    known = schema.keys() <= _STRICT and schema.get("format", "date") in _FORMATS
    return closed and known and bool(schema.keys() & _TYPED) and all(map(_is_strict, _parts(schema)))


def parse_answer(text: str, kind: Any, finish_reason: str | None, refusal: str | None) -> Any:
    """Parse an answer as the requested type, without a Markdown fence around it.

    Raises AnswerFormatError, which says what is wrong, and whether the answer was cut off or refused.
    """
    from nbkit.conversation.schemas import TypeAdapter, ValidationError, find_problem

    fenced = _FENCE.fullmatch(text)
    try:
        return TypeAdapter(kind).validate_json(fenced[1] if fenced else text)
    except ValidationError as invalid:
        problem = find_problem(invalid)
    ending = f"; the model refused: {refusal}" if refusal else _ENDINGS.get(finish_reason or "", "")
    wanted = "JSON" if kind is Any else getattr(kind, "__name__", str(kind))
    raise AnswerFormatError(f"the answer is not valid {wanted}: {problem}{ending}", text)
