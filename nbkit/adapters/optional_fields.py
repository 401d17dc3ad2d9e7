"""Fields that nbkit adds to requests by itself, and that some servers refuse: they are left out there, and remembered.

A refusal with a 400 that names such a field is answered by the same request without it, once for each field. Where that
is accepted, the field is not sent there again. What the caller or the overrides file put into the body is never left
out, nor is `store: false`, without which OpenAI would keep the conversation.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from nbkit.conversation.options import ExecuteOptions
from nbkit.errors import AdapterError, BadRequestError, ProviderError
from nbkit.protocols.reading import mapping, parse
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import Scoped


class OptionalField(Struct, frozen=True):
    """A field of a body, or one `item` of its list; `words` name it in an error, as the parameter or in the text."""

    name: str
    words: re.Pattern[str]
    item: str = ""
    by_model: bool = False
    """Whether other models of the same server may accept it."""

    def is_in(self, body: dict[str, Any]) -> bool:
        """Tell whether a body has it."""
        return self.name in body and (not self.item or self.item in body[self.name])

    def remove_from(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body without it."""
        kept = [item for item in body[self.name] if item != self.item] if self.item else []
        return {key: kept if key == self.name else value for key, value in body.items() if key != self.name or kept}


# Usage is then what the server sends unasked.
_STREAM_OPTIONS = OptionalField("stream_options", re.compile("stream_options|include_usage"))
FIELDS: dict[str, tuple[OptionalField, ...]] = {
    "openai-chat": (_STREAM_OPTIONS,),
    "openai-completions": (_STREAM_OPTIONS,),
    "openai-responses": (
        # OpenAI, of a model that does not reason: "Encrypted content is not supported with this model.", `include`.
        OptionalField(
            "include",
            re.compile(r"encrypted.?content|\binclude\b", re.IGNORECASE),
            item="reasoning.encrypted_content",
            by_model=True,
        ),
    ),
}
"""By protocol: what is sent unasked, and can be missed."""

_refused: Scoped[set[tuple[str, str, str]]] = Scoped(set)
"""Base URL, model ("" for all) and name of the fields that are not sent again."""


class OptionalFields:
    """The optional fields of one call."""

    __slots__ = ("_endpoint", "_options", "_refused_now", "_rows")

    def __init__(self, endpoint: Endpoint, options: ExecuteOptions) -> None:
        self._endpoint, self._options = endpoint, options
        self._rows = FIELDS.get(endpoint.protocol, ())
        self._refused_now: tuple[OptionalField, ...] = ()

    def trim(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body without the fields that are refused."""
        for row in self._rows:
            if row.is_in(body) and self._is_added(row) and self._is_refused(row):
                body = row.remove_from(body)
        return body

    def refuse(self, error: AdapterError, body: dict[str, Any]) -> bool:
        """Tell whether an error names a field of the body that is left out from now on: the request may go again."""
        if not self._rows or not isinstance(error, BadRequestError):
            return False
        sent, text = self.trim(body), f"{error.message} {_read_parameter(error)}"
        named = [row for row in self._rows if row.is_in(sent) and self._is_added(row) and row.words.search(text)]
        self._refused_now += tuple(named)
        return bool(named)

    def _is_added(self, row: OptionalField) -> bool:
        """Tell whether a field of the body is nbkit's own."""
        return row.name not in self._endpoint.body and row.name not in (self._options.extra_body or ())

    def _is_refused(self, row: OptionalField) -> bool:
        return row in self._refused_now or self._key(row) in _refused()

    def _key(self, row: OptionalField) -> tuple[str, str, str]:
        return self._endpoint.base_url, self._endpoint.model if row.by_model else "", row.name

    def remember(self) -> None:
        """Keep what was refused for later calls: without it, the server has answered."""
        if self._refused_now:
            _refused().update(map(self._key, self._refused_now))


def _read_parameter(error: AdapterError) -> str:
    """Read the name of the parameter that an error is about, as OpenAI puts it beside the message."""
    try:
        return str(mapping(mapping(parse((error.body or "").encode())).get("error")).get("param") or "")
    except ProviderError:
        return ""
