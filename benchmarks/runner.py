"""Measures work and its baseline in turns, so that a change of the machine's speed hits both.

Figures are medians over the rounds, and a ratio is the median of the rounds' ratios. Times are CPU time, which leaves
out what other processes do meanwhile, unless a row names another.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TypeVar

ROUNDS = 11
SECONDS = 2.0
"""Seconds after which work takes part in no further round: a slow library has fewer of them."""
BASELINE = "baseline"
NBKIT = "nbkit"

_PROGRAM = """
import time
{setup}
started = time.process_time()
{code}
print(time.process_time() - started)
"""
T = TypeVar("T")
Work = Callable[[], float]
"""Does something once, and returns the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Code to run in a new process each time, without network and with an empty cache.

    `setup` runs before the clock starts. The code may print a number of seconds of its own and raise SystemExit.
    """

    code: str
    setup: str = ""

    def __call__(self) -> float:
        """Run the code; seconds of CPU time."""
        with TemporaryDirectory() as cache:
            environment = os.environ | {"NBKIT_CACHE_DIR": cache, "PYTHONDONTWRITEBYTECODE": ""}
            command = [sys.executable, "-c", _PROGRAM.format(setup=self.setup, code=self.code)]
            output = subprocess.check_output(command, env=environment, text=True, stderr=subprocess.DEVNULL)
            return float(output.split()[-1])


@dataclass(frozen=True, slots=True)
class Timed:
    """A function that is called in this process."""

    function: Callable[[], object]

    def __call__(self) -> float:
        """Call the function; seconds of CPU time, of all threads together."""
        started = process_time()
        self.function()
        return process_time() - started


@dataclass(frozen=True, slots=True)
class Value:
    """A median, in the unit of its row, and the median of its ratios to the baseline where that says something."""

    amount: float
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. `values` by column, the baseline's first."""

    what: str
    baseline: str
    values: Mapping[str, Value]
    aim: str = ""
    """The bound that nbkit has set itself: of the ratio, or of the time with a unit; "" for none."""
    unit: str = "s"
    """Seconds, `B` for bytes, or "" for a plain number."""

    def keep(self, columns: Collection[str]) -> Row:
        """Return the row with some of its columns only."""
        return replace(self, values={name: value for name, value in self.values.items() if name in columns})


def compare(
    what: str, work: Work, baseline: str, other: Work, rounds: int, *, aim: str = "", seconds: float = SECONDS
) -> Row:
    """Measure work of nbkit beside its baseline."""
    samples = take_turns({BASELINE: other, NBKIT: work}, rounds, seconds=seconds)
    return make_row(what, baseline, samples, aim=aim)


def take_turns(
    works: Mapping[str, Callable[[], T]], rounds: int, *, seconds: float = SECONDS, warm_up: bool = True
) -> dict[str, list[T]]:
    """Do all works in turns, at most `rounds` times; the samples of each.

    Work that has taken `seconds` takes part in no further round, but the first as long as any other does.
    """
    for work in works.values() if warm_up else ():
        work()  # whatever is made only once is not part of it
    first, *others = works
    samples: dict[str, list[T]] = {name: [] for name in works}
    spent = dict.fromkeys(works, 0.0)
    for _ in range(rounds):
        for name in (first, *others):
            started = perf_counter()
            samples[name].append(works[name]())
            spent[name] += perf_counter() - started
        others = [name for name in others if spent[name] < seconds]
        if not others:
            break
    return samples


def make_row(
    what: str, baseline: str, samples: Mapping[str, Sequence[float]], *, per: int = 1, aim: str = "", unit: str = "s"
) -> Row:
    """Make the row of some samples, the baseline's first; it is about one of the `per` equal parts of each."""
    first = next(iter(samples.values()))
    values = {
        name: Value(median(amounts) / per, median(one / two for one, two in zip(amounts, first, strict=False)))
        for name, amounts in samples.items()
    }
    return Row(what, baseline, values, aim, unit)
