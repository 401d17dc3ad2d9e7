"""Several keys of one provider, of which each request carries one."""

from __future__ import annotations

from nbkit.http.clients import Authorization
from nbkit.http.exchange import Request


class Keys(Authorization):
    """Several credentials for the same server. A call chooses one of them for each attempt (`adapters.rotation`)."""

    def __init__(self, each: tuple[Authorization, ...]) -> None:
        self.each = each
        self.waits = any(one.waits for one in each)

    def authorize(self, request: Request) -> None:
        """Add the first one's headers."""
        self.each[0].authorize(request)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of all of them."""
        return tuple(secret for one in self.each for secret in one.secrets)

    def __repr__(self) -> str:
        return f"Keys(<{len(self.each)} keys>)"
