"""Rendering of model output: what it looks like, and that nothing hostile gets through."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser
from itertools import count

import pytest
from hostile import HOSTILE

from nbkit.rendering.highlight import highlight
from nbkit.rendering.markdown import render, render_static, to_text
from nbkit.rendering.sanitize import clean, plain_html, visible

TAGS = """
p br hr h1 h2 h3 h4 h5 h6 strong em s blockquote ul ol li pre code span div a table thead tbody tr th td
math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup mover munder munderover mtable mtr mtd mstyle
mpadded mphantom menclose details summary
""".split()  # noqa: SIM905 - one literal a word would fill a page
ATTRIBUTES = {
    "a": {"href", "title", "target", "rel"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
    "span": {"class"},
    "div": {"class", "dir"},
}
MATH_ATTRIBUTES = """
display displaystyle scriptlevel stretchy fence form accent columnalign columnspacing rowspacing width
""".split()  # noqa: SIM905 - one literal a word would fill a page


class Seen(HTMLParser):
    """Tags, attributes and text as a browser would see them."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def safe(markup: str) -> Seen:
    """Parse HTML and fail on whatever is outside the allow-list."""
    seen = Seen(markup)
    for tag, attributes in seen.tags:
        assert tag in TAGS
        extra = set(attributes).difference(ATTRIBUTES.get(tag, MATH_ATTRIBUTES if tag.startswith("m") else ()))
        assert not extra, (tag, extra)
        for name in attributes.get("class", "").split():
            assert name.startswith("nbk-") or name in {"tex2jax_ignore", "mathjax_ignore"}
        if tag == "a":
            assert attributes["href"].lower().startswith(("http://", "https://", "mailto:"))
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert attributes["target"] == "_blank"
    assert visible(seen.text) == seen.text
    return seen


def links(markup: str) -> list[str]:
    return [attributes["href"] for tag, attributes in safe(markup).tags if tag == "a"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("how", [render, render_static])
def test_hostile_output_stays_text(how, text):
    seen = safe(how(text))
    assert "9999" not in "".join(str(attributes) for _, attributes in seen.tags)


def test_the_sanitizer_alone_holds_too():
    raw = (
        "<img src=x onerror=1><a href=javascript:1 onclick=1 style=x id=y name=z>a</a><span class='jp-x nbk-k'>b</span>"
        "<math href=javascript:1><mtext><style><img src=x></style></mtext><mi style=x mathcolor=red>c</mi></math>"
        "<a href=//evil.test>d</a><td data-x=1 align=evil>e</td><svg><script>f</script></svg><p dir=rtl>g\u202e"
    )
    seen = Seen(clean(raw))
    assert {tag for tag, _ in seen.tags} <= set(TAGS)
    assert {name for _, attributes in seen.tags for name in attributes} == {"class", "rel", "target"}
    assert ("span", {"class": "nbk-k"}) in seen.tags
    assert "\u202e" not in seen.text


def test_only_links_that_name_a_host_become_links_and_say_which():
    html = render("[safe](https://ok.test/a?b=1&c) <mailto:a@b.test> [bank](https://bank.test@EVIL.test/) [r](x.md)")
    titles = {attributes["title"] for tag, attributes in safe(html).tags if tag == "a"}
    assert titles == {"ok.test", "a@b.test", "evil.test"}
    assert "[r](x.md)" in Seen(html).text
    assert links(render("[x](https://\u0430pi.test)")) == ["https://xn--pi-6kc.test"]


def test_images_are_named_and_never_fetched():
    assert Seen(render('![a "cat"](https://evil.test/x.png?q=1)')).text.strip() == '[image: a "cat", evil.test]'
    assert Seen(render_static("![](http://evil.test)")).text.strip() == "[image: evil.test]"


def test_markdown_of_answers():
    html = render("# T\n\n**b** ~~s~~ `c`\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n3. x\n4. y\n\n> q")
    tags = [tag for tag, _ in safe(html).tags]
    for tag in ("h1", "strong", "s", "code", "table", "ol", "blockquote"):
        assert tag in tags
    assert ("td", {"align": "right"}) in Seen(html).tags
    assert ("ol", {"start": "3"}) in Seen(html).tags


def test_each_block_of_what_stays_has_its_own_direction_where_a_text_has_both():
    html = render_static("# \u05db\n\nHello!\n\n- one\n\n| a |\n|--:|\n| \u05d0 |")
    assert '<h5 dir="auto">\u05db' in html
    assert '<p dir="auto">Hello!' in html
    assert '<li dir="auto">' in html
    assert '<td align="right" dir="auto">' in html
    assert html.count("dir=") == 6
    assert render_static("Hello!").count("dir=") == 1
    assert "dir=" not in clean("<p dir=rtl>a</p><pre dir=auto>")


@pytest.mark.parametrize("language", ["python", "Python title=x", "sql", "json", "unheard-of", "", "brainfuck"])
def test_code_is_colored_without_changing_it(language):
    code = "\n\n  def f(x):\treturn \"<b>\" + '&amp;'  # $x$ \\(y\\)\n\n"
    html = render(f"```{language}\n{code}```")
    assert Seen(html).text.strip("\n") == code.strip("\n")
    assert ("nbk-" in html) == language.lower().startswith(("python", "sql", "json"))
    assert "nbk-" not in render_static(f"```{language}\n{code}```")


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "$0.15/M in, $0.60/M out",
        "US$5 and A$6, 2$ or 3$",
        "see `$x$` and `\\(y\\)`",
        "```\n$$\nx\n$$\n\\[y\\]\n```",
        "    $x$",
        "from $x, see `$y`",
        r"\$x\$",
        "$x",
    ],
)
def test_prices_and_code_are_not_maths(text):
    assert "<math" not in render(text)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("so $x^2$, the $n$th", "inline"),
        (r"so \(x_1\) is", "inline"),
        ("so $$x$$ is", "block"),
        (r"so \[x \\[4pt] y\] is", "block"),
        ("text\n$$\nx\n- y\n$$\ntext", "block"),
        ("\\[\n\nx\n\n+ y\n\\].", "block"),
        ("1. a\n   \\[\n   x\n   \\]\n2. b", "block"),
        ("> $$x$$\n> b", "block"),
        ("\\[\n\\begin{aligned} x &= b \\\\ c &= d \\end{aligned}\n\\]", "block"),
    ],
)
def test_maths_becomes_mathml_and_stays_readable_in_the_static_output(text, display):
    assert ("math", {"display": display}) in safe(render(text)).tags
    static = safe(render_static(text))
    assert {"math", "code"} & {tag for tag, _ in static.tags}
    assert "x" in static.text


@pytest.mark.parametrize(
    "tex",
    [
        r"\unheardof{x}",
        r"\frac",
        r"\begin{unheard}a & b\end{unheard}",
        r"\newcommand{\a}{x}\a",
        r"\def\a{\a\a}\a",
        "{" * 1900 + "}" * 1900,
        "x" * 5000,
    ],
)
def test_tex_that_cannot_be_rendered_is_shown_as_source(tex):
    seen = safe(render(f"a ${tex}$ b"))
    assert [tag for tag, _ in seen.tags] == ["p", "code"]
    assert seen.text == f"a {tex} b\n"


def test_an_unclosed_formula_ends_with_the_list_item_that_holds_it():
    tags = [tag for tag, _ in safe(render("- a\n  $$\n  x\n\nafter\n$$")).tags]
    assert tags[:4] == ["ul", "li", "pre", "code"]
    assert "p" in tags


def test_a_static_output_keeps_mathjax_away_from_prices_and_hostile_tex():
    tag, attributes = safe(render_static(r"costs $5, then $6 and \\(\href{javascript:x}{y}\\)")).tags[0]
    assert tag == "div"
    assert set(attributes["class"].split()) == {"tex2jax_ignore", "mathjax_ignore"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb\u2066c\u200e", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200E⟩"),
        ("\x1b[31mred\x07\x9b\x7f", "⟨U+001B⟩[31mred⟨U+0007⟩⟨U+009B⟩⟨U+007F⟩"),
        ("hi\U000e0041\U000e0102\u200b\ufeff", "hi⟨U+E0041⟩⟨U+E0102⟩⟨U+200B⟩⟨U+FEFF⟩"),
        ("a\u200db é\u200d\u200cé \ufe0f", "a⟨U+200D⟩b é⟨U+200D⟩⟨U+200C⟩é \ufe0f"),
        ("x\ufe0f\ufe01\ufe02", "x\ufe0f⟨U+FE01⟩⟨U+FE02⟩"),
        ("\ud83d", "⟨U+D83D⟩"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("👨‍👩‍👧 ❤️‍🔥 1️⃣ می‌خواهم क्‍ष ü €", "👨‍👩‍👧 ❤️‍🔥 1️⃣ می‌خواهم क्‍ष ü €"),
    ],
)
def test_hidden_characters_are_spelled_out(text, shown):
    assert visible(text) == to_text(text) == shown
    assert visible(shown) == shown
    assert unescape(plain_html(text)) == shown


def test_plain_html_fits_between_tags_and_into_attributes():
    text = """</p><script>x</script>" onclick='y' &amp; \u202e"""
    seen = Seen(f'<p title="{plain_html(text)}">{plain_html(text)}</p>')
    assert seen.tags == [("p", {"title": visible(text)})]
    assert seen.text == visible(text)


BOMBS = {
    "quotes": "> " * 10_000 + "x",
    "lists": "- " * 10_000 + "x",
    "brackets": "[" * 10_000 + "x" + "](http://a.test)" * 2_000,
    "images": "![a" * 5_000 + "](http://a.test)" * 1_000,
    "emphasis": "**a *b _c ~~d " * 2_000,
    "stars": "*" * 20_000 + "a" + "*" * 20_000,
    "ticks": "".join("`" * i + "a" for i in range(200)),
    "dollars": "$a " * 10_000 + "$$\n" * 5_000 + "\\(" * 10_000 + "\\[" * 10_000,
    "table": "|a" * 200 + "|\n" + "|-" * 200 + "|\n" + "x\n" * 200,
    "entities": "&#x41;" * 10_000 + "&" * 10_000,
    "macros": r"$\newcommand{\a}{" + "x" * 2_000 + "}" + r"\a" * 600 + "$",
    "tex": "$" + r"\sqrt" * 700 + "$ $" + "x'" * 1_900 + "$ $" + r"\frac{" * 600 + "$",
    "blank C": "```c\n" + "\n" * 20_000 + "```",
    "slashes in C": "```c\n" + "/*\n" * 10_000 + "```",
    "long line of C": "```c\n" + "/" * 20_000 + "\n```",
    "one line": "a" * 1_000_000,
    "many lines": "a *b*\n" * 170_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_texts_written_to_hang_or_overflow_do_neither(bomb):
    """A hang ends with the suite's `faulthandler_timeout`."""
    safe(render(BOMBS[bomb]))


def test_code_has_spans_for_what_has_a_color_only():
    shown = highlight('if key in ("a", 1):  # no', "python")
    assert shown == (
        '<span class="nbk-k">if</span> key <span class="nbk-k">in</span> (<span class="nbk-s">"a"</span>, '
        '<span class="nbk-m">1</span>):  <span class="nbk-c"># no</span>\n'
    )


def test_code_that_takes_too_long_has_no_colors():
    code = "x = 1\n" * 100
    assert "<span" in highlight(code, "python", lambda: 0.0)
    reads = count()
    assert highlight(code, "python", lambda: next(reads) / 100) == code  # a hundredth of a second for each token
    assert next(reads) == 26  # up to a quarter of a second


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("[https://my-bank.test](https://evil.test/x)", "https://my-bank.test (evil.test)"),
        ("[my-**bank**.test](https://evil.test)", "my-<strong>bank</strong>.test (evil.test)"),
        ("[docs](https://docs.test)", "docs"),
        ("<https://docs.test/a/index.html>", "https://docs.test/a/index.html"),
        ("[docs.test](https://www.docs.test)", "docs.test"),
        ("<https://my-bank.test@evil.test>", "https://my-bank.test@evil.test (evil.test)"),
        ("[help@my-bank.test](mailto:help@evil.test)", "help@my-bank.test (help@evil.test)"),
    ],
)
def test_a_link_whose_text_names_another_host_shows_where_it_leads(markdown, shown):
    for html in (render(markdown), render_static(markdown)):
        assert f">{shown}</a>" in html


def test_a_look_alike_host_shows_its_real_letters():
    assert "(xn--pple-43d.com)</a>" in render("<https://аpple.com>")


def test_without_a_style_sheet_formulas_are_drawn_where_that_loses_nothing():
    html = render_static("# Head\n\n$x = 1$ and $x^2$\n\n$$\\frac{1}{2}$$\n")
    assert "<h5>Head</h5>" in html
    assert "<code>x^2</code>" in html
    assert html.count("<math") == 2
    assert "<details><summary>TeX</summary><pre><code>\\frac{1}{2}</code></pre>\n</details>" in html
