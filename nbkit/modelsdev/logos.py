"""The providers' logos, as models.dev has them: SVG files kept for 30 days, also where there is none.

Nothing here makes a cell wait: `held` reads what is on disk, `fetch_soon` asks for the rest in the background. What
comes is a stranger's file as it is; whoever shows it rebuilds it first. The requests carry no key and no id, follow no
redirect, and stop for ten minutes, in whichever kernel, once models.dev cannot be reached. NBKIT_OFFLINE=1 never asks.
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
from nbkit.modelsdev.fetch import RETRY_AFTER, age
from nbkit.settings import Settings, settings

if TYPE_CHECKING:
    import httpx2

KEPT = 30 * 24 * 3600.0  # seconds
TIME_LIMIT = 5.0  # seconds for one logo
MAX_BYTES = 64 << 10
AT_ONCE = 4
STANDARD = "default"  # models.dev has a picture for providers without a logo; this name gets it too

_turn = threading.Lock()  # batches run one after another


def held(providers: Iterable[str]) -> dict[str, bytes]:
    """The logos on disk, however old, of those providers that have one."""
    return _held(providers, settings())


def _held(providers: Iterable[str], config: Settings) -> dict[str, bytes]:
    found = {}
    with suppress(OSError):  # another user's directory counts not, nor one that cannot be
        make_private_directory(_directory(config))
        for provider in dict.fromkeys(providers):
            with suppress(FileNotFoundError):
                found[provider] = _path(config, provider).read_bytes()
    return {provider: logo for provider, logo in found.items() if logo}


def fetch_soon(providers: Iterable[str], arrived: Callable[[Collection[str]], object]) -> None:
    """Fetch in the background the logos that were not asked for within 30 days.

    `arrived` is called once, in another thread, with those providers whose logos have come; not where none has.
    """
    config = settings()
    wanted = _stale(dict.fromkeys(providers), config)

    def run() -> None:
        with _turn:  # the batch before this one may have brought some
            fetch(_stale(wanted, config), config)
        if came := _held(wanted, config):
            arrived(came.keys())

    if wanted:
        threading.Thread(target=run, name="nbkit-logos", daemon=True).start()


def fetch(providers: Sequence[str], config: Settings) -> None:
    """Fetch and keep these providers' logos, a few at a time, until models.dev cannot be reached."""
    if not providers:
        return
    import httpx2

    def work(part: Sequence[str]) -> None:
        for provider in part:
            if unreachable:
                return
            try:
                logo = _ask(client, _url(config, provider))
                write_atomically(_path(config, provider), b"" if logo == standard else logo)
            except (CatalogError, OSError) as problem:
                unreachable.append(problem)

    unreachable: list[Exception] = []
    with httpx2.Client(timeout=TIME_LIMIT, headers={"accept-encoding": "gzip"}) as client:
        try:
            make_private_directory(_directory(config))
            standard = _ask(client, _url(config, STANDARD))
        except (CatalogError, OSError) as problem:
            unreachable.append(problem)
        workers = [threading.Thread(target=work, args=[providers[n::AT_ONCE]], daemon=True) for n in range(AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if unreachable:
        with suppress(OSError):  # where nothing can be kept, the attempt is repeated
            _marker(config).touch(mode=0o600)


def _ask(client: httpx2.Client, url: str) -> bytes:
    """The file there; b"" where there is none, or one too large. Raises CatalogError where nobody can say."""
    import httpx2

    give_up = time.monotonic() + TIME_LIMIT
    try:
        with client.stream("GET", url) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise CatalogError(f"{url}: HTTP {response.status_code}")
            body = bytearray()
            for part in response.iter_bytes() if response.status_code == 200 else ():
                body += part
                if len(body) > MAX_BYTES:
                    return b""
                if time.monotonic() > give_up:
                    raise CatalogError(f"{url}: too slow")
            return bytes(body)
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        problem = f"{url}: {failed or type(failed).__name__}"
    raise CatalogError(problem)


def _stale(providers: Iterable[str], config: Settings) -> list[str]:
    """The providers to ask about now."""
    failed = age(_marker(config))
    if config.offline or (failed is not None and failed < RETRY_AFTER):
        return []
    ages = {provider: age(_path(config, provider)) for provider in providers}
    return [provider for provider, age in ages.items() if age is None or age > KEPT]


def _url(config: Settings, provider: str) -> str:
    return urljoin(config.catalog_url, f"/logos/{quote(provider, safe='')}.svg")


def _directory(config: Settings) -> Path:
    return config.cache_dir / "logos"


def _marker(config: Settings) -> Path:
    return _directory(config) / "failed"


def _path(config: Settings, provider: str) -> Path:
    """Its file. The digest tells names apart that differ only in case or in what no file name holds."""
    readable = re.sub("[^a-z0-9]", "-", provider.lower())[:40]
    return _directory(config) / f"{readable}-{sha256(_url(config, provider).encode()).hexdigest()[:16]}.svg"
