"""An answer without its blocks, line by line: its beginning, for a small place, and its words, to compare.

A line is a paragraph, a heading, an item of a list, a row of a table, a line of code, or a formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from markdown_it.token import Token

from nbkit.rendering.markdown import MAX_LENGTH, parse, render_inline
from nbkit.rendering.sanitize import visible

_AHEAD = 1000  # characters of an answer that its beginning is looked for in
_LONGEST_FORMULA = 60  # characters of TeX; a longer one is wider than the place
_SHORT = 8  # characters of a text that is not cut, as the number of an item
_BREAKS = {"softbreak": " ", "hardbreak": "\n"}


def render_beginning(text: str, length: int) -> str:
    """Render the beginning of an answer as sanitized HTML without blocks and links, a line of text for each of its own.

    After `length` characters it ends, behind a whole word. Rows of a table and formulas are whole.
    """
    return _render_start(text[:_AHEAD], length)


@lru_cache(maxsize=4096)  # each view of a grid that comes begins with all its cells
def _render_start(text: str, length: int) -> str:
    lines, left = [], length
    for line in _list_lines(parse(text)):
        if left <= 0:
            break
        kept, left = _cut([_fit(token) for token in line if not token.type.startswith("link_")], left)
        lines += [render_inline(kept)] if kept else []
    return "\n".join(lines)


def write_words(text: str) -> str:
    """Write an answer without the marks of Markdown: its words, formulas as TeX, an empty line between blocks."""
    if len(text) > MAX_LENGTH:
        return visible(text)
    lines = ("".join(_BREAKS.get(token.type, token.content) for token in line) for line in _list_lines(parse(text)))
    return "\n".join(lines)


def _list_lines(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """List the lines of an answer as inline tokens; an empty one parts its blocks."""
    numbers: list[int | None] = []  # of the next item, in each list that is open; None: without numbers
    marker = ""  # before the next line
    row: list[Token] | None = None  # of a table, while it is open
    for place, token in enumerate(tokens):
        if place and token.level == 0 and token.nesting >= 0:
            yield []
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                numbers.append(int(token.attrs.get("start", 1)) if token.type.startswith("ordered") else None)
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
            case "list_item_open":
                number = numbers[-1]
                marker = "  " * (len(numbers) - 1) + ("• " if number is None else f"{number}. ")
                numbers[-1] = None if number is None else number + 1
            case "list_item_close":
                marker = ""
            case "tr_open":
                row = []
            case "tr_close":
                yield row or []
                row = None
            case "inline" if row is not None:
                row += [*([_write("text", " · ")] if row else []), *(token.children or [])]
            case "inline":
                is_head = tokens[place - 1].type == "heading_open"
                around = (Token("strong_open", "strong", 1), Token("strong_close", "strong", -1))
                children = token.children or []
                yield [_write("text", marker), *([around[0], *children, around[1]] if is_head else children)]
                marker = ""
            case "fence" | "code_block":
                yield from ([_write("code_inline", line)] for line in token.content.rstrip("\n").split("\n"))
            case "math_block":
                yield [_write("math_inline", token.content)]


def _write(kind: str, content: str) -> Token:
    return Token(kind, "code" if kind == "code_inline" else "", 0, content=content)


def _fit(token: Token) -> Token:
    """Fit a token into a line of text: formulas in the height of the line, and none that is wider than the place."""
    if token.type in _BREAKS:
        return _write("text", " ")
    if token.type == "math_inline":
        fits = len(token.content) <= _LONGEST_FORMULA
        return _write("math_inline", token.content) if fits else _write("text", "[formula]")
    return token


def _cut(tokens: Sequence[Token], left: int) -> tuple[list[Token], int]:
    """Keep `left` characters of a line, and every mark that closes one that is kept. Returns how many are left."""
    kept, skipped, whole = [], 0, any(token.content == " · " for token in tokens)
    for token in tokens:
        if left > 0 or whole:
            if token.type == "text" and not whole and len(token.content) > max(left, _SHORT):
                token.content = f"{token.content[:left].rpartition(' ')[0] or token.content[:left]}…"
            left -= len(token.content)
            kept.append(token)
        elif token.nesting < 0 and not skipped:
            kept.append(token)
        else:
            skipped += token.nesting
    return kept, left
