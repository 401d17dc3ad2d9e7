"""Ollama's own chat: `POST {base}/api/chat`, an answer as JSON lines.

Wire facts: github.com/ollama/ollama docs/api.md, docs/capabilities (thinking, tool-calling, structured-outputs),
docs/context-length.mdx, and api/types.go, which alone names `truncate`, `shift` and the ids of tool calls (0.12.6).

The context. Ollama cuts a prompt that is longer than `num_ctx`, from the front and without a word. So `truncate` and
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

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import ImageEntry, Reasoning, TextEntry, inline
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import AdapterError, ProviderError, StreamError
from nbkit.protocols.failures import failure
from nbkit.protocols.reading import (
    ThinkTags,
    arguments,
    count,
    expect_object,
    first_count,
    mapping,
    objects,
    parse,
    parse_object,
    reported_cost,
    string,
)
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft, arguments_of, merge

FRAMING = "ndjson"
PATH = "/api/chat"
USUAL_CONTEXT = 4096
"""Tokens of context that Ollama gives a model at least, unless it was set up otherwise."""
ROOM = 2048
"""Tokens of context for an answer without a limit."""
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
_NOT_ASKED = ("load", "unload")  # what Ollama did where it found nothing to answer


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model, "stream": stream, "truncate": False, "shift": False})
    draft.body["messages"] = _messages(draft, conversation)
    if options.tools:
        draft.body["tools"] = [_tool(tool) for tool in options.tools]
    for option, key in _OPTIONS.items():
        draft.put(option, getattr(options, option), f"options.{key}")
    draft.put("stop", list(options.stop) if options.stop else None, "options.stop")
    if context := _context(draft.body, options):
        merge(draft.body, {"options": {"num_ctx": context}})
    if options.reasoning_effort == "none":
        merge(draft.body, dialect.reasoning_off or {"think": False})
    else:
        draft.put("reasoning_effort", options.reasoning_effort, "think")
    draft.put("response_format", _format(options.response_format or {}), "format")
    return draft.request(PATH)


def _messages(draft: Draft, conversation: Conversation) -> list[dict[str, Any]]:
    names: dict[str, str] = {}  # id of a call -> the tool
    messages = []
    for turn in conversation:
        if isinstance(turn, ToolsCallTurn):
            names |= {call.id: call.name for call in turn.tool_calls}
        message = {"role": turn.role, "content": turn.text, **_images(draft, turn)}
        if isinstance(turn, ToolOutputTurn):
            name = turn.name or names.get(turn.tool_call_id)
            message |= {"tool_call_id": turn.tool_call_id} | ({"tool_name": name} if name else {})
        elif getattr(turn, "name", None):
            draft.change("dropped", f"name of the {turn.role}", "Ollama's messages have none")
        if turn.role == "developer":
            draft.change("renamed", "role developer", "Ollama calls it system")
            message["role"] = "system"
        messages.append(message | _assistant(draft, turn))
    return messages


def _images(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    """A turn's images, in base64 without a media type."""
    images = []
    for entry in turn.entries:
        content = inline(entry.url) if isinstance(entry, ImageEntry) else None
        if content:
            images.append(content[1])
        elif not isinstance(entry, TextEntry):
            draft.change("dropped", f"{entry.type} of the {turn.role}", "Ollama reads text, and images as data")
        if isinstance(entry, ImageEntry) and entry.image_url.detail:
            draft.change("dropped", "detail of an image", "Ollama has no such choice")
    return {"images": images} if images else {}


def _assistant(draft: Draft, turn: AnyTurn) -> dict[str, Any]:
    """What only the assistant's turns have: thinking and tool calls."""
    blocks: tuple[Reasoning, ...] = getattr(turn, "reasoning", ())
    plain = [block.text for block in blocks if block.text and not block.format]
    if len(plain) < len(blocks):
        draft.change("dropped", "reasoning", "what a vendor signed or encrypted means nothing to Ollama")
    message: dict[str, Any] = {"thinking": "".join(plain)} if plain else {}
    if isinstance(turn, ToolsCallTurn):
        message["tool_calls"] = [_tool_call(draft, call) for call in turn.tool_calls]
    return message


def _tool_call(draft: Draft, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments_of(draft, call)}}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}


def _format(wanted: dict[str, Any]) -> Any:
    """`json`, or the schema itself."""
    schema = mapping(wanted.get("json_schema")).get("schema")
    return schema or ("json" if wanted.get("type") in ("json_object", "json_schema") else None)


def _context(body: dict[str, Any], options: ExecuteOptions) -> int | None:
    """Tokens of context to ask for; None where the usual is enough. Ollama itself knows the most that a model has."""
    texts = [{key: value for key, value in message.items() if key != "images"} for message in body["messages"]]
    images = sum(len(message.get("images", ())) for message in body["messages"])
    prompt = len(to_json((texts, body.get("tools")))) // BYTES_PER_TOKEN + images * IMAGE_TOKENS
    needed = prompt + (options.max_tokens or ROOM)
    if needed <= USUAL_CONTEXT:
        return None
    return 1 << (needed - 1).bit_length()


# ---- decode


def error(status: int, body: bytes, dialect: Dialect) -> AdapterError:
    """Read an answer that is no 2xx."""
    try:
        told = parse(body)
    except ProviderError:
        told = body
    return _failure(told, status)


def _failure(told: Any, status: int | None = None) -> AdapterError:
    """`{"error": "..."}`; the text may be the JSON of what llama.cpp said."""
    inner = string(mapping(told).get("error"))
    return failure(inner.encode() if inner.startswith("{") else told, status)


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or says nothing."""
    body = expect_object(body)
    if body.get("error") or "message" not in body:
        raise _failure(body)
    decoder = Decoder(dialect)
    decoder.take(body)
    if decoder.finish_reason is None:
        raise ProviderError("the answer is not done")
    return decoder.completion(raw=body)


class Decoder:
    """Builds a completion from a stream's events; a tool call comes in one piece."""

    def __init__(self, dialect: Dialect) -> None:
        self.finish_reason: str | None = None
        self._dialect = dialect
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[tuple[str, str, str]] = []  # id, name, arguments
        self._tags = ThinkTags()
        self._said: dict[str, Any] = {}  # the last event: model, counts, durations

    def feed(self, event: str, data: bytes) -> list[ChatCompletionChunk]:
        """Take one event. Raises an AdapterError where the event is an error or cannot be understood."""
        body = parse_object(data)
        if body.get("error"):
            raise _failure(body)
        chunk = self.take(body)
        return [chunk] if chunk else []

    def finish(self) -> ChatCompletion:
        """The completion. Raises StreamError, with what came as `.partial`, where the answer was not done."""
        if self.finish_reason is None:
            raise StreamError("the stream ended before the answer was done", partial=self.partial())
        return self.completion()

    def partial(self) -> ChatCompletion:
        """What came so far."""
        return self.completion()

    def take(self, body: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one event's JSON, or a whole answer's."""
        self._said = body
        message = mapping(body.get("message"))
        text, reasoning = string(message.get("content")), string(message.get("thinking"))
        if self._tags.open and text:
            text, thought = self._tags.feed(text)
            reasoning += thought
        calls = tuple(self._take_call(call) for call in objects(message.get("tool_calls")))
        finish = None
        if body.get("done") is True:
            rest, thought = self._tags.flush()
            text, reasoning = text + rest, reasoning + thought
            self.finish_reason = finish = self._reason(string(body.get("done_reason")))
        self._text.append(text)
        self._reasoning.append(reasoning)
        if not (text or reasoning or calls or finish):
            return None
        return ChatCompletionChunk(text, reasoning, calls, finish)

    def _take_call(self, call: dict[str, Any]) -> ToolCallDelta:
        function = mapping(call.get("function"))
        call_id, name, given = string(call.get("id")), string(function.get("name")), function.get("arguments")
        if not name:
            raise ProviderError("the answer calls a tool without a name")
        written = arguments([string(given)], mapping(given))
        self._calls.append((call_id, name, written))
        return ToolCallDelta(len(self._calls) - 1, call_id, name, written)

    def _reason(self, said: str) -> str:
        if said in _NOT_ASKED:
            raise ProviderError(f"the model said nothing: Ollama only {said}ed it")
        return "tool_calls" if self._calls and said in ("stop", "") else said or "stop"

    def completion(self, raw: Any = None) -> ChatCompletion:
        """What was said, complete or not."""
        if raw is None:
            raw = {key: value for key, value in self._said.items() if key != "message"}
        rest, thought = self._tags.held
        reasoning = "".join(self._reasoning) + thought
        # Older servers give a call no id, and then it could not be answered: the time sets it apart from earlier ones.
        moment = "".join(filter(str.isalnum, string(self._said.get("created_at"))))
        return ChatCompletion(
            text="".join(self._text) + rest,
            model=string(self._said.get("model")),
            finish_reason=self.finish_reason,
            tool_calls=tuple(
                ToolCall(id=call_id or f"call_{place}_{moment}", name=name, arguments=given)
                for place, (call_id, name, given) in enumerate(self._calls)
            ),
            reasoning_blocks=(Reasoning(text=reasoning),) if reasoning else (),
            usage=_usage(self._said),
            reported_cost=reported_cost(self._said, self._dialect),
            raw=raw,
        )


def _usage(said: dict[str, Any]) -> Usage | None:
    prompt, output = count(said.get("prompt_eval_count")), count(said.get("eval_count"))
    if prompt is None or output is None:
        return None
    cached = min(first_count(said.get("prompt_eval_cached_count")), prompt)
    return Usage(input=prompt - cached, output=output, cache_read=cached)
