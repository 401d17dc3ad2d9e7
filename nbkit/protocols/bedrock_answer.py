"""The answers of Amazon Bedrock's Converse API, whole and streamed: `bedrock_converse` describes the API.

The events of the stream are not named in their JSON, but by a header of their frame. A whole answer is read like the
stream of its blocks, so both give the same completion. Blocks of other kinds, images and the results of tools that
Bedrock runs itself, stay in `raw`.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletion, Usage
from nbkit.conversation.content import Reasoning
from nbkit.errors import ProviderError
from nbkit.protocols.bedrock_turns import FORMAT
from nbkit.protocols.calls import NAMELESS
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import SIGNS, is_failure, not_an_answer, read_failure
from nbkit.protocols.finish import read_finish
from nbkit.protocols.reading import count, expect_object, first_count, mapping, objects, string, sum_counts
from nbkit.protocols.wire import Chunks, Dialect

_STATUS = {"validationException": 400, "throttlingException": 429}
"""HTTP statuses that these exceptions amidst a stream stand for; others are failures of the provider."""
_OTHERS = ("image", "toolResult", "video", "audio")


class _Thought:
    """A block of reasoning being put together."""

    __slots__ = ("data", "parts", "signature")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.signature = self.data = ""

    def build(self) -> Reasoning:
        if self.data:
            return Reasoning(text="".join(self.parts), data=self.data, format=FORMAT)
        signed: dict[str, Any] = {"signature": self.signature, "format": FORMAT} if self.signature else {}
        return Reasoning(text="".join(self.parts), **signed)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events; content blocks may be interleaved."""

    SIGNAL = "a stop reason"
    ANSWER = "an answer of Converse"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._own_tools: set[int | None] = set()  # blocks of tools that the provider runs itself
        self._thoughts: list[_Thought] = []
        self._open: dict[int | None, _Thought] = {}  # number of a block -> the thought that it stands for now
        self._others: dict[int | None, dict[str, Any]] = {}
        self._citations: list[dict[str, Any]] = []

    def feed(self, event: str, data: bytes) -> Chunks:
        """Take one event; its name, which may be that of an exception, stands in a header of its frame."""
        if self.marked and self.done:
            self._take_late(data)
            return []
        body = expect_object(self._parse(data))
        if event == "error" or event.endswith("Exception"):
            raise read_failure({"code": event} | body, _STATUS.get(event))
        if not SIGNS.isdisjoint(body) and is_failure(body):
            raise read_failure(body)
        return self.take_event(event, body)

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        if "output" not in body:
            raise not_an_answer(body, self.ANSWER, "output")
        content = mapping(mapping(body["output"]).get("message")).get("content")
        if not isinstance(content, list):
            raise ProviderError("the answer has no content")
        for index, block in enumerate(objects(content)):
            for name, event in _split_block(block):
                self.take_event(name, {"contentBlockIndex": index, **event})
        self.take_event("messageStop", body)
        self.take_event("metadata", body)

    def take_event(self, name: str, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        match name:
            case "contentBlockDelta":
                return self._take_delta(count(body.get("contentBlockIndex")), mapping(body.get("delta")))
            case "contentBlockStart":
                return self._take_start(count(body.get("contentBlockIndex")), mapping(body.get("start")))
            case "messageStop" | "metadata":
                self.take_usage(body)
                self.rest |= {key: value for key, value in body.items() if key != "p"}  # p is padding
                self.marked = self.marked or name == "metadata"
                return self._take_stop(string(body.get("stopReason"))) if name == "messageStop" else []
        return []

    def _take_stop(self, reason: str) -> Chunks:
        finish = read_finish(reason, bool(self.calls))
        if not finish:
            return []
        self.finish_reason = finish
        return [self.make_chunk(finish_reason=finish)]

    def _take_start(self, index: int | None, start: dict[str, Any]) -> Chunks:
        tool = mapping(start.get("toolUse"))
        if not tool:
            if other := next((key for key in _OTHERS if key in start), ""):
                self._others[index] = {other: mapping(start[other]).copy()}
            return []
        if tool.get("type") == "server_tool_use":  # the provider's tool, which it runs itself
            self._own_tools.add(index)
            self._others[index] = {"toolUse": tool}
            return []
        self._own_tools.discard(index)
        name = string(tool.get("name"))
        if not name:
            raise ProviderError(NAMELESS)
        call, delta = self.calls.take(index, string(tool.get("toolUseId")), name, "")
        call.value = tool.get("input") or call.value
        return [self.make_chunk(tool_calls=(delta,))]

    def _take_delta(self, index: int | None, delta: dict[str, Any]) -> Chunks:
        if text := string(delta.get("text")):
            self.text.append(text)
            return [self.make_chunk(text)]
        if "toolUse" in delta:
            return self._take_arguments(index, string(mapping(delta["toolUse"]).get("input")))
        if "reasoningContent" in delta:
            return self._take_thought(index, mapping(delta["reasoningContent"]))
        if "citation" in delta:
            self._citations.append(mapping(delta["citation"]))
        elif other := next((key for key in _OTHERS if key in delta), ""):
            block = self._others.setdefault(index, {other: {}})
            pieces = delta[other] if isinstance(delta[other], list) else [delta[other]]
            grown = mapping(block.get(other))
            if not isinstance(grown.get("content"), list):
                grown["content"] = []
            grown["content"].extend(pieces)
        return []

    def _take_arguments(self, index: int | None, piece: str) -> Chunks:
        if index in self._own_tools and "toolUse" in self._others[index]:  # no other block has taken its number
            tool = self._others[index]["toolUse"]
            self._others[index] = {"toolUse": tool | {"input": string(tool.get("input")) + piece}}
            return []
        if index is not None and not any(call.index == index for call in self.calls):
            raise ProviderError(f"the stream continues block {index!r}, which did not start")
        if not piece:
            return []
        _, delta = self.calls.take(index, "", "", piece)
        return [self.make_chunk(tool_calls=(delta,))]

    def _take_thought(self, index: int | None, reasoning: dict[str, Any]) -> Chunks:
        text, redacted = string(reasoning.get("text")), _decode_redacted(string(reasoning.get("redactedContent")))
        thought = self._open.get(index)
        # Blocks may all have one number: text and redacted reasoning are different ones, and a signature ends a text.
        if thought is None or (redacted and thought.parts) or (text and (thought.data or thought.signature)):
            thought = self._open[index] = _Thought()
            self._thoughts.append(thought)
        thought.signature += string(reasoning.get("signature"))
        thought.data += redacted
        if not text:
            return []
        thought.parts.append(text)
        return [self.make_chunk("", text)]

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not. The model is named where a router has chosen it."""
        self.model = string(mapping(mapping(self.rest.get("trace")).get("promptRouter")).get("invokedModelId"))
        return super().build(raw)

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(thought.build() for thought in self._thoughts)

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(self.usage)

    def read_tier(self) -> str:
        """Return the tier that served the call; the fast one for latency has prices of its own too."""
        latency = string(mapping(self.rest.get("performanceConfig")).get("latency"))
        tier = string(mapping(self.rest.get("serviceTier")).get("type"))
        return latency if latency not in ("", "standard") else tier

    def read_charges(self) -> Charges:
        """Read what may cost something beside the tokens."""
        made = [key for block in self._others.values() for key in block if key not in ("toolResult", "toolUse")]
        used = mapping(self.usage.get("serverToolUsage"))  # its keys are not documented
        tools = {name: calls for name, value in used.items() if (calls := first_count(value))}
        notes = tuple(f"{key} output: not in the price" for key in made)
        return Charges(tools, notes=notes) if tools or notes else NO_CHARGES

    def read_raw(self) -> Any:
        """Return what `messageStop` and `metadata` hold, the citations, and the blocks of other kinds."""
        raw = self.rest | ({"usage": self.usage} if self.usage else {})
        if self._others:
            raw["output"] = {"message": {"role": "assistant", "content": list(self._others.values())}}
        return raw | ({"citations": self._citations} if self._citations else {})


def _split_block(block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Split a block of a whole answer into the events that a stream would have for it."""
    if "toolUse" in block or any(key in block for key in _OTHERS):
        return [("contentBlockStart", {"start": block})]
    if "citationsContent" in block:
        cited = mapping(block["citationsContent"])
        deltas = objects(cited.get("content")) + [{"citation": one} for one in objects(cited.get("citations"))]
    elif "reasoningContent" in block:
        reasoning = mapping(block["reasoningContent"])
        deltas = [{"reasoningContent": reasoning | mapping(reasoning.get("reasoningText"))}]
    else:
        deltas = [block]
    return [("contentBlockDelta", {"delta": delta}) for delta in deltas]


def _decode_redacted(blob: str) -> str:
    """Return redacted reasoning as Anthropic itself writes it: Bedrock puts the same text into a blob, in base64."""
    try:
        return b64decode(blob).decode("latin-1")
    except ValueError:
        pass
    raise ProviderError("the answer has redacted reasoning that is not base64")


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion = count(usage.get("inputTokens")), count(usage.get("outputTokens"))
    read, written = sum_counts(usage.get("cacheReadInputTokens")), sum_counts(usage.get("cacheWriteInputTokens"))
    if prompt is None or completion is None or read is None or written is None:
        return None
    lives = objects(usage.get("cacheDetails"))
    an_hour = min(sum(first_count(one.get("inputTokens")) for one in lives if one.get("ttl") == "1h"), written)
    return Usage(
        input=prompt,
        output=completion,
        cache_read=read,
        cache_write=written - an_hour,
        cache_write_1h=an_hour,
    )
