"""The answers of Google's Gemini, whole and streamed: `gemini_generate` describes the API.

A whole answer is read like a stream of one event, so both give the same completion. Arguments of a tool may be streamed
too (`partialArgs`): the pieces of a text go by the JSON path of the argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any, Literal

from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletionChunk, ToolCallDelta, Usage
from nbkit.conversation.content import NativeContent, NativePart, Reasoning
from nbkit.errors import ContentFilterError, ProviderError
from nbkit.json_text import write_json
from nbkit.protocols.calls import NAMELESS, Call
from nbkit.protocols.decoder import BaseDecoder
from nbkit.protocols.failures import not_an_answer
from nbkit.protocols.finish import read_finish
from nbkit.protocols.gemini_turns import FORMAT, NATIVE
from nbkit.protocols.reading import first_count, mapping, merge_counts, objects, string, sum_counts
from nbkit.protocols.wire import Chunks, Dialect

_FAILED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE")
# A step of a JSON path: .name, [0], ['name'], ["name"]
_STEP = re.compile(r"""\.([^.\[\]]+)|\[(?:(\d{1,4})|'([^']*)'|"([^"]*)")\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_PLAIN = {"text"}
"""Keys of a part that is a piece of text and nothing else."""
_SIGNED = {"thought", "thoughtSignature"}
"""Keys of a part that is the end of a thought, without text."""
_Kind = Literal["reasoning", "call", "other"]
_Mark = tuple[int, int, _Kind, dict[str, Any]]


class _Thought:
    """A block of reasoning being put together; without text it is the signature of a part that is not a thought."""

    __slots__ = ("pieces", "signature", "signs_other")

    def __init__(self, signs_other: bool = False, signature: str = "") -> None:
        self.signs_other, self.signature = signs_other, signature
        self.pieces: list[str] = []

    def build(self) -> Reasoning:
        if self.signs_other:
            return Reasoning(data=self.signature, format=FORMAT)
        return Reasoning(text="".join(self.pieces), signature=self.signature or None, format=FORMAT)


class Decoder(BaseDecoder):
    """Builds a completion from a stream's events."""

    ANSWER = "an answer of Gemini"

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._answered = False
        self._broken = ""  # the reason why the answer cannot be used, in Google's words
        self._thoughts: list[_Thought] = []
        self._open: _Thought | None = None  # the thought that the next part may continue
        self._open_call: Call | None = None  # the call whose arguments go on
        self._growing = ""  # the JSON path of the text that goes on
        self._candidate: dict[str, Any] = {}  # what the events hold of the candidate, beside its content
        self._others: list[dict[str, Any]] = []  # parts of other kinds: images, code and its results
        # Where parts begin that are not text: pieces of text before, characters of the next one, kind, content.
        self._marks: list[_Mark] = []

    def find_problem(self) -> str:
        """Say what is wrong with a stream that ends now."""
        return f": {self._broken}" if self._broken else super().find_problem()

    def take_whole(self, body: dict[str, Any]) -> None:
        """Take a whole answer."""
        self.take(body)
        if self._broken:
            raise ProviderError(f"the answer is incomplete: {self._broken}")
        if not self._answered:
            raise not_an_answer(body, self.ANSWER, "candidates")

    def take(self, body: dict[str, Any]) -> Chunks:
        """Take one event's JSON, or a whole answer's. Raises an AdapterError where it is an error."""
        candidates = objects(body.get("candidates"))
        self.usage = merge_counts(self.usage, body.get("usageMetadata"))
        if body.get("modelVersion") != self.model:
            self.model = string(body.get("modelVersion")) or self.model
        if body.get("responseId") != self.id:
            self.id = string(body.get("responseId")) or self.id
        if not candidates:
            _check_prompt(body)
        self.rest.update(body)
        self.rest.pop("candidates", None)
        if self.usage:
            self.rest["usageMetadata"] = self.usage
        if len(candidates) != 1 or candidates[0].get("index"):
            candidates = [candidate for candidate in candidates if not candidate.get("index")]
        chunks = self._take_candidate(candidates[0]) if candidates else []
        # The event with the reason has the last counts; nothing but counts follows it.
        self.marked = bool(self.finish_reason and self.usage)
        return chunks

    def take_usage(self, body: dict[str, Any]) -> None:
        """Take the token counts."""
        self.usage = merge_counts(self.usage, body.get("usageMetadata"))

    def _take_candidate(self, candidate: dict[str, Any]) -> Chunks:
        self._answered = True
        self._candidate.update(candidate)
        self._candidate.pop("content", None)
        parts = objects(mapping(candidate.get("content")).get("parts"))
        if len(parts) == 1 and parts[0].keys() == _PLAIN and not candidate.get("finishReason"):
            return self._take_text(parts[0]["text"])  # what the rest of this method does with text alone
        text, thought, calls = "", "", []
        for part in parts:
            if "functionCall" in part:
                known = len(self.calls)
                calls += self._take_call(part)
                if len(self.calls) > known:
                    self._mark("call", text)
            elif "text" in part or part.keys() <= _SIGNED:
                piece, signature = string(part.get("text")), string(part.get("thoughtSignature"))
                if part.get("thought"):
                    thought += piece
                    if self._open is None:
                        self._mark("reasoning", text)
                    self._take_thought(piece, signature)
                    continue
                text += piece
                if signature:
                    self._thoughts.append(_Thought(signs_other=True, signature=signature))
                    self._mark("reasoning", text)
            else:
                self._others.append(part)
                self._mark("other", text, part)
            self._open = None
        if text:
            self.text.append(text)
        if candidate.get("finishReason") and self._open_call:
            calls += self._close_call()
        finish = self._take_finish(candidate) if candidate.get("finishReason") else None
        if not (text or thought or calls or finish):
            return []
        return [self.make_chunk(text, thought, tuple(calls), finish)]

    def _take_text(self, piece: Any) -> Chunks:
        self._open = None
        if not piece or not isinstance(piece, str):
            return []
        self.text.append(piece)
        return [ChatCompletionChunk(piece, "", (), None, 0, self.id, self.model)]

    def _mark(self, kind: _Kind, text: str, part: dict[str, Any] | None = None) -> None:
        self._marks.append((len(self.text), len(text), kind, part or {}))

    def _take_thought(self, piece: str, signature: str) -> None:
        """Take a piece of a thought; its signature ends it."""
        if self._open is None:
            self._open = _Thought()
            self._thoughts.append(self._open)
        self._open.pieces.append(piece)
        if signature:
            self._open.signature = signature
            self._open = None

    def _take_call(self, part: dict[str, Any]) -> list[ToolCallDelta]:
        """Take a call, whole or a piece of one that goes on."""
        function = mapping(part["functionCall"])
        name, call_id, given = string(function.get("name")), string(function.get("id")), function.get("args")
        deltas, call = [], self._open_call
        goes_on, partial = function.get("willContinue") is True, objects(function.get("partialArgs"))
        if call and name and (name != call.name or (call_id and call_id != call.wire_id)):
            deltas += self._close_call()
            call = None
        if call is None:
            if not name:
                raise ProviderError(NAMELESS)
            streamed = goes_on or partial
            whole = "" if streamed else given if isinstance(given, str) and given else write_json(given or {}).decode()
            call = self.calls.begin()  # calls are whole, and go back as they came: ids may be missing, or the same
            self.calls.grow(call, "", name, whole)
            call.wire_id, call.id = call_id, call_id or f"call_{call.place}_{self.id}"[:40]
            if streamed:
                call.value, self._open_call = mapping(given).copy(), call
            deltas.append(ToolCallDelta(call.place, call.id, name, whole))
        for piece in partial:
            self._take_argument(mapping(call.value), piece)
        call.signature = string(part.get("thoughtSignature")) or call.signature
        if self._open_call and not goes_on:
            deltas += self._close_call()
        return deltas

    def _close_call(self) -> list[ToolCallDelta]:
        """End the call whose arguments went on."""
        call, self._open_call, self._growing = self._open_call, None, ""
        return [self.calls.grow(call, "", "", write_json(call.value).decode())] if call else []

    def _take_argument(self, arguments: dict[str, Any], piece: dict[str, Any]) -> None:
        """Put a value, or a further piece of a text, where its JSON path points to."""
        path = string(piece.get("jsonPath"))
        steps = [int(number) if number else name or a or b for name, number, a, b in _STEP.findall(path)]
        key = next((key for key in _VALUES if key in piece), "")
        place, value = _find_place(arguments, steps), None if key == "nullValue" else piece.get(key)
        if not steps or not key:
            return
        if self._growing == path and isinstance(value, str):
            value = string(_descend(place, steps[-1], "")) + value
        _put(place, steps[-1], value)
        self._growing = path if piece.get("willContinue") is True else ""

    def _take_finish(self, candidate: dict[str, Any]) -> str | None:
        reason = string(candidate.get("finishReason"))
        if reason in _FAILED:
            self._broken = ": ".join(filter(None, (reason, string(candidate.get("finishMessage")))))
        finish = read_finish(reason, bool(self.calls))
        if not finish or self._broken:
            return None
        self.finish_reason = finish
        return finish

    def read_reasoning(self) -> tuple[Reasoning, ...]:
        """Build the blocks of reasoning."""
        return tuple(thought.build() for thought in self._thoughts)

    def read_native(self) -> NativeContent | None:
        """Build the order of all parts where there are images, or code that Google has run and its results."""
        return _build_native(self._marks, self.text) if self._others else None

    def read_refusal(self) -> str:
        """Return the message of a filter that ended the answer."""
        return string(self._candidate.get("finishMessage")) if self.finish_reason == "content_filter" else ""

    def read_usage(self) -> Usage | None:
        """Read the token counts."""
        return _read_usage(self.usage)

    def read_tier(self) -> str:
        """Return the tier that served the call, at the Gemini API, or Vertex AI's kind of traffic."""
        return string(self.usage.get("serviceTier")) or string(self.usage.get("trafficType"))

    def read_charges(self) -> Charges:
        """Read the searches, and the tokens of video, which have a rate of their own."""
        tools = _count_searches(mapping(self._candidate.get("groundingMetadata")))
        video = _count_kind(self.usage.get("candidatesTokensDetails"), "VIDEO")
        notes = (f"{video} tokens of video at the rate of text",) if video else ()
        return Charges(tools, notes=notes) if tools or notes else NO_CHARGES

    def read_raw(self) -> Any:
        """Return what the events hold beside text, thoughts and calls, in the form of a whole answer."""
        content = {"content": {"parts": self._others}} if self._others else {}
        return self.rest | ({"candidates": [self._candidate | content]} if self._answered else {})


def _check_prompt(body: dict[str, Any]) -> None:
    """Raise ContentFilterError where the prompt was blocked."""
    feedback = mapping(body.get("promptFeedback"))
    if reason := string(feedback.get("blockReason")):
        message = string(feedback.get("blockReasonMessage")) or f"the prompt was blocked: {reason}"
        raise ContentFilterError(message, code=reason, body=write_json(body).decode())


def _build_native(marks: list[_Mark], texts: list[str]) -> NativeContent:
    return NativeContent(protocol=NATIVE, parts=tuple(_list_parts(marks, texts)))


def _list_parts(marks: list[_Mark], texts: list[str]) -> Iterator[NativePart]:
    """List the parts of an answer, with the texts between the marks."""
    ends, place = [0, *accumulate(map(len, texts))], 0
    for pieces, more, kind, data in [*marks, (len(texts), 0, None, {})]:
        end = ends[pieces] + more
        if end > place:
            yield NativePart(kind="text", length=end - place)
        place = end
        if kind:
            yield NativePart(kind=kind, data=data)


def _find_place(arguments: dict[str, Any], steps: list[str | int]) -> Any:
    """Return the object or array in which the last step stands; those on the way there are made."""
    place: Any = arguments
    for step, following in pairwise(steps):
        place = _descend(place, step, [] if isinstance(following, int) else {})
    return place


def _descend(place: Any, step: str | int, empty: Any) -> Any:
    """Return what stands at a step of a JSON path; `empty`, which is put there, where nothing does."""
    here = place[step] if isinstance(place, dict) and step in place else None
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        here = place[step]
    if here is None or (isinstance(empty, dict | list) and type(here) is not type(empty)):
        here = empty
        _put(place, step, here)
    return here


def _put(place: Any, step: str | int, value: Any) -> None:
    """Set an entry of an object, or an item of an array, which grows."""
    if isinstance(place, dict):
        place[str(step)] = value
    elif isinstance(place, list) and isinstance(step, int):
        place.extend([None] * (step + 1 - len(place)))
        place[step] = value


def _read_usage(usage: dict[str, Any]) -> Usage | None:
    names = ("promptTokenCount", "candidatesTokenCount")
    if all(usage.get(name) is None for name in names):
        return None  # one of them alone may be missing: protocol buffers leave out what is 0
    prompt, answer = (sum_counts(usage.get(name)) for name in names)
    cached, thoughts = sum_counts(usage.get("cachedContentTokenCount")), sum_counts(usage.get("thoughtsTokenCount"))
    tools = sum_counts(usage.get("toolUsePromptTokenCount"))
    if prompt is None or answer is None or cached is None or thoughts is None or tools is None:
        return None
    cached = min(cached, prompt)
    cached_audio = min(_count_kind(usage.get("cacheTokensDetails"), "AUDIO"), cached)
    audio = min(max(_count_kind(usage.get("promptTokensDetails"), "AUDIO") - cached_audio, 0), prompt - cached)
    made = usage.get("candidatesTokensDetails")
    audio_out = min(_count_kind(made, "AUDIO"), answer)
    image_out = min(_count_kind(made, "IMAGE"), answer - audio_out)
    return Usage(
        input=prompt - cached - audio + tools,
        output=answer - audio_out - image_out,
        cache_read=cached - cached_audio,
        reasoning=thoughts,
        input_audio=audio,
        output_audio=audio_out,
        cache_read_audio=cached_audio,
        output_image=image_out,
    )


def _count_searches(grounding: dict[str, Any]) -> dict[str, int]:
    """Count the queries, as Google bills them: each once, and none that is empty; Maps shows in its places alone."""
    lists = (grounding.get("webSearchQueries"), grounding.get("imageSearchQueries"))
    queries = {(place, string(query)) for place, each in enumerate(lists) if isinstance(each, list) for query in each}
    searches = sum(1 for _, query in queries if query.strip())
    maps = any("maps" in chunk for chunk in objects(grounding.get("groundingChunks")))
    return ({"web_search": searches} if searches else {}) | ({"maps": 1} if maps else {})


def _count_kind(details: Any, kind: str) -> int:
    return sum(first_count(one.get("tokenCount")) for one in objects(details) if one.get("modality") == kind)
