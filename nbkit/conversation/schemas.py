"""Python types by pydantic: their JSON schemas, and JSON read as one of them. Few calls need it, and it is large."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

__all__ = ["PydanticUserError", "TypeAdapter", "ValidationError", "find_problem", "write_schema"]


class _Untitled(GenerateJsonSchema):
    """Schemas without the titles that pydantic derives from names: they add no information and cost tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def write_schema(adapter: TypeAdapter[Any]) -> JsonSchemaValue:
    """Return the JSON schema of the values that an adapter validates."""
    return adapter.json_schema(schema_generator=_Untitled)


def find_problem(invalid: ValidationError) -> str:
    """Describe the first problem of an invalid value: where it is, and what is wrong."""
    problem = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join(filter(None, [".".join(map(str, problem["loc"])), problem["msg"]]))
