"""Options of a call."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nbkit.arguments import describe
from nbkit.conversation.formats import read_format
from nbkit.conversation.tools import Tool
from nbkit.conversation.values import OneConfigSentence, explain, refuse_tables
from nbkit.errors import ArgumentError, ConfigError
from nbkit.secret import SecretHeaders

DEPRECATED = {"functions": "tools", "function_call": "tool_choice"}
"""OpenAI's former names of options."""


class ExecuteOptions(BaseModel, metaclass=OneConfigSentence):
    """Options of one call. An option that is None is not sent; an unknown option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    temperature: float | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=1)
    """Maximum tokens of the answer, including reasoning."""
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    """The answer ends before any of these texts."""
    seed: int | None = None
    n: int | None = Field(None, ge=1)
    """Number of answers to one prompt; `completion.choices` holds all of them."""
    user: str | None = None
    """An opaque id of the end user."""
    service_tier: str | None = None
    """The lane in which the provider serves the call, in its own words: `flex`, `priority` ..."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How long the answer should be, for models that can be told."""
    logprobs: int | None = Field(None, ge=0, le=20)
    """Log probabilities of the answer's tokens, with those of this many alternatives; True is 0 of them. They stand in
    `completion.raw`, in the provider's own form; ask for a whole answer, a stream keeps its last events only."""
    prompt_cache_key: str | None = None
    """An id that prompts with the same beginning share, for providers that find their cache by it."""
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or the name of the one tool to call."""
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    """OpenAI's format: `{"type": "json_object"}`, `{"type": "json_schema", "json_schema": {...}}`. Also reads
    "json_object", the JSON schema of an object, and a type: a pydantic model, a dataclass, a TypedDict."""
    answer_type: Any = Field(None, exclude=True, repr=False)
    """The type of `completion.parsed`; follows from `response_format`."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = Field(None, ge=0)
    """Maximum tokens of reasoning, for models that take a budget; 0 turns reasoning off."""
    prompt_cache: Literal["auto"] | None = None
    """`auto` marks the part of the prompt that the next call will repeat, for providers whose cache needs marks."""
    extra_body: dict[str, Any] | None = None
    """Merged into the request's body without changes."""
    extra_headers: dict[str, str] | None = Field(None, repr=False)  # may hold a key
    context: Literal["trim"] | None = None
    """`trim` leaves out the oldest turns of a conversation that is longer than the model's context."""
    timeout: float | None = Field(None, gt=0, allow_inf_nan=True)
    """Seconds without data before the call times out; None takes the setting."""
    strict: bool = False
    """Raise instead of dropping, clamping or transforming anything. Renaming an option is still allowed."""

    @property
    def given(self) -> AbstractSet[str]:
        """Names of the options that have a value: of those that nobody has set, all are None or False."""
        return {name for name in self.model_fields_set if getattr(self, name) is not None}

    @model_validator(mode="before")
    @classmethod
    def _read_format(cls, data: Any) -> Any:
        if isinstance(data, dict) and "response_format" in data:
            wanted, kind = read_format(data["response_format"])
            return data | {"response_format": wanted, "answer_type": kind}
        return data

    @field_validator("stop", mode="before")
    @classmethod
    def _read_stop(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("logprobs", mode="before")
    @classmethod
    def _read_logprobs(cls, value: Any) -> Any:
        """Read OpenAI's true and false."""
        return {True: 0, False: None}[value] if isinstance(value, bool) else value

    @field_validator("tools", mode="before")
    @classmethod
    def _read_tools(cls, value: Any) -> Any:
        """Read one tool as a list of one; a generator or a set is not one, whose order would change."""
        if isinstance(value, dict | Tool) or callable(value):
            return (value,)
        if value is not None and not isinstance(value, list | tuple):
            raise ValueError(f"expected a function, a dict or a list of them, got {type(value).__name__}")
        return value

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _read_tool_choice(cls, value: Any) -> Any:
        """Read OpenAI's `{"type": "function", "function": {"name": ...}}` as the tool's name."""
        if isinstance(value, dict):
            return (value.get("function") or value).get("name")
        return value

    @classmethod
    def of(cls, options: dict[str, Any]) -> ExecuteOptions:
        """Read keyword arguments. Raises ConfigError that names a wrong option and the most similar valid one."""
        if not isinstance(options, dict):
            raise ArgumentError(f"options: expected a dict, got {describe(options)}")
        if not options and cls is ExecuteOptions:
            return _NO_OPTIONS
        if isinstance(options.get("extra_headers"), dict):  # a traceback may print the arguments of a call
            options["extra_headers"] = SecretHeaders(options["extra_headers"])
        refuse_tables("option ", options)
        for old in DEPRECATED.keys() & options.keys():
            if DEPRECATED[old] in options:
                raise ConfigError(f"option {old!r} is deprecated, and {DEPRECATED[old]!r} is given too")
        options = {DEPRECATED.get(name, name): value for name, value in options.items()}
        for name in options:
            if name not in _NAMES:
                from difflib import get_close_matches

                near = get_close_matches(name, cls.model_fields, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(cls.model_fields)}"
                raise ConfigError(f"unknown option {name!r}{hint}")
        try:
            return cls.model_validate(options)
        except ValidationError as invalid:
            problem = explain(invalid)
        raise ConfigError(f"option {problem}")


_NO_OPTIONS = ExecuteOptions.model_construct()  # what validation would need is not built for it
_NAMES = frozenset(ExecuteOptions.model_fields)
