"""Many streams at once in one event loop: 200 chunks each, 100 a second, so that the fastest need two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.libraries import BARE, LIBRARIES
from benchmarks.runner import Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.workers import Case, running_workers

_CHUNKS, _PER_SECOND = 200, 100
_LIBRARIES = {100: LIBRARIES, 500: LIBRARIES[:-1]}  # litellm would need two minutes for 500
_AIMS = {(500, "wall"): "4.0 s on aiohttp", (500, "first"): "1 s on aiohttp"}
_FIGURES = {"wall": "wall time", "cpu": "CPU", "first": "first chunk (95%), wall time"}


def measure(rounds: int) -> Iterator[Row]:
    """Measure streams of OpenAI's chat protocol; every text is checked."""
    with running_server() as root, running_workers() as workers:
        for number, libraries in _LIBRARIES.items():
            case = Case("openai-chat", "astream", root, _CHUNKS, _PER_SECOND, number, together=True)
            works = {
                library: worker.measure for library in libraries if (worker := workers.get(library, case.protocol))
            }
            for work in works.values():  # imports, and what is made once
                work(replace(case, times=1))
            turns = {library: partial(work, case) for library, work in works.items()}
            samples = take_turns(turns, min(rounds, 3), seconds=4, warm_up=False)
            for figure, name in _FIGURES.items():
                amounts = {library: [getattr(sample, figure) for sample in taken] for library, taken in samples.items()}
                yield make_row(f"{number} streams, {name}", BARE, amounts, aim=_AIMS.get((number, figure), ""))
