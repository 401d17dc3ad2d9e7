"""A request to the simulated provider, freed of the protocol that it was written in, and how faces read one."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Role = Literal["system", "user", "assistant", "tool"]


class DemoTurn(Struct, frozen=True):
    """One turn. A tool's output is a turn of its own, also where the protocol wraps it into one of the user's."""

    role: Role
    text: str
    media: tuple[str, ...] = ()
    """What there is beside text: `image` or `document`, in their order."""


class DemoTool(Struct, frozen=True):
    """A tool on offer: its name and the JSON schema of its arguments."""

    name: str
    schema: dict[str, Any]


class DemoRequest(Struct, frozen=True):
    """A request, checked."""

    model: str
    turns: tuple[DemoTurn, ...]
    tools: tuple[DemoTool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the tool to call."""
    stream: bool = False
    include_usage: bool = True
    """Whether a stream ends with its usage."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = True
    """False where the caller switched reasoning off."""
    schema: dict[str, Any] | None = None
    """JSON schema that the answer must have."""


def get_field(body: dict[str, Any], name: str, kinds: type | tuple[type, ...], default: Any = None) -> Any:
    """Return the value of a JSON object's field, or the default where it is missing or null.

    Raises ValueError, naming the field, where it is of another kind. True and false are not numbers.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int):
        raise ValueError(f"{name}: must not be a {type(value).__name__}")
    return value


def require_field(body: dict[str, Any], name: str, kinds: type | tuple[type, ...]) -> Any:
    """Return the value of a field. Raises ValueError where it is missing, null or of another kind."""
    value = get_field(body, name, kinds)
    if value is None:
        raise ValueError(f"{name}: field required")
    return value


def get_count(body: dict[str, Any], name: str) -> int | None:
    """Return a count of tokens, None where there is none. Raises ValueError where it is not a positive integer."""
    value: int | None = get_field(body, name, int)
    if value is not None and value < 1:
        raise ValueError(f"{name}: must be at least 1")
    return value


def read_schema(form: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON schema of a `response_format`, or of what other protocols have in its place."""
    named = get_field(form, "json_schema", dict, form)  # Cohere's is the schema itself
    schema: dict[str, Any] | None = get_field(named, "schema", dict, None if named is form else named)
    return schema


def check_objects(values: list[Any], name: str) -> list[dict[str, Any]]:
    """Return the values, each of them a JSON object. Raises ValueError where one is not."""
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"{name}.{index}: must be an object")
    return values
