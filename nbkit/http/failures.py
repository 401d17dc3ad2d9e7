"""Errors with plain messages, made from httpx2's exceptions and from redirects, which nbkit does not follow.

Make the error inside the `except` block and raise it after the block: an error raised inside would carry httpx2's
exception in its `__context__`, and with it the request and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx2

from nbkit.errors import AdapterError, ProviderError, TransportError

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
"""Exceptions of building, sending and reading a request."""

MAX_MESSAGE = 500
"""Characters."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_SURROGATES = re.compile("[\ud800-\udfff]")

_TIMEOUTS: dict[type[Exception], tuple[str, str]] = {
    httpx2.ConnectTimeout: ("connect", "could not connect to {host}: timed out after {seconds:.3g} s"),
    httpx2.ReadTimeout: ("read", "timed out after {seconds:.3g} s without data from {host}"),
    httpx2.WriteTimeout: ("write", "timed out after {seconds:.3g} s in which {host} accepted no data of the request"),
    httpx2.PoolTimeout: ("pool", "timed out after {seconds:.3g} s of waiting for a free connection to {host}"),
}
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (  # the first match counts; {text}: the exception's own message
    # without its text, which may quote a header
    (httpx2.LocalProtocolError, "cannot send the request to {host}: it is not valid HTTP"),
    (httpx2.UnsupportedProtocol, "cannot send to {host}: {text}"),
    (httpx2.InvalidURL, "cannot send to {host}: {text}"),
    (httpx2.ConnectError, "could not connect to {host}: {text}"),
    (httpx2.ProxyError, "the proxy did not connect to {host}: {text}"),
    (Exception, "lost the connection to {host}: {text}"),
)


def transport_error(exc: Exception, host: str) -> AdapterError:
    """Turn one of FAILURES, as a client raised it, into the error to raise.

    TransportError: no response arrived, or only a part of it. ProviderError: the body cannot be decompressed, which
    a retry does not change.
    """
    if isinstance(exc, httpx2.DecodingError):
        return ProviderError(f"the response from {host} cannot be decompressed")
    if isinstance(exc, httpx2.RequestError) and type(exc) in _TIMEOUTS:
        which, sentence = _TIMEOUTS[type(exc)]
        seconds = exc.request.extensions["timeout"][which]
        return TransportError(sentence.format(host=host, seconds=seconds))
    sentence = next(sentence for kind, sentence in _SENTENCES if isinstance(exc, kind))
    return TransportError(sentence.format(host=host, text=scrub(str(exc)) or type(exc).__name__))


def redirect_error(response: httpx2.Response) -> TransportError:
    """Make the error for a 3xx response: following a redirect would send key and prompt to another host."""
    host = response.request.url.netloc.decode()
    target = response.next_request.url if response.next_request else None
    where = f"{target.scheme}://{target.netloc.decode()}{target.path}" if target else "nowhere"
    return TransportError(
        scrub(f"{host} redirects to {where}; nbkit does not follow redirects: check the base URL"),
        status=response.status_code,
    )


def scrub(text: str, secrets: Iterable[str] = (), limit: int = MAX_MESSAGE) -> str:
    """Clean text from the network for a message: no control characters, no secrets, cut to `limit` characters.

    Secrets shorter than 8 characters stay: replacing them would blank out ordinary words.
    """
    text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).strip()
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 8:
            text = text.replace(secret, "[key]")
    return text if len(text) <= limit else text[: limit - 1] + "…"
