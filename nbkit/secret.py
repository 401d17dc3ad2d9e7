"""A key, a password or a token: it shows itself only where it is asked for."""

from __future__ import annotations

import re
from typing import NoReturn

_LONG = 20
"""Characters from which on the beginning and the end of a key may be shown."""
_PREFIX = re.compile(r"[A-Za-z]{2,4}[-_]")


class Secret:
    """A text that no `repr`, `str`, `vars`, format, traceback, JSON or pickle shows; `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __str__(self) -> str:
        """Write what may be shown: `sk-...wxyz` of a key of 20 characters or more, else `...`."""
        if len(self._text) < _LONG:
            return "..."
        prefix = _PREFIX.match(self._text)
        return f"{prefix[0] if prefix else ''}...{self._text[-4:]}"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __getstate__(self) -> NoReturn:
        raise TypeError("a key is not pickled")

    __reduce__ = __getstate__
