"""OpenAI's Responses API, used without state: `POST {base}/responses`.

Wire facts: platform.openai.com/docs/api-reference/responses and /responses-streaming, and what xAI, DeepSeek, Bedrock
and the routers send. Nothing is stored (`store` is false), so reasoning comes encrypted and goes back with the
conversation. Summaries of it are not asked for: OpenAI gives them to verified organizations only and refuses the calls
of others; `extra_body={"reasoning": {"summary": "auto"}}` asks for them.

Usage: `input_tokens` includes what was read from and written to a cache, `output_tokens` includes reasoning. Of what
was written, `cache_write_tokens_details` counts apart what lives for 12 hours; it goes into `cache_write_1h`.

The answer is complete when `response.completed` or `response.incomplete` has arrived: `openai_responses_answer`.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError
from nbkit.protocols.failures import read_failure
from nbkit.protocols.openai_responses_answer import Decoder
from nbkit.protocols.openai_responses_items import encode_turn
from nbkit.protocols.reading import mapping
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

FRAMING = "sse"
PATH = "/responses"
LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` that the API takes."""


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "input": [], "store": False})
    for turn in conversation:
        encode_turn(draft, turn)
    if dialect.encrypted_reasoning:
        draft.body["include"] = ["reasoning.encrypted_content"]
    if stream:
        draft.body["stream"] = True
    if options.given:
        _put_options(draft, options)
    return draft.request(PATH)


def _put_options(draft: Draft, options: ExecuteOptions) -> None:
    limit = options.max_tokens
    if limit is not None and limit < LEAST_OUTPUT:
        draft.change("clamped", "max_tokens", f"the API takes {LEAST_OUTPUT} or more")
        limit = LEAST_OUTPUT
    draft.put("max_tokens", limit, "max_output_tokens")
    draft.put("temperature", options.temperature)
    draft.put("top_p", options.top_p)
    draft.put("user", options.user, "safety_identifier")
    draft.put("service_tier", options.service_tier)
    draft.put("verbosity", options.verbosity, "text.verbosity")
    draft.put("prompt_cache_key", options.prompt_cache_key)
    if options.logprobs is not None:
        draft.put("logprobs", options.logprobs, "top_logprobs")
        draft.body["include"] = [*draft.body.get("include", ()), "message.output_text.logprobs"]
    if options.response_format:
        draft.put("response_format", _encode_format(options.response_format), "text.format")
    if options.reasoning_effort == "none" and draft.dialect.reasoning_off:
        merge(draft.body, draft.dialect.reasoning_off)
    else:
        draft.put("reasoning_effort", options.reasoning_effort, "reasoning.effort")
    if options.tools:
        draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
        draft.put("parallel_tool_calls", options.parallel_tool_calls)
        named = options.tool_choice not in ("auto", "none", "required", None)
        choice = {"type": "function", "name": options.tool_choice} if named else options.tool_choice
        draft.put("tool_choice", choice)


def _encode_format(response_format: dict[str, Any]) -> dict[str, Any]:
    if response_format.get("type") != "json_schema":
        return response_format
    return {"type": "json_schema", "name": "answer"} | mapping(response_format.get("json_schema"))


def _encode_tool(tool: Tool) -> dict[str, Any]:
    """Write a tool; `strict` is always sent, for this API takes a missing one as true."""
    described = {"description": tool.description} if tool.description else {}
    strict = bool(tool.strict)
    return {"type": "function", "name": tool.name, **described, "parameters": tool.parameters, "strict": strict}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no output."""
    return Decoder(dialect).read_whole(body)
