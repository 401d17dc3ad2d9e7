"""The providers' logos from models.dev: SVG files, kept for 30 days; that there is none is kept as well.

Nothing here makes a cell wait: `read_logos` reads what is on disk, `fetch_soon` fetches the rest in the background. A
logo is a stranger's file, kept as it is; whoever shows it rebuilds it first. The requests carry no key and no id,
follow no redirect, and stop for ten minutes, in every kernel, once models.dev cannot be reached. NBKIT_OFFLINE=1 never
asks.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from nbkit.errors import CatalogError
from nbkit.files import make_private_directory, write_atomically
from nbkit.modelsdev.fetch import MAX_SECONDS, RETRY_AFTER, file_age
from nbkit.settings import Settings, is_offline, settings

if TYPE_CHECKING:
    import httpx2

MAX_AGE = 30 * 24 * 3600.0  # seconds
MAX_BYTES = 64 << 10
MAX_PARALLEL = 4
STANDARD = "default"  # models.dev answers with one picture for all providers without a logo, also for this name

_batches = threading.Lock()  # batches run one after another


def read_logos(providers: Iterable[str]) -> dict[str, bytes]:
    """Read the logos on disk, however old, of those providers that have one."""
    return _read_logos(providers, settings())


def _read_logos(providers: Iterable[str], config: Settings) -> dict[str, bytes]:
    logos = {}
    with suppress(OSError):  # another user's directory, or one that cannot be made: no logos
        make_private_directory(_directory(config))
        for provider in dict.fromkeys(providers):
            with suppress(FileNotFoundError):
                logos[provider] = _path(config, provider).read_bytes()
    return {provider: logo for provider, logo in logos.items() if logo}


def fetch_soon(providers: Iterable[str], arrived: Callable[[Collection[str]], object]) -> None:
    """Fetch in the background the logos whose answer is older than 30 days, or that nobody asked for so far.

    `arrived` is called once, in another thread, with those of these providers that have a logo now; not where none has.
    """
    config = settings()
    wanted = _list_stale(dict.fromkeys(providers), config)

    def run() -> None:
        with _batches:  # the batch before this one may have fetched some
            fetch(_list_stale(wanted, config), config)
        if logos := _read_logos(wanted, config):
            arrived(logos.keys())

    if wanted:
        threading.Thread(target=run, name="nbkit-logos", daemon=True).start()


def fetch(providers: Sequence[str], config: Settings) -> None:
    """Fetch and keep these providers' logos, four at a time, until models.dev cannot be reached.

    Each takes at most `catalog_timeout` seconds.
    """
    if not providers:
        return
    import httpx2

    from nbkit.quiet import quiet_logs

    quiet_logs()

    seconds = min(config.catalog_timeout, MAX_SECONDS)

    def work(part: Sequence[str]) -> None:
        for provider in part:
            if unreachable:
                return
            try:
                logo = _download(client, _url(config, provider), seconds)
                write_atomically(_path(config, provider), b"" if logo == standard else logo)
            except (CatalogError, OSError) as problem:
                unreachable.append(problem)

    unreachable: list[Exception] = []
    try:
        client = httpx2.Client(timeout=seconds, headers={"accept-encoding": "gzip"})
    except (ImportError, ValueError, OSError):
        return  # a proxy or certificates of the environment that cannot be used: a call will say so
    with client:
        try:
            make_private_directory(_directory(config))
            standard = _download(client, _url(config, STANDARD), seconds)
        except (CatalogError, OSError) as problem:
            unreachable.append(problem)
        parts = [providers[first::MAX_PARALLEL] for first in range(MAX_PARALLEL)]
        workers = [threading.Thread(target=work, args=[part], daemon=True) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if unreachable:
        with suppress(OSError):  # where nothing can be kept, the attempt is repeated
            _marker(config).touch(mode=0o600)


def _download(client: httpx2.Client, url: str, seconds: float) -> bytes:
    """GET a file; b"" where there is none, or one too large. Raises CatalogError where the answer does not tell."""
    import httpx2

    deadline = time.monotonic() + seconds
    try:
        with client.stream("GET", url) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise CatalogError(f"{url}: HTTP {response.status_code}")
            body = bytearray()
            for part in response.iter_bytes() if response.status_code == 200 else ():
                body += part
                if len(body) > MAX_BYTES:
                    return b""
                if time.monotonic() > deadline:
                    raise CatalogError(f"{url}: timed out after {seconds:g} s")
            return bytes(body)
    except httpx2.TimeoutException:
        problem = f"{url}: timed out after {seconds:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        problem = f"{url}: {failed or type(failed).__name__}"
    raise CatalogError(problem)


def _list_stale(providers: Iterable[str], config: Settings) -> list[str]:
    """List the providers whose logos should be fetched now."""
    failed = file_age(_marker(config))
    if is_offline() or (failed is not None and failed < RETRY_AFTER):
        return []
    ages = {provider: file_age(_path(config, provider)) for provider in providers}
    return [provider for provider, age in ages.items() if age is None or age > MAX_AGE]


def _url(config: Settings, provider: str) -> str:
    return urljoin(config.catalog_url, f"/logos/{quote(provider, safe='', errors='backslashreplace')}.svg")


def _directory(config: Settings) -> Path:
    return config.cache_dir / "logos"


def _marker(config: Settings) -> Path:
    return _directory(config) / "failed"


def _path(config: Settings, provider: str) -> Path:
    """Build the path of a logo. The digest tells names apart that differ only in case or in odd characters."""
    readable = re.sub("[^a-z0-9]", "-", provider.lower())[:40]
    return _directory(config) / f"{readable}-{sha256(_url(config, provider).encode()).hexdigest()[:16]}.svg"
