"""Words for a failure that do not depend on the library that met it: the system's, TLS's, and ours."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator

NO_REPLY = "Server disconnected without sending a response."
_MAX_QUOTE = 60
"""Characters of bytes that are not HTTP."""
HANDSHAKE = "the connection was closed in the TLS handshake"
CUT = "peer closed connection without sending complete message body"


def find_tls_reason(error: BaseException) -> str:
    """Return what TLS refused, such as the certificate; "" for another failure, or where the peer only went away."""
    for cause in _walk(error):
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ""
        if isinstance(cause, ssl.SSLError):  # aiohttp's own kind of it has neither of the two
            reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or ""
            if reason or not (cause.__cause__ or cause.__context__):
                return str(reason or cause)
    return ""


def find_system_reason(error: BaseException) -> str:
    """Return the words of the system's error; "" where there is none."""
    for cause in _walk(error):
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # whose numbers are not the system's
            return HANDSHAKE
        if isinstance(cause, OSError) and cause.errno is not None:
            # a name server's failures have numbers of their own, and asyncio other words for the system's
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
    return ""


def describe_bad_http(text: str) -> str:
    """Return the words for bytes that are not HTTP, out of a library's message about them: the bytes that it quotes."""
    quoted = re.search(r"\bb(['\"])(.+?)\1", text)
    return f"not valid HTTP: {quoted[2][:_MAX_QUOTE]}" if quoted else "not valid HTTP"


def _walk(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what is behind it, the innermost last."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):  # one for each address of the host
            cause = cause.exceptions[0]
        yield cause
        cause = cause.__cause__ or cause.__context__
