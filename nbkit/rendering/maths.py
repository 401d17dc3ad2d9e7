r"""Maths in Markdown: `$x$`, `$$x$$`, `\(x\)` and `\[x\]` as markdown-it rules, and TeX as MathML.

Dollars follow pandoc's rule (no space inside, no digit behind, no letter or digit before), so prices stay prices.
A line with nothing but `$$` or `\[` opens a block, like a code fence: it continues over blank lines and list marks to
the line that ends with the closing mark, or to the end of its list item or quote.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from xml.etree.ElementTree import tostring

from latex2mathml.converter import Converter
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# A formula ends at the next mark of its own kind and is matched possessively: linear time on any input.
_DISPLAY = r"\$\$((?:[^$\\]|\\.)++)\$\$|\\\[((?:[^\\]|\\(?![\[\]]).)++)\\\]"
_INLINE = r"(?<![\w$])\$(?!\s)((?:[^$\\`]|\\.)++)(?<!\s)\$(?!\d)|\\\(((?:[^\\]|\\(?![()]).)++)\\\)"
_IN_TEXT = re.compile(f"(?:{_DISPLAY}|{_INLINE})", re.DOTALL)
_ONE_LINE = re.compile(rf"(?:{_DISPLAY})([.,;:]?)")
_OPENERS = {"$$": re.compile(r"(.*)\$\$([.,;:]?)"), "\\[": re.compile(r"(.*)\\\]([.,;:]?)")}

_MAX_LENGTH = 4_000  # characters of TeX in one formula; longer ones are shown as source
_DEFINES = re.compile(r"\\(?:def|let|(?:re)?newcommand)\b")  # macros can multiply text, and answers do not need them
_ALIASES = {"{aligned}": "{split}", "{gathered}": "{matrix}", "{gather*}": "{matrix}", "{gather}": "{matrix}"}
_SMALL = r"[+-]?\d?(?:\.\d+)?(?:em|ex|px|pt|mu|%)?"  # at most one digit: a formula cannot cover the page
_VALUE = re.compile(rf"[a-z]+|{_SMALL}(?: {_SMALL})*")


def maths_plugin(md: MarkdownIt) -> None:
    """Add the rules. Tokens: `math_inline`, `math_block`; `info` is "open" if a block's closing mark is missing."""
    md.inline.ruler.before("escape", "math_inline", _parse_inline)
    rules = md.block.ruler
    rules.before("fence", "math_block", _parse_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def _parse_inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    match = _IN_TEXT.match(state.src, state.pos, state.posMax)
    if not match:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = match[match.lastindex or 0].strip()
        token.info = "display" if match[1] or match[2] else ""
    state.pos = match.end()
    return True


def _parse_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    line = _line(state, start)
    one_line = _ONE_LINE.fullmatch(line)
    if not one_line and line not in _OPENERS:
        return False
    if silent:
        return True
    state.line = start + 1
    if one_line:
        content, info = (one_line[1] or one_line[2]) + one_line[3], ""
    else:
        content, info = _read_block(state, start, end, _OPENERS[line])
    token = state.push("math_block", "math", 0)
    token.content, token.info = content.strip(), info
    token.map = [start, state.line]
    return True


def _read_block(state: StateBlock, start: int, end: int, closing: re.Pattern[str]) -> tuple[str, str]:
    """Read a block's lines up to its closing mark, and move `state.line` behind them."""
    lines: list[str] = []
    for number in range(start + 1, end):
        line = _line(state, number)
        if line and state.sCount[number] < state.blkIndent:  # the list item that contains the block is over
            return "\n".join(lines), "open"
        state.line = number + 1
        if closed := closing.fullmatch(line):
            return "\n".join([*lines, closed[1] + closed[2]]), ""
        lines.append(line)
    return "\n".join(lines), "open"


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()


@lru_cache(maxsize=1024)
def mathml(tex: str, *, display: bool) -> str | None:
    r"""Render a formula as MathML; None if it defines macros, uses unknown ones, or is not valid TeX.

    The TeX can set any attribute (`\href`, `\style`), so the result must go through `sanitize.clean`.
    """
    if len(tex) > _MAX_LENGTH or _DEFINES.search(tex):
        return None
    for unknown, known in _ALIASES.items():
        tex = tex.replace(unknown, known)
    try:
        root = Converter(display="block" if display else "inline").convert_to_element(tex)
        for element in root.iter():
            # latex2mathml mixes its own entities and unescaped text of the TeX in one string.
            element.text = unescape(element.text or "")
            if element.text == "&" or re.match(r"\\[a-zA-Z]", element.text):  # an unknown command, copied
                return None
            element.attrib = {name: value for name, value in element.attrib.items() if _VALUE.fullmatch(value)}
        return tostring(root, encoding="unicode", method="html")
    except Exception:  # noqa: BLE001 - on bad TeX its parser raises many kinds of errors, RecursionError too
        return None
