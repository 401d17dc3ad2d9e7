"""A model's Markdown as HTML: for the live widget, for the static output, and block by block while it streams.

Model output is hostile. markdown-it-py parses it without raw HTML, only http, https and mailto links become links
(their host is the tooltip, and stands in the text where that names another one), images become text, so that nothing
is loaded, and the result passes `sanitize.clean`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from time import monotonic, thread_time
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from msgspec import Struct

from nbkit.rendering.highlight import highlight
from nbkit.rendering.maths import mathml, maths_plugin
from nbkit.rendering.sanitize import PREFIX, clean, plain_html, visible

_MAX_NESTING = 40  # levels, two per list: far from Python's stack limit; deeper content is left out
MAX_LENGTH = 300_000  # characters; a longer answer is shown as plain text
_HOST = re.compile(r"(?:^|[\s(<\"'@]|//)((?:[\w-]+\.)+[^\W\d_][\w-]+)")
"""A host's name in a text, at the start of a word or of an address."""
_LINK_DEFINITION = re.compile(r"\[[^\]]*\]:")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_DIRECTED = {f"{block}_open" for block in ("paragraph", "heading", "list_item", "blockquote", "th", "td")}
"""Blocks that have a direction of their own in a text of both; the widgets' style says it there."""
_FLAT = re.compile("(?:[^<]|</?(?:math|mrow|mi|mn|mo)(?: [^>]*)?>)*")
"""MathML of a formula that stands in one line: it reads the same without its tags."""
_SLOW_FLUSH = 0.01
"""Seconds of CPU: after a flush that took longer, the tail rests, so that drawing takes a fifth of one core at most."""


def render(text: str) -> str:
    """Render a complete answer as sanitized HTML for the live widget, which has the styles of the `nbk-` classes."""
    return _render_all(text, static=False)


def render_static(text: str) -> str:
    """Render a complete answer as sanitized HTML that works without a style sheet: plain code, headings below those of
    the page around it. A formula is drawn where a reader who gets its letters only, as on GitHub, loses nothing; else
    its TeX source stands there, or can be unfolded below it.

    The two classes around it stop MathJax, in JupyterLab and in exported pages, from reading prices as maths and from
    executing TeX commands such as `\\href`.
    """
    return f'<div class="tex2jax_ignore mathjax_ignore" dir="auto">\n{_render_all(text, static=True)}</div>'


def parse(text: str) -> list[Token]:
    """Parse an answer, with its hidden characters spelled out."""
    return _PARSER.parse(visible(text), {})


def render_inline(tokens: Sequence[Token]) -> str:
    """Render the tokens of a line as sanitized HTML."""
    return _render_tokens([Token("inline", "", 0, children=list(tokens))], {})


def to_text(text: str) -> str:
    """Return an answer for text/plain: its Markdown, with hidden characters spelled out."""
    return visible(text)


class Update(Struct, frozen=True):
    """Result of `Incremental.flush`: the blocks that will not change again, and the part that may."""

    closed: tuple[str, ...]
    """Sanitized HTML of each block closed since the last flush, in order."""
    tail: str
    """Sanitized HTML of everything after them."""


class Incremental:
    """Renderer of Markdown that arrives in pieces: each block is rendered once it is closed, only the open tail again.

    Call `feed` for every piece, `flush` at the pace of the display, `finish` at the end. All closed blocks and the last
    tail joined equal `render` of the whole text, except for reference links, which resolve in `finish`.

    `now` and `cpu` are clocks in seconds, of real time and of this thread's CPU time: they decide how long a slow tail
    rests.
    """

    def __init__(self, now: Callable[[], float] = monotonic, cpu: Callable[[], float] = thread_time) -> None:
        self._now, self._cpu = now, cpu
        self._pieces: list[str] = []
        self._done: list[str] = []
        self._tail = ""
        self._fresh: list[str] = []
        self._inlines: dict[str, list[Token]] = {}
        self._html = ""
        self._resting_until = 0.0

    def feed(self, text: str) -> None:
        """Add a piece of the text, without parsing it."""
        self._pieces.append(text)
        self._fresh.append(text)

    def flush(self) -> Update:
        """Render the new text. After a slow flush the tail rests: its new text waits for a later flush."""
        if not self._fresh or self._now() < self._resting_until:
            return Update((), self._html)
        started = self._cpu()
        tail = self._tail + "".join(self._fresh)
        # A CR at the end may be the first half of a line break: it waits for the next piece.
        self._fresh = ["\r"] if tail.endswith("\r") else []
        self._tail = tail.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        closed = self._advance()
        self._done += closed
        cost = self._cpu() - started
        self._resting_until = self._now() + 4 * cost if cost > _SLOW_FLUSH else 0.0
        return Update(closed, self._html)

    def finish(self) -> str:
        """Return the HTML of the whole text, equal to `render` of it."""
        text = "".join(self._pieces)
        if _LINK_DEFINITION.search(text) or "\r" in text:  # a definition may change blocks that are already closed
            return render(text)
        self._resting_until = 0.0
        self.flush()
        return "".join(self._done) + self._html

    def _advance(self) -> tuple[str, ...]:
        """Render the tail, cut its closed blocks off and return them."""
        if len(self._tail) > MAX_LENGTH:
            self._html = _render_plain(self._tail)
            return ()
        env: dict[str, Any] = {"inlines": self._inlines}
        tokens = _PARSER.parse(visible(self._tail), env)
        lines = self._tail.split("\n")
        starts = _find_starts(tokens, lines)
        # The start of a block is final once its second line is complete: until then its first line may still continue
        # the block before it, as the head of a table does when the line below it turns out not to be its ruler.
        final = [number for number, (line, _, sure) in enumerate(starts) if sure and line + 3 <= len(lines)]
        last = final[-1] if final else 0
        cuts = [0, *(index for _, index, _ in starts[1 : last + 1]), len(tokens)]
        *closed, self._html = (_render_tokens(tokens[a:b], env) for a, b in pairwise(cuts))
        if last:
            self._tail = "\n".join(lines[starts[last][0] :])
        self._inlines = {token.content: token.children or [] for token in tokens[cuts[-2] :] if token.type == "inline"}
        return tuple(closed)


def _find_starts(tokens: list[Token], lines: list[str]) -> list[tuple[int, int, bool]]:
    """Find the first line and token index of each top-level block, and whether the text before cannot absorb it."""
    starts, end = [], 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.map:
            # Text between two blocks is a link definition, whose title may continue over several lines.
            starts.append((token.map[0], index, not any(line.strip() for line in lines[end : token.map[0]])))
            end = token.map[1]
    return starts


def _render_all(text: str, *, static: bool) -> str:
    if len(text) > MAX_LENGTH:
        return _render_plain(text)
    env: dict[str, Any] = {"static": static}
    tokens = _PARSER.parse(visible(text), env)
    mixed = static and _RIGHT_TO_LEFT.search(text)
    for token in tokens:
        if static and token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 4)}"
        if mixed and token.type in _DIRECTED:
            token.attrSet("dir", "auto")
    return _render_tokens(tokens, env)


def _render_plain(text: str) -> str:
    return f"<pre>{plain_html(text)}</pre>\n"


def _render_tokens(tokens: Sequence[Token], env: dict[str, Any]) -> str:
    return clean(_PARSER.renderer.render(tokens, _PARSER.options, env))


def _parse_inline_once(state: StateCore) -> None:
    """Do what markdown-it's rule `inline` does, but reuse the result for text that the last flush has parsed."""
    seen = state.env.get("inlines", {})
    for token in state.tokens:
        if token.type == "inline":
            token.children = seen.get(token.content)
            if token.children is None:
                token.children = []
                state.md.inline.parse(token.content, state.md, state.env, token.children)


def _find_host(url: str) -> str:
    """Return the host or mailbox that a link leads to; "" if nbkit does not make it clickable."""
    if not re.match(r"https?://|mailto:", url, re.IGNORECASE):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets without an IPv6 address
        return ""
    return parts.path if parts.scheme == "mailto" else parts.hostname or ""


# Render rules: markdown-it binds each to its renderer.
def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    """Render code, with colors once its fence is closed: an open fence grows with each flush."""
    token = tokens[index]
    language = token.info.split(maxsplit=1)[0].lower() if token.info.strip() else ""
    first, last = token.map or (0, 0)
    lines = token.content.count("\n") + (not token.content.endswith("\n") and token.content != "")
    closed = last - first == lines + 2
    code = highlight(token.content, language) if closed and not env.get("static") else escape(token.content)
    return f"<pre><code>{code}</code></pre>\n"


def _math_inline(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    rendered = mathml(token.content, display=token.info == "display")
    if rendered and env.get("static") and not _FLAT.fullmatch(rendered):
        rendered = None
    return rendered or f"<code>{escape(token.content)}</code>"


def _math_block(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    rendered = None if token.info == "open" else mathml(token.content, display=True)
    source = f"<pre><code>{escape(token.content)}</code></pre>\n"
    if not rendered:
        return source
    folded = f"<details><summary>TeX</summary>{source}</details>\n" if env.get("static") else ""
    return f'<div class="{PREFIX}math">{rendered}</div>\n{folded}'


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    texts = [self.renderInlineAsText(token.children, options, env), _find_host(str(token.attrs["src"]))]
    return f'<span class="{PREFIX}image">[image: {escape(", ".join(filter(None, texts)))}]</span>'


def _link_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    href = str(tokens[index].attrs["href"])
    return f'<a href="{escape(href)}" title="{escape(_find_host(href))}">'


def _link_close(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    """Name the host behind a link whose text names another one."""
    start = next(place for place in range(index, -1, -1) if tokens[place].type == "link_open")
    target = _find_host(str(tokens[start].attrs["href"]))
    host = target.rpartition("@")[2].lower()
    shown = "".join(" " if token.type.endswith("break") else token.content for token in tokens[start + 1 : index])
    same = all(f".{host}".endswith(f".{named.lower()}") for named in _HOST.findall(shown))
    return "</a>" if same else f" ({escape(target)})</a>"


def _cell_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    token = tokens[index]
    style = str(token.attrs.get("style", ""))
    align = f' align="{style.removeprefix("text-align:")}"' if style else ""
    direction = ' dir="auto"' if "dir" in token.attrs else ""
    return f"<{token.tag}{align}{direction}>"


_RULES = {
    "fence": _fence,
    "math_inline": _math_inline,
    "math_block": _math_block,
    "image": _image,
    "link_open": _link_open,
    "link_close": _link_close,
    "th_open": _cell_open,
    "td_open": _cell_open,
}


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        """Accept links to a host or a mailbox; any other stays text."""
        return bool(_find_host(url))


def _make_parser() -> _Parser:
    md = _Parser("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    md.enable(["table", "strikethrough"])
    md.use(maths_plugin)
    md.core.ruler.at("inline", _parse_inline_once)
    for name, rule in _RULES.items():
        md.add_render_rule(name, rule)
    return md


_PARSER = _make_parser()
