"""Whether a failed call is tried again, and after how long: pure decisions, and the budget that stops a storm.

Time and chance are arguments. A caller, after a failure that delivered nothing to the user:

    asked = retry_after(headers, time.time())
    if attempt < max_retries and retryable(status, headers, code):
        seconds = wait(attempt, asked, base=..., rand=random.random(), remaining=deadline - time.monotonic())
        if seconds is not None and (spent := budget.take(throttled=status == 429)):
            sleep, and call again; after a success budget.give_back(spent)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_BACKOFF = 8.0
"""Seconds."""
MAX_RETRY_AFTER = 60.0
"""Seconds; who asks for more is not asked again, the error says when."""

_RETRIED = frozenset({408, 409, 425, 429})  # and every 5xx, also Anthropic's 529 "overloaded"

# Codes of answers that look like a passing failure (mostly 429) but stay until somebody pays.
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


def retryable(status: int | None, headers: Mapping[str, str], code: str | None = None) -> bool:
    """Whether the same request may succeed when sent again. Status None: no answer arrived.

    `x-should-retry` (OpenAI, Anthropic) overrules the status of an error. `code` is the provider's own
    error code. An answer with a status below 400 is never asked for again, however broken: it was paid.
    """
    if code is not None and code.lower() in _UNPAID:
        return False
    if status is None:
        return True
    if status < 400:
        return False
    hint = headers.get("x-should-retry", "").strip().lower()
    if hint in ("true", "false"):
        return hint == "true"
    return status in _RETRIED or status >= 500


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait as the headers say, None where they say nothing usable. `now` is Unix time.

    `retry-after-ms` is OpenAI's and Azure's; `retry-after` is RFC 9110's, seconds or an HTTP date, and
    several providers send fractions of a second.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return _positive(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)


def _number(text: str) -> float | None:
    try:
        return _positive(float(text))
    except ValueError:
        return None


def _positive(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def backoff(attempt: int, base: float, rand: float) -> float:
    """Seconds before retry number `attempt` (0 is the first): doubling up to 8, less up to a quarter by chance."""
    return float(min(base * 2.0 ** min(attempt, 60), MAX_BACKOFF) * (1 - 0.25 * rand))


def wait(attempt: int, asked: float | None, *, base: float, rand: float, remaining: float) -> float | None:
    """Seconds to sleep before the next try; None: do not try again.

    `asked` is `retry_after(...)`: up to 60 s it is waited in full, above it there is no retry. `remaining`
    is what is left until the deadline, in seconds: a wait that would pass it is not begun.
    """
    if asked is not None and asked > MAX_RETRY_AFTER:
        return None
    seconds = asked or backoff(attempt, base, rand)
    return seconds if seconds < remaining else None


class RetryBudget:
    """What a client may spend on retries, so that a hundred calls to a failing provider do not become three hundred.

    As botocore's: 500 units, a retry costs 14, or 5 where the provider throttles; a success gives back what
    its own retries cost, at least 1. Thread-safe.
    """

    CAPACITY = 500

    def __init__(self) -> None:
        self._left = self.CAPACITY
        self._lock = threading.Lock()

    def take(self, *, throttled: bool) -> int:
        """Pay for one retry: what it cost, 0 when the budget is used up and there must be none."""
        cost = 5 if throttled else 14
        with self._lock:
            if self._left < cost:
                return 0
            self._left -= cost
            return cost

    def give_back(self, spent: int) -> None:
        """A call succeeded: `spent` is the sum of what its retries took, 0 for none."""
        with self._lock:
            self._left = min(self.CAPACITY, self._left + max(spent, 1))
