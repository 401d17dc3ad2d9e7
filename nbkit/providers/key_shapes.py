"""API keys in a text: recognized by their shape, by the name they are given to, or because they are known.

What only looks like one must pass: placeholders (`sk-...`, `YOUR_KEY`, `sk-xxxx`, `sk-abc123def456`), words, names of
models. So a key has a stretch of at least 12 characters that no person would write: small and capital letters or digits
mixed, and not counted up.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

_LONG = 12
"""Characters of the stretch that makes a key."""
_SECRET_NAME = re.compile(r"key|token|secret|auth|password|cookie|sig", re.IGNORECASE)
_NAME = re.compile(r"[A-Z]{0,2}[a-z]++\d?(?:[A-Z]{1,2}[a-z]{2,}+\d?)*+\d{0,4}")  # aCamelCaseName24, OAuth2Handler
_PATH = re.compile(r"[/~.\\]|[A-Za-z]:\\")
# api_key="...", "x-api-key": "...", OPENAI_API_KEY=..., os.environ["X_API_KEY"] = "...", %env X_API_KEY ..., Bearer ...
_NAMED = re.compile(
    r"""(?:(?i:api[_-]?keys?|access[_-]?key|secret(?:[_-](?:access[_-])?key)?|token|password|credential)
        |(?i:\b(?:(?:set_)?env|environ|export|setdefault|putenv)\b)[^\n]{0,20}?\b[A-Z0-9_]+_(?:KEY|PAT)S?)(?![\w-])
        ['"\])]*\s*[=:,]?\s*['"]?([A-Za-z0-9_+/=.-]{20,})
        |(?i:\bbearer)\s+([A-Za-z0-9_+/=.-]{20,})""",
    re.VERBOSE,
)


class KeyMatch(NamedTuple):
    """A key in a text, from `start` to `end`. `prefix`: what may be shown of it; `provider`: whose it is, or ""."""

    start: int
    end: int
    prefix: str
    provider: str


def find_keys(text: str, known: Iterable[str] = ()) -> list[KeyMatch]:
    """Find the API keys in a text, in their order; `known` are keys that are recognized whatever their shape."""
    matches = [*_find_shaped(text), *_find_named(text), *_find_known(text, known)]  # of equals, the first says most
    chosen: list[KeyMatch] = []
    for one in sorted(matches, key=lambda one: one.start):
        if not chosen or one.start >= chosen[-1].end:
            chosen.append(one)
    return chosen


def find_secrets(url: str, headers: Mapping[str, str]) -> list[str]:
    """Find what is, or may be, a secret in the query of an address and in headers: by its name or by its look."""
    values = [*parse_qsl(urlsplit(url).query), *headers.items()]
    words = [(name, word) for name, value in values for word in value.split()]
    return [word for name, word in words if _SECRET_NAME.search(name) or is_random(word)]


def mask_keys(text: str, matches: Iterable[KeyMatch]) -> str:
    """Write a text with `sk-...` in the place of each key."""
    parts, last = [], 0
    for one in matches:
        parts += [text[last : one.start], one.prefix, "..."]
        last = one.end
    return "".join([*parts, text[last:]])


def hide_shapes(text: str) -> str:
    """Write `[key]` in the place of what begins as keys do and may be one: in a log, a word too many does no harm."""
    return _read_prefixes().sub("[key]", text)


def is_random(text: str) -> bool:
    """Tell whether a text can be a key: it has a stretch that no person would write, and is not a path."""
    return not _PATH.match(text) and any(map(_is_random_stretch, re.split(r"[-_./=]", text)))


def _is_random_stretch(text: str) -> bool:
    if len(text) < _LONG or len(set(text)) < _LONG // 2:
        return False
    kinds = [re.findall(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")]
    if sum(map(bool, kinds)) < 2 or _NAME.fullmatch(text):
        return False
    steps = [ord(two) - ord(one) for one, two in pairwise(text.lower())]
    return sum(step in (0, 1, -1) for step in steps) < 0.5 * len(steps)


@cache
def _read_rows() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


@cache
def _read_prefixes() -> re.Pattern[str]:
    each = "|".join(map(re.escape, _read_rows()))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{each})(?=[\w-]*\d)[\w-]{{{_LONG},}}")


@cache
def _read_shapes() -> tuple[re.Pattern[str], dict[str, str]]:
    rows = _read_rows()
    longest = sorted(rows, key=len, reverse=True)
    each = "|".join(rf"{re.escape(prefix)}(?=[\w+/=-]{{{rows[prefix]['least']}}})" for prefix in longest)
    return re.compile(rf"(?<![A-Za-z0-9])({each})[\w+/=-]+"), {prefix: rows[prefix]["provider"] for prefix in rows}


def _find_shaped(text: str) -> Iterator[KeyMatch]:
    pattern, providers = _read_shapes()
    for match in pattern.finditer(text):
        if is_random(match[0].removeprefix(match[1])):
            yield KeyMatch(match.start(), match.end(), match[1], providers[match[1]])


def _find_named(text: str) -> Iterator[KeyMatch]:
    for match in _NAMED.finditer(text):
        which = 1 if match[1] else 2
        value = match[which]
        if is_random(value) and any(map(str.isdigit, value)):
            yield KeyMatch(match.start(which), match.end(which), "", "")


def _find_known(text: str, known: Iterable[str]) -> Iterator[KeyMatch]:
    for key in known:
        start = text.find(key)
        while start >= 0:
            yield KeyMatch(start, start + len(key), "", "")
            start = text.find(key, start + len(key))
