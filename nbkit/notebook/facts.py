"""One model's answers and what there is to say about each: the facts that the live panes, the static twin and the
DataFrame share, so that they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.run import ToolResult
from nbkit.billing.money import format_usd, sum_usd
from nbkit.conversation.completion import Bill, ChatCompletion, Timing, Usage
from nbkit.conversation.turns import Conversation
from nbkit.errors import (
    ApiKeyNotFoundError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    NbkitError,
    ProviderError,
    RateLimitError,
    StreamError,
    ToolLoopError,
    TransportError,
    UnsupportedFeatureError,
)

# What to do about a failure, before retrying; the first row whose class fits.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (ApiKeyNotFoundError, "Set the key in this kernel's environment."),
    (AuthenticationError, "Check the provider's API key."),
    (ContextLengthError, "Shorten the conversation, or take a model that reads more."),
    (ContentFilterError, "Rephrase the prompt."),
    (BadRequestError, "Check the model and the options."),
    (RateLimitError, "Wait a little."),
    (StreamError, "The answer is not complete."),
    (ProviderError, "The fault is the provider's."),
    (TransportError, "Check the connection."),
    (ToolLoopError, "Raise the limit, or ask again."),
    (UnsupportedFeatureError, "Take another model, or leave that out."),
    (NbkitError, "Nothing was sent."),
    (Exception, "This looks like a bug in nbkit; please report it."),
)

_ENDINGS = {
    "length": "cut off: the answer reached its token limit",
    "content_filter": "cut off by the provider's content filter",
    "tool_calls": "the model asks for a tool",
}

_SOURCES = {
    "catalog": "tokens times models.dev's prices",
    "provider": "as the provider says",
    "estimate": "an estimate: a price or a count is not exactly known",
    "partial": "of what came until the answer broke off, as far as it is known",
}


@dataclass(slots=True)
class Answer:
    """One model's answer to one prompt. `status` is waiting, streaming, done, stopped or failed.

    `steps` are the texts and the tools' results that came before the last answer, in order.
    """

    prompt: str
    status: str = "waiting"
    completion: ChatCompletion | None = None
    error: Exception | None = None
    steps: list[str | ToolResult] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer; what came of it where it broke off."""
        return self.completion.text if self.completion else ""

    @property
    def parts(self) -> list[str | ToolResult]:
        """All that was said and done. An answer that was left among its calls is a step already."""
        last = self.steps[-1] if self.steps else None
        told = isinstance(last, ToolResult) and self.completion and last.call in self.completion.tool_calls
        return [*self.steps, *([self.text] if self.text and not told else [])]

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of the answer (reasoning included) per second of the whole call."""
        done = self.completion
        if done is None or done.usage is None or done.timing is None or not done.timing.total:
            return None
        return done.usage.completion_tokens / done.timing.total

    def strip(self) -> list[tuple[str, str, str]]:
        """Tokens, cost and speed as (label, value, explanation)."""
        done = self.completion
        if done is None:
            return []
        facts = [("tokens", "unknown", "the provider did not count them")]
        if done.usage:
            counts = (
                ("in", done.usage.prompt_tokens, "tokens of the prompt"),
                ("cached", done.usage.cache_read, "of the prompt's tokens, read from the provider's cache"),
                ("out", done.usage.completion_tokens, "tokens of the answer, reasoning included"),
                ("reasoning", done.usage.reasoning, "of the answer's tokens, spent on reasoning"),
            )
            facts = [(label, f"{count:,}", why) for label, count, why in counts if count or label in ("in", "out")]
        source = done.bill.source if done.bill else ""
        about = "≈ " if source in ("estimate", "partial") and done.cost else ""
        facts.append(
            (
                "cost",
                about + format_usd(done.cost),
                _SOURCES.get(source, "")
                if done.cost is not None
                else "the price of this model or its token counts are not known",
            )
        )
        if done.timing and done.timing.first_token is not None:
            facts.append(("first token", f"{done.timing.first_token:.2f} s", "until the answer began"))
        if speed := self.tokens_per_second:
            facts.append(("speed", f"{speed:.0f} tok/s", "tokens of the answer per second of the whole call"))
        return facts

    def notes(self) -> list[str]:
        """What else the reader should know: how it ended, what nbkit changed in the request."""
        notes = ["stopped by you"] if self.status == "stopped" else []
        if self.completion:
            notes += [_ENDINGS[reason] for reason in (self.completion.finish_reason,) if reason in _ENDINGS]
            notes += [str(change) for change in self.completion.changes]
        return notes

    def problem(self) -> tuple[str, str] | None:
        """What went wrong, in one line, and what to do about it."""
        if self.error is None:
            return None
        said = str(self.error) if isinstance(self.error, NbkitError) else f"{type(self.error).__name__}: {self.error}"
        advice = next(advice for kind, advice in _ADVICE if isinstance(self.error, kind))
        return " ".join(said.split()), advice

    def facts(self) -> dict[str, Any]:
        """What the views show under the answer, and the Markdown source that "Copy" copies."""
        return {"text": self.text, "strip": self.strip(), "notes": self.notes(), "problem": self.problem()}

    def row(self) -> dict[str, Any]:
        """The answer's cells in `Comparison.to_frame()`."""
        done, usage, timing = self.completion, None, None
        if done:
            usage, timing = done.usage, done.timing
        return {
            "prompt": self.prompt,
            "text": self.text,
            "status": self.status,
            "input_tokens": usage.prompt_tokens if usage else None,
            "output_tokens": usage.completion_tokens if usage else None,
            "cached_tokens": usage.cache_read if usage else None,
            "reasoning_tokens": usage.reasoning if usage else None,
            "cost": done.cost if done else None,
            "first_token": timing.first_token if timing else None,
            "seconds": timing.total if timing else None,
            "tokens_per_second": self.tokens_per_second,
            "finish_reason": done.finish_reason if done else None,
            "error": str(self.error) if self.error else None,
        }


def whole(completions: Sequence[ChatCompletion]) -> ChatCompletion | None:
    """The last of a run's answers, with the reasoning, the tokens, the cost and the seconds of all. None of none."""
    if len(completions) < 2:
        return completions[0] if completions else None
    counts = [one.usage for one in completions if one.usage]
    timings = [one.timing for one in completions if one.timing]
    sources = [one.bill.source for one in completions if one.bill]
    source = next((vague for vague in ("partial", "estimate") if vague in sources), "".join(sources[:1]))
    first, seconds = timings[0].first_token if timings else None, sum(timing.total for timing in timings)
    return replace(
        completions[-1],
        reasoning_blocks=tuple(block for one in completions for block in one.reasoning_blocks),
        usage=sum(counts, Usage()) if len(counts) == len(completions) else None,
        bill=Bill(sum_usd(one.cost for one in completions), source),
        timing=Timing(first, seconds, sum(timing.attempts for timing in timings)),
        changes=tuple(dict.fromkeys(change for one in completions for change in one.changes)),
    )


@dataclass(slots=True)
class Pane:
    """One model in a comparison. `conversation` ends with the prompt that is being answered, or with its answer."""

    label: str
    adapter: BaseAdapter
    conversation: Conversation
    answers: list[Answer] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The model's name to read, with the label's "#2" where it takes part twice."""
        return self.adapter.name + self.label.removeprefix(self.adapter.model_id)
