"""The contract of a protocol module, and the types that all of them share.

A protocol is a module with five names, all pure:

- `FRAMING`: how a stream is cut into events, a key of `nbkit.http.framing.FRAMINGS`
- `encode(conversation, options, model, dialect, stream) -> WireRequest`
- `decode(body, dialect) -> ChatCompletion`, raising an AdapterError where the body is an error or not an answer
- `error(status, body, dialect) -> AdapterError`, for a response whose status is not 2xx
- `Decoder(dialect)`, with `feed(event, data) -> list of chunks` for each event of a stream, and `finish()`, which
  gives the completion, or raises StreamError where the stream ended without its finish signal; `partial()` gives
  the completion as far as it has arrived. `decoder.BaseDecoder` has all but the reading of one event

The conversation and the options that `encode` gets already fit the model (`adapters/fit_options.py`): turns that the
model's capabilities rule out are transformed, options that it does not take are gone, the rest is clamped,
`tool_choice` is one that can be made. What is left to a protocol is spelling, and each loss in it is listed in the
request's `changes`.

The adapter adds to completions and errors what a protocol does not know: provider, model, status, request id.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct, field

from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError
from nbkit.secret import hide_fields

Chunks = list[ChatCompletionChunk]


class WireRequest(Struct, frozen=True):
    """One request: POST `body` as JSON to base URL + `path`, with `headers` (never the key)."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    __repr__ = hide_fields("headers")


class Dialect(Struct, frozen=True):
    """How a provider's spelling of its protocol differs. Each field is a key of a `dialect` in the provider tables."""

    max_output: int | None = None
    """Most answer tokens of the model; sent where a protocol demands `max_tokens` and the caller gave none."""
    rename: dict[str, str] = field(default_factory=dict)
    """Options that go by another name; a dotted one is nested: `{"reasoning_effort": "reasoning.effort"}`."""
    reported_cost: str = ""
    """Dotted path in the body of the price of the call, as the provider reports it."""
    reported_cost_unit: float = 1.0
    """USD per unit of `reported_cost`."""
    cost_header: str = ""
    """Header of a whole answer with the price of the call in USD; a gateway that knows no price leaves it out."""
    own_key_cost: str = ""
    """Dotted path of what a call costs at the provider behind a gateway, where `own_key` says that it was made with the
    caller's own key there: it is paid on top of `reported_cost`, the gateway's fee."""
    own_key: str = ""
    """Dotted path of the truth value that says so."""
    reasoning_off: dict[str, Any] = field(default_factory=dict)
    """Keys that switch reasoning off, merged into the body, where the protocol's own word for it does not."""

    cuts_prompts: bool = False
    """A prompt that is too long is cut without an error: a usage that is far too small shows it."""

    # openai-chat
    max_tokens_field: str = "max_tokens"
    """`max_tokens` or `max_completion_tokens`."""
    system_role: str = "system"
    """The role of system turns; OpenAI's reasoning models call it `developer`."""
    stream_usage: bool = True
    """Ask for usage with `stream_options`."""
    replay_reasoning: str = ""
    """The key under which earlier reasoning is sent back (`reasoning_content`, `reasoning`, `reasoning_details`;
    `content`: Mistral's parts; `<think>`: in front of the text, in these tags); "" drops it."""
    short_tool_ids: bool = False
    """The ids of tool calls must be nine letters and digits; any other is replaced."""
    names: tuple[str, ...] = ("system", "developer", "user", "assistant")
    """The roles whose messages may have a `name`."""
    continues: str = ""
    """The flag of a last assistant message that the answer is to continue: `prefix` (Mistral), `partial` (Moonshot);
    "" where none is needed."""
    json_schema: str = "json_schema"
    """How `response_format` holds a schema: `json_schema`, as OpenAI has it, or `json_object+schema` (llama.cpp)."""
    tool_choice_required: str = "required"
    """The word for "call some tool"; Mistral's is `any`."""

    # openai-responses
    encrypted_reasoning: bool = True
    """Ask for the reasoning in encrypted form, to send it back; a model that does not reason refuses this."""
    phase: bool = False
    """Newer models want messages of the assistant marked: `commentary` beside tool calls, else `final_answer`."""

    # gemini-generate
    call_ids: bool = True
    """Calls and outputs of tools have ids; Vertex AI joins them by name and order."""
    before_gemini_3: bool = False
    """Signatures of calls may be missing, and media of a tool's output stand beside it. Gemini 3 and later require the
    signatures and take media in an output."""

    # bedrock-converse
    reasoning_on: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Option (`reasoning_effort` or `reasoning_budget`) -> keys that it needs beside it, merged into the body."""
    reasoning_excludes: tuple[str, ...] = ()
    """Options that the model refuses while it reasons; `tool_choice` means a forced one."""
    reasoning_format: str = ""
    """Format of the signed reasoning that the model takes back (`anthropic-claude-v1`); "" where it takes none."""


class StreamDecoder(Protocol):
    """Builds a completion from a stream's events."""

    def feed(self, event: str, data: bytes) -> Chunks:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""

    @property
    def done(self) -> bool:
        """Whether the answer is complete and its end is marked: what the connection does then is not a failure."""

    def finish(self) -> ChatCompletion:
        """Build the completion, after the last event. Raises StreamError where the finish signal is missing."""

    def partial(self) -> ChatCompletion:
        """Build the completion as far as it has arrived."""


class ProtocolModule(Protocol):
    """A module of this room."""

    FRAMING: str

    def encode(
        self, conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
    ) -> WireRequest:
        """Write a request."""

    def decode(self, body: Any, dialect: Dialect) -> ChatCompletion:
        """Read a whole answer, parsed from JSON."""

    def error(self, status: int, body: bytes, dialect: Dialect) -> AdapterError:
        """Read the error from a response whose status is not 2xx."""

    def Decoder(self, dialect: Dialect) -> StreamDecoder:
        """Read a stream."""
