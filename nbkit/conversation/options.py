"""Options of a call."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import compress
from math import isfinite
from operator import is_not
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import astuple, force_setattr

from nbkit.arguments import describe, suggest
from nbkit.conversation.formats import read_format
from nbkit.conversation.tools import Tool
from nbkit.conversation.values import Value, new, refuse_tables, to_plain
from nbkit.errors import ArgumentError, ConfigError, NbkitError
from nbkit.secret import SecretHeaders, hide_fields

DEPRECATED = {"functions": "tools", "function_call": "tool_choice"}
"""OpenAI's former names of options."""


_Count = Annotated[int, Meta(ge=0)]
_Positive = Annotated[int, Meta(ge=1)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class ExecuteOptions(Value, frozen=True, kw_only=True, dict=True):
    """Options of one call. An option that is None is not sent; an unknown option is an error."""

    _raises: ClassVar[type[NbkitError]] = ConfigError
    _strict: ClassVar[bool] = False

    temperature: Annotated[float, Meta(ge=0)] | None = None
    max_tokens: _Positive | None = None
    """Maximum tokens of the answer, including reasoning."""
    top_p: _Share | None = None
    top_k: _Positive | None = None
    min_p: _Share | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: Annotated[tuple[str, ...], Meta(description="text or a list of texts")] | None = None
    """The answer ends before any of these texts."""
    seed: int | None = None
    n: _Positive | None = None
    """Number of answers to one prompt; `completion.choices` holds all of them."""
    user: str | None = None
    """An opaque id of the end user."""
    service_tier: str | None = None
    """The lane in which the provider serves the call, in its own words: `flex`, `priority` ..."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How long the answer should be, for models that can be told."""
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
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
    answer_type: Any = None
    """The type of `completion.parsed`; follows from `response_format`."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: _Count | None = None
    """Maximum tokens of reasoning, for models that take a budget; 0 turns reasoning off."""
    prompt_cache: Literal["auto"] | None = None
    """`auto` marks the part of the prompt that the next call will repeat, for providers whose cache needs marks."""
    extra_body: dict[str, Any] | None = None
    """Merged into the request's body without changes."""
    extra_headers: dict[str, str] | None = None
    context: Literal["trim"] | None = None
    """`trim` leaves out the oldest turns of a conversation that is longer than the model's context."""
    timeout: Annotated[float, Meta(gt=0)] | None = None
    """Seconds without data before the call times out; None takes the setting."""
    strict: bool = False
    """Raise instead of dropping, clamping or transforming anything. Renaming an option is still allowed."""

    __repr__ = hide_fields("extra_headers", "answer_type")  # headers may hold a key

    def __post_init__(self) -> None:
        if self.extra_headers is not None and type(self.extra_headers) is not SecretHeaders:
            force_setattr(self, "extra_headers", SecretHeaders(self.extra_headers))

    @cached_property
    def given(self) -> AbstractSet[str]:
        """Names of the options that have a value."""
        differs = map(is_not, astuple(self), self.__struct_defaults__)  # from None, or of `strict` from False
        return frozenset(compress(OPTIONS, differs))

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        data = {name: _READERS[name](value) if name in _READERS else value for name, value in data.items()}
        if "response_format" in data:
            data["response_format"], data["answer_type"] = read_format(data["response_format"])
        for name in data.keys() & _FINITE:
            if isinstance(value := data[name], float) and not isfinite(value):
                raise ValueError(f"{name}: expected a finite number, got {value}")
        return data

    def model_dump(self) -> dict[str, Any]:
        """Write the options that have a value, which a call takes again."""
        return {name: to_plain(getattr(self, name)) for name in self.__struct_fields__ if name in self.given - _LOCAL}

    @classmethod
    def of(cls, options: dict[str, Any]) -> ExecuteOptions:
        """Read keyword arguments. Raises ConfigError that names a wrong option and the most similar valid one."""
        if not isinstance(options, dict):
            raise ArgumentError(f"options: expected a dict, got {describe(options)}")
        if not options and cls is ExecuteOptions:
            return NO_OPTIONS
        if isinstance(options.get("extra_headers"), dict):  # a traceback may print the arguments of a call
            options["extra_headers"] = SecretHeaders(options["extra_headers"])
        refuse_tables("option ", options)
        for old in DEPRECATED.keys() & options.keys():
            if DEPRECATED[old] in options:
                raise ConfigError(f"option {old!r} is deprecated, and {DEPRECATED[old]!r} is given too")
        options = {DEPRECATED.get(name, name): value for name, value in options.items()}
        for name in options:
            if name not in _NAMES:
                raise ConfigError(f"unknown option {name!r}{suggest(name, OPTIONS)}")
        try:
            return cls.read(options)
        except ValueError as invalid:
            problem = str(invalid)
        raise ConfigError(f"option {problem}")


def _read_logprobs(value: Any) -> Any:
    """Read OpenAI's true and false."""
    return {True: 0, False: None}[value] if isinstance(value, bool) else value


def _read_headers(value: Any) -> Any:
    for name, text in value.items() if isinstance(value, dict) else ():
        if not isinstance(text, str):  # it may be a key
            raise ValueError(f"extra_headers[{name!r}]: expected text (what it is now is not shown)")
    return value


def _read_stop(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _read_tools(value: Any) -> Any:
    """Read one tool as a list of one; a generator or a set is not one, whose order would change."""
    if isinstance(value, dict | Tool) or callable(value):
        value = (value,)
    elif value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"tools: expected a function, a dict or a list of them, got {describe(value)}")
    return value and tuple(_read_tool(tool, place) for place, tool in enumerate(value))


def _read_tool(value: Any, place: int) -> Any:
    if not isinstance(value, dict | Tool) and not callable(value):
        raise ValueError(f"tools[{place}]: expected a function or a dict, got {describe(value)}")
    try:
        return Tool.read(value)
    except ValueError as invalid:
        problem = str(invalid)
    begins_with_place = " " not in problem.partition(":")[0]
    raise ValueError(f"tools[{place}]{'.' if begins_with_place else ': '}{problem}")


def _read_tool_choice(value: Any) -> Any:
    """Read OpenAI's `{"type": "function", "function": {"name": ...}}` as the tool's name."""
    if not isinstance(value, dict):
        return value
    inner = value.get("function", value)
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        form = "{'type': 'function', 'function': {'name': ...}}"
        raise ValueError(f"tool_choice: expected auto, none, required, the name of a tool or {form}")
    return inner["name"]


_FINITE = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty")
_READERS: dict[str, Callable[[Any], Any]] = {
    "logprobs": _read_logprobs,
    "stop": _read_stop,
    "extra_headers": _read_headers,
    "tools": _read_tools,
    "tool_choice": _read_tool_choice,
}
OPTIONS = ExecuteOptions.__struct_fields__
"""The names of all options."""
_LOCAL = frozenset(("answer_type",))
NO_OPTIONS: ExecuteOptions = new(ExecuteOptions)
_NAMES = frozenset(OPTIONS)
