"""Work in the background, and how its owner is waited for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, Self

from nbkit.arguments import check_arguments
from nbkit.bulk import portal
from nbkit.bulk.turns import Turns

_CLOSE_SECONDS = 5.0  # at most, after an interrupt


class Background:
    """Owner of work in the background, which can be waited for: a panel, a table."""

    _turns: Turns
    _work: portal.Backlog

    @check_arguments
    def wait(self, timeout: float | None = None) -> Self:
        """Wait for all that was asked for, at most `timeout` seconds (then TimeoutError, and the calls go on).

        An interrupt (KeyboardInterrupt) meanwhile stops the requests.
        """
        try:
            self._work.wait(timeout)
        except KeyboardInterrupt:
            with suppress(TimeoutError):  # the partial answers are complete when the sockets are closed
                portal.wait(portal.submit(self._turns.rest()), _CLOSE_SECONDS)
            raise
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._join().__await__()

    async def _join(self) -> Self:
        await self._work.until()
        return self
