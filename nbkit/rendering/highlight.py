"""Colors for code blocks, by Pygments within a budget.

Pygments' lexers take quadratic time on code that is written to cause it: 30 s on 30 kB. The lexers of rare languages
are worse than those listed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from itertools import takewhile
from time import thread_time
from typing import Any

from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, Text

from nbkit.rendering.sanitize import PREFIX

_MAX_LENGTH = 30_000
"""Characters of one code block."""
_SLOW_TO_MATCH = re.compile(r"[^\n]{1000}|\s{200}")
"""Code on which a single match of one of the lexers' patterns may take seconds."""
_BUDGET = 0.25
"""Seconds of CPU for one code block."""
_LANGUAGES = """
bash c c++ console cpp cs csharp css diff docker dockerfile go graphql haskell hcl html http ini java javascript js json
jsx julia kotlin latex lua make makefile matlab objc perl php powershell proto py pycon python python3 r ruby rust scala
sh shell sql swift tex toml ts tsx typescript xml yaml yml zsh
""".split()  # noqa: SIM905 - one literal a word would fill a page

_COLORED: dict[Any, Any] = {kind: kind for kind in (Keyword, String, Comment, Number, Name.Function, Name.Builtin)}
_COLORED |= {Generic.Deleted: Generic.Deleted, Generic.Inserted: Generic.Inserted, Operator.Word: Keyword}
_COLORED |= dict.fromkeys((Name.Class, Name.Decorator, Name.Exception), Name.Function)
_COLORED |= dict.fromkeys((Name.Tag, Name.Attribute), Name.Builtin)
"""The kinds of tokens that have a color, and whose color it is: without the others a page has half as many spans."""


@lru_cache(maxsize=256)
def _find_color(kind: Any) -> Any:
    while kind not in _COLORED and kind.parent:
        kind = kind.parent
    return _COLORED.get(kind, Text)


@lru_cache(maxsize=64)  # a closed fence is drawn again until the next block begins
def highlight(code: str, language: str, clock: Callable[[], float] = thread_time) -> str:
    """Render code as HTML with colors; without colors if the language is unknown or its lexer exceeds the budget.

    `clock` returns seconds; it is read once per token.
    """
    if language not in _LANGUAGES or len(code) > _MAX_LENGTH or _SLOW_TO_MATCH.search(code):
        return escape(code)
    from pygments import format as draw  # takes as long to import as the rest of this room
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    deadline = clock() + _BUDGET
    tokens = list(takewhile(lambda _: clock() < deadline, lexer.get_tokens(code)))
    if sum(len(text) for _, text in tokens) < len(code):
        return escape(code)
    tokens = [(_find_color(kind), text) for kind, text in tokens]
    colored: str = draw(tokens, HtmlFormatter(nowrap=True, classprefix=PREFIX))
    return colored
