"""The faces of the simulated provider: each is a module that speaks the provider's side of one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Protocol, cast

from nbkit.demo.reply import DemoReply
from nbkit.demo.request import DemoRequest
from nbkit.protocols import PROTOCOLS


class DemoFace(Protocol):
    """A module that reads requests and writes answers of one protocol."""

    PATH: str
    """Pattern of the paths that it serves; its named groups are keyword arguments of `parse`."""
    STREAM_TYPE: str
    """Content type of a stream."""
    REQUEST_ID: str
    """Header with the id of a request."""
    ID_PREFIX: str
    """Beginning of an answer's id."""

    parse: Callable[..., DemoRequest]
    """Reads the request of a body and of its path. Raises ValueError, naming the wrong field."""

    def write_whole(self, reply: DemoReply, request: DemoRequest, identity: str, created: int) -> dict[str, Any]:
        """Write the body of an answer that is not streamed. `created` is in seconds since 1970."""

    def write_events(
        self, reply: DemoReply, request: DemoRequest, identity: str, created: int
    ) -> Iterator[tuple[int, bytes]]:
        """Write the events of a streamed answer, each with the tokens that it takes: 1 for a piece of it, else 0."""

    def write_error(self, status: int, message: str) -> dict[str, Any]:
        """Write the body of an answer that reports an error."""


def import_face(protocol: str, package: str) -> DemoFace:
    """Import the face of a protocol from a package, where it has the name of the protocol's own module."""
    return cast(DemoFace, import_module(f"{package}.{PROTOCOLS[protocol].module}"))


_SPOKEN = ("openai-chat", "openai-responses", "anthropic-messages", "gemini-generate", "cohere-v2")  # by the models
FACES = {protocol: import_face(protocol, "nbkit.demo.faces") for protocol in _SPOKEN}
"""Protocol -> its face. The server serves them all, and every model answers in each."""


def add_face(protocol: str, face: DemoFace) -> None:
    """Serve one more protocol. For tests of protocols that no simulated model speaks."""
    FACES[protocol] = face
