import json
import re

from scripted_models import Scripted

import nbkit
from nbkit.conversation.turns import Conversation, Turn

HOSTILE = "<script>alert(1)</script> <img src=https://evil.test/x> [https://my-bank.test](https://evil.test/login)"


def test_a_comparison_is_a_page_without_scripts_markdown_and_json():
    prompt = Conversation([Turn(role="system", content="Be <short>"), Turn(role="user", content=f"echo: {HOSTILE}")])
    answers = nbkit.compare(prompt, ["demo/swift", "demo/sage"])
    page = answers.to_html()
    assert page.startswith("<!DOCTYPE html>")
    assert "Be &lt;short&gt;" in page
    assert not re.search("<(script|img|iframe|link)", page)
    assert ">https://my-bank.test (evil.test)</a>" in page
    assert "```text\n" in answers.to_markdown()
    assert "demo/sage" in answers.to_markdown()
    read = json.loads(answers.to_json())
    assert [model["model"] for model in read["models"]] == ["demo/swift", "demo/sage"]
    (turn,) = read["models"][0]["turns"]
    assert turn["text"] == HOSTILE
    assert turn["cost"] > 0
    assert turn["sent"] == ["system prompt"]
    assert turn["tools"] == []


def test_a_chat_is_a_page_markdown_and_json_with_all_its_cells():
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000100000001008060000001ff3ff61"
    )  # the head of a picture of 16 x 16 pixels
    chat = nbkit.Chat(Scripted("a", [f"# Yes\n\n{HOSTILE}"], ["`two`"]), system="Be <short>")
    chat("What <b>is</b> this?", png)
    chat("And?")
    page = chat.to_html()
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Chat with scripted/a</title>" in page
    assert "Be &lt;short&gt;" in page
    assert "What &lt;b&gt;is&lt;/b&gt; this?" in page
    assert '<img src="data:image/png;base64,iVBOR' in page
    assert "<code>two</code>" in page
    assert "this chat $0.00" in page
    assert not re.search("<(script|iframe|link)|<img (?!src=.data:image/png;)", page)
    markdown = chat.to_markdown()
    assert markdown.startswith("**system**\n\n```text\nBe <short>\n```")
    assert "What <b>is</b> this?\n\n[image]" in markdown
    assert markdown.endswith(" for 2 calls")
    read = json.loads(chat.to_json())
    assert [turn["role"] for turn in read["turns"]] == ["system", "user", "assistant", "user", "assistant"]
    assert (read["model"], read["calls"], read["cost"]) == ("scripted/a", 2, chat.cost)
    assert read["usage"]["input"] > 0
    assert nbkit.Conversation(read["turns"]) == chat.conversation
