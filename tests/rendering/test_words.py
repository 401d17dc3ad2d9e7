"""The beginning of an answer in a small place, and its words without the marks of Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.rendering.words import render_beginning, write_words

TABLE = "| model | price |\n|---|---|\n| **Swift** | $0.40 |\n| `Sage` | $3 |\n"
LONG = "\\sum_{i=1}^{n} x_i^2 + \\int_0^1 f(x) dx + \\prod_{j=1}^{m} y_j"


@pytest.mark.parametrize(
    ("answer", "html"),
    [
        (
            "It is **bold and goes on and on, further than a cell**",
            "It is <strong>bold and goes on and on, further…</strong>",
        ),
        ("# A _head_\n\nText", "<strong>A <em>head</em></strong>\nText"),
        ("- one\n- two\n  1. three\n  2. four", "• one\n• two\n  1. three\n  2. four"),
        ("- ```\n  a\n  ```\n\nb", "<code>a</code>\nb"),
        ("3. three\n4. four\n\nfive\nsix", "3. three\n4. four\nfive six"),
        (TABLE, "model · price\n<strong>Swift</strong> · $0.40\n<code>Sage</code> · $3"),
        ("```python\ndef f(x):\n    return x\n```", "<code>def f(x):</code>\n<code>    return x</code>"),
        (
            "[a](https://b.example) ![c](https://d.example/e.png)",
            'a <span class="nbk-image">[image: c, d.example]</span>',
        ),
        (f"$${LONG}$$", "[formula]"),
        (f"$$\n{LONG}", "[formula]"),
        ("", ""),
    ],
)
def test_a_beginning_has_lines_of_text_and_no_marks_of_markdown(answer, html):
    assert render_beginning(answer, 40) == html


@pytest.mark.parametrize("formula", ["$x^2$", "$$\nx^2\n$$", "so $$x^2$$ is"])
def test_a_formula_of_a_beginning_stands_in_its_line(formula):
    assert '<math display="inline"><msup><mi>x</mi><mn>2</mn></msup></math>' in render_beginning(formula, 24).replace(
        "<mrow>", ""
    ).replace("</mrow>", "")


def test_rows_and_formulas_are_not_cut():
    assert render_beginning("| " + "word " * 30 + "| end |\n|---|---|", 10).endswith(" · end")
    assert render_beginning("It is said: $x^2$ is small", 13).endswith("</math>")


@given(st.text(alphabet="ab *_`~|$#->[]()!\n<&\\1.\u202e", max_size=120))
def test_a_beginning_of_any_text_is_clean(answer):
    html = render_beginning(answer, 20)
    for tag in ("strong", "em", "s", "code"):
        assert html.count(f"<{tag}>") == html.count(f"</{tag}>")
    assert not any(mark in html for mark in ("<p", "<pre", "<table", "<a ", "\u202e"))


def test_words_are_what_a_reader_sees():
    answer = "# A *head*\n\nTwo\nlines, [a link](https://b.example).\n\n- $x^2$\n- `code`\n\n"
    answer += f"{TABLE}\n```python\na\n\n  b\n```"
    assert write_words(answer).split("\n\n") == [
        "A head",
        "Two lines, a link.",
        "• x^2\n• code",
        "model · price\nSwift · $0.40\nSage · $3",
        "a",
        "  b",
    ]


def test_words_of_a_text_that_is_too_long_to_parse_are_its_own():
    assert write_words("**a** " * 60_000) == "**a** " * 60_000
