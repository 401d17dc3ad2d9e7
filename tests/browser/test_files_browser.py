"""Files in the box: pasted, dropped, chosen, taken out again, and sent; and what is seen of them afterwards."""

import json
from base64 import b64encode
from io import BytesIO

from PIL import Image

CHIPS = (
    "names => JSON.stringify([...document.querySelectorAll('.nbk-files .nbk-chip')].map(c => c.textContent)) === names"
)
# Gives the box a file, as the browser does at a paste or a drop.
GIVE = """([type, name, kind, encoded, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0))], name, { type: kind }));
    if (text) data.setData("text/plain", text);
    const options = { bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data };
    const event = type === "paste" ? new ClipboardEvent(type, options) : new DragEvent(type, options);
    document.querySelector(type === "paste" ? ".nbk-input" : ".nbk-panes").dispatchEvent(event);
    return event.defaultPrevented;
}"""
IDLE = "turns => document.querySelectorAll('.nbk-strip').length === turns"


def png(color):
    buffer = BytesIO()
    Image.new("RGB", (400, 300), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_files_are_pasted_dropped_chosen_removed_and_sent(lab, tmp_path):
    lab.open("import nbkit; c = nbkit.compare(None, ['demo/sage', 'demo/swift'], system='Be brief')")
    lab.run()
    lab.until("() => document.querySelector('.nbk-input')")
    box = lab.page.get_by_label("Follow-up")

    def give(event, name, kind, data, text=""):
        return lab.page.evaluate(GIVE, [event, name, kind, b64encode(data).decode(), text])

    def until_chips(*names):
        lab.until(CHIPS, json.dumps(names, ensure_ascii=False, separators=(",", ":")))

    assert not give("paste", "cells.png", "image/png", png("teal"), "1\t2")  # a spreadsheet's: the text is meant
    assert give("paste", "image.png", "image/png", png("teal"))
    until_chips("image.png · 1 kB ×")
    lab.until("() => document.querySelector('.nbk-files img').naturalWidth === 400")
    assert "Swift (simulated) does not read image.png" in lab.page.locator(".nbk-files").inner_text()
    assert give("dragover", "a.svg", "image/svg+xml", b"<svg onload='window.pwned=1'/>")
    assert give("drop", "a.svg", "image/svg+xml", b"<svg onload='window.pwned=1'/>")
    lab.until("() => document.querySelector('.nbk-files').innerText.includes('a.svg: an SVG drawing')")
    until_chips("image.png · 1 kB ×")
    assert "Swift (simulated) does not read image.png" in lab.page.locator(".nbk-files").inner_text()
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 report")
    with lab.page.expect_file_chooser() as chooser:
        lab.page.get_by_role("button", name="Attach").press("Enter")
    chooser.value.set_files(tmp_path / "report.pdf")
    until_chips("image.png · 1 kB ×", "report.pdf · 1 kB ×")
    lab.page.get_by_role("button", name="Remove report.pdf").press("Enter")
    until_chips("image.png · 1 kB ×")
    assert box.evaluate("box => box === document.activeElement")

    box.fill("What is this?")
    box.press("Enter")
    lab.until(IDLE, 1)
    until_chips()
    assert "I received 1 image" in lab.page.locator(".nbk-answer").first.inner_text()
    assert "does not read images" in lab.page.locator(".nbk-problem").inner_text()
    bar = lab.page.locator(".nbk-bar")
    assert bar.locator(".nbk-pictures img").evaluate_all("all => all.map((image) => image.naturalWidth)") == [400]
    bar.locator("summary", has_text="System prompt").press("Enter")
    assert bar.locator(".nbk-thought").inner_text() == "Be brief"
    assert give("drop", "notes.md", "text/markdown", b"# Our notes")
    until_chips("notes.md · 1 kB ×")
    assert give("drop", "again.png", "image/png", png("navy"))
    until_chips("notes.md · 1 kB ×", "again.png · 1 kB ×")
    box.press("Enter")  # without a word
    lab.until("() => document.querySelectorAll('.nbk-turn').length === 4")
    lab.until("() => document.querySelectorAll('.nbk-turn .nbk-pictures img').length >= 2")
    assert "notes.md:\n\n```\n# Our notes\n```" in lab.page.locator(".nbk-prompt").last.text_content()
    assert lab.page.evaluate("() => window.pwned") is None
    assert lab.errors == []
    assert lab.abroad == []
