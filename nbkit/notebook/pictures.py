"""Images of a prompt as small pictures, HTML with their own data; and what else goes with a prompt."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from typing import Any
from weakref import WeakKeyDictionary

from nbkit.bulk.answers import Answer, Pane
from nbkit.conversation.content import ImageEntry, ImageUrl, inline
from nbkit.conversation.image_headers import read_size
from nbkit.conversation.media import MAX_BYTES, data_url, recognize
from nbkit.conversation.turns import AnyTurn
from nbkit.rendering.sanitize import plain_html, visible

_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Types that become pictures. An SVG drawing, which can hold scripts, does not."""
_SMALL_BYTES, _SMALL_PIXELS = 12_000, 1_000_000
"""An image up to this size is its own picture."""
_LARGE_BYTES = 100_000
"""Without PIL, which nbkit does not depend on, larger ones are their own pictures up to this size."""
_MOST_PIXELS = 20_000_000
"""A larger one is named only: to decode it takes too long."""
_LEAST = 8
"""Pixels of a side: what is smaller is not seen."""
_MOST = 6
"""Pictures of one prompt."""
_SIZE = (320, 160)
"""Pixels of a picture, at most; it is shown in half of that."""

_written: WeakKeyDictionary[ImageUrl, str] = WeakKeyDictionary()
"""Pictures, as long as their images live: a comparison shows one in many places, and often."""


def write_pictures(turn: AnyTurn) -> str:
    """Write the images of a turn as HTML. Those that are addresses, damaged or too large to be shown are left out."""
    images = [entry.image_url for entry in turn.media if isinstance(entry, ImageEntry)]
    return "".join(map(_write_picture, images[:_MOST]))


def list_unseen(answer: Answer, pictures: str) -> list[str]:
    """List what went with a prompt, in words, except the system prompt, and the images where they are `pictures`."""
    seen = re.compile(r"system prompt|\d+ images?" if pictures else "system prompt")
    return [one for one in answer.sent if not seen.fullmatch(one)]


def describe_prompt(pane: Pane, answer: Answer) -> dict[str, Any]:
    """Say what the views show with the prompt of an answer: its `pictures`, what else was `sent`, and with the first
    one the `system` prompt."""
    turns = answer.question or pane.conversation
    texts = [turn.text for turn in turns if turn.role in ("system", "developer")] if answer is pane.answers[0] else []
    pictures = write_pictures(turns[-1])
    sent = [visible(one) for one in list_unseen(answer, pictures)]
    parts = {"pictures": pictures, "sent": sent, "system": plain_html("\n\n".join(texts))}
    return {name: part for name, part in parts.items() if part}


def _write_picture(image: ImageUrl) -> str:
    if image not in _written:
        _written[image] = _make_picture(image.url)
    return _written[image]


def _make_picture(url: str) -> str:
    media_type, encoded = inline(url) or ("", "")
    if not media_type.startswith("image/") or len(encoded) > MAX_BYTES * 4 // 3 + 4:
        return ""
    try:
        data = b64decode(encoded)
    except ValueError:
        return ""
    media_type, (width, height) = recognize(data), read_size(data)
    if media_type not in _SHOWN or min(width, height) < _LEAST or width * height > _MOST_PIXELS:
        return ""
    if len(data) > _SMALL_BYTES or width * height > _SMALL_PIXELS:
        if small := _shrink(data):
            media_type, data = "image/jpeg", small
        elif len(data) > _LARGE_BYTES:
            return ""
    # the width, since JupyterLab's style sets the height
    shown = max(1, round(min(width, _SIZE[0] / 2, width * _SIZE[1] / 2 / height)))
    alt = f"image, {width} × {height} pixels"
    return f'<img src="{data_url(media_type, data)}" alt="{alt}" width="{shown}">'


def _shrink(data: bytes) -> bytes:
    """Make a small JPEG; b"" without PIL, and where it cannot read the image."""
    try:
        from PIL import Image
    except ImportError:
        return b""
    buffer = BytesIO()
    try:
        with Image.open(BytesIO(data)) as image:
            image.thumbnail(_SIZE)
            ground = Image.new("RGB", image.size, "white")
            clear = image.convert("RGBA")
            ground.paste(clear, mask=clear)
            ground.save(buffer, "JPEG", quality=75)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for damaged images
        return b""
    return buffer.getvalue()
