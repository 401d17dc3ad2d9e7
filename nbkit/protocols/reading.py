"""Tools of the decoders: JSON that is never trusted, token counts, reported prices, `<think>` blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from string import whitespace
from typing import Any

from nbkit.errors import ProviderError
from nbkit.json_text import DEEPEST, read_json, write_json

MOST_TOKENS = 1_000_000_000
_MOST_COST = 1e15  # in the smallest unit that a provider counts in, USD 1e-10
_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()
_HALF_BEFORE_BYTE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?=[\udc80-\udcff])")
"""The first half of a pair, which the invalid byte behind it does not complete."""
_NOT_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that do not stand for an invalid byte."""
_TOOL_HOLDERS = (
    "server_tool_use",  # Anthropic
    "server_tool_use_details",  # OpenRouter
    "server_side_tool_usage_details",  # xAI
    "tool_calls_details",  # Perplexity
    "plugins",  # Alibaba
    "billed_units",  # Cohere
)
# Fetched pages cost their tokens alone.
_TOOL = re.compile(r"search|interpreter|code_execution|image_generation|mcp|classification|num_sources_used|^images$")
_TOOL_ENDINGS = ("_requests", "_calls", "_queries", "_used")
_TOOL_NAMES = {"search_web": "web_search", "search": "web_search"}
_BEFORE_TEXT = "<" + whitespace
"""What a text that may begin with a tag begins with; rarer kinds of white space are looked at more closely."""
_PART_TYPES = ("text", "output_text", "thinking", "reasoning")
Path = tuple[str | int, ...]
MAX_QUOTE = 80
"""Characters quoted of what is not JSON."""
_LAST_WORD = re.compile(r"[\w.+/=-]+$")


def parse(data: bytes) -> Any:
    """Read JSON; lone surrogates and invalid UTF-8 become U+FFFD, so that text is always encodable.

    Raises ProviderError where it is not JSON, or nested too deeply.
    """
    try:
        return read_json(data)
    except ValueError:
        pass  # what is raised below has nothing behind it as its context
    return map_texts(parse_leniently(data), lambda text, _: make_encodable(text))


def parse_leniently(data: bytes) -> Any:
    """Read JSON that a strict parser may refuse. Lone surrogates stay in it; invalid UTF-8 becomes such (PEP 383)."""
    try:
        text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape")
        return json.loads(_HALF_BEFORE_BYTE.sub("\ufffd", text))
    except (ValueError, RecursionError):
        start = cut(data[: 4 * MAX_QUOTE].decode("utf-8", "replace"), MAX_QUOTE)
    raise ProviderError(f"the answer is not JSON: {start!r}" if start else "the answer is empty")


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, of at most `most` characters; a cut word, which may be a key, is left out."""
    return text if len(text) <= most else _LAST_WORD.sub("", text[: most - 1]) + "…"


def map_texts(value: Any, change: Callable[[str, Path], str], path: Path = ()) -> Any:
    """Return JSON with each text, keys included, changed; `change` gets the path of the text too.

    Raises ProviderError where it is nested too deeply.
    """
    if len(path) > DEEPEST:
        raise ProviderError("the answer is not JSON that can be read: it is nested too deeply")
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, list):
        return [map_texts(item, change, (*path, position)) for position, item in enumerate(value)]
    if isinstance(value, dict):
        return {make_encodable(key): map_texts(item, change, (*path, key)) for key, item in value.items()}
    return value


def join_surrogates(text: str) -> str:
    """Join the pairs of surrogates in a text; lone ones stay."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def make_encodable(text: str) -> str:
    """Return the text with U+FFFD for what cannot be encoded: lone surrogates, and bytes that are not UTF-8."""
    text = _NOT_BYTES.sub("\ufffd", join_surrogates(text))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def expect_object(value: Any) -> dict[str, Any]:
    """Return the value, which must be a JSON object. Raises ProviderError where it is not."""
    if not isinstance(value, dict):
        raise ProviderError(f"expected a JSON object, got {cut(str(value), MAX_QUOTE)!r}")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Return the value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects of a list; nothing where it is something else. The list may be the given one."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value  # nearly all lists in a stream
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> str:
    """Return the value where it is text, else ""."""
    return value if isinstance(value, str) else ""


def join_arguments(pieces: Iterable[str], value: Any = None) -> str:
    """Join a tool call's arguments: compact JSON where they are a JSON object, as the model wrote them where not.

    A stream brings them as pieces of text in the model's own spacing, a whole answer often as an object: the `value`,
    which counts where the text is empty. Both give the same.
    """
    text = "".join(pieces) or string(value)
    try:
        value = read_json(text) if text else value or {}
    except ValueError:
        value = _read_repeated(text)
    return write_json(value).decode() if isinstance(value, dict) else text


def _read_repeated(text: str) -> dict[str, Any] | None:
    """Read an object that stands there more than once, or behind empty ones; None where the text is something else.

    Gateways begin with the `{}` that Anthropic's blocks begin with, and some send all once more at the end.
    """
    values: list[Any] = []
    try:
        while text := text.strip():
            value, end = _DECODER.raw_decode(text)
            values.append(map_texts(value, lambda part, _: make_encodable(part)))
            text = text[end:]
    except (ValueError, RecursionError, ProviderError):
        return None
    full = [value for value in values if value != {}] or values[:1]
    return full[0] if isinstance(full[0], dict) and all(value == full[0] for value in full) else None


def read_content(content: Any) -> tuple[str, str]:
    """Read (text, reasoning) of a message's content.

    It is text, or parts (Mistral's `thinking`, Databricks' `reasoning`), or, where JSON was requested, that JSON itself
    (Cloudflare): then the text is its JSON.
    """
    if isinstance(content, str):
        return content, ""
    if content is None or content == []:
        return "", ""
    if isinstance(content, dict):
        content = [content] if content.get("type") in _PART_TYPES else content
    text, reasoning, known = "", "", False
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text, known = text + part, True
        elif isinstance(part, dict) and (isinstance(part.get("text"), str) or isinstance(part.get("type"), str)):
            inner = part.get("thinking") or part.get("summary")
            text += string(part.get("text"))
            reasoning += string(inner) or "".join(string(entry.get("text")) for entry in objects(inner))
            known = True
    return (text, reasoning) if known else (write_json(content).decode(), "")


def count(value: Any) -> int | None:
    """Return a token count, or None where it is missing or absurd. Cohere and JavaScript write 5 as 5.0."""
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    if isinstance(value, float) and value.is_integer() and 0 <= value <= MOST_TOKENS:
        return int(value)
    return None


def sum_counts(*values: Any) -> int | None:
    """Add token counts, of which some may be missing; None where one is absurd, so that the sum is not known."""
    if len(values) == 1:
        return 0 if values[0] is None else count(values[0])
    counts = [0 if value is None else count(value) for value in values]
    known = [tokens for tokens in counts if tokens is not None]
    return sum(known) if len(known) == len(counts) else None


def merge_counts(known: dict[str, Any], latest: Any) -> dict[str, Any]:
    """Merge the counts of one answer that come more than once. They are cumulative, so they do not fall.

    An event may leave out a part that an earlier one had, and some end a stream with zeros.
    """
    if type(latest) is not dict:
        latest = mapping(latest)
    if not known:  # a whole answer's
        return _drop_nulls(latest)
    merged = known.copy()
    for key, value in latest.items():
        before = merged.get(key)
        if type(value) is int and type(before) is int:  # first, for some count in every event
            if value > before:
                merged[key] = value
        elif type(value) is type(before) and value == before:
            pass  # details that come again
        elif isinstance(value, dict):
            merged[key] = merge_counts(mapping(before), value)
        elif _is_number(before) and _is_number(value):
            merged[key] = max(before, value)
        elif value is not None and (before is None or not (value in ([], "") or isinstance(before, dict))):
            merged[key] = value
    return merged


def _drop_nulls(counts: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null, at every depth; the same dict where there is nothing."""
    changed = {}
    for key, value in counts.items():
        if type(value) is dict and (inner := _drop_nulls(value)) is not value:
            changed[key] = inner
    if None not in counts.values():
        return counts | changed if changed else counts
    return {key: changed.get(key, value) for key, value in counts.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def first_count(*values: Any) -> int:
    """Return the first of the values that is a token count, or 0."""
    for value in values:
        if type(value) is int and 0 <= value <= MOST_TOKENS:  # as `count` does first
            return value
        if value is not None and (tokens := count(value)) is not None:
            return tokens
    return 0


def read_cost(body: Any, path: str, unit: float) -> float | None:
    """Read the price of the call in USD, where the provider reports it at the dotted `path`, in `unit` USD."""
    body = find_value(body, path)
    if isinstance(body, bool) or not isinstance(body, int | float) or not 0 <= body <= _MOST_COST:
        return None
    return float(Decimal(str(body)) * Decimal(str(unit)))  # as by hand: 0.1 x 3 is not 0.30000000000000004


def count_tools(usage: dict[str, Any]) -> dict[str, int]:
    """Read how often a `usage` object says that the provider's own tools were used: {"web_search": 2}."""
    if not _may_count_tools(frozenset(usage)):
        return {}
    tools: dict[str, int] = {}
    for holder in (usage, *(usage[key] for key in _TOOL_HOLDERS if isinstance(usage.get(key), dict))):
        for key, value in holder.items():
            uses = value
            if isinstance(value, dict) and holder is not usage:  # Perplexity, Alibaba
                uses = value.get("invocation", value.get("count"))
            if uses and (name := _name_tool(key)) and (calls := count(uses)):
                tools[name] = calls
    if len(tools) > 1 and "server_side_tool_usage_details" in usage:
        tools.pop("sources", None)  # xAI: found by the searches that are counted beside them
    return tools


@lru_cache(100)  # a provider's answers have the same keys
def _may_count_tools(keys: frozenset[str]) -> bool:
    return not keys.isdisjoint(_TOOL_HOLDERS) or any(map(_name_tool, keys))


@lru_cache(1000)
def _name_tool(key: str) -> str:
    """Name the tool whose uses a key of a `usage` object counts; "" for any other key."""
    if "cost" in key or not _TOOL.search(key):
        return ""
    name = key.removeprefix("num_")
    for ending in _TOOL_ENDINGS:
        name = name.removesuffix(ending)
    return _TOOL_NAMES.get(name, name)


def find_value(body: Any, path: str) -> Any:
    """Return what stands at the dotted `path` of a JSON object; None where nothing does, or the path is empty."""
    for key in path.split(".") if path else ():
        body = mapping(body).get(key)
    return body if path else None


class ThinkTags:
    """Splits a text that may begin with a `<think>` block into text and reasoning, piece by piece.

    The text starts at the first character after `</think>` that is not white space. While `open`, pieces have to go
    through here; once the block is over, or there was none, text is only text.
    """

    __slots__ = ("_held", "_stage", "open")

    def __init__(self) -> None:
        self.open = True
        self._stage = "before"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Return (text, reasoning) of one piece; what may be the beginning of a tag is held back."""
        if self._stage == "before" and not self._held and piece and piece[0] not in _BEFORE_TEXT:
            self.open = False
            return piece, ""
        self._held += piece
        reasoning = ""
        if self._stage == "before":
            start = self._held.lstrip()
            if not start.startswith("<think>"):
                return ("", "") if "<think>".startswith(start) else self.flush()
            self._stage, self._held = "inside", start.removeprefix("<think>")
        if self._stage == "inside":
            reasoning, closed, rest = self._held.partition("</think>")
            if not closed:
                sizes = range(min(len("</think>") - 1, len(reasoning)), 0, -1)
                kept = next((size for size in sizes if "</think>".startswith(reasoning[-size:])), 0)
                sure = len(reasoning) - kept
                self._held = reasoning[sure:]
                return "", reasoning[:sure]
            self._stage, self._held = "after", rest
        text, self._held = self._held.lstrip(), ""
        self.open = not text
        return text, reasoning

    @property
    def held(self) -> tuple[str, str]:
        """(text, reasoning) held back so far."""
        return ("", self._held) if self._stage == "inside" else (self._held, "")

    def flush(self) -> tuple[str, str]:
        """Return (text, reasoning) held back, when the text is over."""
        held = self.held
        self.open, self._held = False, ""
        return held
