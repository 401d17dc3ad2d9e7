"""From what was asked to what is sent. Pure: nothing here knows of sockets, keys or the clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nbkit.conversation.completion import Change
from nbkit.conversation.content import ImageEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import UnsupportedFeatureError
from nbkit.protocols import protocol
from nbkit.protocols.wire import WireRequest
from nbkit.providers.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call ready to be sent."""

    conversation: Conversation
    options: ExecuteOptions
    request: WireRequest
    stream: bool


def prepare(said: Any, options: dict[str, Any], endpoint: Endpoint, stream: bool) -> Prepared:
    """Read the conversation and the options, check what the model can do, and write the request.

    Raises ConversationError, ConfigError (an unknown option) and UnsupportedFeatureError, all before anything is sent.
    With `strict` the latter also for anything that would be dropped, clamped or transformed.
    """
    conversation, asked = Conversation(said), ExecuteOptions.of(options)
    _check(conversation, asked, endpoint)
    asked, dropped = _fit(asked, endpoint)
    wire = protocol(endpoint.protocol).encode(conversation, asked, endpoint.model, endpoint.dialect, stream)
    changes = dropped + wire.changes
    if asked.strict and (lossy := [str(change) for change in changes if change.kind != "renamed"]):
        raise UnsupportedFeatureError(f"{endpoint.id}, strict: {'; '.join(lossy)}")
    body = wire.body | endpoint.body | (asked.extra_body or {})
    headers = wire.headers | endpoint.headers | (asked.extra_headers or {})
    return Prepared(conversation, asked, replace(wire, body=body, headers=headers, changes=changes), stream)


def _check(conversation: Conversation, options: ExecuteOptions, endpoint: Endpoint) -> None:
    if not conversation.turns:
        raise UnsupportedFeatureError(f"{endpoint.id}: the conversation is empty")
    if endpoint.tools is False and options.tools:
        raise UnsupportedFeatureError(f"{endpoint.id} calls no tools; catalog[catalog.tools] lists models that do")
    if endpoint.vision is False:
        for index, turn in enumerate(conversation):
            if any(isinstance(entry, ImageEntry) for entry in turn.content or () if not isinstance(entry, str)):
                raise UnsupportedFeatureError(
                    f"{endpoint.id} reads no images (turn {index}); catalog[catalog.vision] lists models that do"
                )


def _fit(options: ExecuteOptions, endpoint: Endpoint) -> tuple[ExecuteOptions, tuple[Change, ...]]:
    """Drop what the catalog says the model does not take."""
    if endpoint.temperature is False and options.temperature is not None:
        change = Change("dropped", "temperature", "the model takes none")
        return options.model_copy(update={"temperature": None}), (change,)
    return options, ()
