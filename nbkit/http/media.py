"""Images by their address, for models that take them inline only.

An address in a conversation may come from anywhere, so it must not reach what only this machine can reach: Jupyter
itself, the neighbors, the cloud's metadata. A host's name is resolved once, its address is checked, and the connection
goes to that very address: the URL that is sent holds it, the name is left in the Host header and in TLS, where the
certificate must fit it. So no second answer of a name server can lead elsewhere. Each redirect is checked anew. No
authentication, cookie or proxy is used: each request has a client of its own that knows of none.
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
from nbkit.http.clients import ssl_context
from nbkit.http.failures import FAILURES, scrub, transport_error

MAX_REDIRECTS = 5
MAX_SECONDS = 30.0

Address = IPv4Address | IPv6Address

_ALLOCATED = ip_network(
    "2000::/3"
)  # all of IPv6 that is not link-local, IPv4-mapped, NAT64, unique local, multicast ...
_REFUSED = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16",  # Azure's WireServer, the host of each of its machines
        "192.0.0.0/24",  # special purposes, such as Oracle Cloud's 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "2001::/32",  # Teredo: holds an IPv4 address
        "2002::/16",  # 6to4: likewise
    )
)


def public(address: Address) -> bool:
    """Whether an address belongs to the open internet and not to a machine, a network or a cloud around us."""
    if address.version == 6 and address not in _ALLOCATED:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _REFUSED)


def fetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[Address], bool] = public) -> str:
    """The image at an http: or https: address as a `data:` URL; its media type is found in its bytes.

    Takes at most `seconds` (looked at whenever bytes of the image arrive) and 5 redirects; `allowed` decides which
    addresses are connected to. Raises ConversationError where the address or what is there cannot be taken (see
    `nbkit.conversation.media.inspect`), TransportError where it did not come; both name the host, neither the content.
    """
    deadline = time.monotonic() + seconds
    target = _parsed(url)
    for _ in range(MAX_REDIRECTS + 1):
        got = _get(target, _resolved(target, allowed), deadline)
        if isinstance(got, bytes):
            media_type = inspect(got, _name(target))
            if not media_type.startswith("image/"):
                raise ConversationError(f"{_name(target)}: {media_type}, expected an image")
            return data_url(media_type, got)
        target = _parsed(got)
    raise ConversationError(f"{_name(target)}: more than {MAX_REDIRECTS} redirects")


async def afetch_media(url: str, *, seconds: float = MAX_SECONDS, allowed: Callable[[Address], bool] = public) -> str:
    """`fetch_media` in a thread, which resolving a name needs anyway."""
    return await asyncio.to_thread(fetch_media, url, seconds=seconds, allowed=allowed)


def _parsed(url: str | httpx2.URL) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConversationError("an image's address: expected http:// or https:// and a host")
    if parsed.userinfo:
        raise ConversationError(f"{_name(parsed)}: an address with a user name or password is not fetched")
    return parsed


def _host(url: httpx2.URL) -> str:
    return url.raw_host.decode("ascii")


def _name(url: httpx2.URL) -> str:
    return f"the image at {scrub(_host(url), limit=100)}"


def _resolved(url: httpx2.URL, allowed: Callable[[Address], bool]) -> Address:
    """The first allowed address of the URL's host."""
    try:
        found = socket.getaddrinfo(url.raw_host, None, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    addresses = [ip_address(entry[4][0]) for entry in found]
    if not addresses:
        raise TransportError(f"{_name(url)}: no such host")
    for address in addresses:
        if allowed(address):
            return address
    raise ConversationError(f"{_name(url)}: {addresses[0]} is not a public address, nothing is fetched")


def _get(url: httpx2.URL, address: Address, deadline: float) -> bytes | httpx2.URL:
    """The body, or where the answer redirects to."""
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
    left = max(deadline - time.monotonic(), 0.001)
    try:
        with httpx2.Client(verify=ssl_context(), trust_env=False, timeout=left) as client:
            response = client.send(request, stream=True)
            if response.has_redirect_location:
                return url.join(response.headers["location"])
            return _body(response, deadline)
    except TransportError as failed:
        failed.message = f"{_name(url)}: {failed.message}"
        raise
    except FAILURES as exc:
        error = transport_error(exc, scrub(_host(url), limit=100))
    raise error


def _body(response: httpx2.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise TransportError("not to be had", status=response.status_code)
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise TransportError("compressed in a way that was not asked for")
    body = bytearray()
    with closing(raw_chunks(response, deadline)) as chunks:
        for chunk in chunks:
            body += chunk
            if len(body) > MAX_BYTES:
                break
    return bytes(body)
