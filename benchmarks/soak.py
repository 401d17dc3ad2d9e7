"""Many calls, streams, errors and event loops on each engine: nothing may be left of them.

`python -m benchmarks soak` prints sockets, threads, descriptors and memory before and after, and raises RuntimeError
where they are not flat. A round of everything goes before, so that caches are filled.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle, islice
from typing import Any

import psutil

from benchmarks.libraries import ON_AIOHTTP, ON_HTTPX2, make_adapter, make_environment
from benchmarks.runner import Row, Value
from benchmarks.server import running_server
from benchmarks.tables import format_amount
from benchmarks.wires import WIRES, WORDS, make_words
from nbkit.errors import NbkitError

CALLS, STREAMS, ERRORS, LOOPS = 5000, 2000, 2000, 200
LIMITS = {"sockets": 0, "threads": 0, "descriptors": 0, "memory": 1_000_000}
"""By how much a figure may grow; memory in bytes."""
_MODES = {"sync": ON_HTTPX2, ON_HTTPX2: ON_HTTPX2, ON_AIOHTTP: ON_AIOHTTP}
_CHUNKS = 20
_WHOLE, _STREAM = "".join(make_words(WORDS)), "".join(make_words(_CHUNKS))


def measure(rounds: int) -> Iterator[Row]:
    """Measure calls from threads, and in event loops on both engines; `rounds` is of no use here."""
    grown: list[str] = []
    with running_server() as root:
        for mode, library in _MODES.items():
            command = [sys.executable, "-m", "benchmarks.soak", mode, root]
            output = subprocess.check_output(command, env=make_environment(library), text=True)
            before, after = json.loads(output)
            yield from compare_figures(mode, before, after, LIMITS, grown)
    if grown:
        raise RuntimeError("; ".join(grown))


def compare_figures(
    mode: str, before: dict[str, int], after: dict[str, int], limits: dict[str, int], grown: list[str]
) -> Iterator[Row]:
    """Make a row of each figure that has a limit; `grown` gets a sentence for each that has grown by more."""
    for figure, limit in limits.items():
        values = {"before": Value(before[figure]), "after": Value(after[figure])}
        unit = "B" if figure == "memory" else ""
        yield Row(f"{mode}: {figure}", "before", values, f"+{format_amount(limit, unit)}", unit)
        if after[figure] - before[figure] > limit:
            grown.append(f"{mode}: {figure} grew from {before[figure]:,} to {after[figure]:,}")


# ---- in the process that is measured


class _Load:
    """Calls of one model in each protocol, one after the other."""

    def __init__(self, root: str) -> None:
        scripts = (f"{_CHUNKS}x0",), ("400", "cut")
        self._good, self._bad = (
            cycle([make_adapter(protocol, f"{root}/{script}") for script in group for protocol in WIRES])
            for group in scripts
        )

    def call(self) -> None:
        """Make a call."""
        _check(next(self._good).execute("Hi").text, _WHOLE)

    async def acall(self) -> None:
        """`call` in an event loop."""
        _check((await next(self._good).aexecute("Hi")).text, _WHOLE)

    def stream(self, leave: bool = False) -> None:
        """Read a stream; `leave` it after the first chunk."""
        with next(self._good).stream("Hi") as stream:
            text = "".join(chunk.text for chunk in (islice(stream, 1) if leave else stream))
        _check(text, text if leave else _STREAM)

    async def astream(self, leave: bool = False) -> None:
        """`stream` in an event loop."""
        texts = []
        async with next(self._good).astream("Hi") as stream:
            async for chunk in stream:
                texts.append(chunk.text)
                if leave:
                    return
        _check("".join(texts), _STREAM)

    def fail(self) -> None:
        """Read a stream that is refused or breaks off."""
        try:
            with next(self._bad).stream("Hi") as stream:
                for _ in stream:
                    pass
        except NbkitError:
            return
        raise RuntimeError("no error where one was expected")

    async def afail(self) -> None:
        """`fail` in an event loop."""
        try:
            async with next(self._bad).astream("Hi") as stream:
                async for _ in stream:
                    pass
        except NbkitError:
            return
        raise RuntimeError("no error where one was expected")


def _run_sync(load: _Load, part: float) -> None:
    for _ in range(round(CALLS * part)):
        load.call()
    for number in range(round(STREAMS * part)):
        load.stream(leave=number % 4 == 0)
    for _ in range(round(ERRORS * part)):
        load.fail()
    for _ in range(round(LOOPS * part)):
        thread = threading.Thread(target=load.call)
        thread.start()
        thread.join()


def _run_async(load: _Load, part: float) -> None:
    async def run() -> None:
        await _run_together(lambda _: load.acall(), round(CALLS * part))
        await _run_together(lambda number: load.astream(leave=number % 4 == 0), round(STREAMS * part))
        await _run_together(lambda _: load.afail(), round(ERRORS * part))

    async def call_once() -> None:
        await load.acall()
        await load.astream(leave=True)

    asyncio.run(run())
    for _ in range(round(LOOPS * part)):
        asyncio.run(call_once())


async def _run_together(start: Callable[[int], Awaitable[None]], number: int) -> None:
    """Run all, ten at a time."""
    for first in range(0, number, 10):
        await asyncio.gather(*(start(index) for index in range(first, min(first + 10, number))))


def _check(text: str, expected: str) -> None:
    if text != expected:
        raise RuntimeError(f"unexpected answer: {text[:80]!r}")


def read_figures() -> dict[str, Any]:
    """Read what this process holds now."""
    gc.collect()
    process = psutil.Process()
    return {
        "sockets": len(process.net_connections()),
        "threads": process.num_threads(),
        "descriptors": process.num_fds(),
        "memory": process.memory_info().rss,
    }


def main() -> None:
    """Put a load on one mode of calling; print the figures before and after."""
    mode, root = sys.argv[1:]
    run, load = _run_sync if mode == "sync" else _run_async, _Load(root)
    run(load, 0.5)
    before = read_figures()
    run(load, 1)
    sys.stdout.write(json.dumps([before, read_figures()]))


if __name__ == "__main__":
    main()
