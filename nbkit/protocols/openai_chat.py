"""OpenAI chat completions and its many relatives: `POST {base}/chat/completions`.

Wire facts: platform.openai.com/docs/api-reference/chat, and what the relatives are known to send instead.

Usage: `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning. Where they do not (xAI,
Gemini's shim), `total_tokens` shows it: what it counts beyond prompt and completion is added to the bucket that it
matches. A detail larger than the count it is a part of is not a part of it, and is ignored.

A whole answer is read like a stream of one event, so both give the same completion.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.reading import (
    ThinkTags,
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
from nbkit.protocols.writing import Draft, max_tokens, merge, modern, reasoning, strict, tool_choice

FRAMING = "sse"
PATH = "/chat/completions"

_SAME_NAME = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "user")
_FINISH = {
    "function_call": "tool_calls",
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "model_context_window_exceeded": "length",  # Z.AI
    "sensitive": "content_filter",  # Z.AI
    "end_turn": "stop",
    "eos": "stop",
}
_FAILED = ("error", "network_error")  # OpenRouter, Z.AI: the answer broke off upstream


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    draft.body["messages"] = [_message(draft, turn) for turn in modern(draft, conversation)]
    if stream:
        draft.body["stream"] = True
        if dialect.stream_usage:
            draft.body["stream_options"] = {"include_usage": True}
    if dialect.max_tokens_field != "max_tokens" and options.max_tokens is not None:
        draft.change("renamed", "max_tokens", f"the provider calls it {dialect.max_tokens_field}")
    draft.put("max_tokens", max_tokens(draft, options), dialect.max_tokens_field)
    for name in _SAME_NAME:
        draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None)
    draft.put("response_format", options.response_format)
    _put_reasoning(draft, options)
    _put_tools(draft, options)
    return draft.request(PATH)


def _message(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    message = turn.model_dump()
    role, system_role = message["role"], draft.dialect.system_role
    if role in ("system", "developer") and role != system_role:
        draft.change("renamed", f"role {role}", f"the model calls it {system_role}")
        message["role"] = system_role
    for key in ("reasoning_content", "reasoning_details"):
        message.pop(key, None)
    message |= _replayed(draft, turn)
    content = message.get("content")
    if draft.dialect.plain_content and not isinstance(content, str):
        entries = content or []
        if all(entry["type"] == "text" for entry in entries):
            message["content"] = "".join(entry["text"] for entry in entries)
    return message


def _replayed(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    """The turn's reasoning, under the key that the provider wants it back with."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    key = draft.dialect.replay_reasoning
    if blocks and not key:
        draft.change("dropped", "reasoning", "the provider does not take old reasoning back")
    if key == "reasoning_details":
        return {key: [block.to_detail() for block in blocks]} if blocks else {}
    # DeepSeek refuses an assistant's tool calls without the key, and takes it empty.
    if key and (blocks or isinstance(turn, ToolsCallTurn)):
        return {key: "".join(block.text for block in blocks)}
    return {}


def _put_reasoning(draft: Draft, options: ExecuteOptions) -> None:
    effort, budget = reasoning(draft, options)
    if effort == "none" and draft.dialect.reasoning_off:
        merge(draft.body, draft.dialect.reasoning_off)
    else:
        draft.put("reasoning_effort", effort)
    if "reasoning_budget" in draft.dialect.rename:
        draft.put("reasoning_budget", budget)
    elif budget:
        draft.change("dropped", "reasoning_budget", "the provider takes no budget, only a reasoning_effort")


def _put_tools(draft: Draft, options: ExecuteOptions) -> None:
    tools, choice = tool_choice(draft, options)
    if not tools:
        return
    draft.body["tools"] = [_tool(draft, tool) for tool in tools]
    draft.put("parallel_tool_calls", options.parallel_tool_calls)
    if choice == "required":
        draft.put("tool_choice", draft.dialect.tool_choice_required)
    elif choice in ("auto", "none", None):
        draft.put("tool_choice", choice)
    else:
        draft.put("tool_choice", {"type": "function", "function": {"name": choice}})


def _tool(draft: Draft, tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": tool.parameters, **strict(draft, tool)}
    return {"type": "function", "function": function}


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


class _Call:
    """A tool call being put together."""

    __slots__ = ("arguments", "id", "name", "signature")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.signature: str | None = None
        self.arguments: list[str] = []


class Decoder:
    """Builds a completion from a stream's events.

    The stream is complete when a finish reason has come; `[DONE]` alone does not say that the answer is.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.finish_reason: str | None = None
        self._dialect = dialect
        self._id = self._model = ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._refusal: list[str] = []
        self._annotations: list[Any] = []
        self._calls: list[_Call] = []
        self._slots: dict[int, _Call] = {}  # the wire's index -> the call that it stands for now
        self._tags = ThinkTags()
        self._said: dict[str, Any] = {}  # the last event with usage

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
        if self.finish_reason is None or self.finish_reason in _FAILED:
            why = f": {self.finish_reason}" if self.finish_reason else " without a finish reason"
            raise StreamError(f"the stream ended{why}", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far; a tool call without a name is not one yet."""
        return self.completion(named=[call for call in self._calls if call.name])

    def take(self, body: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Take one event's JSON, or a whole answer's."""
        if body.get("usage") or ("x_groq" in body and mapping(body["x_groq"]).get("usage")):
            self._said = body
        self._id = string(body.get("id")) or self._id
        self._model = string(body.get("model")) or self._model
        return [chunk for choice in objects(body.get("choices")) if (chunk := self._take_choice(choice))]

    def _take_choice(self, choice: dict[str, Any]) -> ChatCompletionChunk | None:
        if choice.get("index"):  # of several answers only the first is read
            return None
        if choice.get("error"):  # OpenRouter
            raise failure(choice)
        delta = choice.get("delta")
        delta = mapping(choice.get("message") if delta is None else delta)
        text, reasoning = _content(delta.get("content"))
        reasoning += self._take_reasoning(delta)
        if self._tags.open and text:
            text, thought = self._tags.feed(text)
            reasoning += thought
        calls = self._take_calls(delta) if "tool_calls" in delta or "function_call" in delta else ()
        if refusal := string(delta.get("refusal")):
            self._refusal.append(refusal)
        if annotations := objects(delta.get("annotations")):
            self._annotations += annotations
        finish = string(choice.get("finish_reason")) or None
        if finish:
            rest, thought = self._tags.flush()
            text, reasoning = text + rest, reasoning + thought
            self.finish_reason = _FINISH.get(finish, finish)
            if self.finish_reason == "stop" and self._calls:  # several relatives say so
                self.finish_reason = "tool_calls"
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        if not (text or reasoning or calls or finish):
            return None
        return ChatCompletionChunk(text, reasoning, calls, self.finish_reason if finish else None)

    def _take_reasoning(self, delta: dict[str, Any]) -> str:
        said = string(delta.get("reasoning_content") or delta.get("reasoning") or delta.get("reasoning_text"))
        if details := objects(delta.get("reasoning_details")):
            known = len(self._details)
            for detail in details:
                if all(isinstance(detail.get(key), str | None) for key in ("text", "summary", "signature", "data")):
                    self._take_detail(detail, joins=len(self._details) == known)
            said = said or "".join(string(detail.get("text") or detail.get("summary")) for detail in details)
        return said

    def _take_detail(self, detail: dict[str, Any], joins: bool) -> None:
        """Take an entry of `reasoning_details`, or a piece that `joins` the last: text grows, a signature is added."""
        last = self._details[-1] if self._details and joins else {}
        key = next((key for key in ("text", "summary") if key in last), "")
        if key and all(last.get(name) == detail.get(name, last.get(name)) for name in ("type", "index")):
            grown = string(last[key]) + string(detail.get(key))
            last |= {name: value for name, value in detail.items() if value is not None} | {key: grown}
        else:
            self._details.append(detail.copy())

    def _take_calls(self, delta: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
        entries = objects(delta.get("tool_calls"))
        old = mapping(delta.get("function_call"))
        if old.get("name") or old.get("arguments"):  # OpenAI's deprecated form; some fill it with empty strings
            entries.append({"function": old})
        # OpenAI's `custom` calls have no function: nbkit offers no such tools
        return tuple(self._take_call(entry) for entry in entries if "function" in entry)

    def _take_call(self, entry: dict[str, Any]) -> ToolCallDelta:
        function = mapping(entry.get("function"))
        call_id, name = string(entry.get("id")), string(function.get("name"))
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = to_json(arguments).decode()
        call, piece = self._call(entry.get("index"), call_id, name), string(arguments)
        new_id, new_name = ("" if call.id else call_id), ("" if call.name else name)
        call.id, call.name = call.id or call_id, call.name or name
        if piece:
            call.arguments.append(piece)
        google = mapping(mapping(entry.get("extra_content")).get("google"))
        call.signature = string(google.get("thought_signature")) or call.signature
        return ToolCallDelta(self._calls.index(call), new_id, new_name, piece)

    def _call(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a delta belongs to: by index, unless it brings another id; by id; else the last."""
        call = self._slots.get(index) if isinstance(index, int) else None
        if call is None and not isinstance(index, int):
            same_id = (known for known in self._calls if known.id == call_id)
            call = next(same_id, None) if call_id else self._calls[-1] if self._calls and not name else None
        elif call and call_id and call.id and call.id != call_id and name:
            call = None  # whole calls that all say index 0
        if call is None:
            call = _Call()
            self._calls.append(call)
            if isinstance(index, int):
                self._slots[index] = call
        return call

    def completion(self, raw: Any = None, named: list[_Call] | None = None) -> ChatCompletion:
        """What was said, complete or not. Raises ProviderError where a tool call has no name."""
        calls = self._calls if named is None else named
        rest, thought = self._tags.held
        if raw is None:
            raw = {key: value for key, value in self._said.items() if key != "choices"}
            if self._annotations:
                raw["annotations"] = self._annotations
        usage = mapping(self._said.get("usage")) or mapping(mapping(self._said.get("x_groq")).get("usage"))
        return ChatCompletion(
            text="".join(self._text) + rest,
            model=self._model,
            id=self._id,
            finish_reason=self.finish_reason,
            tool_calls=tuple(self._tool_call(index, call) for index, call in enumerate(calls)),
            reasoning_blocks=self._blocks(thought),
            refusal="".join(self._refusal) or None,
            usage=_usage(usage),
            reported_cost=reported_cost(self._said, self._dialect),
            raw=raw,
        )

    def _tool_call(self, index: int, call: _Call) -> ToolCall:
        if not call.name:
            raise ProviderError("the answer calls a tool without a name")
        made_up = f"call_{index}_{self._id}"[:40]  # a call without an id could not be answered
        arguments = "".join(call.arguments) or "{}"
        return ToolCall(id=call.id or made_up, name=call.name, arguments=arguments, signature=call.signature)

    def _blocks(self, rest: str) -> tuple[Reasoning, ...]:
        """The reasoning: the router's details where there are some, else the plain text."""
        text = "".join(self._reasoning) + rest
        blocks = [Reasoning.from_detail(detail) for detail in self._details]
        if text and not any(block.text for block in blocks):
            blocks.insert(0, Reasoning(text=text))
        return tuple(blocks)


def _content(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a content: a string, or parts (Mistral's `thinking`, Databricks' `reasoning`)."""
    if isinstance(content, str):
        return content, ""
    text, reasoning = "", ""
    for part in objects(content):
        text += string(part.get("text"))
        inner = part.get("thinking") or part.get("summary")
        reasoning += string(inner) or "".join(string(entry.get("text")) for entry in objects(inner))
    return text, reasoning


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
