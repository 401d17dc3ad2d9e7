"""One call after the other, in each protocol: a whole answer, and a chunk of a streamed one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.libraries import BARE, LIBRARIES, ON_AIOHTTP
from benchmarks.runner import Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import WIRES
from benchmarks.workers import Case, Worker, Workers, running_workers

_CALLS, _CHUNKS, _TURNS = 30, 1000, 4
_KINDS = {  # what it is called, how often it is done, parts of it, nbkit's aim
    "call": ("call", _CALLS, _CALLS, "1.25"),
    "stream": ("stream, a chunk", 1, _CHUNKS, "1.0"),
    "acall": ("async call", _CALLS, _CALLS, "1.25, aiohttp 0.7"),
    "astream": ("async stream, a chunk", 1, _CHUNKS, "1.0, aiohttp 0.5"),
}


def measure(rounds: int) -> Iterator[Row]:
    """Measure all libraries against a loop on httpx2 that reads lines and JSON."""
    with running_server() as root, running_workers() as workers:
        for protocol in WIRES:
            for kind, (name, times, parts, aim) in _KINDS.items():
                case = Case(protocol, kind, root, chunks=_CHUNKS, times=times)
                works = dict(_list_works(workers, case))
                samples = take_turns(works, _TURNS * rounds, seconds=0.7)  # the seconds stop what is slow
                yield make_row(f"{protocol}, {name}", BARE, samples, per=parts, aim=aim)


def _list_works(workers: Workers, case: Case) -> Iterator[tuple[str, partial[float]]]:
    for library in LIBRARIES:
        if library == ON_AIOHTTP and not case.kind.startswith("a"):  # which is for event loops only
            continue
        if worker := workers.get(library, case.protocol):
            yield library, partial(_measure_cpu, worker, case)


def _measure_cpu(worker: Worker, case: Case) -> float:
    return worker.measure(case).cpu
