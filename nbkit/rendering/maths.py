r"""Maths in Markdown: `$x$`, `$$x$$`, `\(x\)` and `\[x\]` as markdown-it rules, and TeX as MathML.

Dollars follow pandoc's rule (no space inside, no digit behind, no letter or digit before), so prices stay prices.
A line that holds nothing but `$$` or `\[` opens a block, like a code fence: up to the line that ends with the closing
mark, over blank lines and list marks, or to the end of what contains it.
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

# A body ends at the next mark of its own kind and is matched possessively: linear on any input.
_DISPLAY = r"\$\$((?:[^$\\]|\\.)++)\$\$|\\\[((?:[^\\]|\\(?![\[\]]).)++)\\\]"
_INLINE = r"(?<![\w$])\$(?!\s)((?:[^$\\`]|\\.)++)(?<!\s)\$(?!\d)|\\\(((?:[^\\]|\\(?![()]).)++)\\\)"
_IN_TEXT = re.compile(f"(?:{_DISPLAY}|{_INLINE})", re.DOTALL)
_ONE_LINE = re.compile(rf"(?:{_DISPLAY})([.,;:]?)")
_OPENERS = {"$$": re.compile(r"(.*)\$\$([.,;:]?)"), "\\[": re.compile(r"(.*)\\\]([.,;:]?)")}

_LONGEST = 4_000  # characters of TeX in one formula; longer ones are shown as source
_DEFINES = re.compile(r"\\(?:def|let|(?:re)?newcommand)\b")  # a macro multiplies its text, and no answer needs one
_ALIASES = {"{aligned}": "{split}", "{gathered}": "{matrix}", "{gather*}": "{matrix}", "{gather}": "{matrix}"}
_SMALL = r"[+-]?\d?(?:\.\d+)?(?:em|ex|px|pt|mu|%)?"  # a formula's boxes stay within ten units of it
_VALUE = re.compile(rf"[a-z]+|{_SMALL}(?: {_SMALL})*")


def maths_plugin(md: MarkdownIt) -> None:
    """Add the rules. Tokens: `math_inline`, `math_block`; `info` is "open" where a block's closing mark is missing."""
    md.inline.ruler.before("escape", "math_inline", _inline)
    md.block.ruler.before("fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _IN_TEXT.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = (found[found.lastindex or 0]).strip()
        token.info = "display" if found[1] or found[2] else ""
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
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
        content, info = _until(state, start, end, _OPENERS[line])
    token = state.push("math_block", "math", 0)
    token.content, token.info = content.strip(), info
    token.map = [start, state.line]
    return True


def _until(state: StateBlock, start: int, end: int, closing: re.Pattern[str]) -> tuple[str, str]:
    """Read a block's lines up to its closing mark and move `state.line` behind them."""
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
    r"""The formula as MathML, or None where it defines macros, uses unknown ones, or cannot be understood.

    The TeX may have put in any attribute (`\href`, `\style`): `sanitize.clean` must follow.
    """
    if len(tex) > _LONGEST or _DEFINES.search(tex):
        return None
    for unknown, known in _ALIASES.items():
        tex = tex.replace(unknown, known)
    try:
        root = Converter(display="block" if display else "inline").convert_to_element(tex)
        for element in root.iter():
            # latex2mathml puts entities and what the TeX says, unescaped, side by side into the text.
            element.text = unescape(element.text or "")
            if element.text == "&" or re.match(r"\\[a-zA-Z]", element.text):  # how it passes on what it does not know
                return None
            element.attrib = {name: value for name, value in element.attrib.items() if _VALUE.fullmatch(value)}
        return tostring(root, encoding="unicode", method="html")
    except Exception:  # noqa: BLE001 - its parser fails on bad TeX with whatever it stumbles over, RecursionError too
        return None
