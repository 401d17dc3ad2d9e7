"""Tools and the calls a model makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import from_json, to_json

from nbkit.conversation.functions import bind, describe
from nbkit.errors import ConversationError


class FunctionCall(BaseModel):
    """A function's name and its arguments as the JSON text that the model wrote (not always valid)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1)
    arguments: str = "{}"

    @model_validator(mode="before")
    @classmethod
    def _arguments_as_text(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("arguments"), dict | None):
            return data | {"arguments": to_json(data.get("arguments") or {}).decode()}
        return data


class ToolCall(FunctionCall):
    """One call of a tool: `id` names it, the tool's output refers to it.

    Reads and writes OpenAI's form, `{"id", "type": "function", "function": {"name", "arguments"}}`.
    """

    id: str = ""
    signature: str | None = None
    """An opaque token that some vendors want back with the call (Gemini's thought signature)."""

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("function"), dict):
            google = (data.get("extra_content") or {}).get("google") or {}
            signature = google.get("thought_signature")
            return {"id": data.get("id") or "", "signature": signature, **data["function"]}
        return data

    @model_serializer(mode="plain")
    def _openai(self) -> dict[str, Any]:
        call: dict[str, Any] = {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }
        if self.signature is not None:
            call["extra_content"] = {"google": {"thought_signature": self.signature}}
        return call

    def parsed(self) -> dict[str, Any]:
        """The arguments as a dict. Raises ValueError where the model wrote no valid JSON object."""
        value = from_json(self.arguments or "{}")
        if not isinstance(value, dict):
            raise ValueError(f"{self.name}: arguments are {type(value).__name__}, expected a JSON object")
        return value


class Tool(BaseModel):
    """A function that a model may call; `parameters` is a JSON schema.

    Reads OpenAI's form, `{"type": "function", "function": {...}}`, the bare function in it, and a Python function,
    async or not, with type hints: `Tool(function=get_weather)` takes name, description and parameters from it where
    they are not given. Raises ConfigError where a parameter of it could not be given by a model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    function: Callable[..., Any] | None = Field(None, exclude=True, repr=False)
    """What `adapter.run` and `Chat` call; None for a tool that is only described."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("function"), dict):
            data = data["function"]
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if value is not None}
        function = data.get("function") if isinstance(data, dict) else data
        if not callable(function):
            return data
        return describe(function) | (data if isinstance(data, dict) else {"function": data})

    def bind(self, arguments: str) -> Callable[[], Any]:
        """The call of the function with a model's JSON arguments, validated by its type hints; nothing is run yet.

        Raises ConversationError, whose message is for the model: what is wrong with the arguments.
        """
        if self.function is None:
            raise ConversationError(f"the tool {self.name!r} has no function")
        return bind(self.function, arguments)
