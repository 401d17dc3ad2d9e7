"""Files of the box: what the kernel says about them, and what is sent."""

import gc
import struct
import zlib
from base64 import b64decode, b64encode
from io import BytesIO

import pytest
from kernels import Kernel, displays
from PIL import Image

from nbkit.bulk.panel import Panel
from nbkit.conversation.turns import Conversation
from nbkit.notebook import pictures
from nbkit.notebook.attachments import Attachments
from nbkit.notebook.pictures import write_pictures

PDF = b"%PDF-1.7\n%%EOF"


def png(width=40, height=30, form="PNG", **options):
    buffer = BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, form, **options)
    return buffer.getvalue()


def noise(width, height):
    """A PNG that cannot be made small without losing something."""
    state, rows = 1, bytearray()
    for _ in range(width * height * 3):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        rows.append(state >> 16 & 255)
    buffer = BytesIO()
    Image.frombytes("RGB", (width, height), bytes(rows)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def files():
    """The attachments of a panel of a model that reads images and one that does not."""
    return Attachments(Panel(["demo/swift", "demo/sage"]), lambda message: None)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        (
            "core",
            b"\x7fELF\2\0",
            "core: expected PNG, JPEG, GIF, WebP, PDF or a common audio format, or text",
        ),
        ("a.svg", b"<svg onload='alert(1)'>", "a.svg: an SVG drawing: convert it to PNG"),
        ("cat\u202egnp.exe", b"MZ\x90\0", "cat⟨U+202E⟩gnp.exe: expected PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + 16 * b"\0", "a.png: a damaged image/png without a size in its header"),
        ("all.csv", b"1,2\n" * 60_000, "all.csv: 240,000 characters, more than 200,000: pass its text in Python"),
        ("big.pdf", PDF.ljust(8 * 2**20 + 1), "big.pdf: longer than 8 MiB: pass it in Python, by nbkit.attach()"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused_in_words(files, name, data, problem):
    answer = files._check("1", name, memoryview(data))
    assert answer["problem"].startswith(problem)
    assert files.join("Hi", ["1"]) == "Hi"


def test_a_file_says_its_size_and_who_does_not_read_it_and_is_sent_once(files):
    assert files._check("1", "cat.png", memoryview(png())) == {
        "label": "cat.png · 1 kB",
        "note": "Swift (simulated) does not read cat.png",
    }
    answer = files._check("2", f"{'r' * 60}.pdf", PDF.ljust(2 * 2**20))
    assert answer == {
        "label": f"{'r' * 20}…{'r' * 16}.pdf · 2.0 MB",
        "note": f"Swift (simulated) does not read {'r' * 20}…{'r' * 16}.pdf",
    }
    text, image, document = files.join("What is this?", ["1", "2", "3", None])
    assert text == "What is this?"
    assert b64decode(image.url.partition(",")[2]) == png()
    assert document.file.filename == f"{'r' * 60}.pdf"
    assert files.join("", ["1"]) == ""
    assert files.join("", "1") == ""
    files._check("4", "cat.png", png())
    files.receive({"type": "detach", "id": "4"}, [])
    assert files.join("Hi", ["4"]) == "Hi"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeffname;price\r\nGrün;1\r\n".encode(), "```\nname;price\nGrün;1\n```"),
        ("Grün".encode("cp1252"), "```\nGrün\n```"),
        ("Grün".encode("utf-16"), "```\nGrün\n```"),
        (b"print('```')\n", "````\nprint('```')\n````"),
        (b"<p><svg></svg></p>", "```\n<p><svg></svg></p>\n```"),
    ],
)
def test_a_file_of_text_is_sent_as_text_with_its_name(files, data, text):
    assert files._check("1", "a\u202eb.txt", data) == {"label": "a⟨U+202E⟩b.txt · 1 kB", "note": ""}
    assert files.join("Read this", ["1"]) == f"Read this\n\na⟨U+202E⟩b.txt:\n\n{text}"
    files._check("1", "notes.md", b"# Notes")
    files._check("2", "cat.png", png())
    words, _ = files.join("", ["1", "2"])
    assert words == "notes.md:\n\n```\n# Notes\n```"


def test_files_that_wait_are_limited(files):
    for number in range(25):
        files._check(str(number), "a.png", png())
    assert len(files.join("", [str(number) for number in range(25)])) == 20


def test_pictures_are_small_and_hold_nothing_but_an_image():
    prompt = Conversation(["What?", png(), noise(700, 300), png(form="GIF"), PDF])
    html = write_pictures(prompt[0])
    urls = [part.partition('"')[0] for part in html.split('src="')[1:]]
    assert [url.partition(";")[0] for url in urls] == ["data:image/png", "data:image/jpeg", "data:image/gif"]
    assert max(map(len, urls)) < 40_000
    with Image.open(BytesIO(b64decode(urls[1].partition(",")[2]))) as small:
        assert small.size == (320, 137)
    assert 'alt="image, 700 × 300 pixels" width="160"' in html
    again = write_pictures(prompt[0])
    assert again == html


def test_a_picture_is_kept_no_longer_than_its_image():
    prompt = Conversation(["What?", noise(100, 80)])
    write_pictures(prompt[0])
    kept = len(pictures._written)
    del prompt
    gc.collect()
    assert len(pictures._written) < kept


@pytest.mark.parametrize(
    "url",
    [
        "https://example.test/cat.png",
        "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIj4=",
        "data:image/png;base64,PHNjcmlwdD4=",
        'data:image/png;base64,"><script>',
        "data:image/png;base64,iVBORw0KGgo=",
        f"data:image/png;base64,{b64encode(png(4, 30)).decode()}",  # too narrow to be seen
        "data:text/html;base64,iVBORw0KGgo=",
    ],
)
def test_an_image_that_is_elsewhere_or_damaged_is_not_a_picture(url):
    entry = {"type": "image_url", "image_url": {"url": url}, "cache_control": {"type": "ephemeral"}}
    assert write_pictures(Conversation([{"role": "user", "content": [entry]}])[0]) == ""


def test_an_image_too_large_to_be_decoded_is_not_a_picture():
    head = struct.pack(">IIBBBBB", 8000, 4000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    large = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert write_pictures(Conversation(["What?", large])[0]) == ""


def test_without_pil_images_are_their_own_pictures_up_to_a_size(monkeypatch):
    monkeypatch.setattr(pictures, "_shrink", lambda data: b"")
    assert "data:image/png" in write_pictures(Conversation(["What?", noise(100, 90)])[0])
    assert write_pictures(Conversation(["What?", noise(250, 200)])[0]) == ""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


def test_a_file_goes_from_the_view_through_the_kernel_to_the_model_and_the_twin(kernel):
    kernel.run("c = compare(None, [Scripted('a', ['A cat.']), Scripted('b', ['A dog.'])], system='Be <brief>')")
    comm = kernel.widget()
    kernel.send(comm, {"type": "ready"})
    kernel.send(comm, {"type": "attach", "id": "1", "name": "cat.png"}, png())
    kernel.send(comm, {"type": "attach", "id": "2", "name": "a.bin"}, b"\0Hello")
    kernel.send(comm, {"type": "attach", "id": "3", "name": "nothing.png"})
    answers = lambda: {m["id"]: m for m in kernel.sent(comm) if m["type"] == "attached"}  # noqa: E731
    kernel.until(lambda: len(answers()) == 2)
    assert answers()["1"] == {"type": "attached", "id": "1", "label": "cat.png · 1 kB", "note": ""}
    assert answers()["2"]["problem"].startswith("a.bin: expected PNG")
    kernel.send(comm, {"type": "ask", "text": "What is this?", "files": ["1", "2", "3"]})
    kernel.until(lambda: kernel.value("c._panel.panes[0].answers and c._panel.panes[0].answers[-1].status") == "done")
    news = [item for m in kernel.sent(comm) for item in m.get("news", ()) if "prompt" in item]
    first = next(item for item in news if item["pane"] == 0)
    assert first["pictures"].startswith('<img src="data:image/png;base64,')
    assert (first["system"], first.get("sent")) == ("Be &lt;brief&gt;", None)
    assert not any(name in item for item in news if item["pane"] for name in ("pictures", "system"))
    assert kernel.value("[e.type for e in c.wait().conversations['scripted/b'][1].entries]") == ["text", "image_url"]
    twin = displays(kernel.run("c.freeze()"), "text/markdown", "update_display_data")[-1]
    assert "What is this?<br><img src=" in twin["text/html"]
    assert "> What is this?\n> [1 image]\n" in twin["text/plain"]
    assert "```text\nWhat is this?\n[1 image]\n```" in twin["text/markdown"]
    assert '<summary>System prompt</summary><p dir="auto">Be &lt;brief&gt;</p>' in twin["text/html"]
