"""Download of images by URL, for models that accept images inline only.

A URL in a conversation may come from anywhere, so it must not reach hosts that only this machine can reach: Jupyter
itself, the local network, the cloud's metadata service. A host name is resolved once, its IP address is checked, and
the connection goes to exactly this IP address: the request's URL contains it, and the name stays in the Host header and
in TLS, where the certificate must match it. So a second reply of the name server cannot lead elsewhere. Each redirect
is checked in the same way. No authentication, cookie or proxy is used: each request has its own client without them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urljoin

from nbkit.conversation.media import MAX_BYTES, data_url, inspect
from nbkit.errors import ConversationError, TransportError
from nbkit.http.bounded import read_pieces
from nbkit.http.engine_httpx2 import Client
from nbkit.http.environment import ssl_context
from nbkit.http.exchange import DEADLINE_PASSED, Address, Exchange, Failure, Limits, Reply, Request, split_url
from nbkit.http.failures import scrub, transport_error
from nbkit.http.names import look_up

MAX_REDIRECTS = 5
MAX_SECONDS = 30.0
_REDIRECTS = (301, 302, 303, 307, 308)

IPAddress = IPv4Address | IPv6Address

# all of IPv6 that is not link-local, IPv4-mapped, NAT64, unique local, multicast ...
_ALLOCATED = ip_network("2000::/3")
_REFUSED = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16",  # Azure's WireServer, on the host of each virtual machine
        "192.0.0.0/24",  # special purposes, such as Oracle Cloud's 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "3fff::/20",  # documentation (RFC 9637), which ipaddress knows only since Python 3.13
        "2001::/32",  # Teredo: contains an IPv4 address
        "2002::/16",  # 6to4: contains one too
    )
)


def public(address: IPAddress) -> bool:
    """Tell whether an IP address is on the public internet, not on this machine, its network or its cloud."""
    if address.version == 6 and address not in _ALLOCATED:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _REFUSED)


def fetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[IPAddress], bool] = public) -> str:
    """Download the image at an http: or https: URL and return it as a `data:` URL; its bytes decide the media type.

    Takes at most `seconds` and follows 5 redirects; `allowed` decides which IP
    addresses may be connected to. Raises ConversationError if the URL is not allowed or its content is not an image
    that models read (see `nbkit.conversation.media.inspect`), TransportError if the download fails. Both name the host,
    neither quotes the content.
    """
    deadline = time.monotonic() + seconds
    target = _parse_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        result = _get(target, _resolve(target, allowed, deadline - time.monotonic()), deadline)
        if isinstance(result, bytes):
            media_type = inspect(result, _name(target))
            if not media_type.startswith("image/"):
                raise ConversationError(f"{_name(target)}: {media_type}, expected an image")
            return data_url(media_type, result)
        target = _parse_url(result)
    raise ConversationError(f"{_name(target)}: more than {MAX_REDIRECTS} redirects")


async def afetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[IPAddress], bool] = public) -> str:
    """Run `fetch_media` in a thread, which resolving a host name needs anyway."""
    return await asyncio.to_thread(fetch_media, url, seconds=seconds, allowed=allowed)


def _parse_url(url: str) -> Address:
    """Read a URL, also a redirect's. Raises ConversationError unless it is http: or https: with a host and no user."""
    try:
        address = split_url(url)
    except Failure:
        address = None
    if address is None:
        raise ConversationError("the URL of an image must begin with http:// or https:// and name a host")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ConversationError(f"{_name(address)}: a URL with a user name or password is not downloaded")
    return address


def _name(address: Address) -> str:
    return f"the image at {scrub(address.host, limit=100)}"


def _resolve(address: Address, allowed: Callable[[IPAddress], bool], seconds: float) -> IPAddress:
    """Look up the host and return its first allowed IP address."""
    try:
        addresses = [ip_address(text) for text in look_up(address.host, 0, max(seconds, 0.0))]
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        addresses = []
    if not addresses:
        raise TransportError(f"{_name(address)}: unknown host")
    for ip in addresses:
        if allowed(ip):
            return ip
    raise ConversationError(f"{_name(address)}: {addresses[0]} is not a public IP address, so it is not downloaded")


def _get(address: Address, ip: IPAddress, deadline: float) -> bytes | str:
    """Send the request; return the body, or the URL that the response redirects to."""
    exchange = Exchange.within(deadline - time.monotonic())
    url = address._replace(host=str(ip)).url
    headers = {
        "accept": "image/png, image/jpeg, image/webp, image/gif",
        "accept-encoding": "identity",
        "user-agent": "nbkit",
    }
    request = Request("GET", url, exchange, headers, server_name=address.netloc)
    certificates = ssl_context() if address.scheme == "https" else None
    try:
        with closing(Client(certificates, None, Limits(1, 0))) as client, closing(client.send(request)) as reply:
            if reply.status in _REDIRECTS and "location" in reply.headers:
                return urljoin(address.url, reply.headers["location"])
            return _read_body(reply, exchange)
    except TransportError as failed:
        failed.message = f"{_name(address)}: {failed.message}"
        raise
    except Failure as failure:
        error = transport_error(failure, address.url, exchange, proxied=False)
        if error.message == DEADLINE_PASSED:  # others name the host
            error.message = f"{_name(address)}: {error.message}"
    raise error


def _read_body(reply: Reply, exchange: Exchange) -> bytes:
    if reply.status != 200:
        raise TransportError("download failed", status=reply.status)
    if reply.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise TransportError("the content is compressed in an unsupported format")
    body = bytearray()
    for data in read_pieces(reply, exchange):
        body += data
        if len(body) > MAX_BYTES:
            break
    return bytes(body)
