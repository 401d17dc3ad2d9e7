"""Google's Gemini: `POST {base}/models/{model}:generateContent`, and `:streamGenerateContent?alt=sse` for a stream.

The base is that of the Gemini API, or Vertex AI's `.../publishers/google`. Wire facts:
ai.google.dev/api/generate-content, docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest.

Usage: `promptTokenCount` includes cached tokens and excludes `toolUsePromptTokenCount`, `candidatesTokenCount` excludes
`thoughtsTokenCount`. A stream counts in every event, cumulatively: the last one has it all.

A whole answer is read like a stream of one event, so both give the same completion. It may also be a list of events,
which is what a stream without `alt=sse` is. The answer is complete when a finish reason has arrived.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, ContentFilterError, ProviderError
from nbkit.protocols.failures import read_failure
from nbkit.protocols.gemini_turns import FORMAT, encode_turns
from nbkit.protocols.reading import count, expect_object, first_count, join_arguments, mapping, objects, string
from nbkit.protocols.wire import BaseDecoder, Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge

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
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # the token to go on with is in `raw`
} | dict.fromkeys(
    (
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
        "MODEL_ARMOR",
    ),
    "content_filter",
)
_DELAY = re.compile(rb'"retryDelay":\s*"(\d{1,9}(?:\.\d+)?)s"')  # google.rpc.RetryInfo, seconds
_FAILED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE")


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {})
    encode_turns(draft, conversation)
    for name, key in _CONFIG.items():
        draft.put(name, getattr(options, name), f"generationConfig.{key}")
    draft.put("stop", list(options.stop) if options.stop else None, "generationConfig.stopSequences")
    _put_format(draft, options)
    _put_thinking(draft, options)
    _put_tools(draft, options)
    resource = model if "/" in model else f"models/{model}"  # tunedModels/... names the kind already
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return draft.request(f"/{quote(resource, safe='/@:')}:{action}")


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
    """Read a whole answer. Raises an AdapterError where it is an error, or has no candidates."""
    decoder = Decoder(dialect)
    if isinstance(body, list):
        for event in body:
            decoder.take(expect_object(event))
        return decoder.finish()
    decoder.take(expect_object(body))
    if decoder.broken:
        raise ProviderError(f"the answer is incomplete: {decoder.broken}")
    if not decoder.answered:
        raise ProviderError("the answer has no candidates")
    return decoder.build(raw=body)


class _Thought:
    """A block of reasoning being put together; without text it is the signature of a part that is not a thought."""

    __slots__ = ("pieces", "signature", "signs_other")

    def __init__(self, signs_other: bool = False, signature: str = "") -> None:
        self.signs_other, self.signature = signs_other, signature
        self.pieces: list[str] = []

    def build(self) -> Reasoning:
        if self.signs_other:
            return Reasoning(data=self.signature, format=FORMAT)
        return Reasoning(text="".join(self.pieces), signature=self.signature or None, format=FORMAT)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.answered = False
        self.broken = ""
        """Reason why the answer cannot be used, in Google's words."""
        self._thoughts: list[_Thought] = []
        self._open: _Thought | None = None  # the thought that the next part may continue
        self._calls: list[ToolCall] = []
        self._candidate: dict[str, Any] = {}  # what the events hold of the candidate, beside its content
        self._others: list[dict[str, Any]] = []  # parts of other kinds: images, code and its results

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now."""
        return f": {self.broken}" if self.broken else super().find_problem()

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON, or a whole answer's. Raises an AdapterError where it is an error."""
        if body.get("error"):
            raise read_failure(body)
        candidates = objects(body.get("candidates"))
        feedback = mapping(body.get("promptFeedback"))
        if not candidates and (reason := string(feedback.get("blockReason"))):
            message = string(feedback.get("blockReasonMessage")) or f"the prompt was blocked: {reason}"
            raise ContentFilterError(message, code=reason, body=to_json(body).decode())
        self.rest |= {key: value for key, value in body.items() if key != "candidates"}
        first = next((candidate for candidate in candidates if not candidate.get("index")), None)
        return self._take_candidate(first) if first is not None else []

    def _take_candidate(self, candidate: dict[str, Any]) -> Chunks:
        self.answered = True
        self._candidate |= {key: value for key, value in candidate.items() if key != "content"}
        text, thought, calls = "", "", []
        for part in objects(mapping(candidate.get("content")).get("parts")):
            if "functionCall" in part:
                calls.append(self._take_call(part))
            elif "text" in part or part.keys() <= {"thought", "thoughtSignature"}:
                piece, signature = string(part.get("text")), string(part.get("thoughtSignature"))
                if part.get("thought"):
                    thought += piece
                    self._take_thought(piece, signature)
                    continue
                text += piece
                if signature:
                    self._thoughts.append(_Thought(signs_other=True, signature=signature))
            else:
                self._others.append(part)
            self._open = None
        if text:
            self.text.append(text)
        finish = self._take_finish(candidate)
        if not (text or thought or calls or finish):
            return []
        return [ChatCompletionChunk(text, thought, tuple(calls), finish)]

    def _take_thought(self, piece: str, signature: str) -> None:
        """Take a piece of a thought; its signature ends it."""
        if self._open is None:
            self._open = _Thought()
            self._thoughts.append(self._open)
        self._open.pieces.append(piece)
        if signature:
            self._open.signature = signature
            self._open = None

    def _take_call(self, part: dict[str, Any]) -> ToolCallDelta:
        function, index = mapping(part["functionCall"]), len(self._calls)
        name = string(function.get("name"))
        if not name:
            raise ProviderError("the answer has a tool call without a name")
        made_up = f"call_{index}_{string(self.rest.get('responseId'))}"[:40]  # without an id it could not be answered
        arguments, signature = join_arguments((), function.get("args")), string(part.get("thoughtSignature")) or None
        call = ToolCall(id=string(function.get("id")) or made_up, name=name, arguments=arguments, signature=signature)
        self._calls.append(call)
        return ToolCallDelta(index, call.id, name, arguments)

    def _take_finish(self, candidate: dict[str, Any]) -> str | None:
        reason = string(candidate.get("finishReason"))
        if reason in _FAILED:
            self.broken = ": ".join(filter(None, (reason, string(candidate.get("finishMessage")))))
        if not reason or self.broken:
            return None
        self.finish_reason = _FINISH.get(reason, reason)
        if self.finish_reason == "stop" and self._calls:  # Gemini's STOP does not tell calls from text
            self.finish_reason = "tool_calls"
        return self.finish_reason

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not."""
        self.model, self.id = string(self.rest.get("modelVersion")), string(self.rest.get("responseId"))
        return super().build(raw)

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls."""
        return tuple(self._calls)

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(thought.build() for thought in self._thoughts)

    def read_refusal(self) -> str:
        """Return the message of a filter that ended the answer."""
        return string(self._candidate.get("finishMessage")) if self.finish_reason == "content_filter" else ""

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(mapping(self.rest.get("usageMetadata")))

    def read_raw(self) -> Any:
        """Return what the events hold beside text, thoughts and calls, in the form of a whole answer."""
        content = {"content": {"parts": self._others}} if self._others else {}
        return self.rest | ({"candidates": [self._candidate | content]} if self.answered else {})


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    if count(usage.get("promptTokenCount")) is None and count(usage.get("candidatesTokenCount")) is None:
        return None  # one of them alone may be missing: protocol buffers leave out what is 0
    prompt, answer = first_count(usage.get("promptTokenCount")), first_count(usage.get("candidatesTokenCount"))
    cached = min(first_count(usage.get("cachedContentTokenCount")), prompt)
    audio = _count_audio(usage.get("promptTokensDetails")) - _count_audio(usage.get("cacheTokensDetails"))
    audio = min(max(audio, 0), prompt - cached)
    audio_out = min(_count_audio(usage.get("candidatesTokensDetails")), answer)
    return Usage(
        input=prompt - cached - audio + first_count(usage.get("toolUsePromptTokenCount")),
        output=answer - audio_out,
        cache_read=cached,
        reasoning=first_count(usage.get("thoughtsTokenCount")),
        input_audio=audio,
        output_audio=audio_out,
    )


def _count_audio(details: Any) -> int:
    return sum(first_count(one.get("tokenCount")) for one in objects(details) if one.get("modality") == "AUDIO")
