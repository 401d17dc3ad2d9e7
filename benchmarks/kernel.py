"""The kernel's part of a comparison: CPU, and bytes for the browser, while panes stream side by side.

A real ipykernel runs the cells, this process is its front end, and the server has a process of its own. The baseline
reads the same streams in a cell and shows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from jupyter_client.manager import KernelManager

from benchmarks.libraries import BARE, ON_AIOHTTP, ON_HTTPX2, make_environment
from benchmarks.runner import Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import make_words

_CHUNKS, _PER_SECOND, _PANES = 200, 100, (8, 12)
_SECONDS = _CHUNKS / _PER_SECOND
_PATIENCE = 60.0  # seconds
_VIEW = "application/vnd.jupyter.widget-view+json"

_BARE = """
import asyncio, httpx2, time
from benchmarks.libraries import make_calls
calls = make_calls("bare httpx2", "openai-chat", {root!r})
async def compare(panes):
    return await asyncio.gather(*(calls.aread_stream() for _ in range(panes)))
"""
_BARE_BEGIN = "start = time.process_time(); texts = await compare({panes})"
_BARE_END = "print(json.dumps([time.process_time() - start, texts]))"

_NBKIT = """
import time, nbkit
adapter = nbkit.get_adapter("openai/gpt-4o-mini", base_url="{root}/v1", protocol="openai-chat", api_key="none")
"""
_NBKIT_BEGIN = "start = time.process_time(); answers = nbkit.compare('Hi', [adapter] * {panes}); answers"
_NBKIT_END = """
answers.wait()
if answers.errors: raise next(iter(answers.errors.values()))
texts = [completion.text for completion in answers.completions.values()]
print(json.dumps([time.process_time() - start, texts]))
"""


@dataclass(frozen=True, slots=True)
class _Sample:
    cpu: float
    sent: float
    """Bytes that the kernel published."""


class _Kernel:
    """A kernel and its front end."""

    def __init__(self, library: str, root: str) -> None:
        self._setup, self._begin, self._end = (
            (_BARE, _BARE_BEGIN, _BARE_END) if library == BARE else (_NBKIT, _NBKIT_BEGIN, _NBKIT_END)
        )
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(
            env=make_environment(library) | {"NBKIT_LIVE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            cwd=Path.cwd(),
            stdout=DEVNULL,
            stderr=DEVNULL,  # warnings about its transport
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_PATIENCE)
        self._sent = 0
        self._run("import json" + self._setup.format(root=root))

    def measure(self, panes: int) -> _Sample:
        """Stream into so many panes."""
        self._sent = 0
        self._run(self._begin.format(panes=panes))
        cpu, texts = json.loads(self._run(self._end))
        if texts != ["".join(make_words(_CHUNKS))] * panes:
            raise RuntimeError("unexpected answers in the kernel")
        return _Sample(cpu, self._sent)

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _run(self, code: str) -> str:
        """Run a cell, and open the widgets that it shows; what it printed."""
        cell, printed = self._client.execute(code, store_history=False), ""
        while True:
            message = self._receive()
            content = message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                printed += content["text"]
            if message["msg_type"] == "display_data" and (view := content["data"].get(_VIEW)):
                self._open(view["model_id"])
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed

    def _receive(self) -> dict[str, Any]:
        """Wait for the next message that the kernel publishes, and count its bytes."""
        socket = self._client.iopub_channel.socket
        if not socket.poll(_PATIENCE * 1000):
            raise TimeoutError(f"the kernel said nothing for {_PATIENCE:g} s")
        frames = socket.recv_multipart()
        self._sent += sum(map(len, frames))
        message: dict[str, Any] = self._client.session.deserialize(self._client.session.feed_identities(frames)[1])
        return message

    def _open(self, comm: str) -> None:
        """Say what a view says when the page shows it."""
        content = {"comm_id": comm, "data": {"method": "custom", "content": {"type": "ready"}}}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))


def measure(rounds: int) -> Iterator[Row]:
    """Measure comparisons of one model with itself."""
    with ExitStack() as stack:
        root = f"{stack.enter_context(running_server())}/{_CHUNKS}x{_PER_SECOND}"
        kernels = {library: _Kernel(library, root) for library in (BARE, ON_HTTPX2, ON_AIOHTTP)}
        for kernel in kernels.values():
            stack.callback(kernel.close)
            kernel.measure(1)  # imports, and what is made once
        for panes in _PANES:
            works = {library: partial(kernel.measure, panes) for library, kernel in kernels.items()}
            samples = take_turns(works, min(rounds, 2), seconds=10, warm_up=False)
            cpu = {library: [sample.cpu for sample in taken] for library, taken in samples.items()}
            sent = {library: [sample.sent for sample in taken] for library, taken in samples.items() if library != BARE}
            yield make_row(f"{panes} panes, CPU in a second", f"{BARE}, no display", cpu, per=int(_SECONDS))
            text = {"text": [float(panes * len("".join(make_words(_CHUNKS))))] * min(rounds, 2)}
            yield make_row(f"{panes} panes, bytes for the browser", "the texts", text | sent, unit="B")
