"""JupyterLab in Chromium, and how long its frames are while a cell's output is drawn."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

_PATIENCE = 120.0  # seconds
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_KERNEL = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
_RUN = """index => {
    jupyterapp.shell.currentWidget.content.activeCellIndex = index;
    return jupyterapp.commands.execute("notebook:run-cell");
}"""
_RECORD = """() => {
    const record = (window.record = { longest: 0, running: true });
    let last = performance.now();
    const tick = (now) => {
        record.longest = Math.max(record.longest, now - last);
        last = now;
        if (record.running) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
}"""
_STOP = "() => { record.running = false; return record.longest / 1000; }"
_DRAWN = """panes => {
    const ended = document.querySelectorAll(".nbk-pane:is([data-status=done], [data-status=failed])");
    return ended.length === panes && !document.querySelector(".nbk-live [aria-busy=true]");
}"""


class Page:
    """A notebook in a tab: its first cell has run, its second is written anew for each measurement."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def rest(self, seconds: float) -> float:
        """Return the longest frame, in seconds, while nothing happens for so many seconds."""
        self._page.evaluate(_RECORD)
        self._page.wait_for_timeout(1000 * seconds)
        longest: float = self._page.evaluate(_STOP)
        return longest

    def draw(self, code: str, panes: int) -> float:
        """Run code that shows a comparison; return the longest frame, in seconds, until its panes have ended."""
        source = "code => jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel.setSource(code)"
        self._page.evaluate(source, code)
        self._page.evaluate(_RECORD)
        self._page.evaluate(_RUN, 1)
        self._page.wait_for_function(_DRAWN, arg=panes)
        longest: float = self._page.evaluate(_STOP)
        return longest


@contextmanager
def running_page(setup: str, environment: Mapping[str, str]) -> Iterator[Page | None]:
    """Open a notebook whose first cell is `setup`; None where this machine has no Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        _running_lab(Path(home), setup, environment) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(1000 * _PATIENCE)
        page.goto(url)
        page.wait_for_function(_KERNEL)
        page.evaluate(_RUN, 0)
        yield Page(page)
        browser.close()


@contextmanager
def _running_lab(home: Path, setup: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run JupyterLab with directories of its own; yields the address of the notebook."""
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [blank | {"id": "setup", "source": setup}, blank | {"id": "drawn", "source": ""}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (home / "drawn.ipynb").write_text(json.dumps(notebook), "utf-8")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=drawn", f"--ServerApp.root_dir={home}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "NBKIT_LIVE": "1", "PYTHONPATH": str(Path.cwd())}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=dict(environment) | places, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/status?token=drawn")
            yield f"http://127.0.0.1:{port}/lab/tree/drawn.ipynb?token=drawn"
        finally:
            process.terminate()  # which ends its kernels


def _wait_for(url: str) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            urlopen(url, timeout=_PATIENCE).close()  # noqa: S310 - our own server
            return
        except (URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
