"""One answer of OpenAI's chat completions being put together, from the pieces that its many relatives send.

Reasoning comes in `reasoning_content`, `reasoning`, `reasoning_text`, `reasoning_details`, content parts or a leading
`<think>` block; tool calls join by index, by id, or as the last one; several say `stop` where tools are called.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta
from nbkit.conversation.content import Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.errors import ProviderError
from nbkit.protocols.reading import ThinkTags, join_arguments, mapping, objects, string

_FINISH = {
    "function_call": "tool_calls",
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "model_context_window_exceeded": "length",  # Z.AI
    "sensitive": "content_filter",  # Z.AI
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",  # Hugging Face's Text Generation Inference, as the next
    "stop_sequence": "stop",
}


class _Call:
    """A tool call being put together."""

    __slots__ = ("arguments", "id", "name", "signature")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.signature: str | None = None
        self.arguments: list[str] = []


class Choice:
    """One of the answers to a prompt; `take` reads a delta of it, or the whole message."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.annotations: list[Any] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._slots: dict[int, _Call] = {}  # the wire's index -> the call that it stands for now
        self._tags = ThinkTags()

    def take(self, choice: dict[str, Any]) -> ChatCompletionChunk | None:
        """Take one piece; return what is new in it, None for nothing."""
        delta = choice.get("delta")
        delta = mapping(choice.get("message") if delta is None else delta)
        text, reasoning = _read_content(delta.get("content"))
        reasoning += self._take_reasoning(delta)
        if self._tags.open and text:
            text, thought = self._tags.feed(text)
            reasoning += thought
        calls = self._take_calls(delta) if "tool_calls" in delta or "function_call" in delta else ()
        if refusal := string(delta.get("refusal")):
            self._refusal.append(refusal)
        if annotations := objects(delta.get("annotations")):
            self.annotations += annotations
        finish = string(choice.get("finish_reason")) or None
        if finish:
            rest, thought = self._tags.flush()
            text, reasoning = text + rest, reasoning + thought
            self.finish_reason = _FINISH.get(finish, finish)
            if self.finish_reason == "stop" and self._calls:  # what several relatives send where tools are called
                self.finish_reason = "tool_calls"
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        if not (text or reasoning or calls or finish):
            return None
        return ChatCompletionChunk(text, reasoning, calls, self.finish_reason if finish else None)

    def _take_reasoning(self, delta: dict[str, Any]) -> str:
        """Take the reasoning of a piece; return its text."""
        text = string(delta.get("reasoning_content") or delta.get("reasoning") or delta.get("reasoning_text"))
        if details := objects(delta.get("reasoning_details")):
            known = len(self._details)
            for detail in details:
                if all(isinstance(detail.get(key), str | None) for key in ("text", "summary", "signature", "data")):
                    self._take_detail(detail, joins=len(self._details) == known)
            # OpenRouter sends the same text in both places: it counts once.
            text = text or "".join(string(detail.get("text") or detail.get("summary")) for detail in details)
        return text

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
        piece = to_json(arguments).decode() if isinstance(arguments, dict) else string(arguments)
        call = self._join_call(entry.get("index"), call_id, name)
        # Some repeat id and name in every piece: the chunks have them once.
        new_id, new_name = ("" if call.id else call_id), ("" if call.name else name)
        call.id, call.name = call.id or call_id, call.name or name
        if piece:
            call.arguments.append(piece)
        google = mapping(mapping(entry.get("extra_content")).get("google"))
        call.signature = string(google.get("thought_signature")) or call.signature
        return ToolCallDelta(self._calls.index(call), new_id, new_name, piece)

    def _join_call(self, index: Any, call_id: str, name: str) -> _Call:
        """Find the call that a piece belongs to, or begin another one."""
        if isinstance(index, int):
            call = self._slots.get(index)
            # Gateways to Gemini number every call of an answer 0: another id and a name begin another call.
            if call and call_id and call.id and call.id != call_id and name:
                call = None
            if call is None:
                call = self._slots[index] = self._begin_call()
            return call
        if call_id:  # Gemini's shim, older Ollama and SGLang send no index: the id tells the calls apart
            return next((call for call in self._calls if call.id == call_id), None) or self._begin_call()
        if self._calls and not name:  # arguments alone, without index and id, continue the last call
            return self._calls[-1]
        return self._begin_call()

    def _begin_call(self) -> _Call:
        call = _Call()
        self._calls.append(call)
        return call

    def build(self, answer_id: str, model: str, complete: bool) -> ChatCompletion:
        """Build the completion. Raises ProviderError where a tool call of a `complete` answer has no name."""
        calls = self._calls if complete else [call for call in self._calls if call.name]
        rest, thought = self._tags.held
        return ChatCompletion(
            text="".join(self._text) + rest,
            model=model,
            id=answer_id,
            finish_reason=self.finish_reason,
            tool_calls=tuple(_build_call(answer_id, index, call) for index, call in enumerate(calls)),
            reasoning_blocks=self._build_reasoning(thought),
            refusal="".join(self._refusal) or None,
        )

    def _build_reasoning(self, rest: str) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning: the router's details where there are some, else the plain text."""
        text = "".join(self._reasoning) + rest
        blocks = [Reasoning.from_detail(detail) for detail in self._details]
        if text and not any(block.text for block in blocks):
            blocks.insert(0, Reasoning(text=text))
        return tuple(blocks)


def _build_call(answer_id: str, index: int, call: _Call) -> ToolCall:
    if not call.name:
        raise ProviderError("the answer has a tool call without a name")
    made_up = f"call_{index}_{answer_id}"[:40]  # a call without an id could not be answered
    arguments = join_arguments(call.arguments)
    return ToolCall(id=call.id or made_up, name=call.name, arguments=arguments, signature=call.signature)


def _read_content(content: Any) -> tuple[str, str]:
    """Read (text, reasoning) of a content: a string, or parts (Mistral's `thinking`, Databricks' `reasoning`)."""
    if isinstance(content, str):
        return content, ""
    text, reasoning = "", ""
    for part in objects(content):
        text += string(part.get("text"))
        inner = part.get("thinking") or part.get("summary")
        reasoning += string(inner) or "".join(string(entry.get("text")) for entry in objects(inner))
    return text, reasoning
