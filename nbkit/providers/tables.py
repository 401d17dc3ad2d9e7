"""The TOML files of this room, read once, and the questions that the catalog has about them too."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from nbkit.protocols import PROTOCOLS
from nbkit.settings import settings

Row = dict[str, Any]

_SHAPES = {"responses": "openai-responses", "completions": "openai-chat"}  # models.dev: `shape` beats `npm`


@cache
def table(name: str) -> dict[str, Any]:
    """One file of this room by its stem, e.g. `provider_defaults`."""
    with Path(__file__).with_name(f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def users(kind: str) -> dict[str, Any]:
    """The `providers`, `models` or `vendors` of the user's own file; empty without one. Raises ConfigError."""
    path = settings().overrides
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    from nbkit.providers import overrides  # who has no file does not pay for checking it

    found: dict[str, Any] = overrides.read(path, changed).get(kind, {})
    return found


def npm_package(npm: str) -> Row:
    """What an npm package says of an endpoint: protocols, base_url, auth. Empty where nbkit does not know it."""
    row: Row = table("npm_packages").get(npm, {})
    return row


def protocol_defaults(protocol: str) -> Row:
    """What a protocol rules out, whoever speaks it."""
    rows = table("protocol_defaults")
    own: Row = rows.get(protocol, {})
    return combined(rows.get(own.get("like", ""), {}), own)


def provider_defaults(provider: str) -> Row:
    """What models.dev does not know of a provider: the row that its own is `like`, its own, and the user's, as one."""
    shipped, mine = table("provider_defaults"), users("providers")
    if provider not in shipped and provider not in mine:  # most of them
        return {}
    own: Row = shipped.get(provider, {})
    return combined(shipped.get(own.get("like", ""), {}), own, mine.get(provider, {}))


def model_overrides(model_id: str) -> list[Row]:
    """The rows whose pattern matches a model id (`provider/model`): those that come along, then the user's."""
    return [row for pattern, row in all_model_overrides() if fnmatchcase(model_id, pattern)]


def all_model_overrides() -> list[tuple[str, Row]]:
    """Patterns and rows: those that come along, then the user's."""
    return [*table("model_overrides").items(), *users("models").items()]


def rows(protocol: str, provider: str, model: str) -> list[Row]:
    """All rows that are about a model, the more particular the later."""
    return [
        protocol_defaults(protocol),
        provider_defaults(provider),
        *model_overrides(f"{provider}/{model}"),
    ]


def combined(*rows: Row) -> Row:
    """One row that says what all of them say, the last one winning; `drop` lists are united, `take` lifts a drop."""
    whole: Row = {}
    for row in rows:
        drop, take = set(row.get("drop", ())), set(row.get("take", ()))
        whole["drop"] = sorted((set(whole.get("drop", ())) | drop) - take)
        whole["take"] = sorted((set(whole.get("take", ())) - drop) | take)
        for key, value in row.items():
            if key not in ("drop", "take"):
                whole[key] = whole.get(key, {}) | value if isinstance(value, dict) else value
    return whole


def spoken(npm: str, shape: str | None) -> str | None:
    """The protocol for an npm package and shape: the best that nbkit speaks, else the best that the endpoint does."""
    if shape in _SHAPES:
        return _SHAPES[shape]
    offered: list[str] = npm_package(npm).get("protocols", [])
    return next((name for name in offered if name in PROTOCOLS), offered[0] if offered else None)
