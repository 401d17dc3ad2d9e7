"""Anthropic's messages: `POST {base}/messages`.

Wire facts: docs.claude.com/en/api/messages and /build-with-claude/streaming, extended-thinking, structured-outputs.

Usage: `input_tokens` excludes what was read from and written to a cache; `output_tokens` includes thinking, which
`output_tokens_details.thinking_tokens` counts apart. `iterations` of type `compaction` are added; an `advisor_message`
is another model's work at its own price and is not counted; a `fallback_message` names the model that really answered.

The answer is complete when a stop reason and either `message_stop` or the answer's token count have arrived;
`anthropic_answer` reads it.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError
from nbkit.protocols.anthropic_answer import Decoder
from nbkit.protocols.anthropic_turns import encode_turns
from nbkit.protocols.failures import read_failure
from nbkit.protocols.reading import mapping
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import ROOM, Draft, fit_budget, merge

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

FRAMING = "sse"
PATH = "/messages"
HEADERS = {"anthropic-version": "2023-06-01"}
DEFAULT_MAX_TOKENS = 4096
CACHED = {"type": "ephemeral"}
UNMARKED = ("thinking", "redacted_thinking", "fallback", "mcp_tool_listing")
"""Blocks that cannot be marked for the cache."""
LEAST_BUDGET = 1024
"""The smallest `budget_tokens` that the API takes."""

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    draft.body["max_tokens"] = options.max_tokens or dialect.max_output or DEFAULT_MAX_TOKENS
    encode_turns(draft, conversation)
    if stream:
        draft.body["stream"] = True
    if options.given:
        _put_options(draft, options)
    return draft.request(PATH, HEADERS)


def _put_options(draft: Draft, options: ExecuteOptions) -> None:
    thinks = _put_thinking(draft, options)
    _put_sampling(draft, options, thinks)
    _put_tools(draft, options, thinks)
    if options.response_format:
        schema = mapping(options.response_format.get("json_schema")).get("schema")
        draft.put("response_format", {"type": "json_schema", "schema": schema}, "output_config.format")
    if options.prompt_cache:
        _mark_cache(draft.body)


def _put_thinking(draft: Draft, options: ExecuteOptions) -> bool:
    """Write `thinking`; return whether it is switched on."""
    if options.reasoning_effort == "none":
        merge(draft.body, draft.dialect.reasoning_off or {"thinking": {"type": "disabled"}})
        return False
    if options.reasoning_effort:
        merge(draft.body, {"thinking": {"type": "adaptive"}, "output_config": {"effort": options.reasoning_effort}})
        return True
    return options.reasoning_budget is not None and _put_budget(draft, options.reasoning_budget, options.max_tokens)


def _put_budget(draft: Draft, budget: int, max_tokens: int | None) -> bool:
    """Write a budget, which must be less than `max_tokens`: our own limit grows by it, the caller's does not."""
    if max_tokens is None and draft.dialect.max_output is None:
        draft.body["max_tokens"] += budget
    limit = draft.body["max_tokens"]
    if limit < LEAST_BUDGET + ROOM:
        draft.change(
            "dropped", "reasoning", f"needs at least {LEAST_BUDGET} tokens beside the answer, and max_tokens is {limit}"
        )
        return False
    fitting = max(fit_budget(budget, limit), LEAST_BUDGET)
    if fitting != budget:
        why = f"{LEAST_BUDGET} or more, and some of max_tokens are left for the answer: {fitting}"
        draft.change("clamped", "reasoning_budget", why)
    draft.body["thinking"] = {"type": "enabled", "budget_tokens": fitting}
    return True


def _put_sampling(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if thinks and getattr(options, name) is not None:
            draft.change("dropped", name, "cannot be combined with thinking")
        else:
            draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None, "stop_sequences")
    draft.put("user", options.user, "metadata.user_id")
    draft.put("service_tier", options.service_tier)


def _put_tools(draft: Draft, options: ExecuteOptions, thinks: bool) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
    choice = options.tool_choice
    if thinks and choice not in ("auto", "none", None):
        draft.change("transformed", "tool_choice", "cannot be forced while the model thinks: auto")
        choice = "auto"
    encoded: dict[str, Any] = {}
    if choice is not None:
        encoded = {"type": _CHOICES[choice]} if choice in _CHOICES else {"type": "tool", "name": choice}
    if options.parallel_tool_calls is False and choice != "none":
        encoded = encoded or {"type": "auto"}
        encoded["disable_parallel_tool_use"] = True
    draft.put("tool_choice", encoded or None)


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "input_schema": {"type": "object"} | tool.parameters, **strict}


def _mark_cache(body: dict[str, Any]) -> None:
    """Set two of the four breakpoints: after tools and system, which every call repeats, and at the end, for the next.

    docs.claude.com/en/docs/build-with-claude/prompt-caching.
    """
    if system := body.get("system"):
        body["system"] = [{"type": "text", "text": system, "cache_control": CACHED}]
    elif tools := body.get("tools"):
        tools[-1]["cache_control"] = CACHED
    end = body["messages"][-1]["content"][-1]
    if end["type"] not in UNMARKED:
        end["cache_control"] = CACHED


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no content."""
    return Decoder(dialect).read_whole(body)
