"""Tools of the decoders: JSON that is never trusted, token counts, reported prices, `<think>` blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any

from pydantic_core import from_json, to_json

from nbkit.errors import ProviderError

MOST_TOKENS = 1_000_000_000
DEEPEST = 200
"""Levels of nested JSON, the limit of the fast parser too."""


def parse(data: bytes) -> Any:
    """Read JSON; lone surrogates and invalid UTF-8 become U+FFFD, so that text is always encodable.

    Raises ProviderError where it is not JSON, or nested too deeply.
    """
    try:
        return from_json(data)
    except ValueError:  # what follows is slow, and reads the surrogates and bytes that the strict parser refuses
        pass
    try:
        return _make_encodable(json.loads(data.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        start = data[:80].decode("utf-8", "replace")
    raise ProviderError(f"the answer is not JSON: {start!r}" if start else "the answer is empty")


def _make_encodable(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_make_encodable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_make_encodable(key): _make_encodable(item, depth + 1) for key, item in value.items()}
    return value


def parse_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ProviderError where it is something else."""
    return expect_object(parse(data))


def expect_object(value: Any) -> dict[str, Any]:
    """Return the value, which must be a JSON object. Raises ProviderError where it is not."""
    if not isinstance(value, dict):
        raise ProviderError(f"expected a JSON object, got {str(value)[:80]!r}")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Return the value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects of a list; nothing where it is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> str:
    """Return the value where it is text, else ""."""
    return value if isinstance(value, str) else ""


def join_arguments(pieces: Iterable[str], value: Any = None) -> str:
    """Join a tool call's arguments: compact JSON where they are a JSON object, as the model wrote them where not.

    A stream brings them as pieces of text in the model's own spacing, a whole answer often as an object: the `value`,
    which counts where the text is empty. Both give the same.
    """
    text = "".join(pieces)
    try:
        value = from_json(text) if text else value or {}
    except ValueError:
        return text
    return to_json(value).decode() if isinstance(value, dict) else text


def count(value: Any) -> int | None:
    """Return a token count, or None where it is missing or absurd."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None


def first_count(*values: Any) -> int:
    """Return the first of the values that is a token count, or 0."""
    return next((tokens for value in values if (tokens := count(value)) is not None), 0)


def read_cost(body: Any, path: str, unit: float) -> float | None:
    """Read the price of the call in USD, where the provider reports it at the dotted `path`, in `unit` USD."""
    body = find_value(body, path)
    if isinstance(body, bool) or not isinstance(body, int | float) or not isfinite(body) or body < 0:
        return None
    return body * unit


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
