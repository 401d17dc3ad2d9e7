"""A cassette: what was sent and what came back, an attempt a line, without keys and without the ids of accounts.

    {"cassette": 1, "nbkit": "0.1.0", "python": "3.13.2", "content": true}
    {"call": 1, "attempt": 1, "provider": "openai", "model": "gpt-6-luna", "protocol": "openai-chat", "stream": true,
     "request": {"method": "POST", "path": "/chat/completions", "headers": {}, "body": {...}},
     "response": {"status": 200, "headers": {"content-type": "text/event-stream"}, "pieces": ["data: ...", ...]},
     "failure": null, "seconds": 1.2}

The path is seen from the base URL, which may name a company or a project. `pieces` are the bytes of the body as they
arrived, decompressed: text, or {"base64": ...} where they are not. What is taken out is replaced by as many bytes, so
that lengths and the places where pieces end stay as they were. `response` is null where none began.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import platform
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from nbkit import __version__
from nbkit.errors import ArgumentError
from nbkit.http.frames import seal_frames
from nbkit.providers.key_shapes import find_keys

_log = logging.getLogger("nbkit")
_HEADERS = re.compile(
    r"content-type|accept|(anthropic|openai)-(version|beta)|retry-after(-ms)?|x-should-retry"
    r"|(x|anthropic)-ratelimit-.*|x-litellm-response-cost"
)
"""Names of the headers that are kept: none of them names a person, an account or a request."""
_SHORTEST_SECRET = 8
_IDS = re.compile(
    r"""(?i:"(?:x-)?(?:request|organi[sz]ation|project|account|user|trace|session)[-_]?(?:id)?"\s*:\s*")([^"\\]+)
    |\b(?:org|proj|acct|req)[-_](\w{8,})
    |\b(?:projects|organizations|accounts|subscriptions)/([^/"'\s?]+)
    |\barn(?::|%3A)aws[\w-]*(?::|%3A)[\w-]*(?::|%3A)[\w-]*(?::|%3A)(\d{12})""",
    re.VERBOSE,
)
_FRAMES = "eventstream"  # in the content type of AWS's binary streams
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
_KEPT = re.compile(
    "type|role|id|object|model|name|status|code|event|format|effort|mode|phase|param|required|reason"
    "|(?:finish|stop|done)_?[rR]eason|(?:tool_?)?(?:call|use|item|response|tool_use|tool_call|toolUse)_?[iI]d|modelVersion"
    "|created_at|createTime|(?:mime|media)_?[tT]ype|reasoning_effort|service_tier|tool_choice|system_fingerprint|blockReason"
)
"""Keys of JSON whose texts say how something is built, not what a person or a model has written."""
_LETTERS = re.compile(r"\\\\u[\da-fA-F]{4}|\\u[\da-fA-F]{4}|\\\\(?:\\.|.)|\\.|[A-Za-z\x80-\xff]|\d")
_BYTES = re.compile(r'"bytes":\s*\[[\d,\s]*\]')
"""The bytes of a token, beside its logarithmic probability."""
_PLAIN_DATA = re.compile(r"(?m)^(data: ?)(?![\s\[{\"])(.*)$")
_STRUCTURED = re.compile(r"\s*[\[{\"]|(?:data|event|id|retry)?:|\x00")


class Cassette:
    """A file that attempts are written to, each as soon as it is over."""

    def __init__(self, path: Path, *, content: bool) -> None:
        self.path, self._content = path, content
        self.calls = 0
        self._lock = threading.Lock()
        self._broken = False
        _check_old(path)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            head = {"cassette": 1, "nbkit": __version__, "python": platform.python_version(), "content": content}
            file.write(json.dumps(head) + "\n")

    def count(self) -> int:
        """Count a call that begins; return its number, from 1."""
        with self._lock:
            self.calls += 1
            return self.calls

    def write(self, line: dict[str, Any], pieces: Sequence[bytes], secrets: Iterable[str]) -> None:
        """Write an attempt. A failure to write is logged once and costs no answer."""
        request, response = line["request"], line["response"]
        clean = _Scrubber(secrets, content=self._content)
        request["body"] = json.loads(clean.scrub(request["body"]))
        if response is not None:
            response["pieces"] = _write_pieces(
                pieces, clean, frames=_FRAMES in response["headers"].get("content-type", "")
            )
        for holder, key in ((line, "model"), (line, "failure"), (request, "path")):
            holder[key] = holder[key] and clean.hide(holder[key])
        with self._lock:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
            except OSError as error:
                if not self._broken:
                    _log.warning("the cassette %s cannot be written: %s. Calls go on.", self.path.name, error)
                self._broken = True


def _check_old(path: Path) -> None:
    """Raise ArgumentError where a file that is not a cassette would be overwritten."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if not file.read(12).startswith(b'{"cassette":'):
                raise ArgumentError(f"record(): {str(path)!r} exists and is not a cassette: it is not overwritten")


def keep_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep the headers that matter and tell nothing of a person or an account."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if _HEADERS.fullmatch(name)}


class _Scrubber:
    def __init__(self, secrets: Iterable[str], *, content: bool) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._content = content

    def scrub(self, body: bytes) -> bytes:
        """Take out what must not be in a cassette; the length stays."""
        text = body.decode("latin-1")  # a byte a character, whatever it is
        return (self.hide(text) if self._content else fill_texts(self.hide(text))).encode("latin-1")

    def hide(self, text: str) -> str:
        """Put crosses in the place of keys and ids."""
        spans = [(one.start, one.end) for one in find_keys(text, self._secrets)]
        spans += [match.span(match.lastindex or 0) for match in _IDS.finditer(text)]
        for start, end in spans:
            text = text[:start] + re.sub(r"[\x21-\x7e]", "x", text[start:end]) + text[end:]  # no part of a character
        return text


def fill_texts(text: str) -> str:
    """Replace what people and models have written by as many crosses and ones; JSON stays JSON.

    Names of tools and of their arguments, roles, types and ids stay. A body that is neither JSON nor events has nothing
    to keep.
    """
    if not _STRUCTURED.match(text):
        return _LETTERS.sub(_fill, text)
    key = ""

    def replace(match: re.Match[str]) -> str:
        nonlocal key
        if match[2]:
            key = match[1]
        elif not _KEPT.fullmatch(key):
            return f'"{_LETTERS.sub(_fill, match[1])}"'
        return match[0]

    text = _BYTES.sub(lambda match: re.sub(r"\d", "1", match[0]), _STRING.sub(replace, text))
    return _PLAIN_DATA.sub(lambda match: match[1] + _LETTERS.sub(_fill, match[2]), text)


def _fill(match: re.Match[str]) -> str:
    one = match[0]
    if one.startswith("\\"):  # an escape, or one in JSON that is a text of JSON
        return "x" * len(one) if "\\u" in one else one
    return "1" if one.isdigit() else "x"


def _write_pieces(pieces: Sequence[bytes], clean: _Scrubber, *, frames: bool) -> list[Any]:
    body = clean.scrub(b"".join(pieces))  # whole, for a key may stand in two pieces
    body = seal_frames(body) if frames else body
    return [_write_piece(body[start:end]) for start, end in pairwise(accumulate(map(len, pieces), initial=0))]


def _write_piece(piece: bytes) -> Any:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(piece).decode()}


def read_pieces(response: Mapping[str, Any]) -> list[bytes]:
    """Read the bytes of a response's pieces."""
    return [
        base64.b64decode(piece["base64"]) if isinstance(piece, dict) else piece.encode() for piece in response["pieces"]
    ]
