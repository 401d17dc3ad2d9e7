"""Images, documents and recordings that people have at hand, as content entries.

The kind of a file is found in its first bytes, never taken from its name. PIL, matplotlib and IPython are not imported:
their values are known by what they can do. The one thing read from outside is a file handed over as a path, here and
now, because it may change before the conversation is sent.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from nbkit.conversation.content import AudioData, AudioEntry, FileData, FileEntry, ImageEntry, ImageUrl, inline
from nbkit.errors import ConversationError

MAX_BYTES = 20 * 2**20
"""Of one file, before base64."""
MAX_PIXELS = 40_000_000
"""Of one image: providers scale larger ones down, or refuse them."""

_EXPECTED = (
    "a string, a pathlib.Path, bytes, a PIL image, a matplotlib figure, an IPython display.Image or display.Audio"
)

_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"%PDF-", "application/pdf"),
        (rb"RIFF....WAVE", "audio/wav"),
        (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "audio/mp3"),  # a tag, or the head of an MPEG layer III frame
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
        (rb"fLaC", "audio/flac"),
        (rb"OggS", "audio/ogg"),
        (rb"....ftypM4[AB] ", "audio/m4a"),
        (rb"FORM....AIF[FC]", "audio/aiff"),
    )
)
_TO_PNG = "convert it to PNG, or open it with PIL and hand over the image"
_UNREAD = tuple(
    (re.compile(pattern, re.DOTALL), what)
    for pattern, what in (
        (rb"....ftyp(?:hei|hev|mif1|msf1|avi[fs])", f"a HEIC or AVIF image: {_TO_PNG}"),
        (rb"II\*\0|MM\0\*", f"a TIFF image: {_TO_PNG}"),
        (rb"BM....\0\0\0\0", f"a BMP image: {_TO_PNG}"),
        (rb".{0,1000}<svg", "an SVG drawing: convert it to PNG"),
        (rb"....ftyp|\x1a\x45\xdf\xa3", "a video: hand over some frames as images, or the sound alone"),
        (rb"PK\x03\x04", "a ZIP archive or an Office document: export it as PDF"),
    )
)


def attach(value: Any, *, detail: Literal["auto", "low", "high"] | None = None) -> ImageEntry | FileEntry | AudioEntry:
    """An image, a PDF or a recording for a turn: `["What is this?", nbkit.attach("cat.png")]`.

    `value` is a path (`Path` or a string), an image's https: address, a `data:` URL, bytes, a PIL image, a matplotlib
    figure or axes, or an IPython `display.Image` or `display.Audio`. All but strings can stand in a turn's content
    as they are. `detail` says how closely an image is looked at. An address is sent as it is; nothing is fetched.

    Raises ConversationError where there is no such file, where it is none of PNG, JPEG, GIF, WebP, PDF, WAV, MP3, AAC,
    FLAC, Ogg, M4A and AIFF, is longer than 20 MiB, or has more than 40 megapixels.
    """
    if isinstance(value, str):
        if re.match("https?://", value, re.IGNORECASE):
            return ImageEntry(image_url=ImageUrl(url=value, detail=detail))
        value = _decoded(value) if value.startswith("data:") else Path(value)
    read = next((read for fits, read in _READERS if fits(value)), None)
    if read is None:
        raise ConversationError(f"expected {_EXPECTED}, got {type(value).__name__}")
    data = read(value)
    name = value.name if isinstance(value, Path) else ""
    media_type = inspect(data, name or "the data")
    kind, _, form = media_type.partition("/")
    if kind == "audio":
        return AudioEntry(input_audio=AudioData(data=b64encode(data).decode(), format=form))
    if kind == "image":
        return ImageEntry(image_url=ImageUrl(url=data_url(media_type, data), detail=detail))
    return FileEntry(file=FileData(file_data=data_url(media_type, data), filename=name))


def is_media(value: Any) -> bool:
    """Whether `attach` reads the value, strings aside. Looks at its type and attributes only."""
    return any(fits(value) for fits, _ in _READERS)


def inspect(data: bytes, name: str) -> str:
    """The media type, by the first bytes. Raises ConversationError as `attach` does; `name` says whose bytes they are.

    An image's size is read from its header; nothing is decoded.
    """
    if len(data) > MAX_BYTES:
        raise ConversationError(f"{name}: longer than {MAX_BYTES // 2**20} MiB")
    media_type = next((media_type for pattern, media_type in _SIGNATURES if pattern.match(data)), None)
    if media_type is None:
        what = next((what for pattern, what in _UNREAD if pattern.match(data)), "")
        kinds = "expected PNG, JPEG, GIF, WebP, PDF or a common audio format; text is handed over as a string"
        raise ConversationError(f"{name}: {what or kinds}")
    if media_type in _SIZES:
        width, height = pixels(data)
        if not width or not height:
            raise ConversationError(f"{name}: a damaged {media_type}, its header says no size")
        if width * height > MAX_PIXELS:
            raise ConversationError(f"{name}: {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million")
    return media_type


def pixels(data: bytes) -> tuple[int, int]:
    """An image's width and height, from its header; (0, 0) where the header does not say, or it is no image."""
    media_type = next((media_type for pattern, media_type in _SIGNATURES if pattern.match(data)), "")
    try:
        width, height = _SIZES[media_type](data) if media_type in _SIZES else (0, 0)
    except struct.error:
        return 0, 0
    return width, height


def data_url(media_type: str, data: bytes) -> str:
    """The bytes as a `data:` URL."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _decoded(url: str) -> bytes:
    _, data = inline(url) or ("", "")
    if len(data) > MAX_BYTES * 4 // 3 + 4:
        raise ConversationError(f"a data: URL longer than {MAX_BYTES // 2**20} MiB")
    try:
        return b64decode(data, validate=True)
    except ValueError:
        pass
    raise ConversationError("a data: URL whose base64 is damaged")


# How values become bytes


def _file(path: Path) -> bytes:
    problem = "no such file" if not path.exists() else "not a file" if not path.is_file() else ""
    if not problem:
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)  # one more than is taken: `inspect` says so
        except OSError as failed:
            problem = failed.strerror or type(failed).__name__
    raise ConversationError(f"{problem}: {path.absolute()}")


def _is_pil(value: Any) -> bool:
    return any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__)


def _picture(image: Any) -> bytes:
    """PNG, or JPEG for what was a photo: as PNG it would be far longer."""
    from PIL import ImageOps

    form = "JPEG" if image.format in ("JPEG", "MPO", "HEIF", "AVIF") else "PNG"
    image = ImageOps.exif_transpose(image)  # what is written says no more how the camera was held
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA") or (form == "JPEG" and image.mode != "L"):
        image = image.convert("RGB")
    buffer = BytesIO()
    image.save(buffer, form, quality=90)
    return buffer.getvalue()


def _drawing(value: Any) -> Any:
    """A matplotlib figure, that of axes, or a grid of seaborn."""
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    return figure if hasattr(figure, "savefig") else None


def _figure(value: Any) -> bytes:
    buffer = BytesIO()
    _drawing(value).savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _plotly(value: Any) -> bytes:
    raise ConversationError('a plotly figure: hand over figure.to_image("png"), for which plotly needs kaleido')


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], bytes]], ...] = (
    (lambda value: isinstance(value, bytes | bytearray | memoryview), bytes),
    (lambda value: isinstance(value, Path), _file),
    (_is_pil, _picture),
    (lambda value: _drawing(value) is not None, _figure),
    (lambda value: hasattr(value, "to_plotly_json"), _plotly),
    (lambda value: isinstance(getattr(value, "data", None), bytes), lambda value: bytes(value.data)),  # IPython.display
)


# Where images keep their size


def _png_size(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from(">II", data, 16)


def _gif_size(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from("<HH", data, 6)


def _webp_size(data: bytes) -> tuple[int, ...]:
    """RFC 9649: a lossy, a lossless or an extended file."""
    (form,) = struct.unpack_from("4s", data, 12)
    if form == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if form == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
    return (width | width_high << 16) + 1, (height | height_high << 16) + 1


def _jpeg_size(data: bytes) -> tuple[int, ...]:
    """ITU T.81, B.1.1: segments up to the first start of frame."""
    at = 2
    for _ in range(10_000):  # more than any file has
        marker, length = struct.unpack_from(">xBH", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + length  # a marker may be preceded by any number of 0xFF
    return 0, 0


_SIZES = {"image/png": _png_size, "image/gif": _gif_size, "image/webp": _webp_size, "image/jpeg": _jpeg_size}
