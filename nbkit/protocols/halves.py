"""Characters that a server has cut in two, joined again across the events of a stream.

Servers that stream token by token cut a text anywhere: between the two surrogates of an emoji (`"\\ud83d"`, then
`"\\ude00"`), or between the bytes of a character. Half a character at the end of a text waits for the next text in the
same place: the next piece of the same answer's text, reasoning or arguments.
"""

from __future__ import annotations

import re
from typing import Any

from nbkit.json_text import read_json
from nbkit.protocols.reading import Path, join_surrogates, make_encodable, map_texts, mapping, parse_leniently

_HALF = re.compile(
    "([\ud800-\udbff]"  # the first of two surrogates
    # the first bytes of a character in UTF-8, as `surrogateescape` writes them
    "|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})$"
)
_PLACES = ("type", "output_index", "index", "contentBlockIndex", "content_index", "summary_index", "item_id")
"""Keys of an event that say which text it continues."""


class Halves:
    """Parser of the events of one stream."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[tuple[Any, ...], str] = {}
        """Place of a text -> the half of a character at its end."""

    def parse(self, data: bytes) -> Any:
        """Read an event's JSON; its texts are always encodable. Raises ProviderError where it is not JSON."""
        if not self.waiting:
            try:
                return read_json(data)
            except ValueError:
                pass
        value = parse_leniently(data)
        event = mapping(value)
        place = tuple(repr(event.get(key)) for key in _PLACES)
        return map_texts(value, lambda text, path: self._join(text, (place, self._name(value, path))))

    @staticmethod
    def _name(value: Any, path: Path) -> Path:
        """Name the place of a text: the items of a list go by their `index`, where they have one."""
        named: list[str | int] = []
        for key in path:
            value = value[key]
            number = value.get("index") if isinstance(key, int) and isinstance(value, dict) else None
            named.append(number if isinstance(number, int | str) else key)
        return tuple(named)

    def _join(self, text: str, place: tuple[Any, ...]) -> str:
        if not text:
            return text
        text = join_surrogates(self.waiting.pop(place, "") + text)
        if half := _HALF.search(text):
            self.waiting[place] = half[1]
            text = text[: half.start()]
        return make_encodable(text)
