"""The pace of the simulated models."""

from __future__ import annotations

import math

from msgspec import Struct

TICK = 1 / 15
"""Seconds. All tokens leave on a tick of one clock, those of one tick together: waking up costs more CPU time than
sending a token does, and the server shares its process, and often its core, with the notebook that reads."""


class DemoPace(Struct, frozen=True):
    """A model's pace, relative to the setting `demo_tokens_per_second`."""

    factor: float = 1.0
    lead: float = 30.0
    """The wait for the first token, in tokens that could be sent meanwhile."""


PACES = {
    "swift": DemoPace(factor=1.5, lead=20),
    "sage": DemoPace(),
    "scholar": DemoPace(lead=25),
    "tortoise": DemoPace(factor=1 / 3),
    "brittle": DemoPace(),
}


def schedule(model: str, arrived: float, rate: float, count: int) -> list[float]:
    """Return when each of `count` tokens is due on the clock of `arrived`, at `rate` tokens/s times the model's factor.

    The schedule is absolute, so that the average pace holds however long a sleep takes. A rate of 0 is instant.
    """
    if not rate:
        return [arrived] * count
    pace = PACES[model]
    interval = 1 / (rate * pace.factor)
    return [math.ceil((arrived + interval * (pace.lead + index)) / TICK) * TICK for index in range(count)]
