"""Ollama's own chat: `POST {base}/api/chat`, an answer as JSON lines.

Wire facts: github.com/ollama/ollama docs/api.md, docs/capabilities (thinking, tool-calling, structured-outputs),
docs/context-length.mdx, and api/types.go, which alone names `truncate`, `shift` and the ids of tool calls (0.12.6).

The context. Ollama cuts a prompt that is longer than `num_ctx`, from the front and without an error. So `truncate` and
`shift` are false: a prompt that is too long is refused, an answer that outgrows the context ends with `length`. And
where the conversation may need more than the usual 4,096 tokens, `num_ctx` asks for the next power of two: a model is
loaded anew for each other size, so that a conversation that grows must not ask for a little more each time.

Usage: `prompt_eval_count` includes what was cached, `prompt_eval_cached_count`; older servers leave it out where the
whole prompt was cached, so that its size is not known. `eval_count` includes thinking, which is not counted apart.

The answer is complete when `done` is true. A whole answer is read like a stream of one event, so both give the same
completion. Reasoning that a model writes into its text, in `<think>` tags, is taken out of it.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import ChatCompletion, ToolCallDelta, Usage
from nbkit.conversation.content import ImageEntry, Reasoning, inline
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError
from nbkit.json_text import write_json
from nbkit.protocols.calls import NAMELESS, read_function
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer, read_failure
from nbkit.protocols.finish import read_finish
from nbkit.protocols.reading import (
    ThinkTags,
    count,
    first_count,
    join_arguments,
    mapping,
    merge_counts,
    objects,
    parse,
    read_content,
    string,
)
from nbkit.protocols.wire import Chunks, Dialect, WireRequest
from nbkit.protocols.writing import Draft, merge, parse_arguments

FRAMING = "ndjson"
PATH = "/api/chat"
USUAL_CONTEXT = 4096
"""Tokens of context that Ollama gives a model at least, unless it was set up otherwise."""
ANSWER_TOKENS = 2048
"""Tokens of context reserved for an answer without a limit."""
BYTES_PER_TOKEN = 3
"""Fewer than any tokenizer needs on average, so that the context is rather too large."""
IMAGE_TOKENS = 1024

_OPTIONS = {  # option -> its key among Ollama's `options`
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "max_tokens": "num_predict",
}
_COUNTS = ("prompt_eval_count", "prompt_eval_cached_count", "eval_count")
_NO_ANSWER = ("load", "unload")  # what Ollama does with a conversation without a prompt


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "stream": stream, "truncate": False, "shift": False})
    draft.body["messages"] = _encode_turns(draft, conversation)
    if options.tools:
        draft.body["tools"] = [_encode_tool(tool) for tool in options.tools]
    for option, key in _OPTIONS.items():
        draft.put(option, getattr(options, option), f"options.{key}")
    draft.put("stop", list(options.stop) if options.stop else None, "options.stop")
    if options.logprobs is not None:
        draft.put("logprobs", True)
        draft.body |= {"top_logprobs": options.logprobs} if options.logprobs else {}
    if context := _estimate_context(draft.body, options):
        merge(draft.body, {"options": {"num_ctx": context}})
    if options.reasoning_effort == "none":
        merge(draft.body, dialect.reasoning_off or {"think": False})
    else:
        draft.put("reasoning_effort", options.reasoning_effort, "think")
    draft.put("response_format", _encode_format(options.response_format or {}), "format")
    return draft.request(PATH)


def _encode_turns(draft: Draft, conversation: Conversation) -> list[dict[str, Any]]:
    names: dict[str, str] = {}  # id of a call -> its tool
    messages = []
    for turn in conversation:
        if isinstance(turn, ToolsCallTurn):
            names |= {call.id: call.name for call in turn.tool_calls}
        message = {"role": turn.role, "content": turn.text, **_encode_images(draft, turn)}
        if isinstance(turn, ToolOutputTurn):
            name = turn.name or names.get(turn.tool_call_id)
            message |= {"tool_call_id": turn.tool_call_id} | ({"tool_name": name} if name else {})
        elif getattr(turn, "name", None):
            draft.change("dropped", f"name of the {turn.role}", "Ollama's messages have none")
        if turn.role == "developer":
            draft.change("renamed", "role developer", "Ollama calls it system")
            message["role"] = "system"
        messages.append(message | _encode_assistant(draft, turn))
    return messages


def _encode_images(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    """Write a turn's images, in base64 without a media type."""
    images = []
    for entry in turn.media:
        content = inline(entry.url) if isinstance(entry, ImageEntry) else None
        if content:
            images.append(content[1])
        else:
            draft.change("dropped", f"{entry.type} of the {turn.role}", "Ollama reads text, and images as data")
        if isinstance(entry, ImageEntry) and entry.image_url.detail:
            draft.change("dropped", "detail of an image", "Ollama has no such option")
    return {"images": images} if images else {}


def _encode_assistant(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    """Write the keys that only messages of the assistant have: thinking and tool calls."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    plain = [block.text for block in blocks if block.text and not block.format]
    if len(plain) < len(blocks):
        draft.change("dropped", "reasoning", "Ollama cannot read what a vendor has signed or encrypted")
    message: dict[str, Any] = {"thinking": "".join(plain)} if plain else {}
    if isinstance(turn, ToolsCallTurn):
        message["tool_calls"] = [_encode_call(draft, call) for call in turn.tool_calls]
    return message


def _encode_call(draft: Draft, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": parse_arguments(draft, call)}}


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}


def _encode_format(response_format: dict[str, Any]) -> Any:
    """Write the form of the answer: `json`, or the schema itself."""
    schema = mapping(response_format.get("json_schema")).get("schema")
    return schema or ("json" if response_format.get("type") in ("json_object", "json_schema") else None)


def _estimate_context(body: dict[str, Any], options: ExecuteOptions) -> int | None:
    """Estimate the tokens of context to ask for; None where the usual is enough. Ollama clamps them to the model's."""
    texts = [{key: value for key, value in message.items() if key != "images"} for message in body["messages"]]
    images = sum(len(message.get("images", ())) for message in body["messages"])
    prompt = len(write_json((texts, body.get("tools")))) // BYTES_PER_TOKEN + images * IMAGE_TOKENS
    needed = prompt + (options.max_tokens or ANSWER_TOKENS)
    if needed <= USUAL_CONTEXT:
        return None
    return 1 << (needed - 1).bit_length()


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read the error from a response whose status is not 2xx."""
    try:
        answer = parse(body)
    except ProviderError:
        answer = body
    return _read_failure(answer, status)


def _read_failure(answer: Any, status: int | None = None) -> AdapterError:
    """Read `{"error": "..."}`; the text may be JSON again: an error of llama.cpp, which Ollama passes on."""
    inner = string(mapping(answer).get("error"))
    return read_failure(inner.encode() if inner.startswith("{") else answer, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or is not done."""
    return Decoder(dialect).read_whole(body)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events; a tool call comes in one piece."""

    SIGNAL = '"done": true'
    ANSWER = "an answer of Ollama's chat"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._reasoning: list[str] = []
        self._tags = ThinkTags()

    def read_failure(self, body: dict[str, Any]) -> AdapterError:
        """Read an event that is an error."""
        return _read_failure(body)

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        if "message" not in body:
            raise not_an_answer(body, self.ANSWER, "message")
        self.take(body)
        if self.finish_reason is None:
            raise ProviderError("the answer is not done")

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts."""
        if "eval_count" in body or "prompt_eval_count" in body:
            self.usage = merge_counts(self.usage, {key: body[key] for key in _COUNTS if key in body})

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON, or a whole answer's."""
        self.rest = body  # the last one has the counts and durations
        self.take_usage(body)
        message = mapping(body.get("message"))
        text, reasoning = read_content(message.get("content"))
        reasoning = string(message.get("thinking")) + reasoning
        if self._tags.open and text:
            text, thought = self._tags.feed(text)
            reasoning += thought
        calls = tuple(map(self._take_call, objects(message["tool_calls"]))) if "tool_calls" in message else ()
        finish = None
        if body.get("done") is True:
            rest, thought = self._tags.flush()
            text, reasoning = text + rest, reasoning + thought
            self.finish_reason = finish = self._read_reason(string(body.get("done_reason")))
            self.marked = True
        self.text.append(text)
        self._reasoning.append(reasoning)
        return [self.make_chunk(text, reasoning, calls, finish)] if text or reasoning or calls or finish else []

    def _take_call(self, entry: dict[str, Any]) -> ToolCallDelta:
        call_id, name, given = read_function(entry)
        if not name:
            raise ProviderError(NAMELESS)
        _, delta = self.calls.take(None, call_id, name, join_arguments([string(given)], mapping(given)))
        return delta

    def _read_reason(self, reason: str) -> str:
        if reason in _NO_ANSWER:
            raise ProviderError(f"the conversation has no prompt: Ollama only {reason}ed the model")
        return read_finish(reason or "stop", bool(self.calls)) or "stop"  # older servers say nothing at all

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not."""
        self.model = string(self.rest.get("model"))
        return super().build(raw)

    def read_text(self) -> str:
        """Join the text, and what the tags hold back."""
        held, _ = self._tags.held
        return "".join(self.text) + held

    def read_calls(self) -> tuple[ToolCall, ...]:
        """Build the tool calls."""
        # Older servers give a call no id, and then it could not be answered: the time sets it apart from earlier ones.
        moment = "".join(filter(str.isalnum, string(self.rest.get("created_at"))))
        return self.calls.build(made_up=f"_{moment}")

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the block of reasoning."""
        _, held = self._tags.held
        text = "".join(self._reasoning) + held
        return (Reasoning(text=text),) if text else ()

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        prompt, output = count(self.usage.get("prompt_eval_count")), count(self.usage.get("eval_count"))
        if prompt is None or output is None:
            return None
        cached = min(first_count(self.usage.get("prompt_eval_cached_count")), prompt)
        return Usage(input=prompt - cached, output=output, cache_read=cached)

    def read_raw(self) -> Any:
        """Return the last event, without its message."""
        return {key: value for key, value in self.rest.items() if key != "message"}
