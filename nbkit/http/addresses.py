"""Addresses of servers: base URLs in the forms in which people have them, and the paths that calls append. Pure.

A base URL ends where a protocol's own path begins, and may have a query (Azure's `api-version`), which every request
keeps.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from nbkit.errors import ConfigError
from nbkit.secret import hide_in_url

_ENDPOINTS: tuple[tuple[str, str], ...] = (  # the end of a path that is a whole endpoint, and the protocol it speaks
    (r"/chat/completions", "openai-chat"),
    (r"/completions", "openai-completions"),
    (r"/responses", "openai-responses"),
    (r"/messages", "anthropic-messages"),
    (r"/models/[^/]+:(generateContent|streamGenerateContent)", "gemini-generate"),
    (r"/model/[^/]+/(converse|converse-stream)", "bedrock-converse"),
    (r"/models/[^/]+:(rawPredict|streamRawPredict)", "anthropic-vertex"),
    (r"/api/chat", "ollama-chat"),
    (r"(?<=/v2)/chat", "cohere-v2"),
)
_LOCAL = re.compile(r"localhost|[^.]+\.(local|localhost)|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]|host\.docker\.internal")
_FORM = "it must be https://host/..., up to where the path of a call begins"


def read_base_url(text: str) -> tuple[str, str | None]:
    """Read a base URL as people paste it: the URL in its plain form, and the protocol where the text ends with the
    whole path of an endpoint (`.../chat/completions`), which is cut off.

    Spaces and quotes around it, slashes at its end and a fragment go. Without a scheme it is http: on this machine and
    https: elsewhere. Raises ConfigError, which says what is wrong.
    """
    parts, problem = _parse(text)
    if parts is None:
        text = hide_in_url(text)  # a traceback may print it
        raise ConfigError(f"{problem.format(repr(text))}; {_FORM}")
    path, protocol = _cut_endpoint(parts.path.rstrip("/"))
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{path}{query}", protocol


def _parse(text: str) -> tuple[SplitResult | None, str]:
    """Split a base URL, or say what is wrong with it, with `{}` in its place."""
    cleaned = text.strip().strip("\"'`<>").strip()
    if re.search(r"[\s\x00-\x1f\x7f\\]", cleaned):
        return None, "{} is not a base URL: it has a space or a line break in it"
    scheme, rest = "", cleaned.lstrip("/")
    if match := re.match(r"(https?):(?:/+|(?!\d))|([a-z][a-z0-9+.-]*)://", rest, re.IGNORECASE):
        scheme, rest = (match[1] or match[2]).lower(), rest[match.end() :]
    host = re.split(r"[/?#]", rest)[0]
    if "@" in host:
        return None, "a base URL cannot hold a user name or a password: pass api_key="
    if scheme not in ("", "http", "https"):
        return None, f"{{}} is not a base URL: it begins with {scheme}://"
    local = _LOCAL.fullmatch(re.sub(r":\d*$", "", host).lower())
    try:
        parts = urlsplit(f"{scheme or ('http' if local else 'https')}://{rest}")
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, a bracket that is not closed
        named = False
    return (parts, "") if named else (None, "{} is not a base URL: it names no host, or a port that is not a number")


def _cut_endpoint(path: str) -> tuple[str, str | None]:
    for pattern, protocol in _ENDPOINTS:
        if match := re.search(rf"{pattern}$", path):
            return path[: match.start()].rstrip("/"), protocol
    return path, None


def join_path(base_url: str, path: str) -> str:
    """Append a path, which may have a query of its own, to a base URL: in front of its query."""
    if "?" not in base_url:
        return base_url + path
    base, _, query = base_url.partition("?")
    path, _, more = path.partition("?")
    return f"{base}{path}?{query}{'&' if more else ''}{more}"
