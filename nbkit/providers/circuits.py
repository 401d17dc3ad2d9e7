"""Circuits: a server that fails again and again is left alone by the calls that have another model to ask.

Each model at each server has a circuit. It opens when calls have failed five times in a row in a way that says that the
server is ill: no connection, a time-out, a 5xx. A 429 or another 4xx is an answer of a server that is well, and closes
it. While it is open, calls with fallbacks pass the model by; after a pause one of them asks it as a probe: if that
fails, the circuit stays open, twice as long. A call without fallbacks is always sent, and counts like any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from nbkit.providers.endpoints import Endpoint
from nbkit.settings import Scoped

FAILURES = 5
"""Failed calls in a row that open a circuit."""
PAUSE, LONGEST_PAUSE = 30.0, 300.0
"""Seconds that a circuit stays open: the first time, and at most."""
_MOST = 1024
"""Models that are remembered to have failed; then the first of them go."""


class Circuit:
    """State of one model at one server since it last answered. Times are readings of `time.monotonic()`."""

    __slots__ = ("_pause", "_probing", "_until", "failures", "reason")

    def __init__(self) -> None:
        self.failures = 0
        """Failed calls in a row."""
        self.reason = ""
        """Reason of the last failure."""
        self._until = self._pause = 0.0
        self._probing = False

    def fail(self, now: float, reason: str) -> None:
        """Count a failed call."""
        self.failures, self.reason = self.failures + 1, reason
        if self.failures < FAILURES or (self._pause and now < self._until and not self._probing):
            return  # of an open circuit, it is a call that was under way, or one without fallbacks
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if self._pause else PAUSE
        self._until, self._probing = now + self._pause, False

    def admit(self, now: float) -> bool:
        """Tell whether a call that has fallbacks may be sent. After the pause it is a probe, and until that fails,
        or its time is over, nobody else passes."""
        if not self._pause:
            return True
        if now < self._until:
            return False
        self._until, self._probing = now + self._pause, True
        return True

    def describe(self, now: float) -> str:
        """Say in a few words how it is."""
        failures = f"{self.failures} failure{'' if self.failures == 1 else 's'}, the last: {self.reason}"
        if not self._pause:
            state = "closed"
        elif self._probing or now >= self._until:
            state = "half-open"
        else:
            state = f"open for {self._until - now:.0f} s"
        return f"{state} ({failures})"


_Key = tuple[str, str, str]
_circuits: Scoped[dict[_Key, Circuit]] = Scoped(dict)  # of the models whose last call has failed
_has_failed = False
_lock = threading.Lock()


def _key(endpoint: Endpoint) -> _Key:
    return endpoint.provider, endpoint.model, endpoint.place


def note_answer(endpoint: Endpoint) -> None:
    """Close the circuit of a model, which has answered."""
    if _has_failed and (circuits := _circuits()):
        circuits.pop(_key(endpoint), None)


def note_failure(endpoint: Endpoint, reason: str) -> None:
    """Count a failed call that says that the server is ill."""
    global _has_failed  # noqa: PLW0603 - most processes see no failure, and look for none
    with _lock:
        _has_failed = True
        circuits = _circuits()
        circuits.setdefault(_key(endpoint), Circuit()).fail(time.monotonic(), reason)
        if len(circuits) > _MOST:
            circuits.pop(next(iter(circuits)), None)


def find_obstacle(endpoint: Endpoint) -> str:
    """Say why a model is passed by, its circuit being open; "" where it may be asked."""
    circuit = _circuits().get(_key(endpoint))
    if circuit is None:
        return ""
    with _lock:
        now = time.monotonic()
        return "" if circuit.admit(now) else circuit.describe(now)


def list_providers() -> set[str]:
    """List the providers that have a model whose last call has failed."""
    return {provider for provider, _, _ in list(_circuits())}


def describe_failing() -> list[str]:
    """Say how the models are whose last call has failed, a line each."""
    now = time.monotonic()
    return [
        f"failing: {provider}/{model}, circuit {circuit.describe(now)}"
        for (provider, model, _), circuit in list(_circuits().items())
    ]


def describe_circuits(provider: str) -> str:
    """Say how the circuits of a provider are: "closed" where no model's last call has failed, else a part for each."""
    now = time.monotonic()
    parts: Iterable[str] = [
        f"{model}: {circuit.describe(now)}"
        for (name, model, _), circuit in list(_circuits().items())
        if name == provider
    ]
    return "; ".join(parts) or "closed"
