"""Sanitizing of text for a front end: visible characters only, and HTML from an explicit allow-list.

JupyterLab runs the scripts of an output made in the running kernel, and a script in its page can run code in the
kernel. So every text from a model, a provider or the catalog passes `plain_html` (prompts, names, errors) or `clean`
(rendered Markdown) before it becomes HTML. Text direction is the caller's task: put either into a `<bdi>` or
`dir="auto"` element, so that right-to-left text does not reorder the text beside it.
"""

from __future__ import annotations

import html
import re

import nh3
from pygments.token import STANDARD_TYPES

PREFIX = "nbk-"
"""Prefix of every class in sanitized HTML."""

_VISIBLE = "[^\x00-\x7f\u200b-\u200f]"
_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, C1: terminal escapes, overwriting by carriage return or backspace
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi marks, embeddings, overrides, isolates
    "\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff"  # lone surrogates: no UTF-8 can carry them
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # tag characters and variation selectors 17-256 smuggle whole texts
    "\u200c\u200d\ufe00-\ufe0f"  # joiners and selectors, except
    "]"
    f"(?!(?<={_VISIBLE}[\u200c\u200d]){_VISIBLE})"  # one joiner between visible characters (emoji, Persian, Indic)
    "(?<![^\ufe00-\ufe0f][\ufe00-\ufe0f])"  # and one selector behind a character (emoji)
)
_NEWLINE = re.compile("\r\n?")

_TAGS = """
p br hr h1 h2 h3 h4 h5 h6 strong em s blockquote ul ol li pre code span div a table thead tbody tr th td details
summary
""".split()  # noqa: SIM905 - one literal a word would fill a page
_MATHML_TAGS = """
math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup mover munder munderover mtable mtr mtd mstyle
mpadded mphantom menclose
""".split()  # noqa: SIM905 - one literal a word would fill a page
_MATHML_ATTRIBUTES = """
display displaystyle scriptlevel mathvariant accent stretchy fence form separator movablelimits minsize maxsize
linethickness columnalign columnspacing rowspacing notation width height depth lspace rspace voffset
""".split()  # noqa: SIM905 - one literal a word would fill a page
_ALIGN = {"align": {"left", "center", "right"}}
_DIRECTION = {"dir": {"auto"}}

_CLEANER = nh3.Cleaner(
    tags={*_TAGS, *_MATHML_TAGS},
    attributes={"a": {"href", "title"}, "ol": {"start"}, **{tag: set(_MATHML_ATTRIBUTES) for tag in _MATHML_TAGS}},
    tag_attribute_values={
        **dict.fromkeys(("p", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"), _DIRECTION),
        **dict.fromkeys(("th", "td"), _ALIGN | _DIRECTION),
    },
    allowed_classes={
        "span": {PREFIX + short for short in STANDARD_TYPES.values() if short} | {f"{PREFIX}image"},
        "div": {f"{PREFIX}math"},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)


def visible(text: str) -> str:
    """Spell out every character that hides text, reorders it or controls a terminal, as in ⟨U+202E⟩.

    Newlines become LF. Tabs, emoji sequences and the joiners inside words stay as they are.
    """
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", _NEWLINE.sub("\n", text))


def plain_html(text: str) -> str:
    """Escape plain text as HTML that is safe between tags and in a quoted attribute."""
    return html.escape(visible(text))


def clean(markup: str) -> str:
    """Reduce HTML to the allow-list; links open in a new tab and send no referrer."""
    return _CLEANER.clean(visible(markup))
