"""Errors with plain messages, made from httpx2's exceptions and from redirects, which nbkit does not follow.

Make the error inside the `except` block and raise it after the block: an error raised inside would carry httpx2's
exception in its `__context__`, and with it the request and the key.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable

import httpx2

from nbkit.errors import AdapterError, ConfigError, ProviderError, TransportError
from nbkit.http.environment import Proxy, find_proxy, name_server
from nbkit.http.exchange import DEADLINE_PASSED, find_exchange
from nbkit.http.retry import Stage

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
"""Exceptions of building, sending and reading a request."""

MAX_MESSAGE = 500
"""Characters."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORTEST_SECRET = 8
_SHORTEST_START = 4
"""Characters of a secret that a text may end with, because it was cut there."""

_TIMEOUTS: dict[type[Exception], tuple[str, str]] = {
    httpx2.ConnectTimeout: ("connect", "could not connect to {server}: timed out after {seconds:.3g} s"),
    httpx2.ReadTimeout: ("read", "timed out after {seconds:.3g} s without data from {host}"),
    httpx2.WriteTimeout: ("write", "timed out after {seconds:.3g} s in which {host} accepted no data of the request"),
    httpx2.PoolTimeout: (
        "pool",
        "timed out after {seconds:.3g} s of waiting for a free connection to {host}: all are in use, and "
        "NBKIT_MAX_CONNECTIONS says how many there may be",
    ),
}
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (  # the first match counts; {text}: the exception's own message
    # without its text, which may quote a header
    (httpx2.LocalProtocolError, "cannot send the request to {host}: it is not valid HTTP"),
    (httpx2.UnsupportedProtocol, "cannot send to {host}: {text}"),
    (httpx2.InvalidURL, "cannot send to {host}: {text}"),
    (httpx2.ConnectError, "could not connect to {server}: {text}"),
    (httpx2.ProxyError, "{server} did not connect: {text}"),
    (Exception, "lost the connection to {host}: {text}"),
)
_STAGES: tuple[tuple[tuple[type[Exception], ...], Stage], ...] = (
    ((httpx2.PoolTimeout,), Stage.QUEUED),
    ((httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError), Stage.CONNECTING),
    ((httpx2.WriteTimeout, httpx2.WriteError), Stage.WRITING),
    ((httpx2.ReadTimeout,), Stage.SILENCE),
    ((httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.CloseError), Stage.CLOSED),
)


def find_stage(exc: Exception, *, received: bool) -> Stage:
    """Say how far a request came that failed with one of FAILURES. `received`: the server has sent something of it."""
    stage = next((stage for kinds, stage in _STAGES if isinstance(exc, kinds)), Stage.UNFIT)
    if _find_tls_failure(exc) or (isinstance(exc, httpx2.ProxyError) and str(exc).startswith("4")):  # 403, 407
        return Stage.REFUSED
    return Stage.BROKEN if stage is Stage.CLOSED and received else stage


def transport_error(exc: Exception, host: str, *, proxied: bool = True) -> AdapterError:
    """Turn one of FAILURES, as a client raised it, into the error to raise.

    `host`, with its port, names the server; `proxied` tells whether the client uses the environment's proxies.
    TransportError: no response arrived, or only a part of it. ProviderError: the body cannot be decompressed, which
    a retry does not change.
    """
    if isinstance(exc, httpx2.DecodingError):
        return ProviderError(f"the response from {host} cannot be decompressed")
    request = _find_request(exc)
    proxy = _find_proxy(request) if proxied else None
    names = {"host": host, "server": _add_port(host, request)}
    if proxy:
        names = {"host": f"{host} through the proxy {proxy.name}", "server": f"the proxy {proxy.name} for {host}"}
    if request and type(exc) in _TIMEOUTS:
        exchange = find_exchange(request)
        if exchange and exchange.expired and (exchange.received or not exchange.alone):
            return TransportError(DEADLINE_PASSED)
        which, sentence = _TIMEOUTS[type(exc)]
        return TransportError(sentence.format(seconds=request.extensions["timeout"][which], **names))
    if reason := _find_tls_failure(exc):
        return TransportError(
            f"could not connect to {names['server']}: TLS or its certificate failed: {reason}; is it https:// that it "
            "speaks? SSL_CERT_FILE may name a file with the certificates to trust"
        )
    sentence = next(sentence for kind, sentence in _SENTENCES if isinstance(exc, kind))
    return TransportError(sentence.format(text=_find_reason(exc), **names))


def _find_reason(exc: Exception) -> str:
    """Return the exception's own words, or those of the system's error behind it."""
    cause: BaseException | None = exc if isinstance(exc, httpx2.ConnectError) else None
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):  # one for each address of the host
            cause = cause.exceptions[0]
        if isinstance(cause, OSError) and cause.errno is not None:
            # a name server's failures have numbers of their own, and asyncio other words for the system's
            return scrub(os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror))
        cause = cause.__cause__ or cause.__context__
    return scrub(str(exc)) or type(exc).__name__


def _find_request(exc: Exception) -> httpx2.Request | None:
    try:
        return exc.request if isinstance(exc, httpx2.RequestError) else None
    except RuntimeError:  # httpx2 raised it outside of a request
        return None


def _find_proxy(request: httpx2.Request | None) -> Proxy | None:
    try:
        return find_proxy(request.url) if request else None
    except ConfigError:  # the variable was changed while the call was under way
        return None


def _add_port(host: str, request: httpx2.Request | None) -> str:
    """Return `host:port`: the port is often what is wrong."""
    if request is None or re.search(r":\d+$", host):
        return host
    return f"{host}:{name_server(request.url).rpartition(':')[2]}"


def _find_tls_failure(exc: Exception) -> str:
    """Return what TLS refused, such as the certificate; "" for another failure, or where the peer only went away."""
    cause: BaseException | None = exc if isinstance(exc, httpx2.ConnectError) else None
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return scrub(getattr(cause, "verify_message", "") or cause.reason or str(cause))
        cause = cause.__cause__ or cause.__context__
    return ""


def redirect_error(response: httpx2.Response) -> TransportError:
    """Make the error for a 3xx response: following a redirect would send key and prompt to another host."""
    host = response.request.url.netloc.decode()
    target = response.next_request.url if response.next_request else None
    where = (
        f"redirects to {target.scheme}://{target.netloc.decode()}{target.path}"
        if target
        else (f"answers with a redirect (HTTP {response.status_code}) that names no usable address")
    )
    return TransportError(
        scrub(f"{host} {where}; nbkit does not follow redirects: check the base URL"),
        status=response.status_code,
    )


def scrub(text: str, secrets: Iterable[str] = (), limit: int = MAX_MESSAGE) -> str:
    """Clean text from the network for a message: no control characters, no secrets, cut to `limit` characters.

    Secrets shorter than 8 characters stay: replacing them would blank out ordinary words. The beginning of a secret
    goes, too, where the text ends with it: somebody has cut the text there.
    """
    text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).strip()
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = _remove_start(text.replace(secret, "[key]"), secret)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _remove_start(text: str, secret: str) -> str:
    end = text.rstrip("'\"…. ")
    for size in range(len(secret) - 1, _SHORTEST_START - 1, -1):
        if end.endswith(secret[:size]):
            return f"{end[:-size]}[key]{text[len(end) :]}"
    return text
