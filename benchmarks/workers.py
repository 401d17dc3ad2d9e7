"""Processes that measure one library each: `python -m benchmarks.workers LIBRARY` does what it reads, line by line.

A library has a process of its own, so that what others import, patch and leave in memory does not cost it anything.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any

from benchmarks.libraries import MODULES, SDK, Calls, is_installed, make_calls, make_environment
from benchmarks.wires import WORDS, make_words

FIRST = 0.95
"""The quantile of the times to the first chunk."""


@dataclass(frozen=True, slots=True)
class Case:
    """Work to do: `times` calls one after the other, or `together`."""

    protocol: str
    kind: str
    """`call`, `stream`, `acall` or `astream`."""
    root: str
    """The URL of the server."""
    chunks: int = 0
    """Chunks of a stream."""
    per_second: int = 0
    """Chunks that a stream has in a second; 0 for all at once."""
    times: int = 1
    together: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """Times of the work, in seconds."""

    cpu: float
    wall: float
    first: float
    """Until 95% of the streams had their first chunk; 0 for calls one after the other."""


class Worker:
    """A process that measures one library."""

    def __init__(self, library: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.workers", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a library logs about its calls
            text=True,
            env=make_environment(library),
        )

    def measure(self, case: Case) -> Sample:
        """Do what a case says. Raises RuntimeError where a call fails, or its answer is not the server's."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if not stdin or not stdout:
            raise RuntimeError("the process has no pipes")
        stdin.write(json.dumps(asdict(case)) + "\n")
        stdin.flush()
        result = json.loads(stdout.readline() or '{"error": "the process has ended"}')
        if "error" in result:
            raise RuntimeError(result["error"])
        return Sample(**result)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Workers:
    """The workers of all libraries, each started when it is needed."""

    def __init__(self) -> None:
        self._workers: dict[tuple[str, str], Worker] = {}

    def get(self, library: str, protocol: str) -> Worker | None:
        """Return the worker for a library, or None where it is not installed or does not speak the protocol."""
        key = library, MODULES[protocol] if library == SDK else ""  # one process for one SDK
        if key not in self._workers and is_installed(library, protocol):
            self._workers[key] = Worker(library)
        return self._workers.get(key) if is_installed(library, protocol) else None

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()


@contextmanager
def running_workers() -> Iterator[Workers]:
    """Start workers when they are needed, and end them after the block."""
    workers = Workers()
    try:
        yield workers
    finally:
        workers.close()


# ---- in the worker's process


class _Program:
    def __init__(self, library: str, run: Callable[[Awaitable[Any]], Any]) -> None:
        self._library, self._run = library, run
        self._calls: dict[tuple[str, str], Calls] = {}

    def measure(self, case: Case) -> Sample:
        """Do what a case says."""
        root = f"{case.root}/{case.chunks}x{case.per_second}"
        key = case.protocol, root
        if key not in self._calls:
            self._calls[key] = self._run(self._make_calls(*key))
        calls, firsts = self._calls[key], list[float]()
        gc.collect()
        wall, cpu = perf_counter(), process_time()
        if case.together:
            texts = self._run(_stream_together(calls, case.times, firsts))
        elif case.kind.startswith("a"):
            texts = self._run(_repeat(calls.acall_text if case.kind == "acall" else calls.aread_stream, case.times))
        else:
            call = calls.call_text if case.kind == "call" else calls.read_stream
            texts = [call() for _ in range(case.times)]
        sample = Sample(process_time() - cpu, perf_counter() - wall, _find_quantile(firsts))
        expected = "".join(make_words(case.chunks if "stream" in case.kind else WORDS))
        for text in texts:
            if text != expected:
                raise RuntimeError(f"unexpected answer of {len(text)} characters: {text[:80]!r}")
        return sample

    async def _make_calls(self, protocol: str, root: str) -> Calls:
        return make_calls(self._library, protocol, root)


async def _repeat(call: Callable[[], Awaitable[str]], times: int) -> list[str]:
    return [await call() for _ in range(times)]


async def _stream_together(calls: Calls, times: int, firsts: list[float]) -> list[str]:
    started = perf_counter()
    return await asyncio.gather(
        *(calls.aread_stream(lambda: firsts.append(perf_counter() - started)) for _ in range(times))
    )


def _find_quantile(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * FIRST)] if seconds else 0.0


def main() -> None:
    """Do what standard input says, and write the samples to standard output."""
    warnings.simplefilter("ignore")
    output, sys.stdout = sys.stdout, sys.stderr  # a library may print
    with asyncio.Runner() as runner:
        program = _Program(sys.argv[1], runner.run)  # type: ignore[arg-type]
        for line in sys.stdin:
            try:
                result = asdict(program.measure(Case(**json.loads(line))))
            except Exception:  # noqa: BLE001  # it is raised in the other process
                result = {"error": traceback.format_exc()}
            output.write(json.dumps(result) + "\n")
            output.flush()


if __name__ == "__main__":
    main()
