"""A model's Markdown as HTML: for the live widget, for the static twin, and block by block while it streams.

Model output is hostile. markdown-it-py parses it without raw HTML, only http, https and mailto links become links
(their host is the tooltip), images become text, so that nothing is fetched, and the result passes `sanitize.clean`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise, takewhile
from time import monotonic, thread_time
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from nbkit.rendering.maths import mathml, maths_plugin
from nbkit.rendering.sanitize import PREFIX, clean, plain_html, visible

_NESTING = 40  # levels, two a list: far from Python's stack limit; what is nested deeper is left out
_LONGEST = 300_000  # characters; a longer answer is shown as plain text
_LINK_DEFINITION = re.compile(r"\[[^\]]*\]:")
_SLOW = 0.01  # seconds of CPU: a tail that takes longer is drawn less often, for at most a fifth of one core

# Pygments' lexers take quadratic time on code written to that end: 30 s on 30 kB. Rare languages' are worse than these.
_LONGEST_CODE = 30_000  # characters
_ENDLESS = re.compile(r"[^\n]{1000}|\s{200}")  # a single match of one of their patterns may take seconds on these
_LEXING = 0.25  # seconds of CPU for one code block

_LANGUAGES = """
bash c c++ console cpp cs csharp css diff docker dockerfile go graphql haskell hcl html http ini java javascript js json
jsx julia kotlin latex lua make makefile matlab objc perl php powershell proto py pycon python python3 r ruby rust scala
sh shell sql swift tex toml ts tsx typescript xml yaml yml zsh
""".split()  # noqa: SIM905 - one literal a word would fill a page


def render(text: str) -> str:
    """A complete answer as sanitized HTML for the live widget, which brings the styles of the `nbk-` classes."""
    return _whole(text, static=False)


def render_static(text: str) -> str:
    """A complete answer as sanitized HTML that needs no style sheet: plain code blocks, maths as its TeX source.

    The two classes around it keep MathJax, in JupyterLab and in exported pages, from reading prices as maths and from
    obeying TeX such as `\\href`.
    """
    return f'<div class="tex2jax_ignore mathjax_ignore" dir="auto">\n{_whole(text, static=True)}</div>'


def to_text(text: str) -> str:
    """An answer for text/plain: the Markdown as it was written, hidden characters spelled out."""
    return visible(text)


@dataclass(frozen=True, slots=True)
class Update:
    """What `Incremental.flush` found: blocks that will not change again, and the part that may."""

    closed: tuple[str, ...]
    """Sanitized HTML of each block closed since the last flush, in order."""
    tail: str
    """Sanitized HTML of everything after them."""


class Incremental:
    """Markdown that arrives in pieces: each block is rendered once when it is closed, only the open tail again.

    Call `feed` for every piece, `flush` at the pace of the display, `finish` at the end. All closed blocks and the last
    tail joined are what `render` makes of the whole text, except for reference links: those resolve in `finish`.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._done: list[str] = []
        self._tail = ""
        self._fresh: list[str] = []
        self._inlines: dict[str, list[Token]] = {}
        self._html = ""
        self._resting_until = 0.0

    def feed(self, text: str) -> None:
        """Add a piece of the text. Cheap: nothing is parsed."""
        self._pieces.append(text)
        self._fresh.append(text)

    def flush(self) -> Update:
        """Render what is new; a long tail's new text may wait for a later flush."""
        if not self._fresh or monotonic() < self._resting_until:
            return Update((), self._html)
        started = thread_time()
        tail = self._tail + "".join(self._fresh)
        # A CR at the end may be half a line break: it waits for the next piece.
        self._fresh = ["\r"] if tail.endswith("\r") else []
        self._tail = tail.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        closed = self._advance()
        self._done += closed
        cost = thread_time() - started
        self._resting_until = monotonic() + 4 * cost if cost > _SLOW else 0.0
        return Update(closed, self._html)

    def finish(self) -> str:
        """The final HTML of the whole text; equals `render` of it."""
        text = "".join(self._pieces)
        if _LINK_DEFINITION.search(text) or "\r" in text:  # it may reach back into closed blocks
            return render(text)
        self._resting_until = 0.0
        self.flush()
        return "".join(self._done) + self._html

    def _advance(self) -> tuple[str, ...]:
        """Draw the tail, and cut off it the blocks that are closed."""
        if len(self._tail) > _LONGEST:
            self._html = _plain(self._tail)
            return ()
        env: dict[str, Any] = {"inlines": self._inlines}
        tokens = _PARSER.parse(visible(self._tail), env)
        lines = self._tail.split("\n")
        starts = _starts(tokens, lines)
        # A block has begun for good when its second line is complete: until then its first line may yet continue the
        # block before it, as the head of a table does when the ruler below it comes to nothing.
        begun = [number for number, (line, _, sure) in enumerate(starts) if sure and line + 3 <= len(lines)]
        last = begun[-1] if begun else 0
        cuts = [0, *(index for _, index, _ in starts[1 : last + 1]), len(tokens)]
        *closed, self._html = (_sanitized(tokens[a:b], env) for a, b in pairwise(cuts))
        if last:
            self._tail = "\n".join(lines[starts[last][0] :])
        self._inlines = {token.content: token.children or [] for token in tokens[cuts[-2] :] if token.type == "inline"}
        return tuple(closed)


def _starts(tokens: list[Token], lines: list[str]) -> list[tuple[int, int, bool]]:
    """The first line and the token index of each top-level block, and whether nothing before it can still absorb it."""
    starts, end = [], 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.map:
            # Text between two blocks is a link definition, whose title may go on over several lines.
            starts.append((token.map[0], index, not any(line.strip() for line in lines[end : token.map[0]])))
            end = token.map[1]
    return starts


def _whole(text: str, *, static: bool) -> str:
    if len(text) > _LONGEST:
        return _plain(text)
    env: dict[str, Any] = {"static": static}
    return _sanitized(_PARSER.parse(visible(text), env), env)


def _plain(text: str) -> str:
    return f"<pre>{plain_html(text)}</pre>\n"


def _sanitized(tokens: Sequence[Token], env: dict[str, Any]) -> str:
    return clean(_PARSER.renderer.render(tokens, _PARSER.options, env))


def _inline_once(state: StateCore) -> None:
    """markdown-it's rule `inline`, but a paragraph or list item that the last flush has seen is not parsed again."""
    seen = state.env.get("inlines", {})
    for token in state.tokens:
        if token.type == "inline":
            token.children = seen.get(token.content)
            if token.children is None:
                token.children = []
                state.md.inline.parse(token.content, state.md, state.env, token.children)


def _host(url: str) -> str:
    """Whom a link leads to; empty where it is not one that nbkit makes clickable."""
    if not re.match(r"https?://|mailto:", url, re.IGNORECASE):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        return ""
    return parts.path if parts.scheme == "mailto" else parts.hostname or ""


@lru_cache(maxsize=64)  # a closed fence is drawn again until the next block begins
def _highlighted(code: str, language: str) -> str:
    """Code with colors; without, where the language is unknown or its lexer takes too long."""
    if language not in _LANGUAGES or len(code) > _LONGEST_CODE or _ENDLESS.search(code):
        return escape(code)
    from pygments import format as draw  # costs as much to import as the rest of this module
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    deadline = thread_time() + _LEXING
    tokens = list(takewhile(lambda _: thread_time() < deadline, lexer.get_tokens(code)))
    if sum(len(text) for _, text in tokens) < len(code):
        return escape(code)
    colored: str = draw(tokens, HtmlFormatter(nowrap=True, classprefix=PREFIX))
    return colored


# Render rules: markdown-it binds each to its renderer.
def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    """Code, colored once its fence is closed: an open one grows with each flush."""
    token = tokens[index]
    language = token.info.split(maxsplit=1)[0].lower() if token.info.strip() else ""
    first, last = token.map or (0, 0)
    lines = token.content.count("\n") + (not token.content.endswith("\n") and token.content != "")
    closed = last - first == lines + 2
    code = _highlighted(token.content, language) if closed and not env.get("static") else escape(token.content)
    return f"<pre><code>{code}</code></pre>\n"


def _math_inline(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    drawn = None if env.get("static") else mathml(token.content, display=token.info == "display")
    return drawn or f"<code>{escape(token.content)}</code>"


def _math_block(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    drawn = None if env.get("static") or token.info == "open" else mathml(token.content, display=True)
    if drawn:
        return f'<div class="{PREFIX}math">{drawn}</div>\n'
    return f"<pre><code>{escape(token.content)}</code></pre>\n"


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    says = ", ".join(
        filter(None, [self.renderInlineAsText(token.children, options, env), _host(str(token.attrs["src"]))])
    )
    return f'<span class="{PREFIX}image">[image: {escape(says)}]</span>'


def _link_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    href = str(tokens[index].attrs["href"])
    return f'<a href="{escape(href)}" title="{escape(_host(href))}">'


def _cell_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    style = str(token.attrs.get("style", ""))
    align = f' align="{style.removeprefix("text-align:")}"' if style else ""
    return f"<{token.tag}{align}>"


_RULES = {
    "fence": _fence,
    "math_inline": _math_inline,
    "math_block": _math_block,
    "image": _image,
    "link_open": _link_open,
    "th_open": _cell_open,
    "td_open": _cell_open,
}


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        """Make a link only of what leads to a host or a mailbox; anything else stays text as it was written."""
        return bool(_host(url))


def _parser() -> _Parser:
    md = _Parser("commonmark", {"html": False, "maxNesting": _NESTING})
    md.enable(["table", "strikethrough"])
    md.use(maths_plugin)
    md.core.ruler.at("inline", _inline_once)
    for name, rule in _RULES.items():
        md.add_render_rule(name, rule)
    return md


_PARSER = _parser()
