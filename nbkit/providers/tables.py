"""The rows of this room's TOML files, and of the user's own file, about a provider, a protocol or a model.

A row is a dictionary whose keys are described at the top of each file. Of several rows about the same model the later
one wins: protocol, provider, model, and at each step the user's own after nbkit's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase, translate
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nbkit.protocols import PROTOCOLS
from nbkit.settings import settings

Row = dict[str, Any]

_SHAPES = {"responses": "openai-responses", "completions": "openai-chat"}  # models.dev: `shape` beats `npm`


class Table(Mapping[str, Any]):
    """A TOML file of tables, of which each is parsed when it is asked for: a call needs few of them."""

    _HEADER = re.compile(r"""^\[(?:"([^"]*)"|([\w-]+))""", re.MULTILINE)
    """The beginning of a table, up to its first key."""

    def __init__(self, text: str) -> None:
        self._texts: dict[str, str] = {}
        self._parsed: dict[str, Any] = {}
        headers = list(self._HEADER.finditer(text))
        ends = [*(header.start() for header in headers[1:]), len(text)]
        for header, end in zip(headers, ends, strict=True):
            key = header[1] or header[2]
            self._texts[key] = self._texts.get(key, "") + text[header.start() : end]

    def __getitem__(self, key: str) -> Any:
        if key not in self._parsed:
            self._parsed.setdefault(key, tomllib.loads(self._texts[key])[key])  # one object, whoever comes first
        return self._parsed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


@cache
def table(name: str) -> Table:
    """Read one file of this room by its stem, e.g. `provider_defaults`."""
    return Table(Path(__file__).with_name(f"{name}.toml").read_text("utf-8"))


def user_rows(kind: str) -> dict[str, Any]:
    """Read the `providers`, `models` or `vendors` of the user's own file; empty without one. Raises ConfigError."""
    path = settings().overrides
    try:
        changed = path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError:  # reading it says why
        changed = 0
    from nbkit.providers import overrides  # most users have no file, and do not load what checks it

    rows: dict[str, Any] = overrides.read(path, changed).get(kind, {})
    return rows


def npm_package(npm: str) -> Row:
    """Return the row of an npm package: protocols, base_url, auth. Empty for a package that nbkit does not know."""
    row: Row = table("npm_packages").get(npm, {})
    return row


def protocol_defaults(protocol: str) -> Row:
    """Return the row of a protocol: what it rules out at every provider."""
    rows = table("protocol_defaults")
    own: Row = rows.get(protocol, {})
    return combine_rows(rows.get(own.get("like", ""), {}), own)


def provider_defaults(provider: str) -> Row:
    """Return what models.dev does not know of a provider: the row that its own is `like`, its own, and the user's."""
    return _combine_provider_rows(provider, user_rows("providers"))


def all_provider_defaults() -> dict[str, Row]:
    """Return `provider_defaults` of every provider that has a row."""
    own = user_rows("providers")
    return {provider: _combine_provider_rows(provider, own) for provider in table("provider_defaults").keys() | own}


def _combine_provider_rows(provider: str, own: dict[str, Row]) -> Row:
    shipped = table("provider_defaults")
    if provider not in shipped and provider not in own:  # most of them
        return {}
    row: Row = shipped.get(provider, {})
    return combine_rows(shipped.get(row.get("like", ""), {}), row, own.get(provider, {}))


def model_overrides(model_id: str, own: dict[str, Row] | None = None) -> list[Row]:
    """Return the rows whose pattern matches a model id (`provider/model`): nbkit's, then the user's.

    `own`: the user's rows, where they are at hand.
    """
    matching = [
        pattern.row
        for pattern in _list_patterns(model_id.partition("/")[0])
        if pattern.literal in model_id and pattern.expression.match(model_id)
    ]
    own = user_rows("models") if own is None else own
    return matching + [row for pattern, row in own.items() if fnmatchcase(model_id, pattern)] if own else matching


class _Pattern:
    """A pattern of model ids; it is compiled, and its row is read, for the first id that may match it."""

    def __init__(self, pattern: str) -> None:
        texts = re.split(r"[*?]|\[.*?\]", pattern)
        self.head = texts[0]
        """How an id that matches begins."""
        self.literal = max(texts, key=len)
        """The longest text in the pattern, which most ids do not hold."""
        self._pattern = pattern

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern as a regular expression."""
        return re.compile(translate(self._pattern))

    @cached_property
    def row(self) -> Row:
        """What nbkit's table says of the models that match."""
        row: Row = table("model_overrides")[self._pattern]
        return row


@cache
def _list_patterns(provider: str) -> list[_Pattern]:
    """List nbkit's patterns that models of this provider may match."""
    prefix = f"{provider}/"
    return [
        pattern for pattern in _read_patterns() if pattern.head.startswith(prefix) or prefix.startswith(pattern.head)
    ]


@cache
def _read_patterns() -> list[_Pattern]:
    return [_Pattern(pattern) for pattern in table("model_overrides")]


def all_model_overrides() -> list[tuple[str, Row]]:
    """Return all patterns of model ids with their rows: nbkit's, then the user's."""
    return [*table("model_overrides").items(), *user_rows("models").items()]


def collect_rows(protocol: str, provider: str, model: str, like: str = "") -> list[Row]:
    """Collect all rows about a model, the more particular the later; `like` is the model that it is a deployment of."""
    return [
        protocol_defaults(protocol),
        provider_defaults(provider),
        *(model_overrides(f"{provider}/{like}") if like else ()),
        *model_overrides(f"{provider}/{model}"),
    ]


def combine_rows(*rows: Row) -> Row:
    """Combine rows into one; the last one wins, but `drop` lists are united, and `take` lifts a drop."""
    whole: Row = {}
    for row in rows:
        drop, take = set(row.get("drop", ())), set(row.get("take", ()))
        whole["drop"] = sorted((set(whole.get("drop", ())) | drop) - take)
        whole["take"] = sorted((set(whole.get("take", ())) - drop) | take)
        for key, value in row.items():
            if key not in ("drop", "take"):
                whole[key] = whole.get(key, {}) | value if isinstance(value, dict) else value
    return whole


def choose_protocol(npm: str, shape: str | None) -> str | None:
    """Choose the protocol for an npm package and shape: the best that nbkit speaks, else the endpoint's best.

    None for an npm package that nbkit does not know.
    """
    if shape in _SHAPES:
        return _SHAPES[shape]
    offered: list[str] = npm_package(npm).get("protocols", [])
    return next((name for name in offered if name in PROTOCOLS), offered[0] if offered else None)
