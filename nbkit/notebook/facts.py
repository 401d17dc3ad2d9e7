"""Texts for people about an answer: the facts under it, notes, and what to do about an error. The live panes and the
static twin share them, so that they agree."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.fit_options import EFFORTS
from nbkit.billing.money import format_usd
from nbkit.bulk.answers import Answer, Pane
from nbkit.errors import (
    ApiKeyNotFoundError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextLengthError,
    NbkitError,
    ProviderError,
    RateLimitError,
    ReplayMissError,
    StreamError,
    ToolLoopError,
    TransportError,
    UnsupportedFeatureError,
)
from nbkit.providers.endpoints import Endpoint

# What to do about a failure, and whether asking again as it is can help; the first row whose class fits.
_ADVICE: tuple[tuple[type[Exception], str, bool], ...] = (
    (ApiKeyNotFoundError, "Set the key in this kernel's environment.", True),
    (AuthenticationError, "Check the provider's API key.", True),
    (ContextLengthError, "Shorten the conversation, or take a model with a larger context window.", False),
    (ContentFilterError, "Rephrase the prompt.", False),
    (BadRequestError, "Check the model and the options.", False),
    (RateLimitError, "Wait a little.", True),
    (StreamError, "What arrived is kept; ask again for the whole answer.", True),
    (ProviderError, "The error is on the provider's side.", True),
    (TransportError, "Check the connection.", True),
    (ToolLoopError, "Ask again, with a higher limit.", False),
    (BudgetExceededError, "Ask again when other calls have ended, or raise the budget.", True),
    (ReplayMissError, "Then ask again.", True),
    (UnsupportedFeatureError, "Take another model, or leave that out.", False),
    (NbkitError, "Nothing was sent.", False),
    (Exception, "This looks like a bug in nbkit; please report it.", True),
)

_NEARLY_FULL = 0.8
"""The part of a model's context from which on the reader is warned."""

_ENDINGS = {
    "length": "cut off: the answer reached its token limit",
    "content_filter": "cut off by the provider's content filter",
    "tool_calls": "the model asks for a tool",
}

_STATUS_NOTES = {"stopped": "stopped by you", "skipped": "not asked"}

_SETTINGS = ("temperature", "max_tokens", "reasoning_effort")
"""The options of a pane that a view can set."""

_SOURCES = {
    "catalog": "tokens times models.dev's prices",
    "provider": "as the provider says",
    "estimate": "an estimate, a price or a count is not exactly known",
    "user": "tokens times your own prices",
    "replay": "kept from an earlier run, with its tokens and times; nothing was sent",
    "partial": "of what arrived until the answer broke off, as far as it is known",
}

Fact = tuple[str, str, str]
"""Label, value, explanation."""


def list_facts(answer: Answer) -> list[Fact]:
    """List tokens, cost and speed; nothing where no answer arrived."""
    done = answer.completion
    if done is None:
        return []
    facts: list[Fact] = [("tokens", "unknown", "the provider did not count them")]
    if done.usage:
        counts = (
            ("in", done.usage.prompt_tokens, "tokens of the prompt"),
            ("cached", done.usage.cached_tokens, "of the prompt's tokens, read from the provider's cache"),
            ("out", done.usage.completion_tokens, "tokens of the answer, reasoning included"),
            ("reasoning", done.usage.reasoning, "of the answer's tokens, spent on reasoning"),
        )
        facts = [(label, f"{count:,}", why) for label, count, why in counts if count or label in ("in", "out")]
    source = done.bill.source if done.bill else ""
    about = "≈ " if source in ("estimate", "partial") and done.cost else ""
    unknown = "the price of this model or its token counts are not known"
    why = unknown if done.cost is None else _SOURCES.get(source, "")
    notes = "; ".join(done.bill.notes) if done.bill else ""
    cost = about + format_usd(done.cost)
    if done.bill and done.bill.is_replay:
        cost = f"replayed, {cost}, saved {format_usd(done.bill.saved)}"
    facts.append(("cost", cost, f"{why}: {notes}" if notes and why else why))
    if done.timing and done.timing.first_token is not None:
        facts.append(("first token", f"{done.timing.first_token:.2f} s", "until the answer began"))
    if speed := answer.tokens_per_second:
        facts.append(("speed", f"{speed:.0f} tok/s", "tokens of the answer per second of the whole call"))
    return facts


def list_notes(answer: Answer) -> list[str]:
    """List what else the reader should know: how the answer ended, what nbkit changed in the request."""
    notes = [_STATUS_NOTES[status] for status in (answer.status,) if status in _STATUS_NOTES]
    if answer.completion:
        notes += [_ENDINGS[reason] for reason in (answer.completion.finish_reason,) if reason in _ENDINGS]
        notes += [str(change) for change in answer.completion.changes]
    return notes


def explain_error(answer: Answer) -> tuple[str, str] | None:
    """Say what went wrong, in one line, and what to do about it. How a stream broke off is left to `read_cause`."""
    error = answer.error
    if error is None:
        return None
    message = str(error) if isinstance(error, NbkitError) else f"{type(error).__name__}: {error}"
    if read_cause(error):
        message = "The answer broke off."
    advice = next(advice for kind, advice, _ in _ADVICE if isinstance(error, kind))
    if isinstance(error, RateLimitError) and error.attempts > 1:
        advice = f"It waited and asked {error.attempts} times; wait longer before the next try."
    return " ".join(message.split()), advice


def read_cause(error: Exception | None) -> str:
    """Read why a stream broke off; "" for every other error, and where the provider itself has said why."""
    return str(error) if isinstance(error, StreamError) and not error.code and not error.body else ""


def describe_end(answer: Answer) -> dict[str, Any]:
    """Say what the views show under an answer.

    `source` is the Markdown that "Copy" copies, deflated, in base64: most readers copy none. `retry` tells whether
    asking again can help, `cause` why a stream broke off, `figures` are the numbers of the score line.
    """
    facts, notes, problem = list_facts(answer), list_notes(answer), explain_error(answer)
    retry = next((useful for kind, _, useful in _ADVICE if isinstance(answer.error, kind)), False)
    source = b64encode(zlib.compress(answer.text.encode("utf-8", "replace"))).decode()
    end: dict[str, Any] = {"source": source, "strip": facts, "notes": notes, "problem": problem, "retry": retry}
    return end | {"cause": read_cause(answer.error), "figures": list_figures(answer)}


def describe_context(tokens: int | None, adapter: BaseAdapter) -> tuple[str, bool] | None:
    """Say how full a model's context is, and whether that is nearly too much; None where it is not known."""
    size = adapter.endpoint.tolerance.context
    if tokens is None or not size:
        return None
    full, short = tokens > _NEARLY_FULL * size, f"{size / 1e6:.3g}M" if size >= 10**6 else f"{size / 1000:.3g}k"
    advice = ': begin a new chat soon, or leave out old turns (context="trim")' if full else ""
    share = f"{tokens / size:.0%}".replace("%", " %") if tokens >= size / 100 else "under 1 %"
    return f"{share} of {short} context{advice}", full


def describe_pane(pane: Pane) -> dict[str, Any]:
    """Say what stands above a pane: name and model, whether it is muted, its branch as (number from 1, how many), and
    the settings that the model takes: name -> (its own value, the values that it may have, if they are listed)."""
    takes = pane.adapter.endpoint.tolerance
    out = set(takes.drop) | ({"temperature"} if not takes.capabilities.supports_temperature else set())
    efforts: tuple[str, ...] = ()
    if takes.reasoning and "effort" in takes.reasoning.kinds:
        own = pane.options.get("reasoning_effort")
        efforts = tuple(dict.fromkeys((*(takes.reasoning.efforts or EFFORTS), *([own] if own else ()))))
    choices = {"reasoning_effort": efforts}
    settings = {
        name: (pane.options.get(name), choices.get(name, ()))
        for name in _SETTINGS
        if name not in out and choices.get(name, True)
    }
    branch = (pane.branch + 1, len(pane.branches)) if pane.branches else None
    return {"name": pane.name, "model": pane.label, "muted": pane.muted, "branch": branch, "settings": settings}


def describe_key(endpoint: Endpoint) -> dict[str, Any]:
    """Say what the box for a missing key shows: the provider, its variables, and the host that the key goes to."""
    host = urlsplit(endpoint.base_url).netloc
    return {"provider": endpoint.provider, "variables": list(endpoint.variables), "host": host}


def list_figures(answer: Answer) -> dict[str, tuple[float, str]]:
    """List the numbers that answers are compared by, with the text of each; what is not known is not there.

    Cost in USD, seconds to the first token, seconds of the whole call, tokens per second, tokens of the answer.
    """
    done = answer.completion
    if done is None:
        return {}
    values = {
        "cost": (done.cost, format_usd(done.cost)),
        "first": (done.timing.first_token if done.timing else None, "{:.2f} s"),
        "seconds": (done.timing.total if done.timing else None, "{:.1f} s"),
        "speed": (answer.tokens_per_second, "{:,.0f}"),
        "out": (done.usage.completion_tokens if done.usage else None, "{:,}"),
    }
    return {name: (value, text.format(value)) for name, (value, text) in values.items() if value is not None}
