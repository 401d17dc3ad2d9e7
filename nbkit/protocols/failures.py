"""Errors of providers, in every shape that providers use for them.

The shapes: `{"error": {"message", "type", "param", "code"}}` (OpenAI), `{"type": "error", "error": {...}}` (Anthropic),
`{"error": "..."}` (Fireworks, xAI with a `code` beside it), flat `{"message", "code"}` (Cerebras, Mistral, Cohere),
`[{"error": {...}}]` and `{"error": {"code", "message", "status"}}` (Google), RFC 7807 `{"title", "detail"}` (NVIDIA),
`{"success": false, "errors": [{"code", "message"}]}` (Cloudflare), FastAPI's `{"detail": [{"loc", "msg"}]}`, plain
text (Copilot), AWS's `{"__type", "Message"}`, `{"error_type", "error_message"}` (gateways), vLLM's `{"object": "error",
"message"}`, MiniMax's `{"base_resp": {"status_code", "status_msg"}}`, and the HTML of whatever proxy stands between.
"""

from __future__ import annotations

import re
from typing import Any

from nbkit.errors import (
    AdapterError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    ProviderError,
    RateLimitError,
)
from nbkit.json_text import write_json
from nbkit.protocols.reading import cut, mapping, parse, string

MAX_QUOTE = 200
"""Characters quoted of a body that is not an answer."""
MAX_MESSAGE = 2000
"""Characters kept of the provider's message. The caller cleans it of secrets first, and then cuts it for people."""
_MESSAGE_KEYS = (
    "error",
    "errors",
    "error_message",
    "error_msg",
    "errorMessage",
    "fault",  # Apigee, as `faultstring`
    "faultstring",
    "message",
    "Message",
    "detail",
    "msg",
    "status_msg",
    "base_resp",
    "title",
)
# Where `error` is only a name: {"error": "Bad Request", "message": "..."}
_KEYS_BESIDE_A_NAME = ("error_description", "error_message", "message", "detail", "error")
_CODE_KEYS = ("code", "error_code", "errorCode", "type", "error_type", "__type", "status", "status_code")
# Keys that only errors have; an answer may have one too, but empty.
_ERRORS = frozenset(("error", "errors", "error_message", "error_msg", "errorMessage", "error_type", "fault"))
_TEXTS = ("message", "Message", "msg", "detail", "title")
SIGNS = frozenset((*_ERRORS, *_TEXTS, "success", "base_resp"))
"""Keys of which an error has at least one."""
# Keys of answers: where one of them holds something, a `message` beside it is a remark.
_CONTENT = ("choices", "candidates", "content", "output", "delta", "response", "item", "content_block")
_FINE = (None, 0, 200, "0", "200", "ok", "success")
"""Codes beside a message that is not an error."""
_MAX_BODY = 64 * 2**10  # characters, of an error that is reported within an answer, too
_MAX_DEPTH = 6  # none of the shapes above nests its message deeper

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
# LiteLLM's proxy without a database, of any key but its master key: there is nowhere to look it up.
_NO_DATABASE = re.compile(r"no connected db", re.IGNORECASE)
# Which error it is where it has no HTTP status of its own, by words in its code.
_BY_CODE = (
    (re.compile(r"auth|api.?key|permission|forbidden", re.IGNORECASE), AuthenticationError),
    (re.compile(r"rate.?limit|too.?many|quota|resource.?exhausted|throttl", re.IGNORECASE), RateLimitError),
    (re.compile(r"invalid|bad.?request|not.?found|unprocessable|too.?large", re.IGNORECASE), BadRequestError),
)


def read_failure(answer: Any, status: int | None = None) -> AdapterError:
    """Read the error from a body whose `status` is not 2xx (bytes), or from JSON amidst an answer (no status).

    Its message is the provider's own, `code` the provider's code, `body` the whole as text, up to 64 KiB.
    """
    body = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else write_json(answer).decode()
    if isinstance(answer, bytes):
        answer = _parse_body(answer)
    message, code = _find_message(answer), _find_code(answer)
    if not message:
        message = code or (f"HTTP {status}, without a message" if status else "the provider failed without a message")
    if status == 400 and _NO_DATABASE.search(message):
        message += " LiteLLM without a database takes its master key only, and this is another key"
    kind = _choose_kind(status, code, f"{code} {message}")
    return kind(message[:MAX_MESSAGE], code=code or None, body=body[:_MAX_BODY])


def is_failure(body: dict[str, Any]) -> bool:
    """Tell whether a JSON object in an answer of 200 is an error, in any of the shapes."""
    if SIGNS.isdisjoint(body):  # nearly every answer, and every event of a stream
        return False
    message = body.get("message")
    if not _ERRORS.isdisjoint(body) and any(body.get(key) for key in _ERRORS):
        return True
    if message and isinstance(message, dict):
        return False
    if any(body.get(key) and isinstance(body[key], dict | list) for key in _CONTENT):
        return False
    if body.get("success") is False or mapping(body.get("base_resp")).get("status_code") not in _FINE:
        return True
    code = next((body[key] for key in _CODE_KEYS if key in body), None)
    texts = any(body.get(key) and isinstance(body[key], str) for key in _TEXTS)
    detailed = bool(body.get("detail")) and isinstance(body["detail"], list | dict)
    return (texts or detailed) and (code is None or not (isinstance(code, int | str) and code in _FINE))


def not_an_answer(body: Any, what: str, lacks: str) -> ProviderError:
    """Make the error about a body that is JSON, but neither an answer nor an error; it quotes the beginning."""
    return ProviderError(f"the answer is not {what}: it has no {lacks}: {cut(write_json(body).decode(), MAX_QUOTE)}")


def _parse_body(body: bytes) -> Any:
    """Read the JSON of an error's body; its text where it is not JSON."""
    try:
        return parse(body)
    except ProviderError:
        text = body.decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    from html import unescape  # a table of 2,000 names; few errors are a page

    title = re.search(r"<(?:title|h1)[^>]*>(.*?)</", text, re.IGNORECASE | re.DOTALL)
    return " ".join(unescape(title[1] if title else re.sub(r"<[^>]*>", " ", text)).split())


def _find_message(answer: Any, depth: int = 0) -> str:
    """Find the provider's message, wherever it stands; "" where there is none."""
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(answer, list):
        return "; ".join(message for item in answer[:3] if (message := _find_message(item, depth + 1)))
    if not isinstance(answer, dict):
        return string(answer).strip()
    for key in _KEYS_BESIDE_A_NAME if isinstance(answer.get("error"), str) else _MESSAGE_KEYS:
        if message := _find_message(answer.get(key), depth + 1):
            break
    else:
        return ""
    if key == "detail" and string(answer.get("title")):
        message = f"{answer['title']}: {message}"
    if key == "msg" and isinstance(answer.get("loc"), list):
        message = f"{'.'.join(map(str, answer['loc']))}: {message}"
    upstream = mapping(answer.get("metadata")).get("raw")  # OpenRouter: the error of the provider behind it
    if isinstance(upstream, str) and (cause := _find_message(_parse_body(upstream.encode()), depth + 1)):
        message = f"{message}: {cause}"
    return message


def _find_code(answer: Any, depth: int = 0) -> str:
    """Find the provider's code: a word rather than a number, the innermost first."""
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict) or depth > _MAX_DEPTH:
        return ""
    nested = (_find_code(answer.get(key), depth + 1) for key in ("error", "errors", "base_resp"))
    inner = next(filter(None, nested), "")
    if inner:
        return inner
    values = [answer.get(key) for key in _CODE_KEYS]
    if word := next((value for value in values if isinstance(value, str) and value), ""):
        return word
    return next((str(value) for value in values if isinstance(value, int) and not isinstance(value, bool)), "")


def _choose_kind(status: int | None, code: str, text: str) -> type[AdapterError]:
    """Choose the class of the error by its status, its code, and the `text` of code and message."""
    if status is None and len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600:
        status = int(code)  # a router that answers 200 and puts the status into the error
    if status is None or status in (400, 403, 413, 422, 451):  # what providers send for a filter or a long prompt
        if status == 400 and _NO_DATABASE.search(text):
            return AuthenticationError
        if _FILTER.search(text):
            return ContentFilterError
        if status != 403 and _CONTEXT.search(text):
            return ContextLengthError
    if status is None:
        return next((kind for pattern, kind in _BY_CODE if pattern.search(code)), ProviderError)
    if status in (401, 403):
        return AuthenticationError
    if status == 429:
        return RateLimitError
    return BadRequestError if 400 <= status < 500 else ProviderError
