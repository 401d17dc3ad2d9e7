"""Markdown: a whole answer, and the same streamed at the pace of the display."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from markdown_it import MarkdownIt

from benchmarks.runner import Row, Timed, compare
from nbkit.rendering.markdown import Incremental, render, render_static

_SECTION = "## Part\n\n" + "Some **prose** with `code`, $x^2$ and [a link](https://a.test).\n\n" * 4
_CODE = "```python\n" + "def f(x): return x + 1\n" * 12 + "```\n\n"
_ANSWER = (_SECTION + _CODE + "1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n") * 12
_PIECE = 50  # characters: 20 flushes a second, 1,000 characters a second


def measure(rounds: int) -> Iterator[Row]:
    """Measure against markdown-it-py alone, without sanitizing and colors, and a stream against one render."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    bare = f"markdown-it-py, {len(_ANSWER) // 1000} kB"
    plain = Timed(lambda: parser.render(_ANSWER))
    yield compare("render", Timed(lambda: render(_ANSWER)), bare, plain, rounds)
    yield compare("render_static", Timed(lambda: render_static(_ANSWER)), bare, plain, rounds)

    def stream() -> None:
        document = Incremental(now=count(step=3600).__next__)  # draws at each flush
        for start in range(0, len(_ANSWER), _PIECE):
            document.feed(_ANSWER[start : start + _PIECE])
            document.flush()
        document.finish()

    flushes = -(-len(_ANSWER) // _PIECE)
    whole = Timed(lambda: render(_ANSWER))
    yield compare(f"streamed, {flushes} flushes", Timed(stream), "render", whole, rounds, aim="5")
