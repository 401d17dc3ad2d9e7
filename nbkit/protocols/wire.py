"""The contract of a protocol module, the types that all of them share, and the skeleton of their decoders.

A protocol is a module with five names, all pure:

- `FRAMING`: how a stream is cut into events, a key of `nbkit.http.framing.FRAMINGS`
- `encode(conversation, options, model, dialect, stream) -> WireRequest`
- `decode(body, dialect) -> ChatCompletion`, raising an AdapterError where the body is an error or not an answer
- `error(status, body, dialect) -> AdapterError`, for a response whose status is not 2xx
- `Decoder(dialect)`, with `feed(event, data) -> list of chunks` for each event of a stream, and `finish()`, which
  gives the completion, or raises StreamError where the stream ended without its finish signal; `partial()` gives
  the completion as far as it has arrived. `BaseDecoder` has all but the reading of one event

The conversation and the options that `encode` gets already fit the model (`adapters/fit_options.py`): turns that the
model's capabilities rule out are transformed, options that it does not take are gone, the rest is clamped,
`tool_choice` is one that can be made. What is left to a protocol is spelling, and each loss in it is listed in the
request's `changes`.

The adapter adds to completions and errors what a protocol does not know: provider, model, status, request id.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic_core import from_json

from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.calls import NAMELESS, Calls
from nbkit.protocols.failures import SIGNS, is_failure, read_failure
from nbkit.protocols.halves import Halves
from nbkit.protocols.reading import (
    expect_object,
    find_value,
    list_uses,
    mapping,
    merge_counts,
    parse,
    read_cost,
    string,
)

Chunks = list[ChatCompletionChunk]


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
    """Most answer tokens of the model; sent where a protocol demands `max_tokens` and the caller gave none."""
    rename: dict[str, str] = field(default_factory=dict)
    """Options that go by another name; a dotted one is nested: `{"reasoning_effort": "reasoning.effort"}`."""
    reported_cost: str = ""
    """Dotted path in the body of the price of the call, as the provider reports it."""
    reported_cost_unit: float = 1.0
    """USD per unit of `reported_cost`."""
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


class BaseDecoder:
    """Skeleton of a decoder: the state and the rules that the streams of nearly all protocols share.

    A subclass writes `take`, which reads the JSON of one event into this state, and overrides those of the `read_...`
    methods that its answers have something for. `take_whole` takes the parts of a whole answer in the same way: so a
    whole answer and a streamed one cannot differ.
    """

    SIGNAL = "a finish reason"
    """The finish signal of the stream, as the error about a stream without it calls it."""
    ANSWER = "a chat completion"
    """What a whole answer is called."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.id = self.model = ""
        self.text: list[str] = []
        self.calls = Calls()
        self.finish_reason: str | None = None
        self.marked = False
        """The marker behind an answer has arrived: after it, and a finish reason, nothing is read but usage."""
        self.usage: dict[str, Any] = {}
        """The token counts in the provider's form, merged from all events that have some."""
        self.rest: dict[str, Any] = {}
        """The latest of what the events hold beside the content: usage, price, details. It is a stream's `raw`."""
        halves = Halves()
        self._halves, self._parse = halves.waiting, halves.parse

    @property
    def done(self) -> bool:
        """Whether the answer is complete and its end is marked: what the connection does then is not a failure."""
        return self.marked and not self.find_problem()

    def feed(self, event: str, data: bytes) -> Chunks:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        if self.marked or data[:1] != b"{" or event == "error":
            return self._take_other(event, data)
        try:
            body = self._parse(data) if self._halves else from_json(data)
        except ValueError:
            body = self._parse(data)
        if not SIGNS.isdisjoint(body) and is_failure(body):
            raise self.read_failure(body)
        chunks = self._take(body)
        for chunk in chunks:
            chunk.label(self.id, self.model)
        return chunks

    def _take_other(self, event: str, data: bytes) -> Chunks:
        """Take an event that is empty, late, a marker, an error or a list."""
        if not data:
            return []
        if self.marked and self.done:
            self._take_late(data)
            return []
        if data == b"[DONE]":  # OpenAI's end of a stream
            self.marked = True
            return self.take_marker()
        if event == "error":
            raise self._read_error(data)
        body = self._parse(data)
        if isinstance(body, list) and any(isinstance(item, dict) for item in body):  # Google writes errors so
            return [chunk for item in body for chunk in self.take_json(item)]
        return self.take_json(body)

    def take_json(self, body: Any) -> Chunks:
        """Take the JSON of one event. Raises an AdapterError where it is an error or cannot be understood."""
        if not isinstance(body, dict):
            expect_object(body)
        if is_failure(body):
            raise self.read_failure(body)
        return self._take(body)

    def _take(self, body: dict[str, Any]) -> Chunks:
        try:
            return self.take(body)
        except AdapterError as failure:
            self._add_partial(failure)
            raise

    def _take_late(self, data: bytes) -> None:
        """Take the token counts from what follows a complete answer; nothing else counts, and nothing is an error."""
        with suppress(ProviderError):
            self.take_usage(mapping(parse(data)))

    def _read_error(self, data: bytes) -> AdapterError:
        """Read an event that is named an error; its data may be plain text."""
        try:
            body = parse(data)
        except ProviderError:
            return read_failure(data)
        return self.read_failure(body if isinstance(body, dict) else {"error": body})

    def finish(self) -> ChatCompletion:
        """Build the completion. Raises StreamError, with the partial one on it, where the answer is not complete."""
        if problem := self.find_problem():
            raise StreamError(f"the stream ended{problem}", partial=self.partial())
        return self._complete(None)

    def read_whole(self, body: Any) -> ChatCompletion:
        """Read a whole answer. Raises an AdapterError where it is not one.

        What there is of an answer that is not usable is on the error as `partial`, for it was billed.
        """
        body = expect_object(body)
        if is_failure(body):
            self.take_usage(body)
            raise self._add_partial(self.read_failure(body), body)
        try:
            self.take_whole(body)
            return self._complete(body)
        except AdapterError as failure:
            self.take_usage(body)
            self._add_partial(failure, body)
            raise

    def _complete(self, raw: Any) -> ChatCompletion:
        if self.calls.nameless:
            raise ProviderError(NAMELESS, partial=self.partial())
        return self.build(raw)

    def _add_partial(self, failure: AdapterError, raw: Any = None) -> AdapterError:
        """Put onto an error what there is of the answer, where its tokens were counted: it was billed."""
        partial = self.partial()
        if failure.partial is None and partial.usage is not None:
            failure.partial = partial if raw is None else replace(partial, raw=raw)
        return failure

    def partial(self) -> ChatCompletion:
        """Build the completion as far as it has arrived."""
        return self.build()

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not; `raw` is the provider's own answer, where it came whole.

        A tool call without a name is left out.
        """
        return ChatCompletion(
            text=self.read_text(),
            model=self.model,
            id=self.id,
            finish_reason=self.finish_reason,
            tool_calls=self.read_calls(),
            reasoning_blocks=self.read_reasoning(),
            refusal=self.read_refusal() or None,
            usage=self.read_usage(),
            reported_cost=self.read_cost(),
            service_tier=self.read_tier() or None,
            unpriced=self.read_unpriced(),
            raw=self.read_raw() if raw is None else raw,
        )

    # what a protocol writes

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON. Raises an AdapterError where it cannot be understood."""
        raise NotImplementedError

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer. Raises an AdapterError where it cannot be understood."""
        raise NotImplementedError

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts of an event, or of a whole answer; nothing where it has none."""
        self.usage = merge_counts(self.usage, body.get("usage"))

    def take_marker(self) -> Chunks:
        """Take the marker behind a stream."""
        return []

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now, in words that follow "the stream ended"; "" for nothing."""
        return "" if self.finish_reason else f" without {self.SIGNAL}"

    def read_failure(self, body: dict[str, Any]) -> AdapterError:
        """Read an event that is an error."""
        return read_failure(body)

    def read_text(self) -> str:
        """Join the text."""
        return "".join(self.text)

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls."""
        return self.calls.build(self.id)

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return ()

    def read_refusal(self) -> str:
        """Return the words in which the model declined."""
        return ""

    def read_usage(self) -> Usage | None:
        """Read the token counts; None where the provider sent none."""
        return None

    def read_cost(self) -> float | None:
        """Read the price of the call in USD; None where the provider reports none."""
        dialect = self.dialect
        cost = read_cost(self.rest, dialect.reported_cost, dialect.reported_cost_unit)
        if find_value(self.rest, dialect.own_key) is True:
            return sum_usd((cost, read_cost(self.rest, dialect.own_key_cost, dialect.reported_cost_unit)))
        return cost

    def read_tier(self) -> str:
        """Return the tier that served the call, in the provider's words."""
        return string(self.rest.get("service_tier"))

    def read_unpriced(self) -> tuple[str, ...]:
        """List what the provider reports that may cost something beside the tokens."""
        return list_uses(self.usage)

    def read_raw(self) -> Any:
        """Return the completion's `raw` for an answer that came in events."""
        return self.rest


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
