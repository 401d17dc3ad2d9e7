"""The TOML files of this room, read once, and the one question that the catalog has about them too."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from nbkit.protocols import PROTOCOLS

_SHAPES = {"responses": "openai-responses", "completions": "openai-chat"}  # models.dev: `shape` beats `npm`


@cache
def table(name: str) -> dict[str, Any]:
    """One file of this room by its stem, e.g. `provider_defaults`."""
    with Path(__file__).with_name(f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def npm_package(npm: str) -> dict[str, Any]:
    """What an npm package says of an endpoint: protocols, base_url, auth. Empty where nbkit does not know it."""
    row: dict[str, Any] = table("npm_packages").get(npm, {})
    return row


def provider_defaults(provider: str) -> dict[str, Any]:
    """What models.dev does not know of a provider: base_url, auth, module, dialect."""
    row: dict[str, Any] = table("provider_defaults").get(provider, {})
    return row


def spoken(npm: str, shape: str | None) -> str | None:
    """The protocol for an npm package and shape: the best that nbkit speaks, else the best that the endpoint does."""
    if shape in _SHAPES:
        return _SHAPES[shape]
    offered: list[str] = npm_package(npm).get("protocols", [])
    return next((name for name in offered if name in PROTOCOLS), offered[0] if offered else None)
