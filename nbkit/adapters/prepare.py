"""From what was asked to what is sent. Pure: nothing here knows of sockets, keys or the clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from nbkit.adapters.fit_context import fit_context
from nbkit.adapters.fit_options import check_capabilities, fit_options, list_losses
from nbkit.adapters.fit_tools import fit_ids, fit_tools
from nbkit.conversation.completion import Change
from nbkit.conversation.content import ImageEntry
from nbkit.conversation.encodable import find_foreign, is_plain, make_encodable
from nbkit.conversation.fit_media import check_media, fit_media
from nbkit.conversation.options import DEPRECATED, OPTIONS, ExecuteOptions
from nbkit.conversation.tool_turns import check_outputs
from nbkit.conversation.transforms import fit_turns
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConfigError, ConversationError, UnsupportedFeatureError
from nbkit.protocols import protocol
from nbkit.protocols.native import fit_native
from nbkit.protocols.wire import WireRequest
from nbkit.protocols.writing import merge
from nbkit.providers.endpoints import Endpoint
from nbkit.secret import SecretHeaders

_ALWAYS = frozenset({"function_calls", "whole_calls", "empty_lists"})
"""The transforms that every conversation goes through."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name, RFC 9110
_FRAMING = ("content-length", "transfer-encoding", "connection")
_LOSSLESS = ("renamed",)
_CHECKED = frozenset(OPTIONS) - {"tools", "response_format", "extra_body"}
"""The options whose values are texts and numbers."""


_NOTHING = WireRequest("", {})


class Prepared(Struct, frozen=True):
    """A call ready to be sent; where there are `wanted` addresses, `supply_media` must fetch them in first."""

    conversation: Conversation
    options: ExecuteOptions
    stream: bool
    changes: tuple[Change, ...]
    endpoint: Endpoint
    """Where it is sent: the model's usual endpoint, or one with another protocol, which has options that are needed."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Name of a tool as it is sent -> the caller's, where they differ."""
    wanted: tuple[str, ...] = ()
    """Addresses of images, where the model takes images as data only."""
    request: WireRequest = _NOTHING


def prepare(conversation: Any, options: dict[str, Any], endpoint: Endpoint, stream: bool) -> Prepared:
    """Read the conversation and the options, check what the model can do, fit them to it, and write the request.

    Raises ConversationError, ConfigError (an unknown option) and UnsupportedFeatureError, all before anything is sent.
    With `strict` the latter also for anything that would be dropped, clamped or transformed.
    """
    requested = ExecuteOptions.of(options)
    conversation = conversation if type(conversation) is Conversation else Conversation(conversation)
    conversation, requested, made_encodable = _make_encodable(conversation, requested)
    if conversation.is_text and not requested.given:
        fitted = _fit_text(conversation, requested, endpoint)
    else:
        fitted = _fit(conversation, requested, endpoint)
    conversation, fitting, endpoint, changes, names, rerouted = fitted
    if not conversation.turns:
        raise UnsupportedFeatureError(f"{endpoint.id}: the conversation is empty", model=endpoint.id, feature="empty")
    can = endpoint.tolerance.capabilities
    streams = can.supports_streaming and (can.supports_json_streaming or not fitting.response_format)
    if stream and not streams:
        changes += (Change("transformed", "stream", "the model does not stream this: it comes in one piece"),)
    wanted = () if can.supports_image_urls or conversation.is_text else _list_addresses(conversation)
    if wanted:
        changes += (Change("transformed", "images", "the model takes no addresses: fetched and sent as data"),)
    changes = (*made_encodable, *changes)
    if options:
        old = [Change("renamed", name, f"deprecated: {new}") for name, new in DEPRECATED.items() if name in options]
        changes = (*old, *changes)
    _refuse_losses(changes, fitting, endpoint)
    stream = stream and streams
    request = _NOTHING if wanted else _encode(conversation, fitting, endpoint, stream)
    changes = rerouted + changes + request.changes
    return Prepared(conversation, fitting, stream, changes, endpoint, names, wanted, request)


class _Fitted(NamedTuple):
    conversation: Conversation
    options: ExecuteOptions
    endpoint: Endpoint
    changes: tuple[Change, ...]
    names: Mapping[str, str]
    rerouted: tuple[Change, ...]
    """That it goes to another endpoint, by which nothing is lost."""


def _fit_text(conversation: Conversation, options: ExecuteOptions, endpoint: Endpoint) -> _Fitted:
    """Do what `_fit` does, for plain text without options, which is what most calls are."""
    takes = endpoint.tolerance
    check_capabilities(conversation, options, takes.capabilities, endpoint.id)
    conversation, foreign = fit_native(conversation, endpoint.protocol)
    conversation, transformed = fit_turns(conversation, takes.lacks)
    return _Fitted(conversation, options, endpoint, foreign + transformed, {}, ())


def _fit(conversation: Conversation, options: ExecuteOptions, endpoint: Endpoint) -> _Fitted:
    """Check what the model can do, and fit the conversation and the options to it."""
    check_outputs(conversation)
    conversation, typed = fit_media(conversation)
    endpoint, rerouted = _choose_endpoint(endpoint, conversation, options)
    takes = endpoint.tolerance
    check_capabilities(conversation, options, takes.capabilities, endpoint.id)
    check_media(conversation, takes.media_types, endpoint.id)
    conversation, foreign = fit_native(conversation, endpoint.protocol)
    conversation, options, trimmed = fit_context(conversation, options, takes)
    conversation, options, changes = fit_options(conversation, options, takes)
    conversation, transformed = fit_turns(conversation, _ALWAYS | takes.lacks)
    conversation, options, names, renamed = fit_tools(conversation, options, takes.tool_names, takes.schema_top_drop)
    conversation, identified = fit_ids(conversation, takes.call_ids)
    all_changes = (*typed, *foreign, *trimmed, *changes, *transformed, *renamed, *identified)
    return _Fitted(conversation, options, endpoint, all_changes, names, rerouted)


def _make_encodable(
    conversation: Conversation, options: ExecuteOptions
) -> tuple[Conversation, ExecuteOptions, tuple[Change, ...]]:
    """Make every text encodable as UTF-8, and every number finite. Raises ConfigError and ConversationError."""
    problem: type[ConversationError | ConfigError] = ConversationError
    try:
        turns = conversation.turns if _is_ascii(conversation) else make_encodable(conversation.turns)
        problem = ConfigError
        given = {name: getattr(options, name) for name in options.given if name != "timeout"}  # which may be infinite
        fitting = make_encodable(given) if given else given
    except ValueError as nested:
        what = str(nested)
    else:
        if turns is conversation.turns and fitting is given:
            return conversation, options, ()
        change = Change("transformed", "text", "half of a character, NaN or infinity cannot be sent: U+FFFD or null is")
        return Conversation(turns), replace(options, **fitting), (change,)
    raise problem(f"{'the conversation' if problem is ConversationError else 'an option'}: {what}")


def _is_ascii(conversation: Conversation) -> bool:
    """Tell whether a conversation is text in ASCII and nothing beside, as most are: that is seen at a glance."""
    if not conversation.is_text:
        return False
    turn: Any
    for turn in conversation.turns:
        if not turn.content.isascii() or turn.name or turn.reasoning or turn.native:
            return False
    return True


def _choose_endpoint(
    endpoint: Endpoint, conversation: Conversation, options: ExecuteOptions
) -> tuple[Endpoint, tuple[Change, ...]]:
    """Choose the protocol that has most of the options: the model's usual one, unless another loses less."""
    lost = list_losses(conversation, options, endpoint.tolerance)
    # Newer reasoning models refuse an effort beside tools in chat completions.
    if not lost or (options.tools and (options.reasoning_effort or options.reasoning_budget)):
        return endpoint, ()
    for other in endpoint.others:
        if (still := list_losses(conversation, options, other.tolerance)) < lost:
            why = f"{endpoint.protocol} does not take {', '.join(sorted(lost - still))}: sent as {other.protocol}"
            return other, (Change("transformed", "protocol", why),)
    return endpoint, ()


def supply_media(prepared: Prepared, endpoint: Endpoint, media: Mapping[str, str]) -> Prepared:
    """Put the images into the call as data: `media` has a `data:` URL for each address. Raises like `prepare`."""
    turns = [
        replace(turn, content=tuple(_inline(entry, media) for entry in turn.content))
        if isinstance(turn.content, tuple)
        else turn
        for turn in prepared.conversation
    ]
    conversation, typed = fit_media(Conversation(turns))
    check_media(conversation, endpoint.tolerance.media_types, endpoint.id)
    _refuse_losses(typed, prepared.options, endpoint)
    request = _encode(conversation, prepared.options, prepared.endpoint, prepared.stream)
    changes = prepared.changes + typed + request.changes
    return replace(prepared, conversation=conversation, wanted=(), changes=changes, request=request)


def _encode(conversation: Conversation, options: ExecuteOptions, endpoint: Endpoint, stream: bool) -> WireRequest:
    """Write the request, with what the endpoint and the caller add to it."""
    encode = protocol(endpoint.protocol).encode
    wire = encode(conversation, options, make_encodable(endpoint.model), endpoint.dialect, stream)
    _refuse_losses(wire.changes, options, endpoint)
    body = dict(wire.body)
    for more in (endpoint.body, options.extra_body or {}):
        merge(body, more)
    # What is read from a plain conversation was looked through by `_make_encodable`.
    checked = conversation.is_text and options.given <= _CHECKED and not endpoint.body
    if not (checked and all(turn.native is None for turn in conversation)) and not is_plain(body):
        if foreign := find_foreign(body):
            raise ConfigError(f"{endpoint.id}: the request is not JSON: {foreign}")
        body = make_encodable(body)
    headers = wire.headers | endpoint.headers | (options.extra_headers or {})
    if headers:
        headers = SecretHeaders(headers)  # a traceback may print it
        headers = _check_headers(headers)
    return WireRequest(wire.path, body, headers, wire.changes)


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without white space around their values. Raises ConfigError, which names an illegal one."""
    checked = SecretHeaders((name, value.strip()) for name, value in headers.items())
    for name, value in checked.items():
        if not _TOKEN.fullmatch(name):
            problem = "its name may hold letters, digits and hyphens"
        elif name.lower() in _FRAMING:
            problem = "it belongs to the connection"
        elif not (value.isascii() and value.replace("\t", " ").isprintable()):
            problem = "its value may hold printable ASCII characters only"
        else:
            continue
        del value  # a traceback may print the locals of the frames that raise
        raise ConfigError(f"header {name!r}: {problem}")
    return checked


def _refuse_losses(changes: tuple[Change, ...], options: ExecuteOptions, endpoint: Endpoint) -> None:
    if not options.strict or not changes:
        return
    lossy = [str(change) for change in changes if change.kind not in _LOSSLESS]
    if lossy:
        message = f"{endpoint.id}, strict: {'; '.join(lossy)}"
        raise UnsupportedFeatureError(message, model=endpoint.id, feature="strict")


def _list_addresses(conversation: Conversation) -> tuple[str, ...]:
    entries = [entry for turn in conversation for entry in turn.media if isinstance(entry, ImageEntry)]
    return tuple(dict.fromkeys(entry.url for entry in entries if not entry.url.startswith("data:")))


def _inline(entry: Any, media: Mapping[str, str]) -> Any:
    if isinstance(entry, ImageEntry) and entry.url in media:
        return replace(entry, image_url=replace(entry.image_url, url=media[entry.url]))
    return entry
