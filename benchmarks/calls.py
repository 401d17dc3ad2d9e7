"""One call after the other, in each protocol: a whole answer, and a chunk of a streamed one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.libraries import BARE, LITELLM, ON_AIOHTTP, ON_HTTPX2, SDK
from benchmarks.runner import Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import WIRES
from benchmarks.workers import Case, Worker, Workers, running_workers

_CALLS, _CHUNKS = 30, 1000
_WAYS = {  # what it is called, how often it is done, parts of it, nbkit's aim
    "call": ("call", _CALLS, _CALLS, "1.25"),
    "stream": ("stream, a chunk", 1, _CHUNKS, "1.0"),
    "acall": ("async call", _CALLS, _CALLS, "1.25, aiohttp 0.7"),
    "astream": ("async stream, a chunk", 1, _CHUNKS, "1.0, aiohttp 0.5"),
}


def measure(rounds: int) -> Iterator[Row]:
    """Measure all libraries against a loop on httpx2 that reads lines and JSON."""
    with running_server() as root, running_workers() as workers:
        for protocol in WIRES:
            for way, (name, times, parts, aim) in _WAYS.items():
                case = Case(protocol, way, root, chunks=_CHUNKS, times=times)
                samples = take_turns(dict(_list_works(workers, case)), rounds, seconds=1)
                yield make_row(f"{protocol}, {name}", BARE, samples, per=parts, aim=aim)


def _list_works(workers: Workers, case: Case) -> Iterator[tuple[str, partial[float]]]:
    for library in (BARE, ON_HTTPX2, *((ON_AIOHTTP,) if case.way.startswith("a") else ()), SDK, LITELLM):
        if worker := workers.get(library, case.protocol):
            yield library, partial(_measure_cpu, worker, case)


def _measure_cpu(worker: Worker, case: Case) -> float:
    return worker.measure(case).cpu
