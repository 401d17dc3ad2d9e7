"""Retries: whether a failed call is sent again and after how long, as pure decisions, and the budget that limits them.

Nothing is paid twice: after a request was sent whole, it is sent again only where the server's status says that no
answer was made, or where the connection closed before the first byte of one. Everything else may have been billed.

The current time and random numbers are arguments. A caller, after a failure that delivered nothing to the user:

    requested = read_retry_after(headers, time.time())
    if attempt < max_retries and (stage.retried if status is None else is_retryable(status, headers, code)):
        remaining = deadline - time.monotonic()
        seconds = compute_wait(attempt, requested, base=..., rand=random.random(), remaining=remaining)
        if seconds is not None and (spent := budget.take(throttled=status == 429)):
            sleep, and call again; after a success budget.give_back(spent)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

MAX_BACKOFF = 8.0
"""Seconds."""
MAX_RETRY_AFTER = 60.0
"""Seconds; if a provider demands a longer wait, the call fails and the error says how long to wait."""


class Stage(Enum):
    """How far a request came that got no status, whether it is sent again, and why."""

    QUEUED = True, "all connections are in use: nothing was sent"
    CONNECTING = True, "no connection, no answer of a name server, or a proxy that failed: nothing was sent"
    REFUSED = False, "TLS refused the certificate, or a proxy the request: it will do so again"
    WRITING = True, "the server took only a part of the request, and cannot have answered it"
    CLOSED = True, "reset or closed before the first byte of an answer: above all a kept connection that had gone stale"
    SILENCE = False, "the request was sent, and the read timed out: the answer may be on its way, and billed"
    BROKEN = False, "the connection broke, or what came is not HTTP, after the first byte: the answer may be billed"
    UNFIT = False, "the request or the answer is wrong in itself: a URL, a header, a compression"

    def __init__(self, retried: bool, reason: str) -> None:
        self.retried = retried
        self.reason = reason


STATUSES: dict[int, str] = {
    408: "the server gave up waiting for the request",
    409: "another request was in the way (OpenAI: a lock)",
    425: "the server does not take early data",
    429: "refused before it was worked on: the rate limit",
}
"""Statuses below 500 that are asked again, and why no answer was made.

So is every 5xx, also Anthropic's 529 "overloaded": providers bill answers, and it says that there is none. So is an
error that the server reports inside of a stream of 200 before any text, by the status that its kind would have. A
status below 400 is never asked again otherwise, however broken its body: it is an answer, and was billed.
"""

# Error codes that come with a temporary status (mostly 429) but last until somebody pays.
_UNPAID = frozenset(
    {
        "insufficient_quota",  # OpenAI and those who copy it
        "billing_not_active",
        "billing_hard_limit_reached",
        "exceeded_current_quota_error",  # Moonshot
        "insufficient_balance",
        "insufficient_credits",
        "1113",  # Zhipu: account in arrears
    }
)


def is_unpaid(code: str | None) -> bool:
    """Tell whether a provider's error code says that it answers no more until somebody pays."""
    return code is not None and code.lower() in _UNPAID


def is_retryable(status: int, headers: Mapping[str, str], code: str | None = None) -> bool:
    """Tell whether the same request may succeed when it is sent again, by the status of its answer.

    The header `x-should-retry` (OpenAI, Anthropic) overrules the status of an error. `code` is the provider's own
    error code.
    """
    if status < 400 or is_unpaid(code):
        return False
    hint = headers.get("x-should-retry", "").strip().lower()
    if hint in ("true", "false"):
        return hint == "true"
    return status in STATUSES or status >= 500


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the seconds to wait from the headers; None without a usable value. `now` is Unix time.

    `retry-after-ms` comes from OpenAI and Azure. `retry-after` (RFC 9110) holds seconds or an HTTP date; several
    providers send fractions of a second. A date is compared with the server's own `date`, if it sends one: the clock of
    this machine may be wrong.
    """
    milliseconds = _read_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _read_number(value)
    if seconds is not None:
        return seconds
    until, sent = _read_date(value), _read_date(headers.get("date", ""))
    return None if until is None else _check_seconds(until - (now if sent is None else sent))


def _read_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).timestamp()


def _read_number(text: str) -> float | None:
    try:
        return _check_seconds(float(text))
    except ValueError:
        return None


def _check_seconds(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def compute_backoff(attempt: int, base: float, rand: float) -> float:
    """Compute the seconds before retry number `attempt` (from 0): doubling up to 8, minus a random part up to 25 %."""
    return float(min(base * 2.0 ** min(attempt, 60), MAX_BACKOFF) * (1 - 0.25 * rand))


def compute_wait(attempt: int, requested: float | None, *, base: float, rand: float, remaining: float) -> float | None:
    """Compute the seconds to sleep before the next attempt; None means do not retry.

    `requested` is the result of `read_retry_after`: up to 60 s it is waited in full, a longer one means no retry.
    `remaining` is the time until the deadline in seconds: a wait that would pass the deadline is not started.
    """
    if requested is not None and requested > MAX_RETRY_AFTER:
        return None
    seconds = requested or compute_backoff(attempt, base, rand)
    return seconds if seconds < remaining else None


class RetryBudget:
    """Budget of retries, so that a hundred calls to a failing provider do not become three hundred.

    The same rule as botocore's: 500 units; a retry costs 14, or 5 when the provider limits the rate; a success gives
    back the cost of its own retries, at least 1. Thread-safe.
    """

    CAPACITY = 500

    def __init__(self) -> None:
        self._left = self.CAPACITY
        self._lock = threading.Lock()

    def take(self, *, throttled: bool) -> int:
        """Pay for one retry and return its cost; 0 if the budget is used up and the call must not be retried."""
        cost = 5 if throttled else 14
        with self._lock:
            if self._left < cost:
                return 0
            self._left -= cost
            return cost

    def give_back(self, spent: int) -> None:
        """Refill the budget after a success. `spent` is the sum of what `take` returned for this call, 0 for none."""
        with self._lock:
            self._left = min(self.CAPACITY, self._left + max(spent, 1))
