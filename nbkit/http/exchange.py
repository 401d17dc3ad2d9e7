"""One request and its reply, as every engine moves them: what is sent, how long each step may take, what comes back.

An engine is a library that moves bytes. It knows nothing of models, and nobody outside of its own module knows its
names: it takes a `Request`, gives a `Reply`, and raises `Failure`.

The libraries limit each socket operation by itself, so a server that drips headers, `103`s, chunk extensions or
trailers would hold a call forever: none of these bytes reaches a caller that could look at the clock. So every request
has an `Exchange`, and an engine lets no step outlast its deadline.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Protocol, Self

from msgspec import Struct, field

from nbkit.http.retry import Stage
from nbkit.secret import hide_fields

DEADLINE_PASSED = "timed out: the deadline passed before the response was complete"
PIECE = 2**16
"""Bytes of a request that are written at once: a server that reads slowly is measured by each of them."""
KEEP_ALIVE = 5.0
"""Seconds that a connection stays open for the next request."""
_SHORTEST = 0.001
"""Seconds; 0 would mean "do not wait at all" to a socket, and turn bytes that are there into an error."""
_LOST = "lost the connection to {host}: {text}"
_NOT_CONNECTED = "could not connect to {server}: {text}"
_PROXY = "{server} did not connect: {text}"


class Exchange:
    """The clock and the state of one request. `deadline` is a reading of `time.monotonic()` and may be changed.

    `connect`, `read`, `write`, `pool`: seconds that a connection, the next bytes of the reply, a piece of the request
    and a free place among the connections may take. `received` tells whether the server has sent anything since the
    request was written; `reused`, whether its connection had served other requests before; `alone`, whether the time
    until the deadline was given to this request and no other: then silence until there is a timeout like any other.
    """

    __slots__ = ("alone", "connect", "deadline", "pool", "read", "received", "reused", "write")

    def __init__(
        self, deadline: float, *, connect: float, read: float, write: float, pool: float, alone: bool = False
    ) -> None:
        self.deadline, self.alone = deadline, alone
        self.connect, self.read, self.write, self.pool = connect, read, write, pool
        self.received = self.reused = False

    @property
    def stale(self) -> bool:
        """Tell whether the request met a kept connection that its server was closing: nobody has answered it."""
        return self.reused and not self.received

    @classmethod
    def within(cls, seconds: float) -> Self:
        """Make one that is over in so many seconds, whatever the server does."""
        seconds = max(seconds, _SHORTEST)
        end = time.monotonic() + seconds
        return cls(end, connect=seconds, read=seconds, write=seconds, pool=seconds, alone=True)

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0.001."""
        return max(self.deadline - time.monotonic(), _SHORTEST)

    @property
    def expired(self) -> bool:
        """Tell whether the deadline has passed."""
        return time.monotonic() >= self.deadline

    def hurry(self, seconds: float) -> None:
        """Give the rest of the exchange at most so many seconds."""
        self.deadline = min(self.deadline, time.monotonic() + seconds)


class Request(Struct, eq=False):
    """A request. `url` is absolute; `server_name`, for TLS and `Host`, where the URL has an IP address instead."""

    method: str
    url: str
    exchange: Exchange
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    server_name: str = ""

    __repr__ = hide_fields("headers", "body")  # headers hold the key

    def complete(self, defaults: Mapping[str, str]) -> None:
        """Write the headers' names in lower case, so that none is sent twice, and add those that are missing."""
        self.headers = {**defaults, **{name.lower(): value for name, value in self.headers.items()}}

    def set_header(self, name: str, value: str) -> None:
        """Set a header of a complete request, instead of any of that name."""
        self.headers.pop(name.lower(), None)
        self.headers[name] = value


def check_headers(request: Request) -> None:
    """Raise Failure where a header cannot be sent: engines send some of these, and quote others in their exceptions."""
    names, values = request.headers, "\n".join(["", *request.headers.values()])
    if not (all(map(_is_token, names)) and _VALUES.fullmatch(values)) or values.count("\n") != len(names):
        raise Failure(Kind.BAD_REQUEST)


_VALUES = re.compile(r"(?:\n(?:[!-~](?:[ -~]*[!-~])?)?)*")
"""Values of headers, a line each: printable ASCII without white space around it."""


@lru_cache(256)
def _is_token(name: str) -> bool:
    return re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is not None


def join_headers(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Build the headers of a reply, their names in lower case; of one that came twice, both values."""
    headers: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


class Limits(NamedTuple):
    """How many connections of a client may be open, and how many of those that wait for the next request."""

    connections: int
    kept: int


class _Reply(Protocol):
    """The head of a reply: the status, and the headers with their names in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class Reply(_Reply, Protocol):
    """A reply, whose body is still to be read in a thread. Raises Failure."""

    def receive(self) -> bytes:
        """Wait for the next bytes of the body, as they are on the wire; empty at its end."""
        ...

    def close(self) -> None:
        """Give the connection back where the body was read to its end; else close it at once."""
        ...


class AsyncReply(_Reply, Protocol):
    """A reply, whose body is still to be read in an event loop. Raises Failure."""

    reads_all: bool
    """Whether `receive` returns all that has arrived; else one chunk of it, and the next at once."""

    async def receive(self) -> bytes:
        """Await the next bytes of the body, as they are on the wire; empty at its end."""
        ...

    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end; else close it at once."""
        ...


class Kind(Enum):
    """Kinds of failures: how far the request came, the `Exchange`'s limit that was passed, and the sentence for people.

    In the sentence: {host}, or {server} with its port, or the proxy in front of it; {seconds}; {text}: the details.
    """

    POOL_TIMEOUT = (
        Stage.QUEUED,
        "pool",
        "timed out after {seconds:.3g} s of waiting for a free connection to {host}: all are in use, and "
        "NBKIT_MAX_CONNECTIONS says how many there may be",
    )
    CONNECT_TIMEOUT = Stage.CONNECTING, "connect", "could not connect to {server}: timed out after {seconds:.3g} s"
    WRITE_TIMEOUT = (
        Stage.WRITING,
        "write",
        "timed out after {seconds:.3g} s in which {host} accepted no data of the request",
    )
    READ_TIMEOUT = Stage.SILENCE, "read", "timed out after {seconds:.3g} s without data from {host}"
    NOT_CONNECTED = Stage.CONNECTING, "", _NOT_CONNECTED
    TLS = (
        Stage.REFUSED,
        "",
        "could not connect to {server}: TLS or its certificate failed: {text}; is it https:// that it speaks? "
        "SSL_CERT_FILE may name a file with the certificates to trust",
    )
    PROXY = Stage.CONNECTING, "", _PROXY
    PROXY_REFUSED = Stage.REFUSED, "", _PROXY
    NOT_WRITTEN = Stage.WRITING, "", _LOST
    LOST = Stage.CLOSED, "", _LOST
    BAD_REQUEST = Stage.UNFIT, "", "cannot send the request to {host}: it is not valid HTTP"
    BAD_URL = Stage.UNFIT, "", "cannot send to {host}: {text}"

    def __init__(self, stage: Stage, limit: str, sentence: str) -> None:
        self.stage, self.limit, self.sentence = stage, limit, sentence


class Failure(Exception):
    """A request without a reply, or a reply without its end. `text`: the engine's words, which quote no header."""

    def __init__(self, kind: Kind, text: str = "") -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


class Address(NamedTuple):
    """A URL in the parts that an engine needs; `host` is ASCII, `port` is None where the scheme decides."""

    scheme: str
    host: str
    port: int | None
    target: str

    @property
    def netloc(self) -> str:
        """The host as the `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL again."""
        return f"{self.scheme}://{self.netloc}{self.target}"


_PLAIN = re.compile(
    r"(https?)://([a-z0-9.-]+)(?::(\d{1,5}))?((?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?)"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(256)
def split_url(url: str) -> Address:
    """Split a URL, and encode what has to be. Raises Failure where it is not one, or neither http: nor https:."""
    if match := _PLAIN.fullmatch(url):
        scheme, host, port, target = match.groups()
        number = int(port) if port and int(port) != _DEFAULT_PORTS[scheme] else None
        address, text = Address(scheme, host, number, target if target.startswith("/") else f"/{target}"), ""
    else:
        address, text = _parse(url)
    if not text and not _is_host(address.host):
        text = "the host is not a valid name or IP address"
    if not text and address.port is not None and not 0 < address.port < 2**16:
        text = "the port must be a number from 1 to 65535"
    if text:
        raise Failure(Kind.BAD_URL, text)
    return address


def _parse(url: str) -> tuple[Address, str]:
    """Return the address and "", or why there is none."""
    import httpx2  # a tenth of a second less for the many that need it not

    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as invalid:
        return Address("", "", None, ""), str(invalid)
    if parsed.scheme in _DEFAULT_PORTS and parsed.host:
        host = parsed.raw_host.decode("ascii")
        return Address(parsed.scheme, host, parsed.port, parsed.raw_path.decode("ascii")), ""
    return Address("", "", None, ""), "the URL must begin with http:// or https:// and name a host"


def _is_host(host: str) -> bool:
    """Tell whether a name can be looked up: name servers, and Python, know parts of 1 to 63 characters."""
    if ":" in host:
        return True
    parts = host.removesuffix(".").split(".")
    if len(parts) == 4 and "".join(parts).isdecimal():  # systems differ in how they read 0177.0.0.1
        return all(part == str(int(part)) and int(part) < 256 for part in parts)
    return all(0 < len(part) <= 63 for part in parts)
