"""The types that every protocol module shares.

A protocol is a module with five names, all pure:

- `FRAMING`: how a stream is cut into events, a key of `nbkit.http.framing.FRAMINGS`
- `encode(conversation, options, model, dialect, stream) -> WireRequest`
- `decode(body, dialect) -> ChatCompletion`, raising an AdapterError where the body is an error or not an answer
- `error(status, body, dialect) -> AdapterError`, for an answer that is no 2xx
- `Decoder(dialect)`, with `feed(event, data) -> list of chunks` for each event of a stream, and `finish()`, which
  gives the completion, or raises StreamError where the stream ended without its finish signal; `partial()` gives
  what came so far

What `encode` gets has been fitted to the model already (`adapters/fit.py`): turns that the model's capabilities rule
out are transformed, options that it does not take are gone, the rest is clamped, `tool_choice` is one that can be made.
What is left to a protocol is spelling, and each loss in it is listed in the request's `changes`.

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
    """How a provider's spelling of its protocol differs. Each field is a key of a `dialect` in the provider tables."""

    max_output: int | None = None
    """Most answer tokens of the model; it is sent where a protocol demands a limit and none was asked for."""
    rename: dict[str, str] = field(default_factory=dict)
    """Options that go by another name; a dotted one is nested: `{"reasoning_effort": "reasoning.effort"}`."""
    reported_cost: str = ""
    """Dotted path in the body of the price of the call, as the provider reports it."""
    reported_cost_unit: float = 1.0
    """USD per unit of `reported_cost`."""
    reasoning_off: dict[str, Any] = field(default_factory=dict)
    """What switches reasoning off, merged into the body, where it is not the protocol's own word."""

    cuts_prompts: bool = False
    """A prompt that is too long is cut without a word: usage that is far too small shows it."""

    # openai-chat
    max_tokens_field: str = "max_tokens"
    """`max_tokens` or `max_completion_tokens`."""
    system_role: str = "system"
    """What reasoning models of OpenAI call it is `developer`."""
    stream_usage: bool = True
    """Ask for usage with `stream_options`."""
    replay_reasoning: str = ""
    """The key under which old reasoning goes back (`reasoning_content`, `reasoning`, `reasoning_details`; `content`:
    Mistral's parts; `<think>`: in front of the text, in these tags); "" drops it."""
    short_tool_ids: bool = False
    """The ids of tool calls are nine letters and digits; any other is replaced."""
    names: tuple[str, ...] = ("system", "developer", "user", "assistant")
    """The roles whose messages may have a `name`."""
    continues: str = ""
    """The flag of a last message of the assistant that the answer goes on with: `prefix` (Mistral), `partial`
    (Moonshot); "" where none is wanted."""
    tool_choice_required: str = "required"
    """The word for "call some tool"; Mistral says `any`."""

    # openai-responses
    encrypted_reasoning: bool = True
    """Ask for the reasoning in encrypted form, to send it back; a model that does not reason refuses that."""
    phase: bool = False
    """What the assistant said is `commentary` beside tool calls, else the `final_answer`: newer models want it told."""

    # anthropic-messages
    thinking: str = "budget"
    """`budget` (thinking.budget_tokens) or `adaptive` (output_config.effort)."""

    # gemini-generate
    call_ids: bool = True
    """Calls and outputs of tools have ids; Vertex AI joins them by name and order."""
    before_gemini_3: bool = False
    """Signatures of calls may be missing, and media of a tool's output stand beside it. Gemini 3 and later demand the
    signatures and take media in an output."""

    # bedrock-converse
    reasoning_on: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What goes with `reasoning_effort` or `reasoning_budget`, merged into the body."""
    reasoning_excludes: tuple[str, ...] = ()
    """Options that the model refuses while it reasons; `tool_choice` is a forced one."""
    reasoning_format: str = ""
    """Whose signed reasoning the model takes back (`anthropic-claude-v1`); "" where none."""


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

    FRAMING: str

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
