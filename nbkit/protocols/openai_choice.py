"""One answer of OpenAI's chat completions being put together, from the pieces that its many relatives send.

Reasoning comes in `reasoning_content`, `reasoning`, `reasoning_text`, `reasoning_details`, content parts or a leading
`<think>` block. Text may be JSON that is not written as text, or stand where text completions have it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, ToolCallDelta
from nbkit.conversation.content import Reasoning
from nbkit.protocols.calls import Calls, read_function
from nbkit.protocols.finish import read_finish
from nbkit.protocols.reading import ThinkTags, mapping, objects, read_content, string

_PLAIN = {"content", "role"}
"""Keys of a delta that is a piece of text and nothing else."""
_REASONING = {"reasoning_content", "reasoning", "reasoning_text", "reasoning_details"}


class Choice:
    """One of the answers to a prompt; `take` reads a delta of it, or the whole message."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.annotations: list[Any] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._refusal: list[str] = []
        self.calls = Calls()
        self._new_form = False  # tool calls have come as `tool_calls`
        self._tags = ThinkTags()

    def take(self, choice: dict[str, Any], answer_id: str, model: str) -> ChatCompletionChunk | None:
        """Take one piece; return what is new in it, None for nothing."""
        delta = choice.get("delta")
        if isinstance(delta, dict) and not self._tags.open and delta.keys() <= _PLAIN:
            text = delta.get("content")
            if isinstance(text, str) and text and not choice.get("finish_reason"):
                self._text.append(text)  # what the rest of this method does with text alone
                return ChatCompletionChunk(text, "", (), None, 0, answer_id, model)
        delta = choice.get("message") if delta is None else delta
        if not isinstance(delta, dict):  # text completions, which a few servers send from this path too
            delta = {"content": choice.get("text") if delta is None else delta}
        text, reasoning = read_content(delta.get("content"))
        if "audio" in delta:
            text = text or string(mapping(delta["audio"]).get("transcript"))
        if not _REASONING.isdisjoint(delta):
            reasoning += self._take_reasoning(delta)
        if self._tags.open and text:
            text, thought = self._tags.feed(text)
            reasoning += thought
        calls = self._take_calls(delta) if "tool_calls" in delta or "function_call" in delta else ()
        if delta.get("refusal"):
            self._refusal.append(string(delta["refusal"]))
        if delta.get("annotations"):
            self.annotations += objects(delta["annotations"])
        finish = read_finish(choice.get("finish_reason"), bool(self.calls)) if choice.get("finish_reason") else None
        if finish:
            rest, thought = self._tags.flush()
            text, reasoning = text + rest, reasoning + thought
            self.finish_reason = finish
        self._text.append(text)
        self._reasoning.append(reasoning)
        if not (text or reasoning or calls or finish):
            return None
        return ChatCompletionChunk(text, reasoning, calls, finish, 0, answer_id, model)

    def conclude(self, answer_id: str, model: str) -> ChatCompletionChunk:
        """End an answer whose server names no finish reason; return what is new."""
        return self.take({"finish_reason": "stop"}, answer_id, model) or ChatCompletionChunk()

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
        # OpenAI's deprecated form: some fill it with empty strings, some send it beside the new one
        if (old.get("name") or old.get("arguments")) and not entries and not self._new_form:
            return (self._take_call({"function": old}),)
        self._new_form = self._new_form or bool(entries)
        # OpenAI's `custom` calls are left out: nbkit offers no such tools
        return tuple(self._take_call(entry) for entry in entries if "function" in entry or "custom" not in entry)

    def _take_call(self, entry: dict[str, Any]) -> ToolCallDelta:
        call_id, name, arguments = read_function(entry)
        call, delta = self.calls.take(entry.get("index"), call_id, name, arguments)
        google = mapping(mapping(entry.get("extra_content")).get("google"))
        call.signature = string(google.get("thought_signature")) or call.signature
        return delta

    def build(self, answer_id: str, model: str, **more: Any) -> ChatCompletion:
        """Build the completion, with its further fields; a tool call without a name is left out."""
        rest, thought = self._tags.held
        return ChatCompletion(
            text="".join(self._text) + rest,
            model=model,
            id=answer_id,
            finish_reason=self.finish_reason,
            tool_calls=self.calls.build(answer_id),
            reasoning_blocks=self._build_reasoning(thought),
            refusal="".join(self._refusal) or None,
            **more,
        )

    def _build_reasoning(self, rest: str) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning: the router's details, and the plain text as far as they do not have it."""
        text = "".join(self._reasoning) + rest
        if not text and not self._details:
            return ()
        blocks = [Reasoning.from_detail(detail) for detail in self._details]
        detailed = "".join(block.text for block in blocks)
        if text.startswith(detailed):
            more = [Reasoning(text=text.removeprefix(detailed))] if text != detailed else []
            blocks = blocks + more if detailed else more + blocks
        else:
            blocks = [replace(block, text="", raw=block.to_detail()) for block in blocks]
            blocks.insert(0, Reasoning(text=text))
        return tuple(blocks)
