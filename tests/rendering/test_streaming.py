"""Answers that stream: their HTML, made piece by piece, is that of the whole answer."""

from __future__ import annotations

import random
import re
import sys
from itertools import count

import pytest

from nbkit.rendering.markdown import Incremental, render


def live() -> Incremental:
    """Make one whose tail never rests, however slow the machine is: each reading of its clock is an hour later."""
    return Incremental(now=count(step=3600).__next__)


def stream(text: str, chance: random.Random) -> tuple[str, int]:
    """Feed the text in pieces, flush now and then; return the closed blocks and the last tail, and how many closed."""
    doc, closed, at = live(), [], 0
    while at < len(text):
        size = chance.randint(1, 12)
        doc.feed(text[at : at + size])
        at += size
        if chance.random() < 0.8:
            closed += doc.flush().closed
    update = doc.flush()
    closed += update.closed
    assert doc.finish() == render(text)
    return "".join(closed) + update.tail, len(closed)


ANSWER = """# Title

A paragraph with **bold**, `code`, $x^2$ and [a link](https://a.test).
Setext
------

- loose

- list

  ```python
  def f(x):

      return x
  ```
- > quote

1. a
\\[
x

+ y
\\]
| a | b |
|---|---|
| 1 | 2 |
a | b

    indented

    code
<div>

***
$$
z
$$
"""
WRITTEN = r"""
-·a -·b¶ *· 1.· 10)·x #·h >·q >· ¶ ¶¶ ·· ···· ⇥ ``` ```sql¶ ~~~ ` `` $$ \[ \] $x$ $ \(y\) \ |·a·|·b·| |---|--| a·|·b¶
--|--¶ | --- === = - **b** ** * _ text two·words¶ <div> <!-- --> [l](http://a.b) [a] ![i](http://c.d/e) &amp; &#x202e;
◁ ⏎¶ ⏎é +·c *** x_1 2. ∅ <http://c.d> :
"""
PIECES = [piece.translate(str.maketrans("·¶⏎⇥◁∅", " \n\r\t\u202e\0")) for piece in WRITTEN.split()]


def test_a_streamed_answer_is_the_rendered_answer():
    for seed in range(30):
        html, closed = stream(ANSWER, random.Random(seed))  # noqa: S311 - no secret depends on it
        assert html == render(ANSWER)
        assert closed > 8


def test_any_text_streams_to_what_it_renders_to():
    for seed in range(1_000):
        chance = random.Random(seed)  # noqa: S311 - no secret depends on it
        text = "".join(
            chance.choice(PIECES) + chance.choice(["", " ", "\n", "\n\n"]) for _ in range(chance.randint(2, 25))
        )
        html, _ = stream(text, chance)
        assert html == render(text), (seed, text)


@pytest.mark.parametrize(
    "text",
    [
        "para\na | b\n--|--x\nmore\n",
        "- a\n*bold*\n",
        "para\n--\n-x\n",
        'A\n\n[a]: http://a.b\n"title\ngoes\non"\n\nB\n\nC\n',
        "- $$\n  x\n# h\ny $$\n",
        "A\n\n``\n`\n``` x\n```y\n\nB\n\nC",
    ],
)
def test_a_block_is_not_closed_by_a_line_that_is_still_being_written(text):
    doc, closed = live(), []
    for character in text:
        doc.feed(character)
        closed += doc.flush().closed
    assert "".join(closed) + doc.flush().tail == render(text)


def test_closed_blocks_stay_and_an_open_fence_is_code_already():
    doc = live()
    doc.feed("one **bold")
    assert doc.flush().tail == "<p>one **bold</p>\n"
    doc.feed("**\n\n```python\nx = 1\ny")
    update = doc.flush()
    assert update.closed == ("<p>one <strong>bold</strong></p>\n",)
    assert update.tail == "<pre><code>x = 1\ny</code></pre>\n"
    assert doc.flush().closed == ()
    doc.feed("\n```\nend")
    assert 'class="nbk-' in doc.flush().tail
    doc.feed("\n\n")
    assert len(doc.flush().closed) == 1


def test_a_link_defined_later_resolves_in_the_final_render():
    doc = live()
    doc.feed("see [this][1]\n\nnext\n\nlast\n\n")
    assert "<a" not in "".join(doc.flush().closed)
    doc.feed("[1]: https://a.test\n")
    doc.flush()
    assert re.findall('href="(.*?)"', doc.finish()) == ["https://a.test"]


def test_a_slow_tail_rests_for_four_times_the_cpu_time_of_its_last_flush():
    now, cpu = [100.0], count(step=0.5)  # each flush takes half a second of CPU time
    doc = Incremental(lambda: now[0], cpu.__next__)
    doc.feed("one")
    assert doc.flush().tail == "<p>one</p>\n"
    doc.feed(" two")
    now[0] = 101.9
    assert doc.flush().tail == "<p>one</p>\n"
    now[0] = 102.0
    assert doc.flush().tail == "<p>one two</p>\n"
    doc.feed(" three")
    assert doc.finish() == "<p>one two three</p>\n"


def test_a_quick_tail_is_drawn_at_each_flush():
    doc = Incremental(lambda: 100.0, count(step=0.001).__next__)
    for text in ("a", "ab", "abc"):
        doc.feed(text[-1])
        assert doc.flush().tail == f"<p>{text}</p>\n"


def calls_of(function) -> int:
    """How many Python functions are called: a measure of work that is the same on every machine."""
    calls = 0

    def note(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_streaming_costs_a_few_renders_not_one_per_flush():
    section = "## Part\n\n" + "Some **prose** with `code` and $x^2$.\n\n" * 4
    answer = (section + "```python\n" + "def f(x): return x + 1\n" * 12 + "```\n\n1. one\n2. two\n\n") * 16
    pieces = [answer[at : at + 50] for at in range(0, len(answer), 50)]  # 20 Hz at 1,000 characters a second

    def stream_it():
        doc = live()
        for piece in pieces:
            doc.feed(piece)
            doc.flush()

    stream_it()  # what is kept for equal code and formulas is kept for both
    assert len(pieces) > 100
    assert calls_of(stream_it) < 3 * calls_of(lambda: render(answer))
