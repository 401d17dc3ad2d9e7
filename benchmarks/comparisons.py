"""Comparisons with a server that fails a third of the requests: each pane has an end, each call a row, nothing is left.

`python -m benchmarks comparisons` asks 8 panes 200 times, prints what the server and the ledger counted and what the
process held before and after, and raises RuntimeError where the two differ or something has grown.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.libraries import ON_AIOHTTP, ON_HTTPX2, make_adapter, make_environment
from benchmarks.runner import Row, Value
from benchmarks.server import running_server
from benchmarks.soak import LIMITS, compare_figures, read_figures
from benchmarks.wires import WIRES
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.errors import AdapterError
from nbkit.settings import override

COMPARISONS, PANES = 200, 8
_LIMITS = LIMITS | {"objects": 200, "memory": 3_000_000}
_PATIENCE = 300.0
"""Seconds that a comparison may take before it counts as one that hangs."""


class Counts(NamedTuple):
    """What the panes, the ledger and the server say of the same calls."""

    calls: int
    """Panes that were asked."""
    ends: dict[str, int]
    """Panes by their end: `answer`, or the name of the error's class."""
    rows: dict[str, int]
    """Rows of the ledger by their status."""
    attempts: int
    """Requests of all rows."""
    server: dict[str, int]
    """Requests that the server has got, by what it did with them."""

    def check(self) -> None:
        """Raise RuntimeError where they contradict each other."""
        ends, rows, server = self.ends, self.rows, self.server
        requests, resets = sum(server.values()), server.get("reset", 0)
        facts = {
            "every pane has an end": sum(ends.values()) == self.calls,
            "every call has one row": sum(rows.values()) == self.calls,
            "every whole answer of the server is one, and booked as one": server["whole"]
            == ends["answer"]
            == rows["done"],
            "every answer that broke off is booked in part": server["cut"] == ends["StreamError"] == rows["partial"],
            # a kept connection that is lost is tried again at once: that is not an attempt
            "every request is an attempt": self.attempts <= requests <= self.attempts + resets,
        }
        if wrong := [fact for fact, holds in facts.items() if not holds]:
            raise RuntimeError(f"not true that {'; '.join(wrong)}: {self}")


def run_comparisons(root: str, number: int) -> Counts:
    """Ask so many times; the ledger is a new one."""
    import nbkit

    before = _read_tally(root)
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, override(ledger=str(Path(folder) / "ledger.sqlite3")):
        for _ in range(number):
            protocols = islice(cycle(WIRES), PANES)
            panel = Panel([make_adapter(protocol, f"{root}/third") for protocol in protocols]).ask("Hi")
            panel.wait(_PATIENCE)
            for pane in panel.panes:
                error = pane.answers[-1].error
                if error is not None and not isinstance(error, AdapterError):
                    raise error
                ends["answer" if error is None else type(error).__name__] += 1
        ledger = nbkit.ledger()
    server = Counter(_read_tally(root)) - Counter(before)
    return Counts(number * PANES, ends, Counter(ledger["status"]), int(ledger["attempts"].sum()), server)


def _read_tally(root: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{root}/tally") as reply:  # noqa: S310  # our own server
        tally: dict[str, int] = json.load(reply)
        return tally


def measure(rounds: int) -> Iterator[Row]:
    """Measure on both engines; `rounds` is of no use here."""
    grown: list[str] = []
    with running_server() as root:
        for library in (ON_HTTPX2, ON_AIOHTTP):
            environment = make_environment(library) | {"NBKIT_MAX_RETRIES": "2", "NBKIT_RETRY_WAIT": "0.01"}
            command = [sys.executable, "-m", "benchmarks.comparisons", root]
            output = subprocess.run(command, env=environment, text=True, check=True, stdout=subprocess.PIPE).stdout
            before, after, *counts = json.loads(output)
            for name, counted in zip(("panes", "rows", "requests"), counts, strict=True):
                for kind, number in counted.items():
                    yield Row(f"{library}: {name}, {kind}", "before", {"after": Value(number)}, "", "")
            yield from compare_figures(library, before, after, _LIMITS, grown)
    if grown:
        raise RuntimeError("; ".join(grown))


def main() -> None:
    """Run comparisons; print the figures before and after, and what was counted."""
    root = sys.argv[1]
    run_comparisons(root, 2 * COMPARISONS)  # until then the allocator's blocks fill up
    before = _read_rest()
    counts = run_comparisons(root, COMPARISONS)
    counts.check()
    sys.stdout.write(json.dumps([before, _read_rest(), counts.ends, counts.rows, counts.server]))


def _read_rest() -> dict[str, Any]:
    """Read what is left once the event loop of all comparisons is over."""
    portal.stop()
    gc.collect()
    return {"objects": len(gc.get_objects())} | read_figures()


if __name__ == "__main__":
    main()
