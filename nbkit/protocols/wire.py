"""The types that every protocol module shares.

A protocol is a module with four names, all pure:

- `encode(conversation, options, model, dialect, stream) -> WireRequest`
- `decode(body, dialect) -> ChatCompletion`, raising an AdapterError where the body is an error or not an answer
- `error(status, body, dialect) -> AdapterError`, for an answer that is no 2xx
- `Decoder(dialect)`, with `feed(event, data) -> list of chunks` for each event of a stream, and `finish()`, which
  gives the completion, or raises StreamError where the stream ended without its finish signal; `partial()` gives
  what came so far

The adapter fills in who was asked (provider, model, status, request id): a protocol does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request: POST `body` as JSON to base URL + `path`, with `headers` (never the key)."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider's spelling of its protocol differs. Each field is a key of `provider_defaults.toml`."""

    max_output: int | None = None
    """Most answer tokens of the model: `max_tokens` is clamped to it; it is sent where a protocol demands a limit."""
    max_tokens_field: str = "max_tokens"
    """openai-chat: `max_tokens` or `max_completion_tokens`."""
    system_role: str = "system"
    """openai-chat: what reasoning models of OpenAI call it is `developer`."""
    stream_usage: bool = True
    """openai-chat: ask for usage with `stream_options`."""
    plain_content: bool = False
    """openai-chat: a message's content must be a string: entries are joined where all are text, null becomes ""."""
    replay_reasoning: str = ""
    """openai-chat: the key under which old reasoning goes back (`reasoning_content`, `reasoning`,
    `reasoning_details`); "" drops it."""
    reported_cost: str = ""
    """Dotted path in the body of the price of the call, as the provider reports it."""
    reported_cost_unit: float = 1.0
    """USD per unit of `reported_cost`."""
    rename: dict[str, str] = field(default_factory=dict)
    """Options that go by another name; a dotted one is nested: `{"reasoning_effort": "reasoning.effort"}`."""
    drop: tuple[str, ...] = ()
    """Options that the provider refuses or ignores (and a tool's `strict`): dropped, and listed in `changes`."""
    efforts: dict[str, str] = field(default_factory=dict)
    """Reasoning efforts that the model does not know, and what is said instead: `{"medium": "high"}`."""
    reasoning_off: dict[str, Any] = field(default_factory=dict)
    """What switches reasoning off, merged into the body, where it is not the protocol's own word."""
    thinking: str = "budget"
    """anthropic-messages: `budget` (thinking.budget_tokens) or `adaptive` (output_config.effort)."""
    tool_choice_required: str = "required"
    """openai-chat: the word for "call some tool"; Mistral says `any`."""
    tool_choice_named: bool = True
    """The model can be told which tool to call; otherwise that tool is sent alone, and required."""
    tool_choice_forced: bool = True
    """The model can be told to call a tool; otherwise it is left to choose."""


class StreamDecoder(Protocol):
    """Builds a completion from a stream's events."""

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""

    def finish(self) -> ChatCompletion:
        """The completion, after the last event. Raises StreamError where the finish signal is missing."""

    def partial(self) -> ChatCompletion:
        """What came so far."""


class ProtocolModule(Protocol):
    """What each module of this room provides."""

    def encode(
        self, conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
    ) -> WireRequest:
        """Write a request."""

    def decode(self, body: Any, dialect: Dialect) -> ChatCompletion:
        """Read a whole answer, parsed from JSON."""

    def error(self, status: int, body: bytes, dialect: Dialect) -> AdapterError:
        """Read an answer that is no 2xx."""

    def Decoder(self, dialect: Dialect) -> StreamDecoder:
        """Read a stream."""
