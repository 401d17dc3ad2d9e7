"""What went wrong, in plain sentences: httpx2's exceptions and refused redirects as nbkit's errors.

Make the error inside the `except` block and raise it after the block: an error raised inside would carry httpx2's
exception in its `__context__`, and with it the request and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx2

from nbkit.errors import AdapterError, ProviderError, TransportError

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
"""What building, sending or reading raises when it fails."""

MAX_MESSAGE = 500
"""Characters."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_SURROGATES = re.compile("[\ud800-\udfff]")

_TIMEOUTS: dict[type[Exception], tuple[str, str]] = {
    httpx2.ConnectTimeout: ("connect", "could not connect to {host} within {seconds:.3g} s"),
    httpx2.ReadTimeout: ("read", "no byte from {host} for {seconds:.3g} s"),
    httpx2.WriteTimeout: ("write", "{host} took no byte of the request for {seconds:.3g} s"),
    httpx2.PoolTimeout: ("pool", "no connection to {host} became free within {seconds:.3g} s"),
}
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (  # the first that fits; {said}: the exception's own words
    (httpx2.LocalProtocolError, "cannot send such a request to {host}"),  # its words may quote a header
    (httpx2.UnsupportedProtocol, "cannot send to {host}: {said}"),
    (httpx2.InvalidURL, "cannot send to {host}: {said}"),
    (httpx2.ConnectError, "could not connect to {host}: {said}"),
    (httpx2.ProxyError, "the proxy did not connect to {host}: {said}"),
    (Exception, "the connection to {host} broke off: {said}"),
)


def transport_error(exc: Exception, host: str) -> AdapterError:
    """The error to raise for one of FAILURES, as a client raised it.

    A TransportError: no answer, or only a part of one, arrived. Or a ProviderError: a compressed body arrived
    that cannot be decompressed, which asking again does not mend.
    """
    if isinstance(exc, httpx2.DecodingError):
        return ProviderError(f"the answer of {host} cannot be decompressed")
    if isinstance(exc, httpx2.RequestError) and type(exc) in _TIMEOUTS:
        which, sentence = _TIMEOUTS[type(exc)]
        seconds = exc.request.extensions["timeout"][which]
        return TransportError(sentence.format(host=host, seconds=seconds))
    sentence = next(sentence for kind, sentence in _SENTENCES if isinstance(exc, kind))
    return TransportError(sentence.format(host=host, said=scrub(str(exc)) or type(exc).__name__))


def redirect_error(response: httpx2.Response) -> TransportError:
    """The error for an answer 3xx: nbkit follows no redirect, it would hand key and prompt to another address."""
    request = response.request
    target = response.next_request.url if response.next_request else None
    where = f"{target.scheme}://{target.netloc.decode()}{target.path}" if target else "nowhere"
    return TransportError(
        scrub(f"{request.url.netloc.decode()} redirects to {where}; a {request.method} is not redirected"),
        status=response.status_code,
    )


def scrub(text: str, secrets: Iterable[str] = (), limit: int = MAX_MESSAGE) -> str:
    """Text from the network, fit for a message: encodable, without control characters and secrets, cut to `limit`.

    Secrets shorter than 8 characters stay: they would blank out words.
    """
    text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).strip()
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 8:
            text = text.replace(secret, "[key]")
    return text if len(text) <= limit else text[: limit - 1] + "…"
