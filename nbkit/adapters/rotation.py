"""Several keys for one server: which of them an attempt carries, and which the next one after a failure.

An attempt takes, of the keys that are ready, the one with the fewest attempts under way, and of equals the one that
answered last. So a comparison or a map spreads over all keys before one of them reaches its limit, while a single
conversation stays with one key: providers keep the cache of its prompt, which makes the next turn cheaper, for each
account by itself, and taking turns would miss it.

A key that the provider limits (429) rests for as long as it says, or as a call with this one key alone would wait; a
limit is one model's, so the key goes on with others. A key that is refused (401, a quota that lasts until somebody
pays) is left alone for a while. Nothing was answered then, so the next key is tried at once, and no attempt is counted
against it: each key has its own retries and its own budget of them. Where no key is ready, a call waits for the first
that will be. A new call is always sent, with the key whose rest ends first.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from enum import Enum
from math import inf

from nbkit.errors import AdapterError, AuthenticationError, ContentFilterError, RateLimitError
from nbkit.http.clients import Authorization
from nbkit.http.recent import Recent
from nbkit.http.retry import RetryBudget, is_unpaid
from nbkit.http.throttle import Line
from nbkit.providers.keys import Keys
from nbkit.settings import Scoped

REFUSED_REST = 300.0
"""Seconds that a refused key is left alone."""


class Verdict(Enum):
    """Meaning of a failure for the key."""

    LIMITED = "too many requests: it may be used again soon"
    REFUSED = "not accepted, or not paid for: it will be refused again"


# Statuses with which some providers say it, where they say other things with them too, and the words that tell.
_BAD_KEY = r"api.?key.{0,40}(not valid|invalid|expired|incorrect|leaked)|(invalid|incorrect|expired).{0,20}api.?key"
_ABOUT_THE_KEY = {
    # Gemini: "API key not valid", xAI: "Incorrect API key provided", Anthropic: "Your credit balance is too low"
    400: re.compile(rf"{_BAD_KEY}|credit balance|api_key_invalid", re.IGNORECASE),
    403: re.compile(rf"{_BAD_KEY}|quota|rate.?limit|balance|billing|insufficient|credits", re.IGNORECASE),
}


def judge_key(error: AdapterError) -> Verdict | None:
    """Tell what a failure, which may stand in a stream of status 200, says about the key; None: nothing."""
    if isinstance(error, ContentFilterError):
        return None
    if error.status == 402 or is_unpaid(error.code):
        return Verdict.REFUSED
    if isinstance(error, RateLimitError):
        return Verdict.LIMITED
    words = _ABOUT_THE_KEY.get(error.status or 0)
    if words is not None:
        return Verdict.REFUSED if words.search(f"{error.code} {error.message}") else None
    return Verdict.REFUSED if isinstance(error, AuthenticationError) else None


class KeyState:
    """State of one key at one server, shared by all calls with it. Times are readings of `time.monotonic()`."""

    __slots__ = ("_limited", "_refused", "answered", "budget", "busy", "line")

    def __init__(self) -> None:
        self.budget = RetryBudget()
        self.busy = 0
        """Attempts under way."""
        self.line: Line | None = None
        """The line of its calls, since the first of them."""
        self.answered = self._refused = -inf
        self._limited: dict[str, float] = {}

    def rest(self, verdict: Verdict, model: str, now: float, seconds: float) -> None:
        """Leave the key alone for so many seconds; a limited one for this model only."""
        if verdict is Verdict.REFUSED:
            self._refused = now + seconds
        else:
            self._limited = {name: end for name, end in self._limited.items() if end > now} | {model: now + seconds}

    def ready_at(self, model: str) -> float:
        """Return the time from which on the key may be used for a model."""
        paused_until = self.line.find_moment(model, -inf) if self.line else -inf
        return max(self._refused, self._limited.get(model, -inf), paused_until)

    def is_refused(self, now: float) -> bool:
        """Tell whether the key was refused a short while ago."""
        return now < self._refused


_States = Recent[tuple[str, Authorization | None], KeyState]
_states: Scoped[_States] = Scoped(lambda: Recent(1024))  # by base URL and key
_lock = threading.Lock()


def list_key_states() -> list[KeyState]:
    """List the states of the keys that were used last."""
    return _states().list_all()


def count_pause(base_url: str, model: str, auth: Authorization | None) -> float:
    """Count the seconds until one of the keys may be used for a model."""
    now = time.monotonic()
    states = [_states().get((base_url, one), KeyState) for one in _list_each(auth)]
    return max(0.0, min(state.ready_at(model) for state in states) - now)


def _list_each(auth: Authorization | None) -> Iterable[Authorization | None]:
    return auth.each if isinstance(auth, Keys) else (auth,)


class Rotation:
    """The keys of one call. `auth` is what its attempt carries, `state` is that of this key."""

    def __init__(self, base_url: str, model: str, auth: Authorization | None) -> None:
        self._model = model
        self._states = {one: _states().get((base_url, one), KeyState) for one in _list_each(auth)}
        self.auth = next(iter(self._states))
        self.failures: dict[Authorization | None, int] = {}
        """Failed attempts of this call, by key."""
        self._taken: KeyState | None = None

    @property
    def state(self) -> KeyState:
        """State of the key in use."""
        return self._states[self.auth]

    @property
    def keys(self) -> tuple[Authorization | None, ...]:
        """All keys of the call."""
        return tuple(self._states)

    @property
    def several(self) -> bool:
        """Whether there is more than one key."""
        return len(self._states) > 1

    @property
    def attempts(self) -> int:
        """How many attempts with the key in use have failed in this call."""
        return self.failures.get(self.auth, 0)

    def take(self, now: float) -> None:
        """Choose the key of the first attempt."""
        if self.several and self._taken is None:
            with _lock:
                self._use(min(self._states, key=lambda one: (self._ready_at(one, now), *self._rank(one))))

    def take_next(self, usable: Iterable[Authorization | None], now: float) -> float | None:
        """Choose the key of the next attempt among some; return the seconds until it is ready, None where none is left.

        Of those that are ready, one that did not fail comes first.
        """
        with _lock:
            ends = {one: self._ready_at(one, now) for one in usable if not self._states[one].is_refused(now)}
            if not ends:
                return None
            chosen = min(ends, key=lambda one: (ends[one], self.failures.get(one, 0), *self._rank(one)))
            self._use(chosen)
        return ends[chosen] - now

    def rest(self, verdict: Verdict, now: float, seconds: float) -> None:
        """Leave the key in use alone for so many seconds."""
        with _lock:
            self.state.rest(verdict, self._model, now, seconds)

    def close(self, now: float, *, answered: bool) -> None:
        """End the call, which has its answer or not."""
        if self._taken:
            with _lock:
                self._taken.answered = now if answered else self._taken.answered
                self._release()

    def _ready_at(self, one: Authorization | None, now: float) -> float:
        return max(self._states[one].ready_at(self._model), now)

    def _rank(self, one: Authorization | None) -> tuple[int, float]:
        state = self._states[one]
        return state.busy, -state.answered

    def _use(self, chosen: Authorization | None) -> None:
        self._release()
        self.auth, self._taken = chosen, self._states[chosen]
        self._taken.busy += 1

    def _release(self) -> None:
        if self._taken:
            self._taken.busy -= 1
            self._taken = None

    def describe(self) -> str:
        """Say how many keys were tried."""
        tried, known = len(self.failures), len(self._states)
        return f" (all {known} keys were tried)" if tried == known else f" ({tried} of {known} keys tried)"
