"""Google's Gemini: `POST {base}/models/{model}:generateContent`, and `:streamGenerateContent?alt=sse` for a stream.

The base is that of the Gemini API, or Vertex AI's `.../publishers/google`. Wire facts:
ai.google.dev/api/generate-content, docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest.

Usage: `promptTokenCount` includes cached tokens and excludes `toolUsePromptTokenCount`, `candidatesTokenCount` excludes
`thoughtsTokenCount`. A stream counts in every event, cumulatively: the last one has it all.

A whole answer may also be a list of events, which is what a stream without `alt=sse` is. The answer is complete when a
finish reason has arrived; `gemini_answer` reads it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError
from nbkit.protocols.failures import read_failure
from nbkit.protocols.gemini_answer import Decoder
from nbkit.protocols.gemini_turns import encode_turns
from nbkit.protocols.reading import mapping
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

FRAMING = "sse"

_CONFIG = {  # option -> its name in generationConfig
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_DELAY = re.compile(rb'"retryDelay":\s*"(\d{1,9}(?:\.\d+)?)s"')  # google.rpc.RetryInfo, seconds


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {})
    encode_turns(draft, conversation)
    if options.given:
        _put_options(draft, options)
    resource = model if "/" in model else f"models/{model}"  # tunedModels/... names the kind already
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return draft.request(f"/{quote(resource, safe='/@:')}:{action}")


def _put_options(draft: Draft, options: ExecuteOptions) -> None:
    for name, key in _CONFIG.items():
        draft.put(name, getattr(options, name), f"generationConfig.{key}")
    draft.put("stop", list(options.stop) if options.stop else None, "generationConfig.stopSequences")
    if options.logprobs is not None:
        draft.put("logprobs", True, "generationConfig.responseLogprobs")
        draft.put("logprobs", options.logprobs or None, "generationConfig.logprobs")
    draft.put("service_tier", options.service_tier, "serviceTier")
    _put_format(draft, options)
    _put_thinking(draft, options)
    _put_tools(draft, options)


def _put_format(draft: Draft, options: ExecuteOptions) -> None:
    if not options.response_format:
        return
    draft.put("response_format", "application/json", "generationConfig.responseMimeType")
    schema = mapping(options.response_format.get("json_schema")).get("schema")
    draft.put("response_format", schema, "generationConfig.responseJsonSchema")


def _put_thinking(draft: Draft, options: ExecuteOptions) -> None:
    """Write `thinkingConfig`, which is an error for a model that does not think."""
    effort, budget = options.reasoning_effort, options.reasoning_budget
    if effort == "none":
        off = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
        merge(draft.body, draft.dialect.reasoning_off or off)
    elif effort or budget:
        draft.put("reasoning_effort", effort and effort.upper(), "generationConfig.thinkingConfig.thinkingLevel")
        draft.put("reasoning_budget", budget, "generationConfig.thinkingConfig.thinkingBudget")
        merge(draft.body, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}})


def _put_tools(draft: Draft, options: ExecuteOptions) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [{"functionDeclarations": [_encode_tool(tool) for tool in options.tools]}]
    choice = options.tool_choice
    if choice in (None, "auto") and any(tool.strict for tool in options.tools):
        calling: dict[str, Any] = {"mode": "VALIDATED"}  # like AUTO, and the arguments keep to the schema as with ANY
    elif choice is None:
        return
    else:
        calling = {"mode": _MODES[choice]} if choice in _MODES else {"mode": "ANY", "allowedFunctionNames": [choice]}
    draft.put("tool_choice", calling, "toolConfig.functionCallingConfig")


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    # `parameters`, the older form, knows a part of OpenAPI's schemas only: no references, so no recursion
    return {"name": tool.name, **described, "parametersJsonSchema": {"type": "object"} | tool.parameters}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx. Google puts the time to wait into the body."""
    failure = read_failure(body, status)
    delay = _DELAY.search(body)
    failure.retry_after = float(delay[1]) if delay else None
    return failure


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer, or a list of events. Raises an AdapterError where it is an error, or has no candidates."""
    decoder = Decoder(dialect)
    if not isinstance(body, list):
        return decoder.read_whole(body)
    for event in body:
        decoder.take_json(event)
    return decoder.finish()
