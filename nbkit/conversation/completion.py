"""Results of a call: completions, chunks of a stream, token counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import add, attrgetter
from typing import Any

from msgspec import Struct, field, to_builtins
from msgspec.structs import astuple, force_setattr

from nbkit.arguments import describe
from nbkit.conversation.content import NativeContent, Reasoning
from nbkit.conversation.encodable import make_encodable
from nbkit.conversation.formats import parse_answer
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import ToolsCallTurn, Turn
from nbkit.conversation.values import new, read_as, to_plain
from nbkit.errors import ConversationError
from nbkit.secret import hide_fields


class Usage(Struct, frozen=True):
    """Token counts in disjoint buckets: each token is in exactly one of them and is billed once."""

    input: int = 0
    """Prompt tokens that were neither read from a cache nor written to one."""
    output: int = 0
    """Tokens of the answer, without reasoning and audio."""
    cache_read: int = 0
    cache_write: int = 0
    """Written to a cache with the usual lifetime (five minutes at Anthropic)."""
    cache_write_1h: int = 0
    """Written to a cache with a lifetime of one hour."""
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    cache_read_audio: int = 0
    """Tokens of audio that were read from a cache; `cache_read` has the others."""
    output_image: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt."""
        audio = self.input_audio + self.cache_read_audio
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h + audio

    @property
    def cached_tokens(self) -> int:
        """All tokens of the prompt that were read from a cache."""
        return self.cache_read + self.cache_read_audio

    @property
    def completion_tokens(self) -> int:
        """All tokens of the answer, including reasoning."""
        return self.output + self.reasoning + self.output_audio + self.output_image

    @property
    def total_tokens(self) -> int:
        """All tokens of prompt and answer."""
        return self.prompt_tokens + self.completion_tokens

    def __repr__(self) -> str:
        """Write the buckets that have tokens; a person reads it under a cell."""
        counts = {name: getattr(self, name) for name in self.__struct_fields__}
        shown = (f"{name}={count}" for name, count in counts.items() if count or name in ("input", "output"))
        return f"Usage({', '.join(shown)})"

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(add, read_buckets(self), read_buckets(other)))


read_buckets: Callable[[Usage], tuple[int, ...]] = attrgetter(*Usage.__struct_fields__)
"""Reads the counts of all buckets, in their order."""


class Charges(Struct, frozen=True):
    """Whatever may change the price of a call beside its token counts and its service tier, as the provider says it."""

    tools: Mapping[str, int] = field(default_factory=dict)
    """Calls of tools that the provider runs itself: {"web_search": 3}."""
    region: str = ""
    """Where it computed, in its own word: "us", "global"; "" where it does not say."""
    models: tuple[tuple[str, Usage], ...] = ()
    """Other models that worked on the answer, and their tokens, which `usage` does not count: an advisor, an attempt
    that was declined."""
    longest_prompt: int | None = None
    """Tokens of the longest prompt where an answer took several runs of the model, whose sum `usage` has: prices for
    long prompts go by it."""
    notes: tuple[str, ...] = ()
    """What else makes the price inexact, in words."""


NO_CHARGES = Charges()


class BillLine(Struct, frozen=True):
    """One bucket of a bill: `tokens` at `rate` USD per million tokens cost `usd`; both None if the rate is unknown.

    For a tool that the provider runs, and for a price per request, `calls` are counted, and `rate` is USD per call.
    `model` is the model that used the tokens, where it is not the one that answered.
    """

    bucket: str
    tokens: int
    rate: float | None
    usd: float | None
    calls: int = 0
    model: str = ""


class Bill(Struct, frozen=True):
    """Cost of one call, in USD. `total` is None if a required price or the usage is unknown.

    `source` is `provider` (the provider reported the price), `catalog` (listed rates times usage), `user` (the
    same with rates from the overrides file or from `cost=`), `estimate` (a rate or a count had to be assumed, or
    something has no known price), `partial` (the answer is not complete), `replay` (the answer was kept, and nothing
    was paid now) or `unknown` (`total` is None).
    `catalog_date` is the date of the prices. `tier` is the prompt size in tokens from which the applied rates are
    valid, `lane` the service tier whose rates they are (None: the usual one), `model` the model whose rates they are,
    where it is not the one that was called. `notes` say in words why a bill is not exact.

    `saved` is what the prompt cache saved against the full price of all tokens (below 0 where it cost more to write it
    than was saved); of a replay, what the answer cost the first time. `difference` is what the provider's own price is
    above that of our rates (USD). None: not known.
    """

    total: float | None
    source: str
    lines: tuple[BillLine, ...] = ()
    catalog_date: str | None = None
    tier: int | None = None
    notes: tuple[str, ...] = ()
    lane: str | None = None
    model: str = ""
    saved: float | None = None
    difference: float | None = None

    @property
    def is_replay(self) -> bool:
        """Whether the answer was kept from an earlier run."""
        return self.source == "replay"


class Change(Struct, frozen=True):
    """One thing nbkit did to make a request acceptable: `kind` is dropped, renamed, clamped or transformed.

    `answered`: another model has answered, because one before it in a list of models could not.
    """

    kind: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}: {self.why}"


class Timing(Struct, frozen=True):
    """Seconds since the call began: until the first chunk of the answer, and until its end.

    `waited`: seconds of them in line, because of a rate limit.
    """

    first_token: float | None
    total: float
    attempts: int = 1
    waited: float = 0.0


class ToolCallDelta(Struct, frozen=True):
    """A part of the tool call number `index`; `id` and `name` arrive once, `arguments` in pieces."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatCompletionChunk(Struct, frozen=True):
    """A piece of a streamed answer. The `text` of all chunks joined is the completion's `text`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    index: int = 0
    """Which of `n` answers this is a piece of: the first one, always, so that the chunks join to one text."""
    id: str = ""
    """The answer's id; "" until the provider has said it."""
    model: str = ""
    """The model that answers, as the provider names it; "" until it has."""

    def __eq__(self, other: object) -> bool:
        """Compare the pieces; the answer's id and model arrive with any of them."""
        return isinstance(other, ChatCompletionChunk) and astuple(self)[:5] == astuple(other)[:5]

    def __hash__(self) -> int:
        return hash(astuple(self)[:5])


class ChatCompletion(Struct, frozen=True):
    """A complete answer.

    `finish_reason` is `stop`, `length`, `tool_calls`, `content_filter` or the provider's own word.
    `usage` is None if the provider reports none; `cost` (USD) is None if a price or the usage is unknown.
    """

    text: str
    model: str = ""
    """The model that answered, as the provider names it."""
    id: str = ""
    created: int | None = None
    """When it was made, in seconds since 1970: as the provider says, else when it was complete here."""
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning_blocks: tuple[Reasoning, ...] = ()
    native: NativeContent | None = None
    """What it holds beside text, reasoning and tool calls, in the protocol's own form; the turn has it too."""
    refusal: str | None = None
    choices: tuple[ChatCompletion, ...] = ()
    """All answers with the option `n`, this one first. Usage and bill of all are on this one; a stream's chunks are
    those of the first."""
    usage: Usage | None = None
    reported_cost: float | None = None
    """USD, if the provider reports the price of the call."""
    service_tier: str | None = None
    """The lane in which the provider says that it has worked, in its own word: "priority", "flex", "fast" ..."""
    charges: Charges = NO_CHARGES
    """What was used that the token counts do not explain: searches, other models ..."""
    bill: Bill | None = None
    changes: tuple[Change, ...] = ()
    timing: Timing | None = None
    raw: Any = None
    """The provider's own response: the JSON body; for a stream, the contents of its last events."""
    answer_type: Any = None
    """The type of `parsed`, from the option `response_format`: a type, Any for any JSON, None for plain text."""

    __repr__ = hide_fields("raw", "answer_type")

    def __eq__(self, other: object) -> bool:
        """Compare what came; not the type that its text is read as."""
        return isinstance(other, ChatCompletion) and astuple(self)[:-1] == astuple(other)[:-1]

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Write the completion as plain data that JSON can hold; `from_dict` reads it back.

        The type of `parsed` is not kept: where there was one, it is any JSON afterwards.
        """
        plain: dict[str, Any] = make_encodable(to_builtins(to_plain(self), enc_hook=str, str_keys=True))
        return _mark_type(plain, None if self.answer_type is None else "json")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ChatCompletion:
        """Read what `to_dict` wrote, also through JSON: the same completion. Raises ConversationError."""
        problem = "expected the dict that to_dict() returns, got " + describe(plain)
        if isinstance(plain, Mapping):
            try:
                read: ChatCompletion = read_as(ChatCompletion, _prepare(plain))
                return read
            except ValueError as invalid:
                problem = str(invalid)
        raise ConversationError(f"not a completion: {problem}")

    @property
    def parsed(self) -> Any:
        """The answer as the type given as `response_format`, or as JSON for a schema or `json_object`.

        None if plain text was requested. Parsed again at each access. Raises AnswerFormatError if the text does not
        match the requested format.
        """
        if self.answer_type is None:
            return None
        return parse_answer(self.text, self.answer_type, self.finish_reason, self.refusal)

    @property
    def reasoning(self) -> str:
        """The text of the reasoning; "" if the model does not show it."""
        return "".join(block.text for block in self.reasoning_blocks)

    @property
    def cost(self) -> float | None:
        """USD, or None if unknown."""
        return self.bill.total if self.bill else None

    @property
    def turn(self) -> Turn | ToolsCallTurn:
        """The answer as the next turn of its conversation."""
        kept: dict[str, Any] = {"reasoning": self.reasoning_blocks, "native": self.native}
        if self.tool_calls:
            return ToolsCallTurn(content=self.text or None, tool_calls=self.tool_calls, **kept)
        turn: Turn = new(Turn, role="assistant", content=self.text, **kept)
        return turn

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the answer in a cell, its tokens and cost below it. Only a notebook calls this."""
        from nbkit import _write_completion  # the root of the package knows the room that can

        return _write_completion(self)


def fill_completion(completion: ChatCompletion, **fields: Any) -> ChatCompletion:
    """Fill fields of a completion that nobody else has yet; `replace` would make another one from all its fields."""
    for name, value in fields.items():
        force_setattr(completion, name, value)
    return completion


def _mark_type(plain: dict[str, Any], mark: str | None) -> dict[str, Any]:
    return plain | {"answer_type": mark, "choices": [_mark_type(choice, mark) for choice in plain["choices"]]}


def _prepare(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Give the dict of a completion the form that is read."""
    data = dict(plain)
    data["answer_type"] = Any if data.get("answer_type") else None
    for name, prepare in (("choices", _prepare), ("tool_calls", ToolCall._prepare)):
        if isinstance(items := data.get(name), list | tuple):
            data[name] = [prepare(item) if isinstance(item, dict) else item for item in items]
    return data
