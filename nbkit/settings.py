"""The settings, read from NBKIT_* variables, and the caches that depend on them.

`override()` changes settings for a block (tests, demos), and with them the caches: a value kept in a `Scoped` is made
anew inside the block, and the value from before is in force again after it. `renew()` reads the variables again.

A Struct and ten lines of parsing, because importing pydantic-settings takes three times the CPU that the whole
catalog may take until it is ready.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import platformdirs
from msgspec import Struct, field
from msgspec.structs import replace

from nbkit.arguments import describe, explain_choice, suggest
from nbkit.errors import ConfigError
from nbkit.secret import hide_fields

T = TypeVar("T")


class Settings(Struct, frozen=True):
    """Settings with their defaults and units; each is read from the variable NBKIT_<NAME>."""

    http_timeout: float = 60.0
    """Seconds without data before a stream times out, or a request that the server does not take."""
    http_answer_timeout: float = 600.0
    """Seconds without data before an answer that is not streamed times out: all of it is made before its first byte."""
    http_connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    http_deadline: float = 600.0
    """Seconds for one whole call, its retries and the waits between them included."""
    http_engine: str = "auto"
    """The library that moves the bytes of asynchronous calls: `aiohttp`, `httpx2`, or `auto`, which prefers aiohttp."""
    max_connections: int = 1000
    """Largest number of open connections of one client."""
    max_keepalive_connections: int = 20
    """Largest number of idle connections that one client keeps."""
    max_retries: int = 2
    """Attempts after the first one."""
    retry_wait: float = 0.5
    """Seconds before the first retry; doubled for each further one, up to 8. 0 (tests) never sleeps."""
    throttle: bool = True
    """Whether calls wait for their turn where a server limits them (429, its rate-limit headers) or `limits` does."""
    limits: str = ""
    """Limits of providers, or of hosts, for each key: requests and tokens a minute, and calls at once, as in
    `openai=20rpm,40000tpm,4; localhost:11434=1`; `nbkit.limit()` changes them."""
    base_url_override: str | None = None
    """A base URL that every call goes to, whatever its provider (recording proxies, tests)."""
    offline: bool = False
    """Never ask models.dev, nor, to check a key (`health`), a server that is not on this machine."""
    catalog_url: str = "https://models.dev/api.json"
    """The address that the catalog is fetched from."""
    catalog_ttl: float = 24 * 3600.0
    """Seconds before models.dev is asked for a newer catalog than the fetched one."""
    catalog_timeout: float = 5.0
    """Seconds to wait for models.dev, 30 at most; after that the catalog on this machine is used."""
    cache_dir: Path = field(default_factory=lambda: platformdirs.user_cache_path("nbkit", appauthor=False))
    """The directory of the files that nbkit keeps."""
    overrides: Path = field(
        default_factory=lambda: platformdirs.user_config_path("nbkit", appauthor=False) / "overrides.toml"
    )
    """A file with your own rows about providers, models and vendors; it may be missing."""
    live: bool | None = None
    """Live widgets in notebooks; None: only where a person is in front of the kernel."""
    ledger: str = ""
    """The file of the ledger, which has a row for each paid call; "": in the user's data directory; `off`: none; a
    team's: `postgresql://user@host/database`, with the extra `postgres`."""
    ledger_content: bool = False
    """Whether the ledger keeps prompts and answers, too."""
    ledger_durable: bool = False
    """Whether a row outlives a power failure, too: each call waits for the disk. The end of a process costs no row."""
    budget: str = ""
    """What calls may cost at most, in USD: `5/day`, or several: `0.10/call, 5/day, 50/month`; also per `notebook`.
    Simulated calls count as well. With `unpriced=allow` among them, models whose price is not known may be called."""
    replay: str = ""
    """Answers that are kept and given again for $0: a mode (`auto`, `only`, `refresh`), a file that ends with .jsonl,
    or both (`only:demo.replay.jsonl`); "" or `off`: none are."""
    replay_megabytes: int = 200
    """Size that kept answers may have in one place; then the oldest go."""
    trace: bool = False
    """Whether every call is a span of OpenTelemetry, as with `nbkit.trace()`; needs the extra `otel`."""
    log_content: bool = False
    """Whether the log has prompts and answers, at DEBUG and without keys, and the words in which providers refuse."""
    demo_tokens_per_second: float = 60.0
    """Pace of the simulated provider; 0 answers at once."""

    __repr__ = hide_fields("base_url_override", "catalog_url", "ledger")  # an address may hold a password

    @property
    def has_team_ledger(self) -> bool:
        """Whether the ledger is a database that others write, too."""
        return self.ledger.startswith(("postgresql://", "postgres://"))

    @property
    def ledger_path(self) -> Path:
        """The file of the ledger."""
        if self.ledger:
            return Path(self.ledger).expanduser()
        return platformdirs.user_data_path("nbkit", appauthor=False) / "ledger.sqlite3"

    def __post_init__(self) -> None:
        for name, kinds in _KINDS_OF.items():
            value, kind = getattr(self, name), kinds.removesuffix(" | None")
            if not isinstance(value, _KINDS[kind]) and (value is not None or kind == kinds):
                raise ConfigError(f"{name}: expected {_READ[kind][1]}, got {describe(value)}")
            least = _LEAST.get(name, 0)
            if isinstance(value, int | float) and not value >= least:
                raise ConfigError(f"NBKIT_{name.upper()}: expected {least:g} or more, got {value!r}")
            if name in _CHOICES and value not in _CHOICES[name]:
                raise ConfigError(f"NBKIT_{name.upper()}: {explain_choice(value, _CHOICES[name])}")


_LEAST = {
    "http_timeout": 0.001,
    "http_answer_timeout": 0.001,
    "http_connect_timeout": 0.001,
    "http_deadline": 0.001,
    "catalog_timeout": 0.001,
    "max_connections": 1,
    "replay_megabytes": 1,
}
_CHOICES = {"http_engine": ("auto", "httpx2", "aiohttp")}
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_READ: dict[str, tuple[Callable[[str], Any], str]] = {  # by the field's type: how to read it, what was expected
    "float": (float, "a number"),
    "int": (int, "a whole number"),
    "bool": (lambda text: _TRUTH[text.lower()], "0 or 1"),
    "str": (str, "text"),
    "Path": (lambda text: Path(text).expanduser(), "a path"),
}


_KINDS_OF: dict[str, str] = Settings.__annotations__
"""The settings and what they are, as it is written above."""
_KINDS: dict[str, Any] = {"float": int | float, "int": int, "bool": bool, "str": str, "Path": Path}


class _Block:
    """One block of `override`, or the process itself: its settings, and the values that caches keep for it."""

    __slots__ = ("changed", "changes", "outer", "settings", "values")

    def __init__(self, settings: Settings, outer: _Block | None = None, **changes: Any) -> None:
        self.outer, self.changes = outer, changes
        self.values: dict[Scoped[Any], Any] = {}
        self._take(settings)

    def _take(self, settings: Settings) -> None:
        self.settings = settings
        self.changed = _compare(settings, self.outer.settings) if self.outer else set()

    def renew(self, read: Settings) -> None:
        """Follow the settings that were read anew, or those of the block around; drop the values of former ones."""
        before = self.settings
        self._take(replace(self.outer.settings, **self.changes) if self.outer else read)
        differing = _compare(before, self.settings)
        kept = [(cache, value) for cache, value in list(self.values.items()) if differing.isdisjoint(cache.names)]
        self.values = dict(kept)  # another one: other threads read the one that was


_NAMES = frozenset(_KINDS_OF)


def _compare(one: Settings, other: Settings) -> set[str]:
    """Name the settings in which two differ."""
    return {name for name in _NAMES if getattr(one, name) != getattr(other, name)}


_blocks: list[_Block] = []  # the process first, the innermost override last
_starting = Lock()


class Scoped(Generic[T]):
    """A cache that `override` resets: calling it returns its value, which is made anew inside a block.

    `make` returns the first value, an empty container for instance. It must be cheap: of two threads that come first
    at the same time, both call it, and one value is used by both. `names` are the settings that the value depends on:
    a block that changes none of them shares the value of the code around it. Without names, every block has a value
    of its own; `copy` makes it from the value around the block, so that the block sees what was there before. When a
    block ends, its values are dropped. Access from any thread is safe; what happens to the value is its owner's affair.

        _frames: Scoped[list[pd.DataFrame]] = Scoped(list, "cache_dir", "overrides")
        _frames().append(frame)
    """

    def __init__(self, make: Callable[[], T], *names: str, copy: Callable[[T], T] | None = None) -> None:
        if unknown := set(names) - _NAMES:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        self._make, self.names, self._copy = make, frozenset(names), copy

    def __call__(self) -> T:
        """Return the value for the settings in force."""
        block = _blocks[-1] if _blocks else _innermost()
        values = block.values
        if block.outer is None and self in values:  # what each call asks for, several times
            first: T = values[self]
            return first
        return self._value(block)

    def _value(self, block: _Block) -> T:
        while block.outer and self.names and self.names.isdisjoint(block.changed):
            block = block.outer
        values = block.values
        if self not in values:
            first = self._copy(self._value(block.outer)) if self._copy and block.outer else self._make()
            values.setdefault(self, first)  # atomic: the first thread's value stays
        value: T = values[self]
        return value


def read_settings() -> Settings:
    """Read the settings from the environment. Raises ConfigError, which names the variable."""
    return Settings(**{name: value for name in _KINDS_OF if (value := _read_variable(name)) is not None})


def _read_variable(field: str) -> Any:
    name = f"NBKIT_{field.upper()}"
    text = os.environ.get(name, "").strip()
    read, expected = _READ[_KINDS_OF[field].removesuffix(" | None")]
    try:
        return read(text) if text else None
    except (ValueError, LookupError):
        problem = f"{name}: expected {expected}, got {text!r}"
    raise ConfigError(problem)


def settings() -> Settings:
    """Return the settings in force; the environment is read on first use. Raises ConfigError, naming the variable."""
    return (_blocks[-1] if _blocks else _innermost()).settings


def renew() -> None:
    """Read the variables again, after they have changed.

    A notebook with `%load_ext nbkit` does so after each cell. The blocks of `override` stay in force; caches that
    depend on a setting that differs start empty. What was made with a former setting keeps it: an adapter its
    `max_retries`, a call that is under way. Raises ConfigError, which names the variables that are wrong: their
    settings stay as they were, the others count.
    """
    if problems := follow_variables():
        raise ConfigError(". ".join(problems.values()))


def follow_variables() -> dict[str, str]:
    """Do what `renew` does; return what is wrong, by the name of the variable."""
    _innermost()
    with _starting:
        read, problems = _read_again(_blocks[0].settings)
        for block in tuple(_blocks) if read != _blocks[0].settings else ():
            block.renew(read)
    return problems


def _read_again(former: Settings) -> tuple[Settings, dict[str, str]]:
    read, usual, problems = former, Settings(), {}
    for name in _KINDS_OF:
        try:
            value = _read_variable(name)
            read = replace(read, **{name: getattr(usual, name) if value is None else value})
        except ConfigError as wrong:
            problems[f"NBKIT_{name.upper()}"] = f"{wrong}; it stays {getattr(former, name)}"
    return read, problems


_sealed: list[object] = []  # a mark for each block of `sealed`


@contextmanager
def sealed() -> Iterator[None]:
    """Send nothing in a block, in every thread: no server is started, and models.dev is not asked."""
    mark = object()
    _sealed.append(mark)
    try:
        yield
    finally:
        _sealed.remove(mark)


def is_sealed() -> bool:
    """Tell whether nothing can be sent."""
    return bool(_sealed)


def is_offline() -> bool:
    """Tell whether models.dev is never asked: by the setting `offline`, or because nothing can be sent."""
    return settings().offline or is_sealed()


def _innermost() -> _Block:
    if not _blocks:
        with _starting:
            if not _blocks:
                _blocks.append(_Block(read_settings()))
    return _blocks[-1]


@contextmanager
def override(**changes: Any) -> Iterator[Settings]:
    """Change settings for a block, in every thread: `with override(offline=True): ...`.

    Caches that depend on a changed setting start empty inside the block, and are as before after it: `nbkit.catalog`
    where `cache_dir`, `catalog_url`, `offline` or `overrides` change. Providers that are registered inside the block
    are gone after it, those from before are there. Raises ConfigError for an unknown setting or a wrong value.
    """
    for name, value in changes.items():
        if name not in _KINDS_OF:
            raise ConfigError(f"override(): unknown setting {name!r}{suggest(name, _KINDS_OF)}")
        if _KINDS_OF[name] == "Path" and isinstance(value, str):
            changes[name] = Path(value).expanduser()
    outer = _innermost()
    block = _Block(replace(outer.settings, **changes), outer, **changes)
    _blocks.append(block)
    try:
        yield block.settings
    finally:
        _blocks.remove(block)
