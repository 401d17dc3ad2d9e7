"""Content entries from images, documents and recordings: paths, bytes, figures, PIL images.

The first bytes of a file decide its type, never its name. PIL, matplotlib and IPython are not imported: their values
are recognized by their methods. PIL alone is, where it is installed and a photo has to be turned upright. A file passed
as a path is read at once, because it may change before the conversation is sent; nothing else is read from outside.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from nbkit.arguments import describe
from nbkit.conversation.content import AudioData, AudioEntry, FileData, FileEntry, ImageEntry, ImageUrl, inline
from nbkit.conversation.image_headers import read_orientation, read_size
from nbkit.errors import ConversationError

MAX_BYTES = 20 * 2**20
"""Bytes of one file, before base64."""
MAX_PIXELS = 40_000_000
"""Pixels of one image: providers scale larger ones down or refuse them."""

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
_CONTROLS = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")
"""Characters that files of text do not hold. Logs have the escape character."""
_SIZED = ("image/png", "image/jpeg", "image/gif", "image/webp")
_TO_PNG = "convert it to PNG, or open it with PIL and pass the image"
_UNSUPPORTED = tuple(
    (re.compile(pattern, re.DOTALL), what)
    for pattern, what in (
        (rb"....ftyp(?:hei|hev|mif1|msf1|avi[fs])", f"a HEIC or AVIF image: {_TO_PNG}"),
        (rb"II\*\0|MM\0\*", f"a TIFF image: {_TO_PNG}"),
        (rb"BM....\0\0\0\0", f"a BMP image: {_TO_PNG}"),
        (rb".{0,1000}<svg", "an SVG drawing: convert it to PNG"),
        (rb"....ftyp|\x1a\x45\xdf\xa3", "a video: pass some frames as images, or the sound alone"),
        (rb"PK\x03\x04", "a ZIP archive or an Office document: export it as PDF"),
    )
)


def attach(value: Any, *, detail: Literal["auto", "low", "high"] | None = None) -> ImageEntry | FileEntry | AudioEntry:
    """Make an image, a PDF or a recording for a turn: `["What is this?", nbkit.attach("cat.png")]`.

    `value` is a path (`Path` or a string, also `~/cat.png` and a file: URL), an image's https: URL, a `data:` URL,
    bytes, a PIL image, a matplotlib figure or axes, or an IPython `display.Image` or `display.Audio`. All but strings
    can be used in a turn's content directly. `detail` sets the detail in which a model reads an image. A URL is sent as
    it is; nothing is downloaded. A photo that was taken with the camera held sideways is turned upright.

    Raises ConversationError if the file does not exist, is longer than 20 MiB, has more than 40 megapixels, or has
    another format than PNG, JPEG, GIF, WebP, PDF, WAV, MP3, AAC, FLAC, Ogg, M4A and AIFF.
    """
    if isinstance(value, str):
        if re.match("https?://", value, re.IGNORECASE):
            return ImageEntry(image_url=ImageUrl(url=value, detail=detail))
        value = _decode_url(value) if re.match("data:", value, re.IGNORECASE) else _find_path(value)
    read = next((read for fits, read in _READERS if fits(value)), None)
    if read is None:
        raise ConversationError(f"expected {_EXPECTED}, got {describe(value)}")
    data = read(value)
    name = value.name if isinstance(value, Path) else ""
    media_type = inspect(data, name or "the data")
    if (upright := turn_upright(data)) is not data:
        data, media_type = upright, inspect(upright, name or "the data")
    return make_entry(media_type, data, detail=detail, name=name)


def make_entry(
    media_type: str, data: bytes, *, detail: Literal["auto", "low", "high"] | None = None, name: str = ""
) -> ImageEntry | FileEntry | AudioEntry:
    """Make the entry for bytes of a known type."""
    kind, _, form = media_type.partition("/")
    if kind == "audio":
        return AudioEntry(input_audio=AudioData(data=b64encode(data).decode(), format=form))
    if kind == "image":
        return ImageEntry(image_url=ImageUrl(url=data_url(media_type, data), detail=detail))
    return FileEntry(file=FileData(file_data=data_url(media_type, data), filename=name))


def is_media(value: Any) -> bool:
    """Tell whether `attach` reads the value, other than strings. Checks its type and attributes only."""
    return any(fits(value) for fits, _ in _READERS)


def inspect(data: bytes, name: str) -> str:
    """Find the media type by the first bytes. Raises ConversationError as `attach` does, with the file's `name`.

    An image's size is read from its header; nothing is decoded.
    """
    if len(data) > MAX_BYTES:
        raise ConversationError(f"{name}: longer than {MAX_BYTES // 2**20} MiB")
    media_type = recognize(data)
    if not media_type:
        what = explain_unsupported(data)
        kinds = "expected PNG, JPEG, GIF, WebP, PDF or a common audio format; pass text as a string"
        raise ConversationError(f"{name}: {what or kinds}")
    if media_type in _SIZED:
        width, height = read_size(data)
        if not width or not height:
            raise ConversationError(f"{name}: a damaged {media_type} without a size in its header")
        if width * height > MAX_PIXELS:
            raise ConversationError(f"{name}: {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million")
    return media_type


def recognize(data: bytes) -> str:
    """Recognize the media type by the first bytes; "" for one that models do not read."""
    return next((media_type for pattern, media_type in _SIGNATURES if pattern.match(data)), "")


def read_text(data: bytes) -> str | None:
    """Decode a text file: UTF-8, UTF-16 with a mark of its order, or else what Windows writes; None for other files."""
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _CONTROLS.search(text) else text.replace("\r\n", "\n")
    return None


def explain_unsupported(data: bytes) -> str:
    """Say what bytes are that models do not read, and what to do; "" where that is not known either."""
    return next((what for pattern, what in _UNSUPPORTED if pattern.match(data)), "")


def turn_upright(data: bytes) -> bytes:
    """Turn an image as its EXIF orientation says, which most models ignore; the same bytes where it stands upright.

    They also stay as they are without PIL, and where it cannot read them.
    """
    width, height = read_size(data)
    if read_orientation(data) == 1 or width * height > MAX_PIXELS:
        return data
    try:
        from PIL import Image
    except ImportError:
        return data
    try:
        return _save_image(Image.open(BytesIO(data)))
    except (OSError, ValueError, SyntaxError):  # what PIL raises for damaged images
        return data


def data_url(media_type: str, data: bytes) -> str:
    """Write bytes as a `data:` URL."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _decode_url(url: str) -> bytes:
    _, data = inline(url) or ("", "")
    if len(data) > MAX_BYTES * 4 // 3 + 4:
        raise ConversationError(f"a data: URL longer than {MAX_BYTES // 2**20} MiB")
    try:
        return b64decode(data, validate=True)
    except ValueError:
        pass
    raise ConversationError("a data: URL with invalid base64")


# How values become bytes


def _find_path(text: str) -> Path:
    """Return the path that a string names: a path, or a file: URL of this machine."""
    if not re.match("file:", text, re.IGNORECASE):
        return Path(text)
    from urllib.request import url2pathname  # loads much, and few have such an address

    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise ConversationError(f"a file: URL of another machine: {text}")
    return Path(url2pathname(parts.path))


def _expand(path: Path) -> Path:
    """Put the home directory in the place of a leading `~`."""
    if not str(path).startswith("~") or path.exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # no such user
        return path


def _read_file(path: Path) -> bytes:
    path = _expand(path)
    problem = "no such file" if not path.exists() else "not a file" if not path.is_file() else ""
    if not problem:
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)  # one more than allowed, which `inspect` refuses
        except OSError as failed:
            problem = failed.strerror or type(failed).__name__
    raise ConversationError(f"{problem}: {path.absolute()}")


def _is_pil(value: Any) -> bool:
    return any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__)


def _save_image(image: Any) -> bytes:
    """Write a PIL image as PNG, or as JPEG if it was a photo, which would be far longer as PNG."""
    from PIL import ImageOps

    form = "JPEG" if image.format in ("JPEG", "MPO", "HEIF", "AVIF") else "PNG"
    image = ImageOps.exif_transpose(image)  # the result has no EXIF data to say how the camera was held
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA") or (form == "JPEG" and image.mode != "L"):
        image = image.convert("RGB")
    buffer = BytesIO()
    image.save(buffer, form, quality=90)
    return buffer.getvalue()


def _find_figure(value: Any) -> Any:
    """Return a matplotlib figure, the figure of axes, or a grid of seaborn; None for other values."""
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    return figure if hasattr(figure, "savefig") else None


def _save_figure(value: Any) -> bytes:
    buffer = BytesIO()
    _find_figure(value).savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _refuse_plotly(value: Any) -> bytes:
    raise ConversationError('a plotly figure: pass figure.to_image("png"), which needs the package kaleido')


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], bytes]], ...] = (
    (lambda value: isinstance(value, bytes | bytearray | memoryview), bytes),
    (lambda value: isinstance(value, Path), _read_file),
    (_is_pil, _save_image),
    (lambda value: _find_figure(value) is not None, _save_figure),
    (lambda value: hasattr(value, "to_plotly_json"), _refuse_plotly),
    (lambda value: isinstance(getattr(value, "data", None), bytes), lambda value: bytes(value.data)),  # IPython.display
)
