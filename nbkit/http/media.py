"""Download of images by URL, for models that accept images inline only.

A URL in a conversation may come from anywhere, so it must not reach hosts that only this machine can reach: Jupyter
itself, the local network, the cloud's metadata service. A host name is resolved once, its IP address is checked, and
the connection goes to exactly this IP address: the request's URL contains it, and the name stays in the Host header and
in TLS, where the certificate must match it. So a second reply of the name server cannot lead elsewhere. Each redirect
is checked in the same way. No authentication, cookie or proxy is used: each request has its own client without them.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx2

from nbkit.conversation.media import MAX_BYTES, data_url, inspect
from nbkit.errors import ConversationError, TransportError
from nbkit.http.bounded import raw_chunks
from nbkit.http.environment import ssl_context
from nbkit.http.exchange import Transport, limit_request
from nbkit.http.failures import FAILURES, scrub, transport_error

MAX_REDIRECTS = 5
MAX_SECONDS = 30.0

Address = IPv4Address | IPv6Address

# all of IPv6 that is not link-local, IPv4-mapped, NAT64, unique local, multicast ...
_ALLOCATED = ip_network("2000::/3")
_REFUSED = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16",  # Azure's WireServer, on the host of each virtual machine
        "192.0.0.0/24",  # special purposes, such as Oracle Cloud's 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "2001::/32",  # Teredo: contains an IPv4 address
        "2002::/16",  # 6to4: contains one too
    )
)


def public(address: Address) -> bool:
    """Tell whether an IP address is on the public internet, not on this machine, its network or its cloud."""
    if address.version == 6 and address not in _ALLOCATED:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _REFUSED)


def fetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[Address], bool] = public) -> str:
    """Download the image at an http: or https: URL and return it as a `data:` URL; its bytes decide the media type.

    Takes at most `seconds` and follows 5 redirects; `allowed` decides which IP
    addresses may be connected to. Raises ConversationError if the URL is not allowed or its content is not an image
    that models read (see `nbkit.conversation.media.inspect`), TransportError if the download fails. Both name the host,
    neither quotes the content.
    """
    deadline = time.monotonic() + seconds
    target = _parse_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        result = _get(target, _resolve(target, allowed), deadline)
        if isinstance(result, bytes):
            media_type = inspect(result, _name(target))
            if not media_type.startswith("image/"):
                raise ConversationError(f"{_name(target)}: {media_type}, expected an image")
            return data_url(media_type, result)
        target = _parse_url(result)
    raise ConversationError(f"{_name(target)}: more than {MAX_REDIRECTS} redirects")


async def afetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[Address], bool] = public) -> str:
    """Run `fetch_media` in a thread, which resolving a host name needs anyway."""
    return await asyncio.to_thread(fetch_media, url, seconds=seconds, allowed=allowed)


def _parse_url(url: str | httpx2.URL) -> httpx2.URL:
    """Read a URL, also a redirect's. Raises ConversationError unless it is http: or https: with a host and no user."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConversationError("the URL of an image must begin with http:// or https:// and name a host")
    if parsed.userinfo:
        raise ConversationError(f"{_name(parsed)}: a URL with a user name or password is not downloaded")
    return parsed


def _host(url: httpx2.URL) -> str:
    return url.raw_host.decode("ascii")


def _name(url: httpx2.URL) -> str:
    return f"the image at {scrub(_host(url), limit=100)}"


def _resolve(url: httpx2.URL, allowed: Callable[[Address], bool]) -> Address:
    """Look up the URL's host and return its first allowed IP address."""
    try:
        entries = socket.getaddrinfo(url.raw_host, None, type=socket.SOCK_STREAM)
    except OSError:
        entries = []
    addresses = [ip_address(entry[4][0]) for entry in entries]
    if not addresses:
        raise TransportError(f"{_name(url)}: unknown host")
    for address in addresses:
        if allowed(address):
            return address
    raise ConversationError(f"{_name(url)}: {addresses[0]} is not a public IP address, so it is not downloaded")


def _get(url: httpx2.URL, address: Address, deadline: float) -> bytes | httpx2.URL:
    """Send the request; return the body, or the URL that the response redirects to."""
    request = httpx2.Request(
        "GET",
        url.copy_with(host=str(address)),
        headers={
            "host": url.netloc.decode("ascii"),
            "accept": "image/png, image/jpeg, image/webp, image/gif",
            "accept-encoding": "identity",
            "user-agent": "nbkit",
        },
        extensions={"sni_hostname": _host(url)},
    )
    times = limit_request(deadline - time.monotonic())
    request.extensions["timeout"] = times.as_dict()
    try:
        with httpx2.Client(transport=Transport(verify=ssl_context()), trust_env=False) as client:
            response = client.send(request, stream=True)
            if response.has_redirect_location:
                return url.join(response.headers["location"])
            return _read_body(response, deadline)
    except TransportError as failed:
        failed.message = f"{_name(url)}: {failed.message}"
        raise
    except FAILURES as exc:
        error = transport_error(exc, scrub(_host(url), limit=100), proxied=False)
    raise error


def _read_body(response: httpx2.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise TransportError("download failed", status=response.status_code)
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise TransportError("the content is compressed in an unsupported format")
    body = bytearray()
    with closing(raw_chunks(response, deadline)) as chunks:
        for chunk in chunks:
            body += chunk
            if len(body) > MAX_BYTES:
                break
    return bytes(body)
