"""A decoded answer with its bill, its timing, and the changes that were made for it. Pure."""

from __future__ import annotations

from dataclasses import replace

from nbkit.adapters.prepare import Prepared
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.conversation.completion import Change, ChatCompletion, Timing, Usage
from nbkit.providers.endpoints import Endpoint

_LONG_PROMPT = 2000
"""Tokens from which on an estimate is good enough to see that a prompt was cut."""


def price_completion(answer: ChatCompletion, prepared: Prepared, endpoint: Endpoint, timing: Timing) -> ChatCompletion:
    """Complete a whole answer."""
    changes = _report_cut(answer.usage, prepared) if endpoint.dialect.cuts_prompts else ()
    return _complete(replace(answer, changes=answer.changes + changes), prepared, endpoint, timing, partial=False)


def price_partial(so_far: ChatCompletion, prepared: Prepared, endpoint: Endpoint, timing: Timing) -> ChatCompletion:
    """Complete what arrived of an answer.

    The cost is an estimate until the provider counts the tokens; it is 0 where nothing was sent, and unknown where the
    answer was to come in one piece.
    """
    usage = so_far.usage
    if not timing.attempts:
        usage = Usage()
    elif prepared.stream and (usage is None or not usage.completion_tokens):
        prompt = usage or Usage(input=estimate_tokens(prepared.conversation.text))
        usage = replace(prompt, output=estimate_tokens(so_far.text), reasoning=estimate_tokens(so_far.reasoning))
    return _complete(replace(so_far, usage=usage), prepared, endpoint, timing, partial=True)


def _complete(
    answer: ChatCompletion, prepared: Prepared, endpoint: Endpoint, timing: Timing, *, partial: bool
) -> ChatCompletion:
    priced = bill(
        answer.usage,
        endpoint.cost,
        reported=answer.reported_cost,
        catalog_date=endpoint.catalog_date,
        partial=partial,
    )
    kind, changes = prepared.options.answer_type, prepared.changes + answer.changes
    choices = tuple(replace(choice, answer_type=kind) for choice in answer.choices)
    return replace(answer, bill=priced, timing=timing, changes=changes, answer_type=kind, choices=choices)


def _report_cut(usage: Usage | None, prepared: Prepared) -> tuple[Change, ...]:
    """List a change where the server counted far fewer tokens than were sent: it cut the rest of the prompt."""
    sent = estimate_tokens(prepared.conversation.text)
    if usage is None or sent < _LONG_PROMPT or usage.prompt_tokens > 0.6 * sent:
        return ()
    why = f"the model read {usage.prompt_tokens} of about {sent} tokens: a larger num_ctx reads more"
    return (Change("dropped", "part of the prompt", why),)
