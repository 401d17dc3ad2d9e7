"""Markdown: a whole answer, and the same streamed at the pace of the display."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from markdown_it import MarkdownIt

from benchmarks.runner import Row, compare
from nbkit.rendering.markdown import Incremental, render, render_static

_SECTION = "## Part\n\n" + "Some **prose** with `code`, $x^2$ and [a link](https://a.test).\n\n" * 4
_CODE = "```python\n" + "def f(x): return x + 1\n" * 12 + "```\n\n"
_ANSWER = (_SECTION + _CODE + "1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n") * 12
_PIECE = 50  # characters: 20 flushes a second, 1,000 characters a second


def measure() -> Iterator[Row]:
    """Measure against markdown-it-py alone, without sanitizing and colors, and a stream against one render."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    bare = f"markdown-it-py, {len(_ANSWER) // 1000} kB"
    yield compare("render", lambda: render(_ANSWER), bare, lambda: parser.render(_ANSWER))
    yield compare("render_static", lambda: render_static(_ANSWER), bare, lambda: parser.render(_ANSWER))

    def stream() -> None:
        document = Incremental(now=count(step=3600).__next__)  # draws at each flush
        for start in range(0, len(_ANSWER), _PIECE):
            document.feed(_ANSWER[start : start + _PIECE])
            document.flush()
        document.finish()

    flushes = -(-len(_ANSWER) // _PIECE)
    yield compare(f"streamed, {flushes} flushes", stream, "render", lambda: render(_ANSWER), aim="5")
