"""Finish reasons: the words of all providers in one table, whichever protocol they come in.

Relatives of an API mix words: `tool_use` and `STOP` come in chat completions, `stop` in Anthropic's messages,
`tool-calls` from JavaScript. So a reason is looked up by its letters alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = {
    "stop": (
        "stop",
        "stopped",
        "end_turn",
        "eos",
        "eos_token",  # Hugging Face's Text Generation Inference
        "end_of_sequence",
        "stop_sequence",
        "stop_token",
        "complete",  # Cohere
        "completed",
        "finished",
    ),
    "length": (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_length",
        "max_new_tokens",
        "token_limit",
        "model_length",  # Mistral
        "model_context_window_exceeded",  # Anthropic, Z.AI
        "context_length",
        "context_window_exceeded",
        "continuation",  # Gemini: the token to go on with is in `raw`
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "tools", "function_call", "function_calls"),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "guardrail_intervened",  # Bedrock, as the one above
        "refusal",  # Anthropic
        "sensitive",  # Z.AI
        "safety",  # Gemini, as all below
        "recitation",
        "language",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "escalation",
        "pup_limited_disabled",
        "model_armor",
    ),
}
_BY_LETTERS = {word.replace("_", ""): reason for reason, words in _WORDS.items() for word in words}
_NOTHING = ("", "null", "none", "unspecified")  # servers in Python write their None as a word


def read_finish(reason: object, calls: bool) -> str | None:
    """Read a finish reason: one of nbkit's four words, or the provider's own where it is another; None for none.

    `calls`: tools are called; several providers say `stop` then.
    """
    return _read_word(reason, calls) if reason and isinstance(reason, str) else None


@lru_cache(100)
def _read_word(reason: str, calls: bool) -> str | None:
    letters = re.sub("[^a-z]", "", reason.rpartition(".")[2].lower()).removeprefix("finishreason")
    if letters in _NOTHING:
        return None
    word = _BY_LETTERS.get(letters, reason)
    return "tool_calls" if word == "stop" and calls else word
