"""Tools and tool calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import from_json, to_json

from nbkit.conversation.functions import bind, describe
from nbkit.conversation.values import OneConfigSentence, OneSentence
from nbkit.errors import ConversationError


class FunctionCall(BaseModel, metaclass=OneSentence):
    """A function's name and its arguments, as the JSON text that the model wrote (not always valid)."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    name: str = Field(min_length=1)
    arguments: str = "{}"

    @model_validator(mode="before")
    @classmethod
    def _read_arguments(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("arguments"), dict | None):
            return data | {"arguments": to_json(data.get("arguments") or {}).decode()}
        return data


class ToolCall(FunctionCall):
    """One call of a tool. The tool's output refers to its `id`.

    Reads and writes OpenAI's format, `{"id", "type": "function", "function": {"name", "arguments"}}`.
    """

    id: str = ""
    signature: str | None = None
    """An opaque token that some vendors require to be sent back with the call (Gemini's thought signature)."""

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("function"), dict):
            google = (data.get("extra_content") or {}).get("google") or {}
            signature = google.get("thought_signature")
            return {"id": data.get("id") or "", "signature": signature, **data["function"]}
        return data

    @model_serializer(mode="plain")
    def _to_openai(self) -> dict[str, Any]:
        call: dict[str, Any] = {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }
        if self.signature is not None:
            call["extra_content"] = {"google": {"thought_signature": self.signature}}
        return call

    def parsed(self) -> dict[str, Any]:
        """Return the arguments as a dict. Raises ValueError if the model did not write a valid JSON object."""
        value = from_json(self.arguments or "{}")
        if not isinstance(value, dict):
            raise ValueError(f"{self.name}: arguments are {type(value).__name__}, expected a JSON object")
        return value


_SCHEMAS = {"input_schema": "parameters", "inputSchema": "parameters"}


class Tool(BaseModel, metaclass=OneConfigSentence):
    """A function that a model may call; `parameters` is a JSON schema.

    Reads OpenAI's format, `{"type": "function", "function": {...}}`, the inner dict alone (`parameters` may be called
    `input_schema` or `inputSchema`, as Anthropic and MCP do), and a Python function, async or not, with type hints:
    `Tool(function=get_weather)` takes name, description and parameters from it unless they are given. Raises
    ConfigError if the function has a parameter that a model cannot pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(min_length=1)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    function: Callable[..., Any] | None = Field(None, exclude=True, repr=False)
    """The function that `adapter.run` and `Chat` call; None for a tool that is only described."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("function"), dict):
            data = data["function"]
        if isinstance(data, dict):
            data = {_SCHEMAS.get(key, key): value for key, value in data.items() if value is not None}
        function = data.get("function") if isinstance(data, dict) else data
        if not callable(function):
            return data
        return describe(function) | (data if isinstance(data, dict) else {"function": data})

    def bind(self, arguments: str) -> Callable[[], Any]:
        """Prepare the call of the function with a model's JSON arguments, validated by its type hints.

        Nothing runs before the result is called. Raises ConversationError, whose message tells the model what is wrong
        with the arguments.
        """
        if self.function is None:
            raise ConversationError(f"the tool {self.name!r} has no function")
        return bind(self.function, arguments)
