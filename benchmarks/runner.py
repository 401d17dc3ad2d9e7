"""CPU time of work and its baseline, measured in turns, so that a change of the machine's speed hits both.

Times are medians over the rounds, and a ratio is the median of the rounds' ratios. CPU time leaves out what other
processes do meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

_ROUNDS = 15
_FRESH_ROUNDS = 7
_PROGRAM = """
import time
{setup}
started = time.process_time()
{code}
print(time.process_time() - started)
"""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Code to run in a new process each time; `setup` runs before the clock starts.

    The code may print a number of seconds of its own and raise SystemExit.
    """

    code: str
    setup: str = ""


Work = Fresh | Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; times in seconds."""

    what: str
    seconds: float
    baseline: str
    baseline_seconds: float
    ratio: float
    aim: str
    """The bound that nbkit has set itself: of the ratio, or of the CPU time with a unit; "" for none."""


def compare(what: str, work: Work, baseline: str, other: Work, *, per: int = 1, aim: str = "") -> Row:
    """Measure work beside its baseline; the row is about one of the `per` equal parts of a call."""
    measure(work), measure(other)  # whatever is made only once is not part of it
    rounds = _FRESH_ROUNDS if isinstance(work, Fresh) else _ROUNDS
    pairs = [(measure(work), measure(other)) for _ in range(rounds)]
    seconds, baseline_seconds = (median(column) / per for column in zip(*pairs, strict=True))
    return Row(what, seconds, baseline, baseline_seconds, median(one / two for one, two in pairs), aim)


def measure(work: Work) -> float:
    """Measure one round; seconds of CPU time, of all threads together."""
    if isinstance(work, Fresh):
        return _measure_fresh(work)
    started = process_time()
    work()
    return process_time() - started


def _measure_fresh(work: Fresh) -> float:
    """Run a new process, without network and with an empty cache."""
    with TemporaryDirectory() as cache:
        environment = os.environ | {"NBKIT_OFFLINE": "1", "NBKIT_CACHE_DIR": cache, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", _PROGRAM.format(setup=work.setup, code=work.code)]
        return float(subprocess.check_output(command, env=environment, text=True).split()[-1])
