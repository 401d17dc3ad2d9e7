"""From what was asked to what is sent. Pure: nothing here knows of sockets, keys or the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbkit.adapters.fit_options import check_capabilities, fit_options
from nbkit.conversation.completion import Change
from nbkit.conversation.content import ImageEntry
from nbkit.conversation.options import DEPRECATED, ExecuteOptions
from nbkit.conversation.transforms import fit_turns
from nbkit.conversation.turns import Conversation
from nbkit.errors import UnsupportedFeatureError
from nbkit.protocols import protocol
from nbkit.protocols.wire import WireRequest
from nbkit.protocols.writing import merge
from nbkit.providers.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call ready to be sent; where there are `wanted` addresses, `supply_media` must fetch them in first."""

    conversation: Conversation
    options: ExecuteOptions
    stream: bool
    changes: tuple[Change, ...]
    wanted: tuple[str, ...] = ()
    """Addresses of images, where the model takes images as data only."""
    request: WireRequest = field(default_factory=lambda: WireRequest("", {}))


def prepare(conversation: Any, options: dict[str, Any], endpoint: Endpoint, stream: bool) -> Prepared:
    """Read the conversation and the options, check what the model can do, fit them to it, and write the request.

    Raises ConversationError, ConfigError (an unknown option) and UnsupportedFeatureError, all before anything is sent.
    With `strict` the latter also for anything that would be dropped, clamped or transformed.
    """
    conversation, requested = Conversation(conversation), ExecuteOptions.of(options)
    old = [Change("renamed", name, f"deprecated: {new}") for name, new in DEPRECATED.items() if name in options]
    can = endpoint.tolerance.capabilities
    check_capabilities(conversation, requested, can, endpoint.id)
    conversation, fitting, changes = fit_options(conversation, requested, endpoint.tolerance)
    conversation, transformed = fit_turns(conversation, {"function_calls", "tools_later", *can.list_missing()})
    streams = can.supports_streaming and (can.supports_json_streaming or not fitting.response_format)
    if stream and not streams:
        transformed += (Change("transformed", "stream", "the model does not stream this: it comes in one piece"),)
    wanted = () if can.supports_image_urls else _list_addresses(conversation)
    if wanted:
        transformed += (Change("transformed", "images", "the model takes no addresses: fetched and sent as data"),)
    prepared = Prepared(conversation, fitting, stream and streams, (*old, *changes, *transformed), wanted)
    _refuse_losses(prepared.changes, fitting, endpoint)
    return prepared if wanted else _encode(prepared, endpoint)


def supply_media(prepared: Prepared, endpoint: Endpoint, media: Mapping[str, str]) -> Prepared:
    """Put the images into the call as data: `media` has a `data:` URL for each address. Raises like `prepare`."""
    turns = [
        turn.model_copy(update={"content": tuple(_inline(entry, media) for entry in turn.content)})
        if isinstance(turn.content, tuple)
        else turn
        for turn in prepared.conversation
    ]
    return _encode(replace(prepared, conversation=Conversation(turns), wanted=()), endpoint)


def _encode(prepared: Prepared, endpoint: Endpoint) -> Prepared:
    options = prepared.options
    encode = protocol(endpoint.protocol).encode
    wire = encode(prepared.conversation, options, endpoint.model, endpoint.dialect, prepared.stream)
    _refuse_losses(wire.changes, options, endpoint)
    body = dict(wire.body)
    for more in (endpoint.body, options.extra_body or {}):
        merge(body, more)
    headers = wire.headers | endpoint.headers | (options.extra_headers or {})
    return replace(prepared, request=replace(wire, body=body, headers=headers), changes=prepared.changes + wire.changes)


def _refuse_losses(changes: tuple[Change, ...], options: ExecuteOptions, endpoint: Endpoint) -> None:
    lossy = [str(change) for change in changes if change.kind != "renamed"]
    if options.strict and lossy:
        raise UnsupportedFeatureError(f"{endpoint.id}, strict: {'; '.join(lossy)}")


def _list_addresses(conversation: Conversation) -> tuple[str, ...]:
    entries = (entry for turn in conversation for entry in turn.entries if isinstance(entry, ImageEntry))
    return tuple(dict.fromkeys(entry.url for entry in entries if not entry.url.startswith("data:")))


def _inline(entry: Any, media: Mapping[str, str]) -> Any:
    if isinstance(entry, ImageEntry) and entry.url in media:
        return entry.model_copy(update={"image_url": entry.image_url.model_copy(update={"url": media[entry.url]})})
    return entry
