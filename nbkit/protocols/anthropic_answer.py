"""The answers of Anthropic's messages, whole and streamed: `anthropic_messages` describes the API.

A stream's blocks may be interleaved, and relatives leave out where a block starts, or number all blocks 0. Where there
are blocks of the tools that Anthropic runs itself, or of a compaction, `raw` has all blocks as a whole answer has them,
and `native` has what is needed to send them back (docs.claude.com/en/docs/agents-and-tools/tool-use/server-tools).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletion, Usage
from nbkit.conversation.content import NativeContent, NativePart, Reasoning
from nbkit.errors import ProviderError
from nbkit.json_text import read_json
from nbkit.protocols.anthropic_turns import FORMAT, NATIVE
from nbkit.protocols.anthropic_usage import find_longest_prompt, read_other_models, read_usage
from nbkit.protocols.calls import NAMELESS, Call
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer
from nbkit.protocols.finish import read_finish
from nbkit.protocols.reading import count_tools, join_arguments, mapping, merge_counts, objects, string
from nbkit.protocols.wire import Chunks, Dialect

# Kind of a delta -> the kinds of blocks that it may continue; the first is begun where there is none.
_KINDS = {
    "text_delta": ("text",),
    "thinking_delta": ("thinking",),
    "signature_delta": ("thinking",),
    "citations_delta": ("text",),
    "input_json_delta": ("tool_use", "server_tool_use", "mcp_tool_use"),
    "compaction_delta": ("compaction",),
}
_READ = ("text", "thinking", "redacted_thinking", "tool_use")
"""Kinds of blocks that have a place of their own in a completion; others are in its `native`."""
_PLAIN = {"type", "text"}
"""Keys of a delta that is a piece of text and nothing else."""
_PAUSES = ("pause_turn", "compaction")
"""Reasons for which the API stops an answer that goes on when it is sent back."""
_DIRECT: tuple[dict[str, Any], ...] = ({}, {"caller": {"type": "direct"}})  # a call says so where nothing is special
_STANDARD = (None, "", "standard")


class _Block:
    """A content block being put together."""

    __slots__ = ("call", "citations", "parts", "signature", "start", "type")

    def __init__(self, start: dict[str, Any], call: Call | None = None) -> None:
        self.type, self.start, self.call = string(start.get("type")), start, call
        self.signature = string(start.get("signature"))
        self.citations: list[Any] = objects(start.get("citations")).copy()
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def runs_code(self) -> bool:
        """Whether the block is a call of Anthropic's own tools that run code."""
        return self.type == "server_tool_use" and "code_execution" in string(self.start.get("name"))

    def list_own(self) -> dict[str, Any]:
        """List what of the block only this protocol can hold: all of it, or the keys beside text or call."""
        if self.type not in _READ:
            return self.build()
        own = {"citations": self.citations, "caller": self.start.get("caller")}
        return {key: value for key, value in own.items() if value}

    def describe(self) -> NativePart:
        """Describe the block as a part of the answer."""
        if self.type not in _READ:
            return NativePart(kind="other", data=self.list_own())
        if self.type == "tool_use":
            return NativePart(kind="call", data=self.list_own())
        if self.type != "text":
            return NativePart(kind="reasoning")
        return NativePart(kind="text", length=len(self.text), data=self.list_own())

    def build(self) -> dict[str, Any]:
        """Write the block as a whole answer has it."""
        block = self.start.copy()
        if self.type in ("text", "thinking"):
            block[self.type] = self.text
        elif self.type.endswith("tool_use"):
            arguments = join_arguments(self.call.pieces if self.call else self.parts, self.start.get("input"))
            try:
                block["input"] = read_json(arguments)
            except ValueError:
                block["input"] = arguments
        if self.signature:
            block["signature"] = self.signature
        if self.citations:
            block["citations"] = self.citations
        return block


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events."""

    SIGNAL = "a stop reason"
    ANSWER = "a message"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._blocks: list[_Block] = []
        self._slots: dict[Any, _Block] = {}  # the wire's index -> the block that it stands for now
        self._counted = False  # the tokens of the answer are known

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now: a relative may leave out `message_stop`."""
        return super().find_problem() or ("" if self.marked or self._counted else " without message_stop")

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        content = body.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if "content" not in body:
            raise not_an_answer(body, self.ANSWER, "content")
        if not isinstance(content, list):
            raise ProviderError("the answer has no content")
        self.id, self.model = string(body.get("id")), string(body.get("model"))
        for index, block in enumerate(objects(content)):
            self.take({"type": "content_block_start", "index": index, "content_block": block})
        self.take({"type": "message_delta", "delta": body, "usage": body.get("usage")})

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON."""
        match body.get("type"):
            case "content_block_delta":
                return self._take_delta(_read_index(body), mapping(body.get("delta")))
            case "content_block_start":
                return self._take_block(_read_index(body), mapping(body.get("content_block")))
            case "message_start":
                message = mapping(body.get("message"))
                self.id, self.model = string(message.get("id")), string(message.get("model"))
                usage = mapping(message.get("usage"))
                # The count of the answer is a placeholder: message_delta has it.
                self.take_usage({"usage": {key: usage[key] for key in usage if key != "output_tokens"}})
            case "message_delta":
                self.take_usage(body)
                return self._take_stop(mapping(body.get("delta")))
            case "message_stop":
                self.marked = True
        return []

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts."""
        self.usage = merge_counts(self.usage, body.get("usage"))
        self._counted = self._counted or "output_tokens" in self.usage
        self.rest["usage"] = self.usage

    def _take_stop(self, delta: dict[str, Any]) -> Chunks:
        kept = ("stop_reason", "stop_sequence", "stop_details", "container", "context_management")
        self.rest |= {key: delta[key] for key in kept if delta.get(key) is not None}
        reason = read_finish(self.rest.get("stop_reason"), bool(self.calls))
        if not reason:
            return []
        self.finish_reason = reason
        return [self.make_chunk(finish_reason=reason)]

    def _take_block(self, index: Any, start: dict[str, Any]) -> Chunks:
        if start.get("type") == "tool_use":
            return self._take_call(index, start)
        block = self._begin_block(index, start)
        return self._grow(block, string(start.get("text") or start.get("thinking")))

    def _begin_block(self, index: Any, start: dict[str, Any], call: Call | None = None) -> _Block:
        block = self._slots[index] = _Block(start, call)
        self._blocks.append(block)
        return block

    def _take_call(self, index: Any, start: dict[str, Any]) -> Chunks:
        if not (name := string(start.get("name"))):
            raise ProviderError(NAMELESS)
        call, delta = self.calls.take(index, string(start.get("id")), name, "")
        call.value = start.get("input") or call.value
        if not any(block.call is call for block in self._blocks):
            self._begin_block(index, start, call)
        return [self.make_chunk(tool_calls=(delta,))]

    def _take_delta(self, index: Any, delta: dict[str, Any]) -> Chunks:
        kind, block = delta.get("type"), self._slots.get(index)
        if kind == "text_delta" and block is not None and block.type == "text" and delta.keys() == _PLAIN:
            return self._grow(block, string(delta["text"]))  # what the rest of this method does with text alone
        kinds = _KINDS.get(string(kind)) or _guess_kinds(delta)
        if block is None or not (block.type in kinds or block.type not in _READ):
            if kinds[0] == "tool_use":
                raise ProviderError(f"the stream continues block {index!r}, which did not start")
            block = self._begin_block(index, {"type": kinds[0]})
        if delta.get("type") == "compaction_delta":
            block.start = block.start | {key: value for key, value in delta.items() if key != "type"}
        elif "signature" in delta:
            block.signature += string(delta["signature"])
        elif "citation" in delta:
            block.citations.append(delta["citation"])
        return self._grow(block, string(delta.get("text") or delta.get("thinking") or delta.get("partial_json")))

    def _grow(self, block: _Block, piece: str) -> Chunks:
        """Add a piece to a block."""
        if not piece:
            return []
        if block.call is not None:
            return [self.make_chunk(tool_calls=(self.calls.grow(block.call, "", "", piece),))]
        block.parts.append(piece)
        if block.type == "text":
            self.text.append(piece)
            return [self.make_chunk(piece)]
        if block.type == "thinking":
            return [self.make_chunk("", piece)]
        return []  # the provider's own tools, which it runs itself: server_tool_use and the like

    def partial(self) -> ChatCompletion:
        """Build the completion as far as it has arrived; of the usage, the prompt's is known from the start."""
        return replace(self.build(), usage=read_usage({"output_tokens": 0} | self.usage))

    def build(self, raw: Any = None) -> ChatCompletion:
        """Build the completion, complete or not; a `fallback_message` is the work of another model, which it names."""
        for iteration in self._list_iterations("fallback_message"):
            self.model = string(iteration.get("model")) or self.model
        return super().build(raw)

    def _list_iterations(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in objects(self.usage.get("iterations")) if one.get("type") == kind]

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(_build_reasoning(block) for block in self._blocks if "thinking" in block.type)

    def read_native(self) -> NativeContent | None:
        """Build what other protocols have no form for: the order of all blocks, and those of Anthropic's own tools."""
        paused = self.rest.get("stop_reason") in _PAUSES
        if not paused and all(block.list_own() in _DIRECT for block in self._blocks):
            return None
        parts = tuple(block.describe() for block in self._blocks if block.type)
        container = mapping(self.rest.get("container")).get("id")
        request = {"container": container} if container else {}
        return NativeContent(protocol=NATIVE, parts=parts, paused=paused, request=request)

    def read_refusal(self) -> str:
        """Return the explanation of a refusal."""
        return string(mapping(self.rest.get("stop_details")).get("explanation"))

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return read_usage(self.usage)

    def read_tier(self) -> str:
        """Return the tier that served the call; fast mode is one, for it has prices of its own."""
        speed = self.usage.get("speed")
        return string(self.usage.get("service_tier") if speed in _STANDARD else speed)

    def read_charges(self) -> Charges:
        """Read searches, code that was run, the work of other models, and the region, whose prices may be higher."""
        tools = count_tools(self.usage)
        if not tools and (runs := sum(1 for block in self._blocks if block.runs_code)):
            tools["code_execution"] = runs  # beside a search it costs nothing
        region = string(self.usage.get("inference_geo"))
        runs_of_models = objects(self.usage.get("iterations"))
        if not (runs_of_models or tools or region):
            return NO_CHARGES
        models, notes = read_other_models(runs_of_models, self.model)
        return Charges(tools, region, models, find_longest_prompt(runs_of_models), notes)

    def read_raw(self) -> Any:
        """Return stop reason, usage and citations; all blocks, where some are not in the completion."""
        raw = self.rest.copy()
        if citations := [citation for block in self._blocks for citation in block.citations]:
            raw["citations"] = citations
        if any(block.type not in _READ for block in self._blocks):
            raw["content"] = [block.build() for block in self._blocks]
        return raw


def _read_index(body: dict[str, Any]) -> Any:
    index = body.get("index")
    return index if isinstance(index, int | str) else None


def _guess_kinds(delta: dict[str, Any]) -> tuple[str, ...]:
    """Return the kinds of blocks that a delta without a type may continue."""
    if "partial_json" in delta:
        return _KINDS["input_json_delta"]
    return ("thinking",) if "thinking" in delta or "signature" in delta else ("text",)


def _build_reasoning(block: _Block) -> Reasoning:
    if block.type == "redacted_thinking":
        return Reasoning(data=string(block.start.get("data")), format=FORMAT)
    signed: dict[str, Any] = {"signature": block.signature, "format": FORMAT} if block.signature else {}
    return Reasoning(text=block.text, **signed)
