import json
import re

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
