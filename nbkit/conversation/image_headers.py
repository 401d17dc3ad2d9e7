"""Facts from the header of an image: its size, and how the camera was held. Nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_MOST = 10_000  # segments or chunks, more than any file has before its pixels
_MOST_TAGS = 1000
_ORIENTATION = 0x0112


def read_size(data: bytes) -> tuple[int, int]:
    """Read an image's width and height from its header; (0, 0) if it has none, or is not an image."""
    read = next((read for start, read in _SIZES.items() if _begins(data, start)), None)
    try:
        width, height = read(data) if read else (0, 0)
    except struct.error:
        return 0, 0
    return width, height


def read_orientation(data: bytes) -> int:
    """Read the EXIF orientation, 1 (upright) to 8; 1 where an image has none. Most models do not look at it."""
    blocks = next((blocks for start, blocks in _BLOCKS.items() if _begins(data, start)), None)
    try:
        numbers = (_read_tag(block) for block in (blocks(data) if blocks else ()))
        return next((number for number in numbers if 1 <= number <= 8), 1)
    except struct.error:
        return 1


def _begins(data: bytes, start: bytes) -> bool:
    """Tell whether the data begin with `start`; for a RIFF file its kind, which stands at byte 8, counts."""
    return data.startswith(start) or (data.startswith(b"RIFF") and data[8:12] == start)


# Sizes


def _read_png(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from(">II", data, 16)


def _read_gif(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from("<HH", data, 6)


def _read_webp(data: bytes) -> tuple[int, ...]:
    """Read the size of a lossy, a lossless or an extended file (RFC 9649)."""
    (form,) = struct.unpack_from("4s", data, 12)
    if form == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if form == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
    return (width | width_high << 16) + 1, (height | height_high << 16) + 1


def _read_jpeg(data: bytes) -> tuple[int, ...]:
    """Read the size in the first start-of-frame segment (ITU T.81, B.1.1)."""
    at = 2
    for _ in range(_MOST):
        marker, length = struct.unpack_from(">xBH", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + length  # any number of 0xFF may precede a marker
    return 0, 0


_SIZES = {b"\x89PNG\r\n\x1a\n": _read_png, b"GIF8": _read_gif, b"WEBP": _read_webp, b"\xff\xd8\xff": _read_jpeg}


# Orientation


def _find_exif_in_jpeg(data: bytes) -> Iterator[bytes]:
    """Find the EXIF blocks among the segments before the pixels (CIPA DC-008, 4.5.4)."""
    at = 2
    for _ in range(_MOST):
        marker, length = struct.unpack_from(">xBH", data, at)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            yield data[at + 10 : at + 2 + length]
        if marker == 0xDA:  # the pixels begin
            return
        at += 1 if marker == 0xFF else 2 + length


def _find_exif_in_png(data: bytes) -> Iterator[bytes]:
    """Find the EXIF block among the chunks (PNG, third edition, 11.3.2.4)."""
    at = 8
    for _ in range(_MOST):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def _find_exif_in_webp(data: bytes) -> Iterator[bytes]:
    """Find the EXIF block among the chunks (RFC 9649, 2.7.1.5)."""
    at = 12
    for _ in range(_MOST):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            yield data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + length % 2


def _read_tag(block: bytes) -> int:
    """Read the orientation in the first directory of a TIFF block; 0 where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    (at,) = struct.unpack_from(f"{order}I", block, 4)
    (tags,) = struct.unpack_from(f"{order}H", block, at)
    for number in range(min(tags, _MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, at + 2 + 12 * number)
        if tag == _ORIENTATION:
            return int(value)
    return 0


_BLOCKS = {
    b"\xff\xd8\xff": _find_exif_in_jpeg,
    b"\x89PNG\r\n\x1a\n": _find_exif_in_png,
    b"WEBP": _find_exif_in_webp,
}
