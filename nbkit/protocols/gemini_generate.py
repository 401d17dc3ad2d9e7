"""Google's Gemini: `POST {base}/models/{model}:generateContent`, and `:streamGenerateContent?alt=sse` for a stream.

The base is that of the Gemini API, or Vertex AI's `.../publishers/google`. Wire facts:
ai.google.dev/api/generate-content, docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest.

Usage: `promptTokenCount` includes cached tokens and excludes `toolUsePromptTokenCount`, `candidatesTokenCount` excludes
`thoughtsTokenCount`. A stream counts in every event, cumulatively: the last one has it all.

A whole answer is read like a stream of one event, so both give the same completion. It may also be a list of events,
which is what a stream without `alt=sse` is. The answer is complete when a finish reason has come.
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
from nbkit.errors import AdapterError, ContentFilterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.gemini_turns import FORMAT, put_turns
from nbkit.protocols.reading import (
    arguments,
    count,
    expect_object,
    first_count,
    mapping,
    objects,
    parse_object,
    reported_cost,
    string,
)
from nbkit.protocols.wire import Dialect, WireRequest
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
    put_turns(draft, conversation)
    for name, key in _CONFIG.items():
        draft.put(name, getattr(options, name), f"generationConfig.{key}")
    draft.put("stop", list(options.stop) if options.stop else None, "generationConfig.stopSequences")
    _put_format(draft, options)
    _put_thinking(draft, options)
    _put_tools(draft, options)
    resource = model if "/" in model else f"models/{model}"  # tunedModels/... is a resource already
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
    draft.body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in options.tools]}]
    choice = options.tool_choice
    if choice in (None, "auto") and any(tool.strict for tool in options.tools):
        calling: dict[str, Any] = {"mode": "VALIDATED"}  # like AUTO, and the arguments keep to the schema as with ANY
    elif choice is None:
        return
    else:
        calling = {"mode": _MODES[choice]} if choice in _MODES else {"mode": "ANY", "allowedFunctionNames": [choice]}
    draft.put("tool_choice", calling, "toolConfig.functionCallingConfig")


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    # `parameters`, the older form, knows a part of OpenAPI's schemas only: no references, so no recursion
    return {"name": tool.name, **described, "parametersJsonSchema": {"type": "object"} | tool.parameters}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx. Google says in the body how long to wait, not in a header."""
    failed = failure(body, status)
    delay = _DELAY.search(body)
    failed.retry_after = float(delay[1]) if delay else None
    return failed


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    decoder = Decoder(dialect)
    if isinstance(body, list):
        for event in body:
            decoder.take(expect_object(event))
        return decoder.finish()
    decoder.take(expect_object(body))
    if decoder.broken:
        raise ProviderError(f"the answer broke off: {decoder.broken}")
    if not decoder.answered:
        raise ProviderError("the answer has no candidates")
    return decoder.completion(raw=body)


class _Thought:
    """A block of reasoning being put together; without text it is the signature of what is no thought."""

    __slots__ = ("aloud", "pieces", "signature")

    def __init__(self, aloud: bool = False, signature: str = "") -> None:
        self.aloud, self.signature = aloud, signature
        self.pieces: list[str] = []

    def reasoning(self) -> Reasoning:
        if self.aloud:
            return Reasoning(data=self.signature, format=FORMAT)
        return Reasoning(text="".join(self.pieces), signature=self.signature or None, format=FORMAT)


class Decoder:
    """Builds a completion from a stream's events."""

    def __init__(self, dialect: Dialect) -> None:
        self.answered = False
        self.broken = ""
        """Why the answer cannot be used, in Google's words."""
        self._dialect = dialect
        self._text: list[str] = []
        self._thoughts: list[_Thought] = []
        self._thinking: _Thought | None = None  # the thought that goes on with the next part
        self._calls: list[ToolCall] = []
        self._said: dict[str, Any] = {}  # what the events say beside the candidates, and in them beside the content
        self._candidate: dict[str, Any] = {}
        self._others: list[dict[str, Any]] = []  # parts that are no text and no call: images, code and its results
        self._finish_reason: str | None = None

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        chunk = self.take(parse_object(data)) if data else None
        return [chunk] if chunk else []

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where no finish reason came."""
        if self.broken or self._finish_reason is None:
            why = f": {self.broken}" if self.broken else " without a finish reason"
            raise StreamError(f"the stream ended{why}", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far."""
        return self.completion()

    def take(self, body: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one event's JSON, or a whole answer's. Raises an AdapterError where it is an error."""
        if body.get("error"):
            raise failure(body)
        candidates = objects(body.get("candidates"))
        feedback = mapping(body.get("promptFeedback"))
        if not candidates and (reason := string(feedback.get("blockReason"))):
            words = string(feedback.get("blockReasonMessage")) or f"the prompt was blocked: {reason}"
            raise ContentFilterError(words, code=reason, body=to_json(body).decode())
        self._said |= {key: value for key, value in body.items() if key != "candidates"}
        first = next((candidate for candidate in candidates if not candidate.get("index")), None)
        return self._take_candidate(first) if first is not None else None

    def _take_candidate(self, candidate: dict[str, Any]) -> ChatCompletionChunk | None:
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
                    self._think(piece, signature)
                    continue
                text += piece
                if signature:
                    self._thoughts.append(_Thought(aloud=True, signature=signature))
            else:
                self._others.append(part)
            self._thinking = None
        if text:
            self._text.append(text)
        finish = self._take_finish(candidate)
        if not (text or thought or calls or finish):
            return None
        return ChatCompletionChunk(text, thought, tuple(calls), finish)

    def _think(self, piece: str, signature: str) -> None:
        """Take a piece of a thought; its signature is the last of it."""
        if self._thinking is None:
            self._thinking = _Thought()
            self._thoughts.append(self._thinking)
        self._thinking.pieces.append(piece)
        if signature:
            self._thinking.signature = signature
            self._thinking = None

    def _take_call(self, part: dict[str, Any]) -> ToolCallDelta:
        call, index = mapping(part["functionCall"]), len(self._calls)
        name = string(call.get("name"))
        if not name:
            raise ProviderError("the answer calls a tool without a name")
        made_up = f"call_{index}_{string(self._said.get('responseId'))}"[:40]  # without an id it could not be answered
        written, signature = arguments((), call.get("args")), string(part.get("thoughtSignature")) or None
        made = ToolCall(id=string(call.get("id")) or made_up, name=name, arguments=written, signature=signature)
        self._calls.append(made)
        return ToolCallDelta(index, made.id, name, written)

    def _take_finish(self, candidate: dict[str, Any]) -> str | None:
        reason = string(candidate.get("finishReason"))
        if reason in _FAILED:
            self.broken = ": ".join(filter(None, (reason, string(candidate.get("finishMessage")))))
        if not reason or self.broken:
            return None
        self._finish_reason = _FINISH.get(reason, reason)
        if self._finish_reason == "stop" and self._calls:
            self._finish_reason = "tool_calls"
        return self._finish_reason

    def completion(self, raw: Any = None) -> ChatCompletion:
        """What was said, complete or not."""
        if raw is None:
            content = {"content": {"parts": self._others}} if self._others else {}
            raw = self._said | ({"candidates": [self._candidate | content]} if self.answered else {})
        refused = self._finish_reason == "content_filter"
        return ChatCompletion(
            text="".join(self._text),
            model=string(self._said.get("modelVersion")),
            id=string(self._said.get("responseId")),
            finish_reason=self._finish_reason,
            tool_calls=tuple(self._calls),
            reasoning_blocks=tuple(thought.reasoning() for thought in self._thoughts),
            refusal=(string(self._candidate.get("finishMessage")) if refused else "") or None,
            usage=_usage(mapping(self._said.get("usageMetadata"))),
            reported_cost=reported_cost(self._said, self._dialect),
            raw=raw,
        )


def _usage(usage: dict[str, Any]) -> Usage | None:
    if count(usage.get("promptTokenCount")) is None and count(usage.get("candidatesTokenCount")) is None:
        return None  # one of them alone may be missing: protocol buffers leave out what is 0
    prompt, answer = first_count(usage.get("promptTokenCount")), first_count(usage.get("candidatesTokenCount"))
    cached = min(first_count(usage.get("cachedContentTokenCount")), prompt)
    audio = _audio(usage.get("promptTokensDetails")) - _audio(usage.get("cacheTokensDetails"))
    audio = min(max(audio, 0), prompt - cached)
    audio_out = min(_audio(usage.get("candidatesTokensDetails")), answer)
    return Usage(
        input=prompt - cached - audio + first_count(usage.get("toolUsePromptTokenCount")),
        output=answer - audio_out,
        cache_read=cached,
        reasoning=first_count(usage.get("thoughtsTokenCount")),
        input_audio=audio,
        output_audio=audio_out,
    )


def _audio(details: Any) -> int:
    return sum(first_count(one.get("tokenCount")) for one in objects(details) if one.get("modality") == "AUDIO")
