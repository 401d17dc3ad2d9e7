"""Tools and tool calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta, field

from nbkit.arguments import describe
from nbkit.conversation.values import Value
from nbkit.errors import ConfigError, ConversationError, NbkitError
from nbkit.json_text import read_json, write_json
from nbkit.secret import hide_fields


class FunctionCall(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A function's name and its arguments, as the JSON text that the model wrote (not always valid)."""

    name: Annotated[str, Meta(min_length=1)]
    arguments: str = "{}"

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        if isinstance(data.get("arguments"), dict | None):
            return data | {"arguments": write_json(data.get("arguments") or {}).decode()}
        return data


class ToolCall(FunctionCall, frozen=True, kw_only=True):
    """One call of a tool. The tool's output refers to its `id`.

    Reads and writes OpenAI's format, `{"id", "type": "function", "function": {"name", "arguments"}}`.
    """

    id: str = ""
    signature: str | None = None
    """An opaque token that some vendors require to be sent back with the call (Gemini's thought signature)."""

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        if isinstance(data.get("function"), dict):
            google = (data.get("extra_content") or {}).get("google") or {}
            signature = google.get("thought_signature")
            data = {"id": data.get("id") or "", "signature": signature, **data["function"]}
        return super()._prepare(data)

    def model_dump(self) -> dict[str, Any]:
        """Write OpenAI's format."""
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
        value = read_json(self.arguments or "{}", nan=True)
        if not isinstance(value, dict):
            raise ValueError(f"{self.name}: arguments are {type(value).__name__}, expected a JSON object")
        return value


_SCHEMAS = {"input_schema": "parameters", "inputSchema": "parameters"}


class Tool(Value, frozen=True, kw_only=True):
    """A function that a model may call; `parameters` is a JSON schema.

    Reads OpenAI's format, `{"type": "function", "function": {...}}`, the inner dict alone (`parameters` may be called
    `input_schema` or `inputSchema`, as Anthropic and MCP do), and a Python function, async or not, with type hints:
    `Tool(function=get_weather)` takes name, description and parameters from it unless they are given. Raises
    ConfigError if the function has a parameter that a model cannot pass.
    """

    _raises: ClassVar[type[NbkitError]] = ConfigError

    name: Annotated[str, Meta(min_length=1)]
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    function: Any = None
    """The function that `adapter.run` and `Chat` call; None for a tool that is only described."""

    __repr__ = hide_fields("function")

    @classmethod
    def read(cls, data: Any) -> Self:
        """Read a dict or a function. Raises ValueError or ConfigError."""
        return super().read({"function": data} if callable(data) else data)

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("type") not in (None, "function"):
            kind = describe(data["type"])
            raise ValueError(f"type: expected 'function', got {kind}; tools that a provider runs go into extra_body")
        if isinstance(data.get("function"), dict):
            data = data["function"]
        fields = ((_SCHEMAS.get(key, key), value) for key, value in data.items() if value is not None)
        data = {key: value for key, value in fields if key != "type"}
        if (function := data.get("function")) is None:
            return data
        if not callable(function):
            raise ValueError(f"function: expected a function, got {describe(function)}")
        from nbkit.conversation.functions import describe_function  # pydantic; few calls need it

        return describe_function(function) | data

    def model_dump(self) -> dict[str, Any]:
        """Write what a model is told of it."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "function"}

    def bind(self, arguments: str) -> Callable[[], Any]:
        """Prepare the call of the function with a model's JSON arguments, validated by its type hints.

        Nothing runs before the result is called. Raises ConversationError, whose message tells the model what is wrong
        with the arguments.
        """
        if self.function is None:
            raise ConversationError(f"the tool {self.name!r} has no function")
        from nbkit.conversation.functions import bind

        return bind(self.function, arguments)
