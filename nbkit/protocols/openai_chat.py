"""OpenAI chat completions and its many relatives: `POST {base}/chat/completions`.

Wire facts: platform.openai.com/docs/api-reference/chat, and what the relatives are known to send instead.

Usage: `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning; `openai_usage.py` reads
them, and those of the relatives that count otherwise.

A whole answer is read like a stream of one event, so both give the same completion.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from nbkit.conversation.completion import Charges, ChatCompletion, ChatCompletionChunk, Usage
from nbkit.conversation.content import FileEntry, Reasoning
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool
from nbkit.conversation.turns import AnyTurn, Conversation, ToolsCallTurn, Turn
from nbkit.errors import AdapterError, ProviderError
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer, read_failure
from nbkit.protocols.openai_choice import Choice
from nbkit.protocols.openai_usage import read_usage
from nbkit.protocols.reading import first_count, mapping, merge_counts, objects, string
from nbkit.protocols.wire import Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, choose_filename, merge

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
    "service_tier",
    "verbosity",
    "prompt_cache_key",
)
_FAILED = ("error", "network_error")  # finish reasons of OpenRouter and Z.AI where the provider behind them failed


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    draft.body["messages"] = [_encode_turn(draft, turn) for turn in conversation]
    if dialect.continues and conversation.turns[-1].role == "assistant":
        draft.body["messages"][-1][dialect.continues] = True
    if stream:
        draft.body["stream"] = True
        if dialect.stream_usage:
            draft.body["stream_options"] = {"include_usage": True}
    if options.given:
        _put_options(draft, options)
    return draft.request(PATH)


def _put_options(draft: Draft, options: ExecuteOptions) -> None:
    dialect = draft.dialect
    if dialect.max_tokens_field != "max_tokens" and options.max_tokens is not None:
        draft.change("renamed", "max_tokens", f"the provider calls it {dialect.max_tokens_field}")
    draft.put("max_tokens", options.max_tokens, dialect.max_tokens_field)
    for name in _SAME_NAME:
        draft.put(name, getattr(options, name))
    draft.put("stop", list(options.stop) if options.stop else None)
    if options.logprobs is not None:
        draft.put("logprobs", True)
        draft.body |= {"top_logprobs": options.logprobs} if options.logprobs else {}
    draft.put("response_format", _encode_format(options.response_format, dialect))
    _put_reasoning(draft, options)
    _put_tools(draft, options)


def _write_message(turn: AnyTurn) -> dict[str, Any]:
    """Write a turn as a message, without its reasoning."""
    if type(turn) is Turn:
        return {"role": turn.role, "content": turn.content} | ({"name": turn.name} if turn.name is not None else {})
    message = turn.model_dump()
    for key in ("reasoning_content", "reasoning_details"):
        message.pop(key, None)
    return message


def _encode_turn(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    message = _write_message(turn)
    role, system_role = message["role"], draft.dialect.system_role
    if role in ("system", "developer") and role != system_role:
        draft.change("renamed", f"role {role}", f"the model calls it {system_role}")
        message["role"] = system_role
    if "name" in message and role not in draft.dialect.names:
        del message["name"]
        if role != "tool":  # the name of a tool is known from its call
            draft.change("dropped", "name", "the provider takes no names")
    if isinstance(message["content"], list):
        for entry, part in zip(turn.entries, message["content"], strict=True):
            if isinstance(entry, FileEntry):
                part["file"]["filename"] = choose_filename(entry)
    if draft.dialect.short_tool_ids and type(turn) is not Turn:
        for holder, key in [(message, "tool_call_id"), *((call, "id") for call in message.get("tool_calls", ()))]:
            if key in holder:
                holder[key] = _shorten_id(draft, holder[key])
    return message | _replay_reasoning(draft, turn, message["content"])


def _encode_format(wanted: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
    if not wanted or wanted.get("type") != "json_schema" or dialect.json_schema == "json_schema":
        return wanted
    return {"type": "json_object", "schema": mapping(wanted.get("json_schema")).get("schema")}


def _shorten_id(draft: Draft, call_id: str) -> str:
    if re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
        return call_id
    draft.change("transformed", "ids of tool calls", "they are nine letters and digits")
    return sha256(call_id.encode()).hexdigest()[:9]


def _replay_reasoning(draft: Draft, turn: AnyTurn, content: Any) -> dict[str, Any]:
    """Write the turn's reasoning, under the key with which the provider takes it back."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    if not blocks and not isinstance(turn, ToolsCallTurn):
        return {}
    key = draft.dialect.replay_reasoning
    thought = "".join(block.text for block in blocks if not block.format)  # a format is another vendor's
    if blocks and (not key or (key != "reasoning_details" and not thought)):
        draft.change("dropped", "reasoning", "the provider does not take this reasoning back")
    if key == "reasoning_details":
        return {key: [block.to_detail() for block in blocks]} if blocks else {}
    if key == "content":  # Mistral's thinking is a part of the content
        part = {"type": "thinking", "thinking": [{"type": "text", "text": thought}], "closed": True}
        parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        return {"content": [part, *parts]} if thought else {}
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
    draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
    draft.put("parallel_tool_calls", options.parallel_tool_calls)
    if options.tool_choice == "required":
        draft.put("tool_choice", draft.dialect.tool_choice_required)
    elif options.tool_choice in ("auto", "none", None):
        draft.put("tool_choice", options.tool_choice)
    else:
        draft.put("tool_choice", {"type": "function", "function": {"name": options.tool_choice}})


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters, **strict}}


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    return read_failure(body, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no choices."""
    return Decoder(dialect).read_whole(body)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events.

    The stream is complete when the answer has its finish reason. Some servers send none (Snowflake Cortex): there
    `[DONE]` ends an answer whose tokens were counted, or whose tool calls are whole; alone it does not.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._choices: dict[int, Choice] = {}
        self._first: int | None = None
        self._answer = Choice()
        """The answer whose pieces are the chunks: the first that has begun."""
        self._tier = ""

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now."""
        end = self._answer.finish_reason
        if end is None:
            return "" if self._ends_without_reason() else f" without {self.SIGNAL}"
        if end in _FAILED:
            return f": {end}"
        # A further answer that nobody requested may never end; one that was requested ends before the marker.
        whole = self.marked or all(choice.finish_reason for choice in self._choices.values())
        return "" if whole else f" without {self.SIGNAL}"

    def _ends_without_reason(self) -> bool:
        """Return whether `[DONE]` ends a whole answer: its tokens are counted, or it calls tools; no call is cut."""
        calls = self._answer.calls
        if not self.marked or not all(call.name and (call.is_whole or not call.pieces) for call in calls):
            return False
        usage = self.read_usage()
        return calls.all_whole or (usage is not None and usage.completion_tokens > 0)

    def take_marker(self) -> Chunks:
        """Take `[DONE]`."""
        if self._answer.finish_reason is None and self._ends_without_reason():
            return [self._answer.conclude(self.id, self.model)]
        return []

    def finish(self) -> ChatCompletion:
        """Build the completion. Raises StreamError where it is not complete."""
        self.take_marker()  # the token counts may come behind it
        return super().finish()

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON, or a whole answer's."""
        if body.get("usage") or "x_groq" in body:
            self.take_usage(body)
        if body.get("id") != self.id:
            self.id = string(body.get("id")) or self.id
        if body.get("model") != self.model:
            self.model = string(body.get("model")) or self.model
        if "service_tier" in body:
            self._tier = string(body["service_tier"]) or self._tier
        choices = objects(body.get("choices"))
        if choices and self._first is None:
            self._first = min(first_count(choice.get("index")) for choice in choices)
            self._choices[self._first] = self._answer
        chunks = []
        for choice in choices:
            chunk = self._take_choice(choice)
            if chunk is not None:
                chunks.append(chunk)
        if self.usage and not choices and self._answer.finish_reason:
            self.marked = True  # the counts of the whole answer: nothing but `[DONE]` follows
        return chunks

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts; some count in every event."""
        usage = body.get("usage")
        if not usage and "x_groq" in body:
            usage = mapping(body["x_groq"]).get("usage")
        if usage:
            self.usage = merge_counts(self.usage, usage)
            self.rest = body | ({"usage": self.usage} if self.rest and "usage" in body else {})

    def _take_choice(self, choice: dict[str, Any]) -> ChatCompletionChunk | None:
        if choice.get("error"):  # OpenRouter
            raise read_failure(choice)
        if "usage" in choice:  # Moonshot
            self.take_usage(choice)
        index = first_count(choice["index"]) if choice.get("index") else 0
        answer = self._choices.get(index)
        if answer is None:
            answer = self._choices[index] = Choice()
        chunk = answer.take(choice, self.id, self.model)
        return chunk if index == self._first else None

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        if "choices" not in body:
            raise not_an_answer(body, self.ANSWER, "choices")
        whole = objects(body["choices"])
        if not whole:
            raise ProviderError("the answer has no choices")
        # Perplexity's whole answers have an empty delta beside the message: the message counts.
        if any(choice.get("message") and "delta" in choice for choice in whole):
            whole = [choice | {"delta": None} if choice.get("message") else choice for choice in whole]
            body = body | {"choices": whole}
        self.take(body)
        self.marked = True
        self.take_marker()  # Snowflake Cortex names no finish reason here either
        end = self._answer.finish_reason
        if end in _FAILED:
            raise ProviderError(f"the answer is incomplete: finish_reason {end}")
        if end in (None, "stop") and not any(whole[0].get(key) is not None for key in ("message", "delta", "text")):
            raise not_an_answer(body, self.ANSWER, "message")

    def _complete(self, raw: Any) -> ChatCompletion:
        self.calls = self._answer.calls
        return super()._complete(raw)

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not; further answers count where they have come to their end."""
        first, others = self._answer, [one for _, one in sorted(self._choices.items()) if one is not self._answer]
        ended = [choice for choice in others if choice.finish_reason or raw is not None]
        answers = [choice.build(self.id, self.model) for choice in (first, *ended)] if ended else []
        return first.build(
            self.id,
            self.model,
            choices=tuple(answers),
            usage=self.read_usage(),
            reported_cost=self.read_cost(),
            service_tier=self._tier or None,
            charges=self.read_charges(),
            raw=self.read_raw() if raw is None else raw,
        )

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return read_usage(self.usage)

    def read_charges(self) -> Charges:
        """Read what may cost something beside the tokens; a search shows in its citations alone."""
        charges = super().read_charges()
        if not charges.tools and any(note.get("type") == "url_citation" for note in self._answer.annotations):
            return Charges({"web_search": 1})
        return charges

    def read_raw(self) -> Any:
        """Return the last event with usage, and the first answer's annotations."""
        annotations = self._answer.annotations
        rest = {key: value for key, value in self.rest.items() if key != "choices"}
        return rest | ({"annotations": annotations} if annotations else {})
