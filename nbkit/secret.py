"""Keys, passwords and tokens: a text that shows itself only where it is asked for, and texts that hold one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

_LONG = 20
"""Characters from which on the beginning and the end of a key may be shown."""
_SHORTEST = 8
"""Characters of a secret that is looked for in texts: shorter ones would blank out ordinary words."""
_IN_URL = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
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


class SecretHeaders(dict[str, str]):
    """Headers, of which a repr shows the names only: a value may be a key."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(map(str, self))}>"

    __str__ = __repr__


def hide_fields(*names: str) -> Callable[[Any], str]:
    """Make the `__repr__` of a Struct without these fields: what may hold a key, and what is long."""

    def write(value: Any) -> str:
        shown = ", ".join(f"{name}={getattr(value, name)!r}" for name in value.__struct_fields__ if name not in names)
        return f"{type(value).__name__}({shown})"

    return write


def hide_secrets(text: str, secrets: Iterable[str]) -> str:
    """Write `[key]` in the place of secrets of 8 characters or more, also where they are written as in a URL, in
    base64 or in hexadecimal.
    """
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _write_forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "[key]")
    return text


def _write_forms(secret: str) -> Iterator[str]:
    from base64 import b64encode  # for errors and logs; a call does without
    from urllib.parse import quote

    data = secret.encode()
    yield from (secret, quote(secret, safe=""), data.hex())
    for before in range(3):  # bytes in front of it, which share a character with it, as those behind do
        start, end = (0, 2, 3)[before], (0, 2, 1)[(before + len(data)) % 3]
        coded = b64encode(b" " * before + data).decode().rstrip("=")
        coded = coded[start : len(coded) - (end > 0)]
        yield from (coded, coded.replace("+", "-").replace("/", "_"))


def hide_in_url(url: str) -> str:
    """Write `...` in the place of user, password and query of an address."""
    return _IN_URL.sub(lambda match: "...@" if match[0].endswith("@") else f"{match[0][0]}...", url)
