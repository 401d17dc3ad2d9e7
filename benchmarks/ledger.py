"""What the ledger adds to a call: the same calls with it, to a file, and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nbkit
from benchmarks.runner import BASELINE, NBKIT, Row, Timed, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import WIRES
from nbkit.settings import override

_CALLS = 100


def measure(rounds: int) -> Iterator[Row]:
    """Measure whole answers of chat completions, each of which is in the file when its call returns."""
    with running_server() as root, TemporaryDirectory() as folder:
        wire = WIRES["openai-chat"]
        adapter = nbkit.get_adapter(f"{wire.provider}/{wire.model}", base_url=f"{root}/20x0{wire.base}", api_key="x")

        def call() -> None:
            for _ in range(_CALLS):
                adapter.execute("Hi")

        def call_unbooked() -> None:
            with override(ledger="off"):
                call()

        with override(ledger=str(Path(folder) / "ledger.sqlite3")):
            samples = take_turns({"off": Timed(call_unbooked), "on": Timed(call)}, rounds)
        added = [on - off for off, on in zip(samples["off"], samples["on"], strict=False)]
        yield make_row(
            "the row of a call", "the call", {BASELINE: samples["off"], NBKIT: added}, per=_CALLS, aim="0.1 ms"
        )
