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

_CHUNKS, _PER_SECOND, _PANES, _MANY = 3000, 150, 8, 12
_WARM_UP = 150  # chunks of the first comparison, which loads what is loaded once
_SECONDS = _CHUNKS / _PER_SECOND
_PATIENCE, _REST = 60.0, 5.0  # seconds
_VIEW = "application/vnd.jupyter.widget-view+json"

_BARE = """
import asyncio, httpx2, time
from benchmarks.libraries import make_calls
async def compare(root, panes):
    calls = make_calls("bare httpx2", "openai-chat", root)
    return await asyncio.gather(*(calls.aread_stream() for _ in range(panes)))
"""
_BARE_BEGIN = "start = time.process_time(); texts = await compare({root!r}, {panes})"
_BARE_END = "print(json.dumps([time.process_time() - start, texts]))"

_NBKIT = """
import time, nbkit
def get_adapter(root):
    return nbkit.get_adapter("openai/gpt-4o-mini", base_url=root + "/v1", protocol="openai-chat", api_key="none")
"""
_NBKIT_BEGIN = """
start = time.process_time()
answers = nbkit.compare("Hi", [get_adapter({root!r})] * {panes})
answers
"""
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

    def __init__(self, library: str, host: str) -> None:
        self._host = host
        setup, self._begin, self._end = (
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
        self._run("import json" + setup)

    def measure(self, panes: int, chunks: int = _CHUNKS) -> _Sample:
        """Stream so many chunks into so many panes."""
        self._sent = self._messages = 0
        self._run(self._begin.format(root=_make_root(self._host, chunks), panes=panes))
        printed = self._run(self._end)
        cpu, texts = json.loads(printed)
        if texts != ["".join(make_prose(chunks))] * panes:
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


def _make_root(host: str, chunks: int) -> str:
    return f"{host}/prose{chunks}x{_PER_SECOND}"


def measure(rounds: int) -> Iterator[Row]:
    """Measure comparisons of one model with itself, once: a comparison takes 20 s, all of it about two minutes."""
    with running_server() as host:
        yield from _measure_kernels(host)
        yield from _measure_frames(host)


def _measure_kernels(host: str) -> Iterator[Row]:
    with ExitStack() as stack:
        kernels = {library: _Kernel(library, host) for library in (BARE, ON_HTTPX2, ON_AIOHTTP)}
        for kernel in kernels.values():
            stack.callback(kernel.close)
            kernel.measure(1, _WARM_UP)
        works = {library: partial(kernel.measure, _PANES) for library, kernel in kernels.items()}
        samples = take_turns(works, 1, warm_up=False)
    cpu = {library: [sample.cpu for sample in taken] for library, taken in samples.items()}
    title = f"{_PANES} panes"
    yield make_row(f"{title}, CPU in a second", f"{BARE}, no display", cpu, per=int(_SECONDS), aim="75 ms")
    shown = {library: taken for library, taken in samples.items() if library != BARE}
    sent = {library: [sample.sent for sample in taken] for library, taken in shown.items()}
    text = {"text": [float(_PANES * len("".join(make_prose(_CHUNKS))))]}
    yield make_row(f"{title}, bytes for the browser", "the texts", text | sent, unit="B", aim="600 kB")
    messages = {library: [sample.messages for sample in taken] for library, taken in shown.items()}
    pieces = {"pieces": [float(_PANES * _CHUNKS)]}
    yield make_row(f"{title}, messages for the browser", "the chunks", pieces | messages, unit="")


def _measure_frames(host: str) -> Iterator[Row]:
    """Measure the longest frame of the page while it draws a comparison, beside that of the page at rest."""
    with running_page(_NBKIT, make_environment(ON_AIOHTTP)) as page:
        if page is None:
            return
        page.draw(_NBKIT_BEGIN.format(root=_make_root(host, _WARM_UP), panes=1), 1)
        for panes, aim in ((_PANES, "100 ms"), (_MANY, "200 ms")):
            begin = _NBKIT_BEGIN.format(root=_make_root(host, _CHUNKS), panes=panes)
            frames = {"at rest": [page.rest(_REST)], ON_AIOHTTP: [page.draw(begin, panes)]}
            yield make_row(f"{panes} panes, longest frame", "the page at rest", frames, aim=aim)
