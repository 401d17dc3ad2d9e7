import re
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt

from nbkit.adapters.factory import get_adapter
from nbkit.bulk.answers import Answer, Pane
from nbkit.conversation.completion import Bill, Change, ChatCompletion, Timing, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import ApiKeyNotFoundError, BadRequestError, RateLimitError, StreamError
from nbkit.notebook.export import write_bundle
from nbkit.notebook.facts import describe_end, describe_pane, explain_error, list_facts, list_notes

HOSTILE = """<img src=x onerror=alert(1)> <script>alert(2)</script> [click](javascript:alert(3))
![leak](https://evil.example/?q=secret) \x1b[31mred\x1b[0m \u202egnp

````
```
[still code](javascript:alert(4))
````

~~~
<iframe src="https://evil.example"></iframe>
"""


class Named:
    def __init__(self, name, model_id):
        self.name, self.model_id = name, model_id


def completion(text, usd=0.00012, source="catalog", **more):
    return ChatCompletion(
        text,
        usage=Usage(input=10, output=40, cache_read=5, reasoning=20),
        bill=Bill(usd, source),
        timing=Timing(0.42, 2.0),
        **more,
    )


def pane(*answers, name="Alpha", model_id="x/alpha"):
    return Pane(model_id, Named(name, model_id), Conversation(), list(answers))


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_all_forms_hold_the_prompt_the_answers_and_the_money():
    panes = [
        pane(Answer("Which?", "done", completion("It **depends**."))),
        pane(Answer("Which?", "done", completion("The *second*.", None)), name="Beta", model_id="y/beta"),
    ]
    for form, text in write_bundle(panes, "this comparison $0.00012 + 1 unknown").items():
        for part in ("Which?", "Alpha", "y/beta", "depends", "in 15 · cached 5 · out 60 · reasoning 20", "$0.00012"):
            assert part in text, form
        assert "cost unknown" in text
        assert "first token 0.42 s · speed 30 tok/s" in text
    assert "<strong>depends</strong>" in write_bundle(panes, "")["text/html"]


def test_the_html_holds_nothing_that_an_untrusted_file_would_lose_or_that_could_run():
    panes = [pane(Answer(HOSTILE, "done", completion(HOSTILE)), name="<b>A</b>", model_id="x/<i>")]
    html = write_bundle(panes, "<u>$0</u>")["text/html"]
    tags = Tags(html).tags
    assert {tag for tag, _ in tags} <= {"div", "blockquote", "br", "h4", "code", "p", "pre", "small", "a", "span"}
    assert tags[0][1]["class"] == "nbk-static tex2jax_ignore mathjax_ignore"  # two prices do not make a formula
    assert "var(" not in html
    for _, attributes in tags:
        assert set(attributes) <= {"class", "style", "dir", "href", "rel", "title"}
        assert attributes.get("href", "https:").startswith("https:")


def test_code_has_one_ground_which_is_that_of_its_block():
    html = write_bundle([pane(Answer("Which?", "done", completion("```\nx = 1\n```\nand `y`")))], "")["text/html"]
    *_, block, code, inline = (attributes for tag, attributes in Tags(html).tags if tag in ("pre", "code"))
    assert "background:rgba" in block["style"]
    assert (code, inline) == ({"style": "background:none"}, {})


def test_the_markdown_twin_shows_answers_as_text_only():
    panes = [pane(Answer(HOSTILE, "done", completion(HOSTILE)), name="[a](javascript:b)", model_id="x/<i>`")]
    tokens = MarkdownIt("commonmark", {"html": True}).parse(write_bundle(panes, "total <b>")["text/markdown"])
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
    assert kinds <= {"fence", "paragraph_open", "paragraph_close", "inline", "text", "strong_open", "strong_close"}
    assert sum(token.type == "fence" for token in tokens) == 2


def test_plain_text_cannot_move_the_cursor_or_reorder_the_line():
    panes = [pane(Answer(HOSTILE, "done", completion(HOSTILE)))]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", write_bundle(panes, "")["text/plain"])


@pytest.mark.parametrize(
    ("error", "message", "advice"),
    [
        (RateLimitError("too many", provider="x", model="a", status=429), "x/a: too many (HTTP 429)", "Wait a little."),
        (BadRequestError("no such\nmodel"), "no such model", "Check the model and the options."),
        (ApiKeyNotFoundError("x", ("X_KEY",)), "set X_KEY", "Set the key in this kernel's environment."),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops", "report it"),
    ],
)
def test_a_failure_is_one_line_with_advice(error, message, advice):
    answer = Answer("Hi", "failed", error=error)
    problem, todo = explain_error(answer)
    assert message in problem
    assert "\n" not in problem
    assert advice in todo
    for text in write_bundle([pane(answer)], "").values():
        assert message in text
        assert "no answer yet" not in text


def test_a_broken_or_stopped_answer_is_shown_as_far_as_it_arrived():
    half = completion("Half an ans", source="partial", finish_reason=None)
    broken = Answer("Hi", "failed", half, StreamError("the stream ended early", partial=half))
    stopped = Answer("Hi", "stopped", half)
    for form, text in write_bundle([pane(broken), pane(stopped)], "").items():
        assert text.count("Half an ans") == 2, form
        assert text.count("cost ≈ $0.00012") == 2
        assert "Failed: The answer broke off." in text
        assert "stopped by you" in text
    assert describe_end(broken)["cause"] == "the stream ended early"
    overloaded = Answer("Hi", "failed", half, StreamError("overloaded", code="529", partial=half))
    assert (explain_error(overloaded)[0], describe_end(overloaded)["cause"]) == ("overloaded (code 529)", "")


def test_changes_endings_and_reasoning_are_shown():
    change = Change("dropped", "seed", "the model does not take it")
    reasoning = (Reasoning(text="Let me <see>"),)
    answer = Answer(
        "Hi", "done", completion("Yes", finish_reason="length", changes=(change,), reasoning_blocks=reasoning)
    )
    html = write_bundle([pane(answer)], "")["text/html"]
    assert "Let me &lt;see&gt;" in html
    assert list_notes(answer) == ["cut off: the answer reached its token limit", str(change)]
    assert str(change) in html


def test_only_the_turns_from_since_on():
    answers = [Answer("First?", "done", completion("one")), Answer("Second?", "done", completion("two"))]
    text = write_bundle([pane(*answers)], "", since=1)["text/plain"]
    assert "Second?" in text
    assert "First?" not in text


def test_before_the_first_answer_there_is_a_sentence():
    assert write_bundle((), "no answer yet")["text/plain"] == "no answer yet"
    assert "(no answer yet)" in write_bundle([pane(Answer("Hi"))], "")["text/markdown"]


def test_unknown_tokens_and_times_are_not_invented():
    answer = Answer("Hi", "done", ChatCompletion("Yes"))
    assert [(label, value) for label, value, _ in list_facts(answer)] == [("tokens", "unknown"), ("cost", "unknown")]
    assert answer.tokens_per_second is None
    assert list_facts(Answer("Hi")) == []


HOSTILE_TEXT = "<script>x</script> ![a](https://evil.test/q) **bold** \x1b[31m"


def test_a_completion_is_shown_in_its_cell_as_everywhere_else():
    """S9."""
    completion = ChatCompletion(
        HOSTILE_TEXT,
        reasoning_blocks=(Reasoning(text="hm <b>"),),
        tool_calls=(ToolCall(id="t", name="add", arguments='{"a":"<i>"}'),),
        usage=Usage(input=10, output=5),
        bill=Bill(0.002, "estimate", notes=("flex at half",)),
        changes=(Change("dropped", "seed", "refused"),),
        finish_reason="length",
    )
    shown, _ = DisplayFormatter().format(completion)
    assert set(shown) == {"text/html", "text/markdown", "text/plain"}
    html = shown["text/html"]
    assert "<strong>bold</strong>" in html
    assert "in 10 · out 5 · cost ≈ $0.0020" in html
    assert "dropped seed: refused" in html
    assert "cut off: the answer reached its token limit" in html
    for form in ("<script", "<img", "<i>&", "hm <b>", '"<i>"'):
        assert form not in html
    assert "add(a=&quot;&lt;i&gt;&quot;)" in html or 'add(a="&lt;i&gt;")' in html
    assert shown["text/markdown"].startswith("```text\n")
    assert "\x1b" not in shown["text/plain"]
    assert "cost ≈ $0.0020" in shown["text/plain"]


def test_a_pane_offers_the_settings_that_its_model_takes():
    swift, scholar = (Pane(model, get_adapter(model)) for model in ("demo/swift", "demo/scholar"))
    assert list(describe_pane(swift)["settings"]) == ["temperature", "max_tokens"]
    assert "medium" in describe_pane(scholar)["settings"]["reasoning_effort"][1]
    scholar.options = {"reasoning_effort": "xhigh", "temperature": 0}
    assert describe_pane(scholar)["settings"]["temperature"] == (0, ())
    value, choices = describe_pane(scholar)["settings"]["reasoning_effort"]
    assert value in choices
