"""One Settings object, read from NBKIT_* variables; `override()` changes it for a block (tests, demos).

A dataclass and ten lines of parsing, because importing pydantic-settings takes three times the CPU that the whole
catalog may take until it is ready.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from nbkit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, their defaults and units; each is read from the variable NBKIT_<NAME>."""

    http_timeout: float = 60.0
    """Seconds without a byte before a call is given up."""
    http_connect_timeout: float = 5.0
    """Seconds to connect."""
    http_deadline: float = 600.0
    """Seconds for one whole call, with its retries and waits."""
    max_connections: int = 100
    """Open connections per client."""
    max_keepalive_connections: int = 20
    """Idle connections kept per client."""
    max_retries: int = 2
    """Attempts after the first."""
    retry_wait: float = 0.5
    """Seconds before the first retry, doubling up to 8. 0 (tests) never sleeps."""
    base_url_override: str | None = None
    """Sends every call to this base URL, whatever the provider (recording proxies, tests)."""
    offline: bool = False
    """Never fetch models.dev."""
    catalog_url: str = "https://models.dev/api.json"
    """Where the catalog comes from."""
    catalog_ttl: float = 24 * 3600.0
    """Seconds before a fetched catalog is asked for again."""
    catalog_timeout: float = 5.0
    """Seconds to wait for models.dev, 30 at most; then the catalog at hand is used."""
    cache_dir: Path = field(default_factory=lambda: platformdirs.user_cache_path("nbkit", appauthor=False))
    """Where nbkit keeps files."""
    overrides: Path = field(
        default_factory=lambda: platformdirs.user_config_path("nbkit", appauthor=False) / "overrides.toml"
    )
    """Your own rows about providers, models and vendors; the file may be missing."""
    live: bool | None = None
    """Live widgets in notebooks: True, False, or None to see whether a person is in front of the kernel."""
    demo_tokens_per_second: float = 60.0
    """Pace of the simulated provider; 0 is instant."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            least = _LEAST.get(entry.name, 0)
            if isinstance(value, int | float) and not value >= least:
                raise ConfigError(f"NBKIT_{entry.name.upper()}: expected {least:g} or more, got {value!r}")


_LEAST = {
    "http_timeout": 0.001,
    "http_connect_timeout": 0.001,
    "http_deadline": 0.001,
    "catalog_timeout": 0.001,
    "max_connections": 1,
}
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_READ: dict[str, tuple[Callable[[str], Any], str]] = {  # by the field's type: how to read it, what was expected
    "float": (float, "a number"),
    "int": (int, "a whole number"),
    "bool": (lambda text: _TRUTH[text.lower()], "0 or 1"),
    "str": (str, "text"),
    "Path": (lambda text: Path(text).expanduser(), "a path"),
}
_current: list[Settings] = []  # the innermost override is last


def read_settings() -> Settings:
    """The settings as the environment has them. Raises ConfigError, which names the variable."""
    return Settings(**{entry.name: value for entry in fields(Settings) if (value := _value(entry)) is not None})


def _value(entry: Any) -> Any:
    name = f"NBKIT_{entry.name.upper()}"
    text = os.environ.get(name, "").strip()
    read, expected = _READ[entry.type.removesuffix(" | None")]
    try:
        return read(text) if text else None
    except (ValueError, LookupError):
        problem = f"{name}: expected {expected}, got {text!r}"
    raise ConfigError(problem)


def settings() -> Settings:
    """The settings in force, read from the environment on first use. Raises ConfigError, which names the variable."""
    if not _current:
        _current.append(read_settings())
    return _current[-1]


@contextmanager
def override(**changes: Any) -> Iterator[Settings]:
    """Change settings for a block, in every thread: `with override(offline=True): ...`."""
    changed = replace(settings(), **changes)
    _current.append(changed)
    try:
        yield changed
    finally:
        _current.remove(changed)
