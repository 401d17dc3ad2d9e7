"""The skeleton of the decoders: what the streams of nearly all protocols share, errors and ends included."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import NativeContent, Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.json_text import read_json
from nbkit.protocols.calls import NAMELESS, Calls
from nbkit.protocols.failures import SIGNS, is_failure, read_failure
from nbkit.protocols.halves import Halves
from nbkit.protocols.reading import (
    count_tools,
    expect_object,
    find_value,
    mapping,
    merge_counts,
    parse,
    read_cost,
    string,
)
from nbkit.protocols.wire import Chunks, Dialect


class Answer:
    """An answer being put together: what has arrived of it, and how a protocol reads it."""

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
            native=self.read_native(),
            refusal=self.read_refusal() or None,
            usage=self.read_usage(),
            reported_cost=self.read_cost(),
            service_tier=self.read_tier() or None,
            charges=self.read_charges(),
            raw=self.read_raw() if raw is None else raw,
        )

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON. Raises an AdapterError where it cannot be understood."""
        raise NotImplementedError

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer. Raises an AdapterError where it cannot be understood."""
        raise NotImplementedError

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts of an event, or of a whole answer; nothing where it has none."""
        self.usage = merge_counts(self.usage, body.get("usage"))

    def make_chunk(
        self,
        text: str = "",
        reasoning: str = "",
        tool_calls: tuple[ToolCallDelta, ...] = (),
        finish_reason: str | None = None,
    ) -> ChatCompletionChunk:
        """Make a piece of the answer, with the answer's id and model."""
        return ChatCompletionChunk(text, reasoning, tool_calls, finish_reason, 0, self.id, self.model)

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

    def read_native(self) -> NativeContent | None:
        """Build what only this protocol can hold of the answer; None where there is nothing of the kind."""
        return None

    def read_refusal(self) -> str:
        """Return the words in which the model declined."""
        return ""

    def read_usage(self) -> Usage | None:
        """Read the token counts; None where the provider sent none."""
        return None

    def read_cost(self) -> float | None:
        """Read the price of the call in USD; None where the provider reports none."""
        dialect = self.dialect
        if not (dialect.reported_cost or dialect.own_key):
            return None
        cost = read_cost(self.rest, dialect.reported_cost, dialect.reported_cost_unit)
        if find_value(self.rest, dialect.own_key) is True:
            return sum_usd((cost, read_cost(self.rest, dialect.own_key_cost, dialect.reported_cost_unit)))
        return cost

    def read_tier(self) -> str:
        """Return the tier that served the call, in the provider's words."""
        return string(self.rest.get("service_tier"))

    def read_charges(self) -> Charges:
        """Read what the provider reports that may cost something beside the tokens."""
        tools = count_tools(self.usage)
        return Charges(tools) if tools else NO_CHARGES

    def read_raw(self) -> Any:
        """Return the completion's `raw` for an answer that came in events."""
        return self.rest


class BaseDecoder(Answer):
    """Skeleton of a decoder: the rules that the streams of nearly all protocols share.

    A subclass writes `take`, which reads the JSON of one event into the state, and overrides those of the `read_...`
    methods that its answers have something for. `take_whole` takes the parts of a whole answer in the same way: so a
    whole answer and a streamed one cannot differ.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        halves = Halves()
        self._halves, self._parse = halves.waiting, halves.parse

    @property
    def done(self) -> bool:
        """Whether the answer is complete and its end is marked: what the connection does then is not a failure."""
        return self.marked and not self.find_problem()

    def feed(self, event: str, data: bytes) -> Chunks:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        if self.marked or self._halves or event == "error":
            return self._take_other(event, data)
        try:
            body = read_json(data)
        except ValueError:
            return self._take_other(event, data)
        if not isinstance(body, dict):
            return self._take_other(event, data)
        # What `take_json` does, without its calls: nearly all events of a stream come here.
        if not SIGNS.isdisjoint(body) and is_failure(body):
            raise self.read_failure(body)
        try:
            return self.take(body)
        except AdapterError as failure:
            self._add_partial(failure)
            raise

    def _take_other(self, event: str, data: bytes) -> Chunks:
        """Take an event that is empty, late, a marker, an error or a list, or holds half a character."""
        data = data.strip()
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
        body = expect_object(body[0] if isinstance(body, list) and len(body) == 1 else body)  # Google writes errors so
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
