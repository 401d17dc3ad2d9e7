"""What comes back: completions, the pieces of a stream, token counts. Slotted dataclasses: they are made per chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nbkit.conversation.content import Reasoning
from nbkit.conversation.formats import parse_answer
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import ToolsCallTurn, Turn


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts in disjoint buckets: each token is in one of them and is billed once."""

    input: int = 0
    """Prompt tokens read afresh (neither from a cache nor written to one)."""
    output: int = 0
    """Answer tokens, without reasoning and audio."""
    cache_read: int = 0
    cache_write: int = 0
    """Written to a cache of the usual life (five minutes at Anthropic)."""
    cache_write_1h: int = 0
    """Written to a cache that lives an hour."""
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt."""
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.input_audio

    @property
    def completion_tokens(self) -> int:
        """All tokens of the answer, reasoning included."""
        return self.output + self.reasoning + self.output_audio

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class BillLine:
    """One bucket of a bill: `tokens` at `rate` USD per million make `usd`; None where the rate is unknown."""

    bucket: str
    tokens: int
    rate: float | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class Bill:
    """The money for one usage, in USD. `total` is None where a needed price or the usage is unknown.

    `source` says who says so: `provider` (it named the price itself), `catalog` (rates x usage), `estimate` (a rate
    or a count had to be assumed) or `partial` (the answer broke off). `catalog_date` is the prices' date.
    `tier` is the prompt size, in tokens, from which the rates used apply.
    """

    total: float | None
    source: str
    lines: tuple[BillLine, ...] = ()
    catalog_date: str | None = None
    tier: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing nbkit did to make a request acceptable: `kind` is dropped, renamed, clamped or transformed."""

    kind: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds since the call began: to the first piece of the answer, and to its end."""

    first_token: float | None
    total: float
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the tool call `index`; `id` and `name` come once, `arguments` in pieces."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ChatCompletionChunk:
    """A piece of a streamed answer. The pieces' `text` joined is the completion's `text`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """A complete answer.

    `finish_reason` is `stop`, `length`, `tool_calls`, `content_filter` or the provider's own word.
    `usage` is None where the provider said nothing; `cost` (USD) is None where a price or the usage is unknown.
    """

    text: str
    model: str = ""
    """The model that answered, in the provider's words."""
    id: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning_blocks: tuple[Reasoning, ...] = ()
    refusal: str | None = None
    choices: tuple[ChatCompletion, ...] = ()
    """With the option `n` all answers, this one first; usage and bill of all stand here. A stream's pieces are those of
    the first."""
    usage: Usage | None = None
    reported_cost: float | None = None
    """USD, where the provider itself names the price of the call."""
    bill: Bill | None = None
    changes: tuple[Change, ...] = ()
    timing: Timing | None = None
    raw: Any = field(default=None, repr=False)
    """The provider's own answer: the JSON body, or for a stream what its last events said."""
    answer_type: Any = field(default=None, repr=False, compare=False)
    """What `response_format` asked for: a type, Any for any JSON, None for plain text."""

    @property
    def parsed(self) -> Any:
        """The answer as the type given as `response_format`, or as JSON where a schema or `json_object` was.

        None where plain text was asked for. It is read anew at each access. Raises AnswerFormatError where the text is
        not what was asked for.
        """
        if self.answer_type is None:
            return None
        return parse_answer(self.text, self.answer_type, self.finish_reason, self.refusal)

    @property
    def reasoning(self) -> str:
        """The reasoning's text; "" where the model kept it to itself."""
        return "".join(block.text for block in self.reasoning_blocks)

    @property
    def cost(self) -> float | None:
        """USD, or None where it is unknown."""
        return self.bill.total if self.bill else None

    @property
    def turn(self) -> Turn | ToolsCallTurn:
        """The answer as the next turn of its conversation."""
        if self.tool_calls:
            return ToolsCallTurn(content=self.text or None, tool_calls=self.tool_calls, reasoning=self.reasoning_blocks)
        return Turn(role="assistant", content=self.text, reasoning=self.reasoning_blocks)

    def __str__(self) -> str:
        return self.text
