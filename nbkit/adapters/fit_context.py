"""A conversation that is longer than the model's context, cut from the front where the caller wants it. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from nbkit.conversation.completion import Change
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.providers.capabilities import Tolerance

_ANSWER = 4096
"""Tokens reserved for an answer without a limit, at most a quarter of the context."""


def fit_context(
    conversation: Conversation, options: ExecuteOptions, takes: Tolerance
) -> tuple[Conversation, ExecuteOptions, tuple[Change, ...]]:
    """Leave out the oldest turns where `options.context` is "trim"; the third value lists what was left out."""
    if options.context is None:
        return conversation, options, ()
    from nbkit.billing.tokens import count_tokens  # few calls need it

    options = replace(options, context=None)
    if not takes.context:
        return conversation, options, (Change("dropped", "context", "the model's context is not known"),)
    answer = options.max_tokens or min(_ANSWER, takes.max_output or _ANSWER, takes.context // 4)
    room = max(takes.context - min(answer, takes.context // 2), 1)
    # Rather too many than too few: what is too long by one token is refused. A tokenizer would take seconds to load.
    trimmed = conversation.trimmed(room, lambda rest: count_tokens(rest, tools=options.tools or ()).high)
    left_out = len(conversation) - len(trimmed)
    if not left_out:
        return conversation, options, ()
    why = f"the oldest: the conversation is longer than the model's context of {takes.context} tokens"
    return trimmed, options, (Change("dropped", f"{left_out} turns", why),)
