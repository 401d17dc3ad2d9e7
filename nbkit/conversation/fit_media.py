"""Media of a conversation, typed by their first bytes and turned upright, before a request is written."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from nbkit.conversation.completion import Change
from nbkit.conversation.content import AudioEntry, ContentEntry, FileEntry, ImageEntry, TextEntry, inline
from nbkit.conversation.media import explain_unsupported, make_entry, recognize, turn_upright
from nbkit.conversation.turns import AnyTurn, Conversation
from nbkit.errors import ConversationError, UnsupportedFeatureError

_ALIASES = {  # names of types that people write -> the registered ones, and for recordings nbkit's own
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
    "audio/mpeg": "audio/mp3",
    "audio/mpga": "audio/mp3",
    "audio/x-mp3": "audio/mp3",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/m4a",
    "audio/x-aiff": "audio/aiff",
}
_UNREAD = {  # kinds that `explain_unsupported` knows -> their type, so that a protocol may take them all the same
    "a HEIC or AVIF image": "image/heic",
    "a TIFF image": "image/tiff",
    "a BMP image": "image/bmp",
    "an SVG drawing": "image/svg+xml",
    "a video": "video/mp4",
    "a ZIP archive or an Office document": "application/zip",
}
_HEIC = ("image/heic", "image/heif", "image/avif")  # the same beginning
_Media = ImageEntry | FileEntry | AudioEntry


def fit_media(conversation: Conversation) -> tuple[Conversation, tuple[Change, ...]]:
    """Give all images, files and recordings the type that their bytes have; return the conversation with the changes.

    Raises ConversationError, which names the turn, for a `data:` URL that cannot be read.
    """
    if conversation.is_text:
        return conversation, ()
    changes: list[Change] = []
    turns: list[AnyTurn] = []
    for index, turn in enumerate(conversation):
        entries = turn.entries if isinstance(turn.content, tuple) else ()
        fitting = tuple(_fit_entry(entry, f"turn {index} ({turn.role})", changes) for entry in entries)
        same = all(new is old for new, old in zip(fitting, entries, strict=True))
        turns.append(turn if same else replace(turn, content=fitting))
    if not changes and all(new is old for new, old in zip(turns, conversation, strict=True)):
        return conversation, ()
    return Conversation(turns), tuple(dict.fromkeys(changes))


def check_media(conversation: Conversation, taken: Collection[str], model: str) -> None:
    """Raise UnsupportedFeatureError, which names the turn, for media of a type that is not `taken`.

    Of a kind (images, recordings, documents) of which `taken` names no type, all are; with `text/plain` all texts are.
    """
    if conversation.is_text:
        return
    for index, turn in enumerate(conversation):
        for entry in turn.media:
            declared = _declare(entry)
            known = [name for name in taken if _find_kind(name) == _find_kind(declared)]
            text = declared.startswith("text/") and "text/plain" in known
            if declared and known and not text and declared not in known:
                _, data = _read_entry(entry, "")
                what = explain_unsupported(data or b"") or f"{declared}: convert it"
                raise UnsupportedFeatureError(
                    f"turn {index} ({turn.role}): {model} reads {', '.join(sorted(known))}, and this is {what}",
                    model=model,
                    feature=declared,
                )


def _find_kind(media_type: str) -> str:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio") else "document"


def _fit_entry(entry: ContentEntry, where: str, changes: list[Change]) -> ContentEntry:
    if isinstance(entry, TextEntry):
        return entry
    declared, data = _read_entry(entry, where)
    if data is None:  # an address
        return entry
    media_type = _find_type(declared, data, isinstance(entry, ImageEntry))
    upright = turn_upright(data) if media_type.startswith("image/") else data
    if upright is not data:
        changes.append(Change("transformed", "image", "turned upright, as its EXIF data say"))
        data, media_type = upright, recognize(upright)
    elif media_type != declared:
        changes.append(Change("renamed", f"media type {declared}", f"it is {media_type}"))
    elif _is_plain(entry, declared):
        return entry
    more: dict[str, Any] = {}
    if isinstance(entry, ImageEntry):
        more["detail"] = entry.image_url.detail
    elif isinstance(entry, FileEntry):
        more["name"] = entry.file.filename
    fitting = make_entry(media_type, data, **more)
    mark = entry.cache_control
    return replace(fitting, cache_control=mark) if mark else fitting


def _declare(entry: ContentEntry) -> str:
    """Return the media type that an entry is declared to have; "" for text, and for an address."""
    if isinstance(entry, TextEntry):
        return ""
    if isinstance(entry, AudioEntry):
        return f"audio/{entry.input_audio.format.lower().removeprefix('audio/')}"
    return (inline(entry.url) or ("", ""))[0]


def _read_entry(entry: ContentEntry, where: str) -> tuple[str, bytes | None]:
    """Read (media type as it is declared, bytes) of an entry; None for the bytes behind an address."""
    declared = _declare(entry)
    if isinstance(entry, TextEntry):
        return "", None
    if isinstance(entry, AudioEntry):
        _, encoded = inline(entry.input_audio.data) or ("", entry.input_audio.data)
    elif _is_local(entry.url):
        raise ConversationError(f"{where}: a provider cannot read {entry.url}: pass nbkit.attach({entry.url!r})")
    elif not declared:
        return "", None
    else:
        _, encoded = inline(entry.url) or ("", "")
    data = _decode(encoded)
    if not data:
        raise ConversationError(f"{where}: {declared}: {'no data' if data is not None else 'invalid base64'}")
    return declared, data


def _is_local(url: str) -> bool:
    """Tell whether a URL is a path, or a file's; a Windows drive is not a scheme."""
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", url, re.IGNORECASE)
    return scheme is None or scheme[1].lower() == "file"


def _decode(text: str) -> bytes | None:
    """Decode base64 in either alphabet, with or without padding and line breaks; None where it is invalid."""
    plain = re.sub(r"\s+", "", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        return None


def _is_plain(entry: _Media, declared: str) -> bool:
    """Tell whether an entry is written as providers want it: a `data:` URL with the bare type, base64 with padding."""
    if isinstance(entry, AudioEntry):
        return entry.input_audio.format == declared.removeprefix("audio/") and _is_base64(entry.input_audio.data)
    head, _, data = entry.url.partition(",")
    return head == f"data:{declared};base64" and _is_base64(data)


def _is_base64(text: str) -> bool:
    return len(text) % 4 == 0 and text.isascii() and not re.search(r"[\s:,_-]", text)


def _find_type(declared: str, data: bytes, image: bool) -> str:
    """Find the type by the bytes, else the declared one; a text is what it is declared to be."""
    usual = _ALIASES.get(declared.lower(), declared.lower())
    if usual.startswith("text/") and b"\0" not in data[:1000]:
        return usual
    kind = explain_unsupported(data).partition(":")[0]
    known = recognize(data) or (_UNREAD.get(kind, "") if image and usual not in _HEIC else "")
    return known or usual
