"""One Settings object, read from NBKIT_* variables; `override()` changes it for a block (tests, demos).

pydantic-settings costs more to import than the rest of nbkit, so `import nbkit` does not load this module:
import it inside the modules that `nbkit/__init__.py` loads lazily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nbkit.errors import ConfigError


class Settings(BaseSettings):
    """The settings, their defaults and units; each is read from the variable NBKIT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="NBKIT_", frozen=True, extra="ignore", env_ignore_empty=True)

    http_timeout: float = Field(60.0, gt=0)
    """Seconds without a byte before a call is given up."""
    http_connect_timeout: float = Field(5.0, gt=0)
    """Seconds to connect."""
    http_deadline: float = Field(600.0, gt=0)
    """Seconds for one whole call, with its retries and waits."""
    max_connections: int = Field(100, ge=1)
    """Open connections per client."""
    max_keepalive_connections: int = Field(20, ge=0)
    """Idle connections kept per client."""
    max_retries: int = Field(2, ge=0)
    """Attempts after the first."""
    retry_wait: float = Field(0.5, ge=0)
    """Seconds before the first retry, doubling up to 8. 0 (tests) never sleeps."""
    base_url_override: str | None = None
    """Sends every call to this base URL, whatever the provider (recording proxies, tests)."""
    offline: bool = False
    """Never fetch models.dev."""
    catalog_url: str = "https://models.dev/api.json"
    """Where the catalog comes from."""
    catalog_ttl: float = Field(24 * 3600.0, ge=0)
    """Seconds before a fetched catalog is asked for again."""
    cache_dir: Path = Path(platformdirs.user_cache_dir("nbkit", appauthor=False))
    """Where nbkit keeps files."""
    live: bool | None = None
    """Live widgets in notebooks: True, False, or None to see whether a person is in front of the kernel."""
    demo_tokens_per_second: float = Field(60.0, ge=0)
    """Pace of the simulated provider; 0 is instant."""


_current: list[Settings] = []  # the innermost override is last


def settings() -> Settings:
    """The settings in force, read from the environment on first use.

    Raises ConfigError where a variable cannot be understood.
    """
    if not _current:
        _current.append(_checked(Settings))
    return _current[-1]


def _checked(read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except ValidationError as invalid:
        first = invalid.errors(include_input=False, include_url=False)[0]
        problem = f"NBKIT_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}"
    raise ConfigError(problem)


@contextmanager
def override(**changes: Any) -> Iterator[Settings]:
    """Change settings for a block, in every thread: `with override(offline=True): ...`."""
    changed = _checked(lambda: Settings.model_validate(settings().model_dump() | changes))
    _current.append(changed)
    try:
        yield changed
    finally:
        _current.remove(changed)
