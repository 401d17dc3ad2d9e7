"""What can be asked of a call besides the conversation."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nbkit.conversation.formats import read_format
from nbkit.conversation.tools import Tool
from nbkit.errors import ConfigError

DEPRECATED = {"functions": "tools", "function_call": "tool_choice"}
"""OpenAI's former names of options."""


class ExecuteOptions(BaseModel):
    """Options of one call; what is None is not sent. Unknown names are an error, not silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of the answer (reasoning included)."""
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    """The answer ends before any of these."""
    seed: int | None = None
    n: int | None = Field(None, ge=1)
    """Answers to one prompt; `completion.choices` has them all."""
    user: str | None = None
    """An opaque id of the end user."""
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or the name of the one tool to call."""
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    """OpenAI's form: `{"type": "json_object"}`, `{"type": "json_schema", "json_schema": {...}}`. Also reads
    "json_object", the JSON schema of an object, and a type: a pydantic model, a dataclass, a TypedDict."""
    answer_type: Any = Field(None, exclude=True, repr=False)
    """Follows from `response_format`: what `completion.parsed` is to be."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = Field(None, ge=0)
    """Most tokens of reasoning, where the model takes a budget; 0 turns it off."""
    prompt_cache: Literal["auto"] | None = None
    """`auto` marks what the next call will repeat for the provider's cache, where it wants marks."""
    extra_body: dict[str, Any] | None = None
    """Merged into the request's body as it is."""
    extra_headers: dict[str, str] | None = None
    timeout: float | None = Field(None, gt=0)
    """Seconds without a byte before the call is given up; None takes the setting."""
    strict: bool = False
    """Raise instead of dropping, clamping or transforming anything. Another name for the same is no loss."""

    @model_validator(mode="before")
    @classmethod
    def _read_format(cls, data: Any) -> Any:
        if isinstance(data, dict) and "response_format" in data:
            wanted, kind = read_format(data["response_format"])
            return data | {"response_format": wanted, "answer_type": kind}
        return data

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _named_tool(cls, value: Any) -> Any:
        """OpenAI's `{"type": "function", "function": {"name": ...}}` is the tool's name."""
        if isinstance(value, dict):
            return (value.get("function") or value).get("name")
        return value

    @classmethod
    def of(cls, options: dict[str, Any]) -> ExecuteOptions:
        """Read keyword arguments. Raises ConfigError that names the option and the nearest that exists."""
        for old in DEPRECATED.keys() & options.keys():
            if DEPRECATED[old] in options:
                raise ConfigError(f"option {old!r} is deprecated, and {DEPRECATED[old]!r} is given too")
        options = {DEPRECATED.get(name, name): value for name, value in options.items()}
        for name in options:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(cls.model_fields)}"
                raise ConfigError(f"unknown option {name!r}{hint}")
        try:
            return cls.model_validate(options)
        except ValidationError as invalid:
            problem = invalid.errors(include_url=False, include_context=False)[0]
        raise ConfigError(f"option {'.'.join(map(str, problem['loc']))}: {problem['msg']}")
