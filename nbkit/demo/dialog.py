"""What is asked of the simulated provider, freed of the protocol it was asked in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said. A tool's output is a turn of its own, also where the protocol wraps it into a user's."""

    role: Role
    text: str
    images: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer: its name and the JSON schema of its arguments."""

    name: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, checked."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the tool to call."""
    stream: bool = False
    include_usage: bool = True
    """Whether a stream ends with its usage."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = True
    """False where the caller switched reasoning off."""


def field(body: dict[str, Any], name: str, kinds: type | tuple[type, ...], default: Any = None) -> Any:
    """The value of a JSON object's field, or the default where it is missing or null.

    Raises ValueError, naming the field, where it is of another kind. True and false are not numbers.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int):
        raise ValueError(f"{name}: a {type(value).__name__} is not what belongs here")
    return value


def required(body: dict[str, Any], name: str, kinds: type | tuple[type, ...]) -> Any:
    """The value of a field that must be there. Raises ValueError where it is missing, null or of another kind."""
    value = field(body, name, kinds)
    if value is None:
        raise ValueError(f"{name}: field required")
    return value


def positive(body: dict[str, Any], name: str) -> int | None:
    """A count of tokens, None where there is none. Raises ValueError where it is not a positive integer."""
    value: int | None = field(body, name, int)
    if value is not None and value < 1:
        raise ValueError(f"{name}: must be at least 1")
    return value


def objects(values: list[Any], name: str) -> list[dict[str, Any]]:
    """The values, every one a JSON object. Raises ValueError where one is not."""
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"{name}.{index}: must be an object")
    return values
