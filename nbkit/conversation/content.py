"""Content of a turn: text, images, files, audio, reasoning, what is one provider's own; in OpenAI's format.

`media.attach` makes the entries from paths, bytes, figures and images.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_serializer, model_validator

from nbkit.conversation.values import OneSentence


class Value(BaseModel, metaclass=OneSentence):
    """Base of frozen values; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _Entry(Value):
    """Base of the entries: writes OpenAI's format, without keys that are None."""

    cache_control: dict[str, Any] | None = None
    """Anthropic's mark for the end of a part of the prompt that is cached, `{"type": "ephemeral"}`."""

    @model_serializer(mode="plain")
    def _to_openai_entry(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("type", *type(self).model_fields)}
        return {
            name: value.model_dump() if isinstance(value, BaseModel) else value
            for name, value in fields.items()
            if value is not None
        }


class TextEntry(_Entry):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class ImageUrl(Value):
    """URL of an image (https: or data:), and the detail in which the model reads it."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] | None = None

    @model_serializer(mode="plain")
    def _to_openai(self) -> dict[str, str]:
        return {"url": self.url} | ({"detail": self.detail} if self.detail else {})


class ImageEntry(_Entry):
    """An image, by its URL or as a `data:` URL. Reads a plain string as the URL."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl

    @model_validator(mode="before")
    @classmethod
    def _read_plain_url(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("image_url"), str):
            return data | {"image_url": {"url": data["image_url"]}}
        return data

    @property
    def url(self) -> str:
        """The image's URL."""
        return self.image_url.url


class FileData(Value):
    """A file's name and its content as a `data:` URL."""

    file_data: str = Field(pattern=r"^(?i:data):")
    filename: str = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("file_id") is not None:
            raise ValueError("file_id names a file at one provider only; pass the file itself, as file_data")
        return data

    @model_serializer(mode="plain")
    def _to_openai(self) -> dict[str, str]:
        return ({"filename": self.filename} if self.filename else {}) | {"file_data": self.file_data}


class FileEntry(_Entry):
    """A document, usually a PDF."""

    type: Literal["file"] = "file"
    file: FileData

    @property
    def url(self) -> str:
        """The content as a `data:` URL."""
        return self.file.file_data


class AudioData(Value):
    """A recording in base64 and the name of its format, such as wav or mp3."""

    data: str = Field(min_length=1)
    format: str = Field(min_length=1)


class AudioEntry(_Entry):
    """A recording."""

    type: Literal["input_audio"] = "input_audio"
    input_audio: AudioData

    @property
    def media_type(self) -> str:
        """The type of its format: `audio/wav`, `audio/mpeg` ..."""
        return f"audio/{'mpeg' if self.input_audio.format == 'mp3' else self.input_audio.format}"


ContentEntry = Annotated[TextEntry | ImageEntry | FileEntry | AudioEntry, Discriminator("type")]


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


class Reasoning(Value):
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
        return block if block.to_detail() == detail else block.model_copy(update={"raw": detail})

    def to_detail(self) -> dict[str, Any]:
        """Write one entry of `reasoning_details`; `raw` if there is one."""
        if self.raw is not None:
            return self.raw
        opaque = {key: value for key in ("signature", "format", "id") if (value := getattr(self, key))}
        if self.data is not None:
            text = {"text": self.text} if self.text else {}
            return {"type": "reasoning.encrypted", "data": self.data, **text, **opaque}
        return {"type": "reasoning.text", "text": self.text, **opaque}


class NativePart(Value):
    """One part of an answer that holds more than text, reasoning and tool calls.

    A text, reasoning or a call stands in the turn: `length` says how many characters, blocks of reasoning or calls of
    it the part is, `data` has what the provider wrote beside it (citations). A part of another kind is `data` alone,
    as it came.
    """

    kind: Literal["text", "reasoning", "call", "other"]
    length: int = Field(1, ge=0)
    data: dict[str, Any] = {}

    @model_serializer(mode="plain")
    def _write(self) -> dict[str, Any]:
        length = {} if self.kind == "other" else {"length": self.length}
        return {"kind": self.kind} | length | ({"data": self.data} if self.data else {})


class NativeContent(Value):
    """Content of an answer that only one protocol has a form for, kept so that it can be sent back unchanged.

    Calls of the tools that a provider runs itself, their results, citations, a compacted conversation. `parts` are all
    parts of the answer in their order.
    """

    protocol: str
    """The protocol that it came by; any other leaves it out."""
    parts: tuple[NativePart, ...] = ()
    paused: bool = False
    """The provider has paused, and goes on when the conversation is sent again as it is."""
    request: dict[str, Any] = {}
    """Keys of the request that goes on with the answer, or brings the outputs of its calls."""

    @model_serializer(mode="plain")
    def _write(self) -> dict[str, Any]:
        optional = {"paused": self.paused, "request": self.request}
        parts = [part.model_dump() for part in self.parts]
        return {"protocol": self.protocol, "parts": parts} | {key: value for key, value in optional.items() if value}

    def describe(self) -> str:
        """Name what is lost without it; "" for nothing but the order of the parts."""
        others = [part.data for part in self.parts if part.kind == "other"]
        names = [str(data.get("type") or next(iter(data), "")) for data in others]
        beside = [name for part in self.parts if part.kind != "other" for name in part.data]
        return ", ".join(dict.fromkeys(filter(None, names + beside)))
