"""OpenAI chat completions and its many relatives: `POST {base}/chat/completions`.

Wire facts: platform.openai.com/docs/api-reference/chat, and what the relatives are known to send instead.

Usage: `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning. Where they do not (xAI,
Gemini's shim), `total_tokens` shows it: what it counts beyond prompt and completion is added to the bucket that it
matches. A detail larger than the count it is a part of is not a part of it, and is ignored.

A whole answer is read like a stream of one event, so both give the same completion.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import Any

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import AnyTurn, Conversation, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.openai_choice import Choice
from nbkit.protocols.reading import (
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
PATH = "/chat/completions"

_SAME_NAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "n",
    "user",
    "response_format",
)
_FAILED = ("error", "network_error")  # OpenRouter, Z.AI: the answer broke off upstream


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    draft.body["messages"] = [_message(draft, turn) for turn in conversation]
    if dialect.continues and conversation.turns[-1].role == "assistant":
        draft.body["messages"][-1][dialect.continues] = True
    if stream:
        draft.body["stream"] = True
        if dialect.stream_usage:
            draft.body["stream_options"] = {"include_usage": True}
    if dialect.max_tokens_field != "max_tokens" and options.max_tokens is not None:
        draft.change("renamed", "max_tokens", f"the provider calls it {dialect.max_tokens_field}")
    draft.put("max_tokens", options.max_tokens, dialect.max_tokens_field)
    for name in _SAME_NAME:
        draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None)
    _put_reasoning(draft, options)
    _put_tools(draft, options)
    return draft.request(PATH)


def _message(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    message = turn.model_dump()
    role, system_role = message["role"], draft.dialect.system_role
    if role in ("system", "developer") and role != system_role:
        draft.change("renamed", f"role {role}", f"the model calls it {system_role}")
        message["role"] = system_role
    if "name" in message and role not in draft.dialect.names:
        del message["name"]
        if role != "tool":  # a tool's is known by its call
            draft.change("dropped", "name", "the provider takes none")
    for key in ("reasoning_content", "reasoning_details"):
        message.pop(key, None)
    if draft.dialect.short_tool_ids:
        for holder, key in [(message, "tool_call_id"), *((call, "id") for call in message.get("tool_calls", ()))]:
            if key in holder:
                holder[key] = _short_id(draft, holder[key])
    return message | _replayed(draft, turn, message["content"])


def _short_id(draft: Draft, given: str) -> str:
    if re.fullmatch(r"[a-zA-Z0-9]{9}", given):
        return given
    draft.change("transformed", "ids of tool calls", "they are nine letters and digits")
    return sha256(given.encode()).hexdigest()[:9]


def _replayed(draft: Draft, turn: AnyTurn, content: Any) -> dict[str, Any]:
    """The turn's reasoning, under the key that the provider wants it back with."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    key = draft.dialect.replay_reasoning
    thought = "".join(block.text for block in blocks if not block.format)  # what has one is another vendor's
    if blocks and (not key or (key != "reasoning_details" and not thought)):
        draft.change("dropped", "reasoning", "the provider does not take this reasoning back")
    if key == "reasoning_details":
        return {key: [block.to_detail() for block in blocks]} if blocks else {}
    if key == "content":  # Mistral's thinking is a part of the content
        part = {"type": "thinking", "thinking": [{"type": "text", "text": thought}], "closed": True}
        said = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        return {"content": [part, *said]} if thought else {}
    if key == "<think>":
        plain = thought and isinstance(content, str | None)
        return {"content": f"<think>{thought}</think>{content or ''}"} if plain else {}
    # DeepSeek refuses an assistant's tool calls without the key, and takes it empty.
    if key and (blocks or isinstance(turn, ToolsCallTurn)):
        return {key: thought}
    return {}


def _put_reasoning(draft: Draft, options: ExecuteOptions) -> None:
    if options.reasoning_effort == "none" and draft.dialect.reasoning_off:
        merge(draft.body, draft.dialect.reasoning_off)
    else:
        draft.put("reasoning_effort", options.reasoning_effort)
    if "reasoning_budget" in draft.dialect.rename:
        draft.put("reasoning_budget", options.reasoning_budget)
    elif options.reasoning_budget:
        draft.change("dropped", "reasoning_budget", "the provider takes no budget, only a reasoning_effort")


def _put_tools(draft: Draft, options: ExecuteOptions) -> None:
    if not options.tools:
        return
    draft.body["tools"] = [_tool(tool) for tool in options.tools]
    draft.put("parallel_tool_calls", options.parallel_tool_calls)
    if options.tool_choice == "required":
        draft.put("tool_choice", draft.dialect.tool_choice_required)
    elif options.tool_choice in ("auto", "none", None):
        draft.put("tool_choice", options.tool_choice)
    else:
        draft.put("tool_choice", {"type": "function", "function": {"name": options.tool_choice}})


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters, **strict}}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    return failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    if body.get("error") or "choices" not in body:
        raise failure(body)
    if not objects(body["choices"]):
        raise ProviderError("the answer has no choices")
    decoder = Decoder(dialect)
    whole = [choice | {"delta": None} if choice.get("message") else choice for choice in objects(body["choices"])]
    decoder.take(body | {"choices": whole})  # Perplexity's whole answers have an empty delta as well
    if decoder.finish_reason in _FAILED:
        raise ProviderError(f"the answer broke off: finish_reason {decoder.finish_reason}")
    return decoder.completion(raw=body)


class Decoder:
    """Builds a completion from a stream's events.

    The stream is complete when each answer has its finish reason; `[DONE]` alone does not say that it is.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._id = self._model = ""
        self._choices: dict[int, Choice] = {0: Choice()}
        self._said: dict[str, Any] = {}  # the last event with usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended: None while one of them has not."""
        reasons = [choice.finish_reason for choice in self._choices.values()]
        return reasons[0] if all(reasons) else None

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        data = data.strip()
        if not data or data == b"[DONE]":
            return []
        body = parse_object(data)
        if event == "error" or body.get("error"):
            raise failure(body)
        return self.take(body)

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where no finish reason came."""
        reason = self.finish_reason
        if reason is None or reason in _FAILED:
            why = f": {reason}" if reason else " without a finish reason"
            raise StreamError(f"the stream ended{why}", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far; a tool call without a name is not one yet."""
        return self.completion(complete=False)

    def take(self, body: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Take one event's JSON, or a whole answer's."""
        if body.get("usage") or ("x_groq" in body and mapping(body["x_groq"]).get("usage")):
            self._said = body
        self._id = string(body.get("id")) or self._id
        self._model = string(body.get("model")) or self._model
        return [chunk for choice in objects(body.get("choices")) if (chunk := self._take_choice(choice))]

    def _take_choice(self, said: dict[str, Any]) -> ChatCompletionChunk | None:
        if said.get("error"):  # OpenRouter
            raise failure(said)
        index = first_count(said.get("index"))
        chunk = self._choices.setdefault(index, Choice()).take(said)
        return None if index else chunk  # the pieces are those of the first answer

    def completion(self, raw: Any = None, complete: bool = True) -> ChatCompletion:
        """What was said. Raises ProviderError where a tool call of a complete answer has no name."""
        answers = [choice.completion(self._id, self._model, complete) for _, choice in sorted(self._choices.items())]
        if raw is None:
            raw = {key: value for key, value in self._said.items() if key != "choices"}
            if annotations := self._choices[0].annotations:
                raw["annotations"] = annotations
        usage = mapping(self._said.get("usage")) or mapping(mapping(self._said.get("x_groq")).get("usage"))
        return replace(
            answers[0],
            choices=tuple(answers) if len(answers) > 1 else (),
            usage=_usage(usage),
            reported_cost=reported_cost(self._said, self._dialect),
            raw=raw,
        )


def _usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    of_prompt, of_completion = (
        mapping(usage.get("prompt_tokens_details")),
        mapping(usage.get("completion_tokens_details")),
    )
    cached = first_count(
        of_prompt.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cached_tokens"),  # Moonshot
        usage.get("num_cached_tokens"),  # Mistral
        usage.get("cache_read_input_tokens"),  # Databricks
    )
    written = first_count(
        of_prompt.get("cache_write_tokens"),
        of_prompt.get("cache_creation_input_tokens"),  # Alibaba
        usage.get("cache_creation_input_tokens"),
    )
    audio, audio_out = first_count(of_prompt.get("audio_tokens")), first_count(of_completion.get("audio_tokens"))
    reasoning = first_count(of_completion.get("reasoning_tokens"))
    beyond = first_count(usage.get("total_tokens")) - prompt - completion
    if beyond > 0:
        if beyond == cached:
            prompt += cached
        elif beyond == reasoning or not (reasoning or audio or cached):  # Gemini's shim does not name its thoughts
            completion, reasoning = completion + beyond, beyond
    elif cached > prompt and "total_tokens" not in usage:
        prompt += cached
    cached, written, audio = _parts(prompt, cached, written, audio)
    reasoning, audio_out = _parts(completion, reasoning, audio_out)
    return Usage(
        input=prompt - cached - written - audio,
        output=completion - reasoning - audio_out,
        cache_read=cached,
        cache_write=written,
        reasoning=reasoning,
        input_audio=audio,
        output_audio=audio_out,
    )


def _parts(whole: int, *parts: int) -> list[int]:
    """The parts that fit into the whole; one that does not is not a part of it."""
    fitting = []
    for part in parts:
        fitting.append(part if part <= whole else 0)
        whole -= fitting[-1]
    return fitting
