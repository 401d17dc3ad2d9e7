"""Images, documents and recordings as content: their kinds, how they are written, and the errors."""

import io
import subprocess
import sys
import wave
from base64 import b64decode, b64encode
from pathlib import Path

import matplotlib.figure
import plotly.graph_objects
import pytest
from IPython import display
from PIL import Image

from nbkit import ContentTurn, Conversation, ToolOutputTurn, Turn, attach
from nbkit.conversation.content import AudioEntry, FileEntry, ImageEntry, inline
from nbkit.conversation.media import MAX_BYTES, inspect, is_media
from nbkit.errors import ConversationError

PDF = b"%PDF-1.7\n%%EOF"


def saved(form, mode="RGB", size=(3, 2), **options):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


def sound():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(bytes(100))
    return buffer.getvalue()


def figure():
    drawn = matplotlib.figure.Figure(figsize=(2, 1))
    drawn.subplots().plot([1, 2])
    return drawn


def content(entry):
    """(media type, bytes) of an entry."""
    if isinstance(entry, AudioEntry):
        return entry.media_type, b64decode(entry.input_audio.data)
    media_type, data = inline(entry.url)
    return media_type, b64decode(data)


def picture(entry):
    return Image.open(io.BytesIO(content(entry)[1]))


PNG = saved("PNG")


@pytest.mark.parametrize(
    ("data", "kind", "media_type"),
    [
        (PNG, ImageEntry, "image/png"),
        (saved("JPEG"), ImageEntry, "image/jpeg"),
        (saved("GIF"), ImageEntry, "image/gif"),
        (saved("WEBP"), ImageEntry, "image/webp"),
        (PDF, FileEntry, "application/pdf"),
        (sound(), AudioEntry, "audio/wav"),
        (b"ID3\x04\0", AudioEntry, "audio/mpeg"),
        (b"\xff\xfb\x90\x64", AudioEntry, "audio/mpeg"),
        (b"\xff\xf1\x50\x80", AudioEntry, "audio/aac"),
        (b"fLaC\0\0\0\x22", AudioEntry, "audio/flac"),
        (b"OggS\0\x02", AudioEntry, "audio/ogg"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", AudioEntry, "audio/m4a"),
        (b"FORM\0\n\n\0AIFF", AudioEntry, "audio/aiff"),  # newlines are bytes like others
    ],
)
def test_the_kind_is_in_the_bytes_not_in_the_name(tmp_path, data, kind, media_type):
    path = tmp_path / "holiday.txt"
    path.write_bytes(data)
    declared_wrongly = f"data:image/x-icon;base64,{b64encode(data).decode()}"
    for value in (path, str(path), data, bytearray(data), declared_wrongly):
        entry = attach(value)
        assert type(entry) is kind
        assert content(entry) == (media_type, data)


def test_a_document_keeps_its_files_name(tmp_path):
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    assert attach(path).file.filename == "report.pdf"
    assert "filename" not in attach(PDF).model_dump()["file"]


def test_a_url_is_sent_as_it_is():
    entry = attach("HTTPS://x.test/cat?size=1", detail="low")
    assert entry.model_dump()["image_url"] == {"url": "HTTPS://x.test/cat?size=1", "detail": "low"}
    assert attach(PNG, detail="high").image_url.detail == "high"


@pytest.mark.parametrize(
    ("mode", "written"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "L"),
        ("1", "1"),
        ("P", "P"),
        ("CMYK", "RGB"),
        ("F", "RGB"),
        ("HSV", "RGB"),
    ],
)
def test_pil_images_become_png(mode, written):
    image = picture(attach(Image.new(mode, (3, 2))))
    assert (image.format, image.mode, image.size) == ("PNG", written, (3, 2))


def test_a_photo_stays_a_jpeg_and_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    photo = Image.open(io.BytesIO(saved("JPEG", size=(30, 20), exif=exif)))
    image = picture(attach(photo))
    assert (image.format, image.size, photo.size) == ("JPEG", (20, 30), (30, 20))
    gray = picture(attach(Image.open(io.BytesIO(saved("JPEG", "L")))))
    assert (gray.format, gray.mode) == ("JPEG", "L")


def test_formats_that_are_not_read_are_once_pil_has_opened_them():
    for form in ("TIFF", "BMP"):
        with pytest.raises(ConversationError, match=f"a {form} image: convert it to PNG, or open it with PIL"):
            attach(saved(form))
        assert picture(attach(Image.open(io.BytesIO(saved(form))))).format == "PNG"


def test_figures_axes_and_what_ipython_displays():
    drawn = figure()
    for value in (drawn, drawn.axes[0]):
        image = picture(attach(value))
        assert image.format == "PNG"
        assert 100 < image.width < 250
    assert content(attach(display.Image(PNG))) == ("image/png", PNG)
    assert content(attach(display.Audio(sound()))) == ("audio/wav", sound())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC or AVIF image: convert it to PNG"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"\0\0\0\x18ftypmp42", "a video: pass some frames"),
        (b"\x1a\x45\xdf\xa3", "a video"),
        (b"PK\x03\x04", "an Office document: export it as PDF"),
        (b"Dear diary", "expected PNG, JPEG, GIF, WebP, PDF or a common audio format; pass text as a string"),
        (b"", "expected PNG"),
        (PNG[:20], "a damaged image/png without a size in its header"),
        (PNG[:16] + bytes(8) + PNG[24:], "a damaged image/png"),
        (saved("JPEG")[:150], "a damaged image/jpeg"),
        (b"\xff\xd8" + b"\xff" * 50_000, "a damaged image/jpeg"),
        (saved("WEBP")[:20], "a damaged image/webp"),
        (b"GIF89a\3", "a damaged image/gif"),
    ],
)
def test_bytes_that_no_model_reads(data, what):
    with pytest.raises(ConversationError, match=f"^the data: .*{what}"):
        attach(data)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {"mode": "1"}),
        ("GIF", {"mode": "P"}),
        ("JPEG", {"mode": "L", "exif": b"Exif\0\0" + bytes(1000)}),
        ("JPEG", {"mode": "L", "progressive": True}),
        ("WEBP", {"method": 0, "quality": 0}),
        ("WEBP", {"method": 0, "quality": 0, "lossless": True}),
        ("WEBP", {"method": 0, "quality": 0, "exif": b"Exif\0\0"}),
    ],
)
def test_more_pixels_than_providers_take(form, options):
    assert inspect(saved(form, **options), "x") == f"image/{form.lower()}"
    with pytest.raises(ConversationError, match=r"^x: 8000 x 5001 pixels, more than 40 million"):
        inspect(saved(form, size=(8000, 5001), **options), "x")


def test_more_bytes_than_providers_take(tmp_path):
    path = tmp_path / "long.pdf"
    path.write_bytes(PDF)
    with path.open("ab") as file:
        file.truncate(MAX_BYTES)
    data = path.read_bytes()
    assert content(attach(path)) == ("application/pdf", data)
    assert len(content(attach(attach(path).url))[1]) == MAX_BYTES
    for value in (data + b"x", f"data:,{'x' * (MAX_BYTES + 1)}"):
        with pytest.raises(ConversationError, match="longer than 20 MiB"):
            attach(value)


def test_paths_without_a_file(tmp_path):
    for value, what in (
        (tmp_path / "none.png", "no such file: /"),
        (tmp_path, "not a file: /"),
        ("data:image/png;base64,!!", "a data: URL with invalid base64"),
    ):
        with pytest.raises(ConversationError, match=what) as caught:
            attach(value)
        assert caught.value.__context__ is None
    with pytest.raises(ConversationError, match=r"no such file: .*none\.png"):
        attach("none.png")


def test_other_values_name_what_is_expected():
    with pytest.raises(
        ConversationError, match=r"expected a string, a pathlib\.Path, bytes, a PIL image, .*, got a dict of 0 values"
    ):
        attach({})
    with pytest.raises(ConversationError, match=r'a plotly figure: pass figure\.to_image\("png"\)'):
        attach(plotly.graph_objects.Figure())


# In a conversation


def test_media_stand_among_a_turns_content(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(PDF)
    drawn, image = figure(), Image.new("RGB", (1, 1))
    (turn,) = Conversation([{"role": "user", "content": ["Compare", path, drawn, image, attach(sound())]}])
    assert [entry.type for entry in turn.entries] == ["text", "file", "image_url", "image_url", "input_audio"]
    assert turn.entries[1] == attach(path)
    assert ContentTurn(role="user", content=["Compare", path]).entries == turn.entries[:2]
    (alone,) = Conversation([{"role": "user", "content": path}])
    assert alone.entries == turn.entries[1:2]


@pytest.mark.parametrize("value", [PNG, attach(PNG), Image.new("RGB", (1, 1)), figure()], ids=type)
def test_what_is_one_user_turn(value):
    (turn,) = Conversation(value)
    assert (turn.role, turn.entries[0].type) == ("user", "image_url")
    assert Conversation([value]) == Conversation((value,)) == Conversation(value)
    (mixed,) = Conversation(["What", value, "is this?"])
    assert [entry.type for entry in mixed.entries] == ["text", "image_url", "text"]
    pieces = ["See", value]
    assert (Conversation("Hello") + pieces)[1].text == "See"
    first, second = Conversation([{"role": "system", "content": "Be brief."}, value])
    assert (first.role, second) == ("system", turn)


def test_strings_stay_turns():
    assert Conversation(["cat.png", "https://x.test/cat.png"]).turns == (
        Turn(role="user", content="cat.png"),
        Turn(role="user", content="https://x.test/cat.png"),
    )
    assert Conversation([]).turns == ()
    assert not is_media("cat.png")


def test_a_tools_output_may_be_a_figure():
    turn = Conversation([{"role": "tool", "tool_call_id": "c1", "content": ["Sales", figure()]}])[0]
    assert isinstance(turn, ToolOutputTurn)
    assert picture(turn.entries[1]).format == "PNG"


@pytest.mark.parametrize(
    ("piece", "what"),
    [
        (Path("none.png"), "no such file: .*none.png"),
        (b"\0", "the data: expected PNG"),
        (3, r"expected a string, a pathlib\.Path, .*, got 3"),
        (None, "expected .*, got None"),
    ],
)
def test_an_error_names_the_turn(piece, what):
    with pytest.raises(ConversationError, match=rf"^turn 1 \(user\): content\[1\]: {what}") as caught:
        Conversation([{"role": "system", "content": "x"}, {"role": "user", "content": ["Look", piece]}])
    assert caught.value.__context__ is None


OPENAI = [
    {"type": "text", "text": "Compare"},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
    {"type": "image_url", "image_url": {"url": "https://x.test/cat.png", "detail": "low"}},
]


@pytest.mark.parametrize("turn", [{"role": "user"}, {"role": "tool", "tool_call_id": "c1"}])
def test_openais_parts_come_back_as_they_were(turn):
    dicts = [turn | {"content": OPENAI}]
    conversation = Conversation(dicts)
    assert [type(entry) for entry in conversation[0].entries][1:] == [FileEntry, AudioEntry, ImageEntry]
    assert conversation.to_openai() == dicts
    assert Conversation.model_validate_json(conversation.model_dump_json()) == conversation
    again = Conversation([turn | {"content": list(conversation[0].entries)}])
    assert again == conversation


def test_an_uploaded_files_id_is_refused():
    part = {"type": "file", "file": {"file_id": "file-1"}}
    with pytest.raises(ConversationError, match=r"turn 0 \(user\): content.*file_id names a file at one provider only"):
        Conversation([{"role": "user", "content": [part]}])


def test_reading_bytes_loads_neither_pil_nor_matplotlib():
    code = f"import nbkit, sys; nbkit.Conversation([{PNG!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"PIL", "matplotlib", "numpy", "IPython"} & set(done.stdout.split())
