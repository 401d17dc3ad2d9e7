"""Errors with plain messages, made from an engine's failures and from redirects, which nbkit does not follow.

Make the error inside the `except` block and raise it after the block: an error raised inside would carry the engine's
exception in its `__context__`, and with it the request and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urljoin

from nbkit.errors import AdapterError, ConfigError, TransportError
from nbkit.http.environment import Proxy, find_proxy, name_server
from nbkit.http.exchange import DEADLINE_PASSED, AsyncReply, Exchange, Failure, Reply, split_url
from nbkit.http.retry import Stage
from nbkit.secret import hide_secrets

MAX_MESSAGE = 500
"""Characters."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORTEST_SECRET = 8
_SHORTEST_START = 4
"""Characters of a secret that a text may end with, because it was cut there."""


def find_stage(failure: Failure, *, received: bool) -> Stage:
    """Say how far a request came. `received`: the server has sent something of its answer."""
    stage = failure.kind.stage
    return Stage.BROKEN if stage is Stage.CLOSED and received else stage


def transport_error(failure: Failure, url: str, exchange: Exchange, *, proxied: bool = True) -> AdapterError:
    """Turn the failure of a request to `url` into the error to raise: no reply arrived, or only a part of it.

    `proxied` tells whether the client uses the environment's proxies.
    """
    if failure.kind.limit and exchange.expired and (exchange.received or not exchange.alone):
        return TransportError(DEADLINE_PASSED)
    seconds = getattr(exchange, failure.kind.limit) if failure.kind.limit else 0.0
    names = _name_servers(url, proxied)
    return TransportError(failure.kind.sentence.format(seconds=seconds, text=scrub(failure.text), **names))


def _name_servers(url: str, proxied: bool) -> dict[str, str]:
    """Return the names of the server for a sentence: plain, and with the port, which is often what is wrong."""
    try:
        address = split_url(url)
    except Failure:
        return dict.fromkeys(("host", "server"), scrub(url.partition("://")[2].partition("/")[0] or url, limit=100))
    host = address.netloc
    try:
        proxy: Proxy | None = find_proxy(address) if proxied else None
    except ConfigError:  # the variable was changed while the call was under way
        proxy = None
    if proxy:
        return {"host": f"{host} through the proxy {proxy.name}", "server": f"the proxy {proxy.name} for {host}"}
    return {"host": host, "server": name_server(address)}


def redirect_error(reply: Reply | AsyncReply, url: str) -> TransportError:
    """Make the error for a 3xx answer: following a redirect would send key and prompt to another host."""
    host = split_url(url).netloc
    try:
        target = split_url(urljoin(url, reply.headers.get("location", "")))
        named = "location" in reply.headers
    except (Failure, ValueError):
        named = False
    where = (
        f"redirects to {target.scheme}://{target.netloc}{target.target.partition('?')[0]}"
        if named
        else f"answers with a redirect (HTTP {reply.status}) that names no usable address"
    )
    return TransportError(
        scrub(f"{host} {where}; nbkit does not follow redirects: check the base URL"),
        status=reply.status,
    )


def scrub(text: str, secrets: Iterable[str] = (), limit: int = MAX_MESSAGE) -> str:
    """Clean text from the network for a message: no control characters, no secrets, cut to `limit` characters.

    A secret goes also where it is written as in a URL, in base64 or in hexadecimal.
    Secrets shorter than 8 characters stay: replacing them would blank out ordinary words. The beginning of a secret
    goes, too, where the text ends with it: somebody has cut the text there.
    """
    text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).strip()
    if secrets := [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]:
        text = hide_secrets(text, secrets)
        for secret in sorted(secrets, key=len, reverse=True):
            text = _remove_start(text, secret)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _remove_start(text: str, secret: str) -> str:
    end = text.rstrip("'\"…. ")
    for size in range(len(secret) - 1, _SHORTEST_START - 1, -1):
        if end.endswith(secret[:size]):
            return f"{end[:-size]}[key]{text[len(end) :]}"
    return text
