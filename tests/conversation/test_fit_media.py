"""Media typed by their bytes and turned upright before they are sent; what cannot be read names its turn."""

import io
from base64 import b64decode, b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from PIL import Image

from nbkit import Conversation, attach
from nbkit.conversation.fit_media import check_media, fit_media
from nbkit.conversation.image_headers import read_orientation
from nbkit.errors import ConversationError, UnsupportedFeatureError


def save(form, orientation=None, size=(40, 20)):
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, "red").save(buffer, form, **({"exif": exif} if orientation else {}))
    return buffer.getvalue()


JPEG, PNG, WEBP, GIF = save("JPEG"), save("PNG"), save("WEBP"), save("GIF")
PDF, MP3, WAV = b"%PDF-1.7\n%%EOF", b"ID3\x04\0", b"RIFF\0\0\0\0WAVEfmt "


def data_url(media_type, data):
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url} | more}


def file(url, **more):
    return {"type": "file", "file": {"file_data": url} | more}


def audio(data, form):
    return {"type": "input_audio", "input_audio": {"data": b64encode(data).decode(), "format": form}}


def fit(entry):
    """(the entry that is sent, the changes)."""
    conversation, changes = fit_media(Conversation([{"role": "user", "content": ["Look", entry]}]))
    return conversation.to_openai()[0]["content"][1], [str(change) for change in changes]


RIGHT = {
    "A11: a wrong name of the right type": (image(data_url("image/jpg", JPEG)), image(data_url("image/jpeg", JPEG))),
    "A11: capitals": (image(data_url("IMAGE/PNG", PNG)), image(data_url("image/png", PNG))),
    "A12: a JPEG called PNG": (image(data_url("image/png", JPEG)), image(data_url("image/jpeg", JPEG))),
    "A12: a WebP called JPEG": (
        image(data_url("image/jpeg", WEBP), detail="low"),
        image(data_url("image/webp", WEBP), detail="low"),
    ),
    "A12: bytes of no type": (image(data_url("application/octet-stream", GIF)), image(data_url("image/gif", GIF))),
    "A12: a document as an image": (image(data_url("image/png", PDF)), file(data_url("application/pdf", PDF))),
    "A12: an image as a document": (file(data_url("application/pdf", PNG)), image(data_url("image/png", PNG))),
    "A12: a document of another name": (
        file(data_url("text/x-pdf", b"\0"), filename="a.pdf"),
        file(data_url("text/x-pdf", b"\0"), filename="a.pdf"),
    ),
    "A12: a video as an image": (
        image(data_url("image/png", b"\0\0\0\x18ftypmp42")),
        file(data_url("video/mp4", b"\0\0\0\x18ftypmp42")),
    ),
    "A12: HEIC called PNG": (
        image(data_url("image/png", b"\0\0\0\x18ftypheic\0\0")),
        image(data_url("image/heic", b"\0\0\0\x18ftypheic\0\0")),
    ),
    "A12: AVIF": (
        image(data_url("image/avif", b"\0\0\0\x18ftypavif\0\0")),
        image(data_url("image/avif", b"\0\0\0\x18ftypavif\0\0")),
    ),
    "A12: MP3 called WAV": (audio(MP3, "wav"), audio(MP3, "mp3")),
    "A12: another name of WAV": (audio(WAV, "x-wav"), audio(WAV, "wav")),
    "A12: another name of unknown bytes": (audio(b"\0\0\0", "mpeg"), audio(b"\0\0\0", "mp3")),
}  # fmt: skip


@pytest.mark.parametrize(("given", "sent"), RIGHT.values(), ids=RIGHT)
def test_the_bytes_decide_the_type(given, sent):
    entry, changes = fit(given)
    assert entry == sent
    assert bool(changes) == (given != sent)
    assert fit(entry) == (entry, [])


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{b64encode(PNG).decode().rstrip('=')}",
        f"data:image/png;base64,{urlsafe_b64encode(PNG).decode()}",
        f"data:image/png;charset=utf-8;base64,{b64encode(PNG).decode()}",
        f"DATA:image/png;base64,\n{b64encode(PNG).decode()[:20]}\n{b64encode(PNG).decode()[20:]}",
        "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG),
    ],
    ids=["no padding", "another alphabet", "parameters", "line breaks", "percent signs"],
)
def test_every_form_of_a_data_url_is_sent_in_the_plain_one(url):
    entry, _ = fit(image(url))
    assert entry == image(data_url("image/png", PNG))


def test_what_is_right_stays_the_same_object_and_addresses_are_not_touched():
    conversation = Conversation(
        [{"role": "user", "content": ["Look", image(data_url("image/png", PNG)), image("https://x.test/a.jpg")]}]
    )
    assert fit_media(conversation) == (conversation, ())
    assert fit_media(conversation)[0] is conversation


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_however_it_is_passed(tmp_path, form, orientation):
    data = save(form, orientation)
    path = tmp_path / "photo"
    path.write_bytes(data)
    size = (20, 40) if orientation >= 5 else (40, 20)
    by_url, changes = fit(image(data_url(f"image/{form.lower()}", data)))
    for entry in (attach(path), attach(data), attach(data_url("image/png", data)), attach(Image.open(path))):
        assert opened(entry.url) == (size, 1)
    assert opened(by_url["image_url"]["url"]) == (size, 1)
    assert changes == (["transformed image: turned upright, as its EXIF data say"] if orientation > 1 else [])


def opened(url):
    """(size, orientation) of an image."""
    data = b64decode(url.partition(",")[2])
    return Image.open(io.BytesIO(data)).size, read_orientation(data)


def test_a_damaged_photo_is_sent_as_it_is():
    data = save("JPEG", 6)[:200]
    entry, changes = fit(image(data_url("image/jpeg", data)))
    assert (entry, changes) == (image(data_url("image/jpeg", data)), [])
    assert [read_orientation(data[:size]) for size in range(60)][-1] in range(1, 9)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (image("data:image/png;base64,A"), "image/png: invalid base64"),
        (image("data:image/png;base64,%%%%"), "image/png: invalid base64"),
        (image("data:image/png;base64,"), "image/png: no data"),
        (image("cat.png"), r"a provider cannot read cat.png: pass nbkit.attach\('cat.png'\)"),
        (image(r"C:\cat.png"), "a provider cannot read C:"),
        (image("file:///home/me/a.png"), r"a provider cannot read file:///home/me/a.png: pass nbkit.attach\("),
        ({"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}, "audio/wav: invalid base64"),
    ],
)
def test_media_that_cannot_be_read_name_the_turn(entry, problem):
    conversation = Conversation(["Hi", {"role": "user", "content": [entry]}])
    with pytest.raises(ConversationError, match=rf"^turn 1 \(user\): {problem}") as caught:
        fit_media(conversation)
    assert caught.value.__context__ is None


def test_types_that_a_model_does_not_read_name_the_turn():
    conversation = Conversation(["Hi", {"role": "user", "content": [image(data_url("image/bmp", b"BM0123\0\0\0\0"))]}])
    with pytest.raises(UnsupportedFeatureError, match=r"^turn 1 \(user\): lab/m reads image/png, and this is a BMP"):
        check_media(fit_media(conversation)[0], ["image/png", "text/plain"], "lab/m")
    check_media(conversation, ["audio/wav"], "lab/m")
    text = Conversation([{"role": "user", "content": [file(data_url("text/csv", b"a,b"))]}])
    check_media(text, ["text/plain"], "lab/m")


def test_paths_as_people_write_them(tmp_path, monkeypatch):
    """A39: the home directory, and addresses of files."""
    (tmp_path / "a b.png").write_bytes(PNG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for path in (
        "~/a b.png",
        Path("~/a b.png"),
        (tmp_path / "a b.png").as_uri(),
        f"file://localhost{tmp_path}/a%20b.png",
    ):
        assert attach(path).url == data_url("image/png", PNG)
    with pytest.raises(ConversationError, match=r"no such file: .*none\.png"):
        attach("~/none.png")
    with pytest.raises(ConversationError, match=r"a file: URL of another machine: file://server/a\.png"):
        attach("file://server/a.png")
    with pytest.raises(ConversationError, match="no such file"):
        attach("~nobody-of-this-name/a.png")
