"""The choice of the catalog: a fresh one from models.dev, the cached one or the bundled one.

`decide` says what to do, `load` does it. A file younger than the time to live is used as it is; otherwise models.dev is
asked with the file's ETag, for 5 seconds at most (setting `catalog_timeout`), and whatever goes wrong leaves the newer
of the cached and the bundled snapshot in place, with the reason in its `meta`. A failed attempt is not repeated for ten
minutes, by any kernel. NBKIT_OFFLINE=1 never asks. The request carries no key and no id.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from nbkit.errors import CatalogError
from nbkit.files import make_private_directory
from nbkit.modelsdev.records import CatalogWarning, parse
from nbkit.modelsdev.snapshot import BUNDLED, CACHED, Meta, Snapshot, build, read, read_date, with_source, write
from nbkit.secret import hide_in_url
from nbkit.settings import Scoped, Settings, is_offline, settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    import httpx2

MAX_SECONDS = 30.0  # of one download, whatever the settings say
RETRY_AFTER = 600.0  # seconds after a failed attempt
STALE_DAYS = 14  # models.dev grows by a thousand models a month
PATIENCE = 1.0  # seconds before progress is shown
MAX_BYTES = 64 << 20  # of the decoded answer
MAX_REDIRECTS = 5
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")

Action = Literal["use", "fetch", "stay"]
Progress = Callable[[int, int | None], None]
"""A function that is called with the bytes so far and in all (None: unknown); in the end both are the same."""

_stale_reasons: Scoped[list[str]] = Scoped(list, "cache_dir", "catalog_url", "offline")
"""Not empty once a warning has said that the catalog is old, and why: it is given once."""
_unkept_reasons: Scoped[list[str]] = Scoped(list, "cache_dir")
"""The same for one that cannot be kept on this machine."""


class Answer(Struct, frozen=True):
    """An answer of models.dev: the file and its ETag. `body` is None where the file is the same as before (304)."""

    body: bytes | None
    etag: str | None


def decide(
    *, refresh: bool, offline: bool, checked: float | None, failed: float | None, ttl: float
) -> tuple[Action, str | None]:
    """Decide what to do; the second value says why models.dev is not asked though the file at hand may be stale.

    `checked`: seconds since models.dev last confirmed the cached file, None without one.
    `failed`: seconds since the last failed attempt, None where a later one succeeded or there was none.
    """
    if not refresh and checked is not None and checked < ttl:
        return "use", None
    if offline:
        return "stay", "offline (NBKIT_OFFLINE)"
    if not refresh and failed is not None and failed < RETRY_AFTER:
        return "stay", f"asking models.dev failed {failed / 60:.0f} minutes ago"
    return "fetch", None


def load(refresh: bool = False, *, accept: bool = False, progress: Progress | None = None) -> Snapshot:
    """Load the catalog to use. `refresh` asks models.dev now, whatever the file's age.

    `accept` takes the answer even where more than half of the models are gone. `progress` is called while a fetch takes
    longer than a second; unless given, a line in a terminal or a notebook shows it.

    Warns (CatalogWarning) where a refresh that the caller wants failed, where an answer was not taken because too many
    models are gone, and once each where models.dev cannot be reached and the catalog is more than 14 days old, and
    where what was fetched cannot be kept. Raises CatalogError only where the bundled file is broken.
    """
    config, refused = settings(), False
    cache, marker = config.cache_dir / CACHED, config.cache_dir / "models.dev.failed"
    kept = _read_newest(cache)
    checked = file_age(cache) if kept.meta.source == "cached" else None
    action, reason = decide(
        refresh=refresh, offline=is_offline(), checked=checked, failed=file_age(marker), ttl=config.catalog_ttl
    )
    if action == "fetch":
        try:
            return _renew(kept, cache, marker, config, accept, progress)
        except CatalogError as problem:
            reason = str(problem)
            refused = isinstance(problem, _ShrunkError)
            with suppress(OSError):  # where nothing can be kept, the attempt is repeated
                make_private_directory(cache.parent)
                marker.touch(mode=0o600)
    old = kept.meta.age_days > STALE_DAYS and not is_offline() and not _stale_reasons()
    if reason and (refresh or refused or old):
        _stale_reasons().append(reason)
        text = f"the catalog is that of {kept.meta.date}, {kept.meta.age_days} days old: {reason}"
        _warn(text)
    return with_source(kept, kept.meta.source, reason)


def _warn(text: str) -> None:
    """Warn the code that uses nbkit (CatalogWarning). A notebook would show a red box with a path of this machine;
    there it is a line of text, unless the warning is filtered out."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        warnings.warn(text, CatalogWarning, stacklevel=_find_caller())
        return
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn(text, CatalogWarning, stacklevel=_find_caller())
    sys.stdout.writelines(f"nbkit: {warning.message}\n" for warning in shown)


def _find_caller() -> int:
    """Find how many frames above the function that calls this one is the code that is not nbkit's, for a warning."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "nbkit":
        frame, level = frame.f_back, level + 1
    return level


class _ShrunkError(CatalogError):
    """The answer has lost more than half of the models."""


def _read_newest(cache: Path) -> Snapshot:
    """Read the newer of the cached and the bundled snapshot; ignore a cached file that is broken or another user's."""
    if read_date(cache) >= read_date(BUNDLED):
        with suppress(CatalogError, OSError):  # it is fetched again
            make_private_directory(cache.parent)
            return with_source(read(cache), "cached", None)
    return read(BUNDLED)


def _renew(
    kept: Snapshot, cache: Path, marker: Path, config: Settings, accept: bool, progress: Progress | None
) -> Snapshot:
    """Ask models.dev for a newer snapshot than `kept`, check its answer and keep it. Raises CatalogError."""
    etag = kept.meta.etag if kept.meta.source == "cached" else None
    answer = download(config.catalog_url, etag, seconds=config.catalog_timeout, progress=progress or _progress_line())
    with suppress(OSError):
        marker.unlink(missing_ok=True)
    if answer.body is None:
        with suppress(OSError):
            os.utime(cache)
        return kept
    fresh = decode(answer.body, url=config.catalog_url, etag=answer.etag)
    if len(fresh) < len(kept) / 2 and not accept:
        raise _ShrunkError(
            f"{hide_in_url(config.catalog_url)} has only {len(fresh)} models, the catalog on this machine {len(kept)};"
            " load_catalog(refresh=True, accept=True) takes it all the same"
        )
    try:
        make_private_directory(cache.parent)
        write(cache, fresh)
    except OSError as full:
        reason = f"not kept: {_ERRNO.sub('', str(full))}"
        if not _unkept_reasons():
            _unkept_reasons().append(reason)
            _warn(f"the catalog was fetched, but every kernel will fetch it again; {reason}")
        return with_source(fresh, "fetched", reason)
    return with_source(fresh, "fetched", None)


def decode(body: bytes, *, url: str, etag: str | None = None, day: str | None = None) -> Snapshot:
    """Read an api.json into a snapshot of `day` (YYYY-MM-DD; today by default). Raises CatalogError."""
    from nbkit.json_text import read_json

    try:
        data = read_json(body, nan=True)
    except ValueError as broken:
        problem = f"{hide_in_url(url)}: {broken}"
    else:
        return build(parse(data), Meta(url=url, date=day or datetime.now(UTC).date().isoformat(), etag=etag))
    raise CatalogError(problem)


def download(
    url: str,
    etag: str | None = None,
    *,
    seconds: float = MAX_SECONDS,
    progress: Progress | None = None,
    patience: float = PATIENCE,
    transport: httpx2.BaseTransport | None = None,
) -> Answer:
    """GET an api.json: at most 64 MiB decoded, 5 redirects, never from https to http.

    `progress` is called when it takes longer than `patience` seconds. Raises CatalogError, after `seconds` (30 at most)
    at the latest.
    """
    from concurrent.futures import Future

    seconds = min(seconds, MAX_SECONDS)
    result: Future[Answer] = Future()
    arrived = _Arrived()

    def run() -> None:
        try:
            result.set_result(_get(url, etag, seconds, transport, arrived))
        except BaseException as failed:  # noqa: BLE001 - raised where the result is awaited
            result.set_exception(failed)

    # In a thread, because looking up a host's address has no time limit of its own.
    threading.Thread(target=run, name="nbkit-catalog", daemon=True).start()
    _wait(result, seconds, arrived, progress, patience)
    if result.done():
        return result.result()
    raise CatalogError(f"{hide_in_url(url)}: timed out after {seconds:g} s")


class _Arrived(Struct):
    """The bytes of a download so far, as they are sent (compressed)."""

    size: int = 0
    expected: int | None = None


def _wait(
    result: Future[Answer], seconds: float, arrived: _Arrived, progress: Progress | None, patience: float
) -> None:
    """Wait until there is a result or the time is over; meanwhile call `progress`, after `patience` seconds."""
    from concurrent.futures import wait

    deadline = time.monotonic() + seconds
    wait([result], min(seconds, patience) if progress else seconds)
    if result.done() or progress is None:
        return
    try:
        while not result.done() and (left := deadline - time.monotonic()) > 0:
            progress(arrived.size, arrived.expected)
            wait([result], min(left, 0.2))
    finally:
        progress(arrived.size, arrived.size)


def _progress_line() -> Progress | None:
    """Make a progress function that shows a line and removes it in the end; None where nobody would see it."""
    if not (hasattr(sys, "ps1") or (sys.stderr and sys.stderr.isatty())):  # Python's prompt, IPython, a notebook
        return None

    def show(size: int, expected: int | None) -> None:
        of = f" of {expected / 1e6:.1f}" if expected else ""
        text = "" if size == expected else f"nbkit: models.dev, {size / 1e6:.1f}{of} MB"
        sys.stderr.write(f"\r{text:<40}" if text else f"\r{' ' * 40}\r")
        sys.stderr.flush()

    return show


def _get(
    url: str, etag: str | None, seconds: float, transport: httpx2.BaseTransport | None, arrived: _Arrived
) -> Answer:
    deadline = time.monotonic() + seconds
    if transport is None:
        _look_up(url)

    import httpx2

    from nbkit.quiet import quiet_logs

    quiet_logs()

    def only_https(request: httpx2.Request) -> None:
        if url.startswith("https:") and request.url.scheme != "https":
            raise CatalogError(f"{hide_in_url(url)}: redirected to {request.url.scheme}")

    headers = {"accept-encoding": "gzip"} | ({"if-none-match": etag} if etag else {})
    try:
        with (
            httpx2.Client(
                timeout=seconds,
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
                event_hooks={"request": [only_https]},
                transport=transport,
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code == 304:
                return Answer(None, etag)
            if response.status_code != 200:
                raise CatalogError(f"{hide_in_url(url)}: HTTP {response.status_code}")
            length = response.headers.get("content-length", "")
            arrived.expected = int(length) if length.isascii() and length.isdigit() else None
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                arrived.size = response.num_bytes_downloaded
                if len(body) > MAX_BYTES:
                    raise CatalogError(f"{hide_in_url(url)}: more than {MAX_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    break  # nobody waits any more
            else:
                return Answer(bytes(body), response.headers.get("etag"))
        problem = f"{hide_in_url(url)}: timed out after {seconds:g} s"
    except httpx2.TimeoutException:
        problem = f"{hide_in_url(url)}: timed out after {seconds:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ImportError, ValueError) as failed:
        # the last two: a proxy of the environment that needs another package, or is not one
        problem = f"{hide_in_url(url)}: {_ERRNO.sub('', str(failed)) or type(failed).__name__}"
    raise CatalogError(problem)


def _look_up(url: str) -> None:
    """Raise CatalogError where the host has no address: offline, that saves loading httpx2 (70 ms of CPU)."""
    import socket  # here: most starts fetch nothing
    from urllib.request import getproxies

    if getproxies():
        return  # the proxy may know the host
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except (OSError, ValueError):
        problem = f"{url.partition('//')[2].partition('/')[0]} could not be reached"
    else:
        return
    raise CatalogError(problem)


def file_age(path: Path) -> float | None:
    """Return the seconds since a file was written or touched; None where it is missing.

    One from the future was written before the clock was set back, and is as old as it is ahead: else it would be fresh
    until then.
    """
    try:
        return abs(time.time() - path.stat().st_mtime)
    except OSError:
        return None
