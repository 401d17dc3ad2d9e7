"""Content of a turn: text, images, files, audio, reasoning, what is one provider's own; in OpenAI's format.

`media.attach` makes the entries from paths, bytes, figures and images.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote_to_bytes

from msgspec import Meta, field
from msgspec.structs import replace

from nbkit.conversation.problems import explain_word
from nbkit.conversation.values import Value, to_plain

_Text = Annotated[str, Meta(min_length=1)]


class _Entry(Value, frozen=True, kw_only=True):
    """Base of the entries: writes OpenAI's format, without keys that are None."""

    cache_control: dict[str, Any] | None = None
    """Anthropic's mark for the end of a part of the prompt that is cached, `{"type": "ephemeral"}`."""

    def model_dump(self) -> dict[str, Any]:
        """Write OpenAI's format."""
        fields = {name: getattr(self, name) for name in ("type", *self.__struct_fields__)}
        return {name: to_plain(value) for name, value in fields.items() if value is not None}


class TextEntry(_Entry, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A piece of text."""

    type: ClassVar[Literal["text"]] = "text"
    text: str


class ImageUrl(Value, frozen=True, kw_only=True):
    """URL of an image (https: or data:), and the detail in which the model reads it."""

    url: _Text
    detail: Literal["auto", "low", "high"] | None = None

    def model_dump(self) -> dict[str, str]:
        """Write OpenAI's format."""
        return {"url": self.url} | ({"detail": self.detail} if self.detail else {})


class ImageEntry(_Entry, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    """An image, by its URL or as a `data:` URL. Reads a plain string as the URL."""

    type: ClassVar[Literal["image_url"]] = "image_url"
    image_url: ImageUrl

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        return data | {"image_url": {"url": data["image_url"]}} if isinstance(data.get("image_url"), str) else data

    @property
    def url(self) -> str:
        """The image's URL."""
        return self.image_url.url


class FileData(Value, frozen=True, kw_only=True):
    """A file's name and its content as a `data:` URL."""

    file_data: Annotated[
        str, Meta(pattern=r"^(?i:data):", description="a data: URL, such as data:application/pdf;base64,...")
    ]
    filename: str = ""

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("file_id") is not None:
            raise ValueError("file_id names a file at one provider only; pass the file itself, as file_data")
        return data

    def model_dump(self) -> dict[str, str]:
        """Write OpenAI's format."""
        return ({"filename": self.filename} if self.filename else {}) | {"file_data": self.file_data}


class FileEntry(_Entry, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A document, usually a PDF."""

    type: ClassVar[Literal["file"]] = "file"
    file: FileData

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        return data | {"file": FileData._prepare(data["file"])} if isinstance(data.get("file"), dict) else data

    @property
    def url(self) -> str:
        """The content as a `data:` URL."""
        return self.file.file_data


class AudioData(Value, frozen=True, kw_only=True):
    """A recording in base64 and the name of its format, such as wav or mp3."""

    data: _Text
    format: _Text


class AudioEntry(_Entry, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """A recording."""

    type: ClassVar[Literal["input_audio"]] = "input_audio"
    input_audio: AudioData

    @property
    def media_type(self) -> str:
        """The type of its format: `audio/wav`, `audio/mpeg` ..."""
        return f"audio/{'mpeg' if self.input_audio.format == 'mp3' else self.input_audio.format}"


ContentEntry = TextEntry | ImageEntry | FileEntry | AudioEntry
ENTRIES: dict[Any, type[_Entry]] = {one.type: one for one in (TextEntry, ImageEntry, FileEntry, AudioEntry)}
"""Types of entries, by their `type`."""


def prepare_entry(data: Any) -> Any:
    """Give the dict of an entry the form that is read. Raises ValueError where its type is unknown."""
    if not isinstance(data, dict):
        return data
    word = data.get("type")
    if (kind := ENTRIES.get(word) if isinstance(word, str) else None) is None:
        raise ValueError(explain_word(data, "type", ENTRIES))
    return kind._prepare(data)


def inline(url: str) -> tuple[str, str] | None:
    """Split a `data:` URL (RFC 2397) into (media type, base64); None for any other URL.

    Without a media type it is `application/octet-stream`, which every provider refuses with a clear error.
    """
    if url[:5].lower() != "data:":
        return None
    head, _, data = url[5:].partition(",")
    if not head.endswith(";base64"):
        data = b64encode(unquote_to_bytes(data)).decode()
    return head.partition(";")[0] or "application/octet-stream", data


class Reasoning(Value, frozen=True, kw_only=True):
    """A block of a model's reasoning, kept so that it can be sent back unchanged.

    `signature` and `data` (encrypted or redacted reasoning) are opaque and only their vendor can read them. `format`
    says which vendor, in OpenRouter's words (`anthropic-claude-v1`, `google-gemini-v1`, `openai-responses-v1`); "" if
    nothing is opaque. `id` is the block's id at its vendor. `raw` is the block as an OpenAI-compatible router wrote it
    in `reasoning_details`.
    """

    text: str = ""
    signature: str | None = None
    data: str | None = None
    format: str = ""
    id: str | None = None
    raw: dict[str, Any] | None = None

    @classmethod
    def from_detail(cls, detail: dict[str, Any]) -> Reasoning:
        """Read one entry of `reasoning_details` (OpenRouter's documented format)."""
        texts = {key: detail[key] for key in ("signature", "data", "format", "id") if isinstance(detail.get(key), str)}
        block = cls(text=detail.get("text") or detail.get("summary") or "", **texts)
        return block if block.to_detail() == detail else replace(block, raw=detail)

    def to_detail(self) -> dict[str, Any]:
        """Write one entry of `reasoning_details`; `raw` if there is one."""
        if self.raw is not None:
            return self.raw
        opaque = {key: value for key in ("signature", "format", "id") if (value := getattr(self, key))}
        if self.data is not None:
            text = {"text": self.text} if self.text else {}
            return {"type": "reasoning.encrypted", "data": self.data, **text, **opaque}
        return {"type": "reasoning.text", "text": self.text, **opaque}


class NativePart(Value, frozen=True, kw_only=True):
    """One part of an answer that holds more than text, reasoning and tool calls.

    A text, reasoning or a call stands in the turn: `length` says how many characters, blocks of reasoning or calls of
    it the part is, `data` has what the provider wrote beside it (citations). A part of another kind is `data` alone,
    as it came.
    """

    kind: Literal["text", "reasoning", "call", "other"]
    length: Annotated[int, Meta(ge=0)] = 1
    data: dict[str, Any] = field(default_factory=dict)

    def model_dump(self) -> dict[str, Any]:
        """Write it without what it does not have."""
        length = {} if self.kind == "other" else {"length": self.length}
        return {"kind": self.kind} | length | ({"data": self.data} if self.data else {})


class NativeContent(Value, frozen=True, kw_only=True):
    """Content of an answer that only one protocol has a form for, kept so that it can be sent back unchanged.

    Calls of the tools that a provider runs itself, their results, citations, a compacted conversation. `parts` are all
    parts of the answer in their order.
    """

    protocol: str
    """The protocol that it came by; any other leaves it out."""
    parts: tuple[NativePart, ...] = ()
    paused: bool = False
    """The provider has paused, and goes on when the conversation is sent again as it is."""
    request: dict[str, Any] = field(default_factory=dict)
    """Keys of the request that goes on with the answer, or brings the outputs of its calls."""

    def model_dump(self) -> dict[str, Any]:
        """Write it without what it does not have."""
        optional = {"paused": self.paused, "request": self.request}
        parts = [part.model_dump() for part in self.parts]
        return {"protocol": self.protocol, "parts": parts} | {key: value for key, value in optional.items() if value}

    def describe(self) -> str:
        """Name what is lost without it; "" for nothing but the order of the parts."""
        others = [part.data for part in self.parts if part.kind == "other"]
        names = [str(data.get("type") or next(iter(data), "")) for data in others]
        beside = [name for part in self.parts if part.kind != "other" for name in part.data]
        return ", ".join(dict.fromkeys(filter(None, names + beside)))
