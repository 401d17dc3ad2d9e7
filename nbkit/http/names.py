"""Names of hosts, looked up in threads that nobody waits for: the system sets no limit to it.

The threads of an event loop would keep it from ending, and a few names that no server answers would hold up all others.
What only event loops need is imported there: a process of synchronous calls does without.
"""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future  # which an address, such as that of this machine, does not need

Entries = list[tuple[Any, ...]]
"""What `socket.getaddrinfo` returns."""


def look_up(host: str, port: int, seconds: float | None) -> list[str]:
    """Return the addresses of a host. Raises TimeoutError, OSError and UnicodeError."""
    if _is_address(host):
        return [host]
    return _read_addresses(_start(host, port, type=socket.SOCK_STREAM).result(seconds))


async def alook_up(host: str, port: int, seconds: float | None) -> list[str]:
    """Do what `look_up` does, in an event loop."""
    if _is_address(host):
        return [host]
    from asyncio import timeout

    async with timeout(seconds):
        return _read_addresses(await Names().getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Names:
    """The two methods of an event loop that look up names."""

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Entries:
        """Look up the addresses of a host. Raises OSError and UnicodeError."""
        from asyncio import wrap_future

        return await wrap_future(_start(host, port, **options))

    async def getnameinfo(self, address: tuple[Any, ...], flags: int = 0) -> tuple[str, str]:
        """Write an address as text, which asks nobody where the flags say so."""
        from asyncio import get_running_loop

        return await get_running_loop().getnameinfo(address, flags)


def _start(host: str, port: int, **options: Any) -> Future[Entries]:
    from concurrent.futures import Future

    result: Future[Entries] = Future()
    result.set_running_or_notify_cancel()  # so that it takes a result that nobody waits for any more

    def work() -> None:
        try:
            result.set_result(socket.getaddrinfo(host, port, **options))
        except (OSError, UnicodeError) as failed:
            result.set_exception(failed)

    threading.Thread(target=work, name="nbkit-name-lookup", daemon=True).start()
    return result


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _read_addresses(entries: Entries) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
