"""A comparison while its panes stream side by side: CPU of the kernel, bytes for the browser, and its frames.

A real ipykernel runs the cells, this process is its front end, and the server has a process of its own. The baseline
reads the same streams in a cell and shows nothing. Where Chromium is installed, JupyterLab draws the panes once more.
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

from benchmarks.browser import running_page
from benchmarks.libraries import BARE, ON_AIOHTTP, ON_HTTPX2, make_environment
from benchmarks.runner import Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import make_prose

_CHUNKS, _PER_SECOND, _PANES = 3000, 150, (8, 12)
_SECONDS = _CHUNKS / _PER_SECOND
_PATIENCE, _REST = 60.0, 5.0  # seconds
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
    messages: float


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
        self._sent = self._messages = 0
        self._run("import json" + self._setup.format(root=root))

    def measure(self, panes: int) -> _Sample:
        """Stream into so many panes."""
        self._sent = self._messages = 0
        self._run(self._begin.format(panes=panes))
        printed = self._run(self._end)
        cpu, texts = json.loads(printed)
        if texts != ["".join(make_prose(_CHUNKS))] * panes:
            raise RuntimeError("unexpected answers in the kernel")
        return _Sample(cpu, self._sent - len(printed), self._messages)  # without what is only printed to be checked

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
        self._messages += 1
        message: dict[str, Any] = self._client.session.deserialize(self._client.session.feed_identities(frames)[1])
        return message

    def _open(self, comm: str) -> None:
        """Say what a view says when the page shows it."""
        content = {"comm_id": comm, "data": {"method": "custom", "content": {"type": "ready"}}}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))


def measure(rounds: int) -> Iterator[Row]:
    """Measure comparisons of one model with itself, once: a comparison takes 20 s."""
    with running_server() as host:
        root = f"{host}/prose{_CHUNKS}x{_PER_SECOND}"
        yield from _measure_kernels(root)
        yield from _measure_frames(root)


def _measure_kernels(root: str) -> Iterator[Row]:
    with ExitStack() as stack:
        kernels = {library: _Kernel(library, root) for library in (BARE, ON_HTTPX2, ON_AIOHTTP)}
        for kernel in kernels.values():
            stack.callback(kernel.close)
            kernel.measure(1)  # imports, and what is made once
        for panes in _PANES:
            works = {library: partial(kernel.measure, panes) for library, kernel in kernels.items()}
            samples = take_turns(works, 1, warm_up=False)
            cpu = {library: [sample.cpu for sample in taken] for library, taken in samples.items()}
            aim = "75 ms" if panes == 8 else ""
            yield make_row(f"{panes} panes, CPU in a second", f"{BARE}, no display", cpu, per=int(_SECONDS), aim=aim)
            shown = {library: taken for library, taken in samples.items() if library != BARE}
            sent = {library: [sample.sent for sample in taken] for library, taken in shown.items()}
            text = {"text": [float(panes * len("".join(make_prose(_CHUNKS))))]}
            aim = "600 kB" if panes == 8 else ""
            yield make_row(f"{panes} panes, bytes for the browser", "the texts", text | sent, unit="B", aim=aim)
            messages = {library: [sample.messages for sample in taken] for library, taken in shown.items()}
            pieces = {"pieces": [float(panes * _CHUNKS)]}
            yield make_row(f"{panes} panes, messages for the browser", "the chunks", pieces | messages, unit="")


def _measure_frames(root: str) -> Iterator[Row]:
    """Measure the longest frame of the page while it draws a comparison, beside that of the page at rest."""
    with running_page(_NBKIT.format(root=root), make_environment(ON_AIOHTTP)) as page:
        if page is None:
            return
        page.draw(_NBKIT_BEGIN.format(panes=1), 1)  # the widget's script is loaded once
        for panes in _PANES:
            frames = {"at rest": [page.rest(_REST)], ON_AIOHTTP: [page.draw(_NBKIT_BEGIN.format(panes=panes), panes)]}
            aim = "100 ms" if panes == 8 else "200 ms"
            yield make_row(f"{panes} panes, longest frame", "the page at rest", frames, aim=aim)
