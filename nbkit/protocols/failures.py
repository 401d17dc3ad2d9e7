"""What a provider says when a call fails, in every shape that providers use for it.

The shapes: `{"error": {"message", "type", "param", "code"}}` (OpenAI), `{"type": "error", "error": {...}}` (Anthropic),
`{"error": "..."}` (Fireworks, xAI with a `code` beside it), flat `{"message", "code"}` (Cerebras, Mistral, Cohere),
`[{"error": {...}}]` and `{"error": {"code", "message", "status"}}` (Google), RFC 7807 `{"title", "detail"}` (NVIDIA),
`{"success": false, "errors": [{"code", "message"}]}` (Cloudflare), FastAPI's `{"detail": [{"loc", "msg"}]}`, plain
text (Copilot), AWS's `{"__type", "Message"}`, and the HTML of whatever proxy stands between.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from pydantic_core import to_json

from nbkit.errors import (
    AdapterError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    ProviderError,
    RateLimitError,
)
from nbkit.protocols.reading import mapping, parse, string

MOST_WORDS = 500
"""Characters of the provider's own words that are kept."""
_WORDS = ("error", "errors", "message", "Message", "detail", "msg", "title")
_BESIDE_A_NAME = ("error_description", "message", "detail", "error")  # {"error": "Bad Request", "message": "..."}
_DEEPEST = 6  # of the shapes above none nests its message deeper

_CONTEXT = re.compile(
    r"context.?(length|window|size)|maximum context|prompt is too long|input is too long|too many (input )?tokens"
    r"|maximum prompt length|token count.{0,40}exceed|input tokens exceed|string_above_max_length"
    r"|reduce the length of the (messages|prompt|input)",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content.?filter|content.?policy|content management policy|responsible.?ai|safety system|requires moderation"
    r"|(was|were|been) flagged|data_?inspection_?failed",
    re.IGNORECASE,
)
# What an error without an HTTP status of its own is called, by words in its code.
_BY_CODE = (
    (re.compile(r"auth|api.?key|permission|forbidden", re.IGNORECASE), AuthenticationError),
    (re.compile(r"rate.?limit|too.?many|quota|resource.?exhausted|throttl", re.IGNORECASE), RateLimitError),
    (re.compile(r"invalid|bad.?request|not.?found|unprocessable|too.?large", re.IGNORECASE), BadRequestError),
)


def failure(said: Any, status: int | None = None) -> AdapterError:
    """The error for what a provider said: the bytes of a body that is no 2xx, or JSON amidst an answer (no status).

    The message is the provider's own words, `code` its own code, `body` the whole as text.
    """
    body = said.decode("utf-8", "replace") if isinstance(said, bytes) else to_json(said).decode()
    if isinstance(said, bytes):
        said = _read(said)
    message, code = _words(said), _code(said)
    words = message or code or (f"HTTP {status}, without a word" if status else "the provider failed, without a word")
    kind = _kind(status, code, f"{code} {words}")
    return kind(words[:MOST_WORDS], code=code or None, body=body)


def _read(body: bytes) -> Any:
    """The JSON of an error's body; its text where it is none."""
    try:
        return parse(body)
    except ProviderError:
        text = body.decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    title = re.search(r"<(?:title|h1)[^>]*>(.*?)</", text, re.IGNORECASE | re.DOTALL)
    return " ".join(unescape(title[1] if title else re.sub(r"<[^>]*>", " ", text)).split())


def _words(said: Any, depth: int = 0) -> str:
    """The provider's words, wherever they are."""
    if depth > _DEEPEST:
        return ""
    if isinstance(said, list):
        return "; ".join(words for item in said[:3] if (words := _words(item, depth + 1)))
    if not isinstance(said, dict):
        return string(said).strip()
    for key in _BESIDE_A_NAME if isinstance(said.get("error"), str) else _WORDS:
        if words := _words(said.get(key), depth + 1):
            break
    else:
        return ""
    if key == "detail" and string(said.get("title")):
        words = f"{said['title']}: {words}"
    if key == "msg" and isinstance(said.get("loc"), list):
        words = f"{'.'.join(map(str, said['loc']))}: {words}"
    upstream = mapping(said.get("metadata")).get("raw")  # OpenRouter: what the provider behind it said
    if isinstance(upstream, str) and (raw := _words(_read(upstream.encode()), depth + 1)):
        words = f"{words}: {raw}"
    return words


def _code(said: Any, depth: int = 0) -> str:
    """The provider's code: a word rather than a number, the innermost first."""
    if isinstance(said, list):
        said = said[0] if said else None
    if not isinstance(said, dict) or depth > _DEEPEST:
        return ""
    inner = next((code for key in ("error", "errors") if (code := _code(said.get(key), depth + 1))), "")
    if inner:
        return inner
    values = [said.get("code"), said.get("type"), said.get("__type"), said.get("status")]
    if word := next((value for value in values if isinstance(value, str) and value), ""):
        return word
    return next((str(value) for value in values if isinstance(value, int) and not isinstance(value, bool)), "")


def _kind(status: int | None, code: str, words: str) -> type[AdapterError]:
    if status is None and code.isdecimal() and 400 <= int(code) < 600:
        status = int(code)  # a router that answers 200 and puts the status into the error
    if status is None or status in (400, 403, 413, 422, 451):
        if _FILTER.search(words):
            return ContentFilterError
        if status != 403 and _CONTEXT.search(words):
            return ContextLengthError
    if status is None:
        return next((kind for pattern, kind in _BY_CODE if pattern.search(code)), ProviderError)
    if status in (401, 403):
        return AuthenticationError
    if status == 429:
        return RateLimitError
    return BadRequestError if 400 <= status < 500 else ProviderError
