"""JupyterLab in Chromium: a server on a free port of 127.0.0.1, with directories of its own, and a page with a
notebook in it."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import scripted_models

PATIENCE = scripted_models.PATIENCE
"""Seconds after which what is waited for has failed: a busy machine may need ten times as long as a quiet one."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "docmanager-extension/plugin": {"autosave": False},
}
JUPYTERLABS_OWN = "Could not restore the debugger state"  # where a kernel ends while it is asked for it
STATUS = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running JupyterLab: its address with the token, and the directory of its notebooks."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's `chromium` to run the browser tests")
    home = tmp_path_factory.mktemp("lab")
    names = ("config", "data", "runtime", "ipython", "settings", "workspaces", "cache", "notebooks")
    for name in names:
        (home / name).mkdir()
    for plugin, values in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={home / 'notebooks'}", "--LabApp.expose_app_in_browser=True"]
    command += ["--JupyterNotebookApp.expose_app_in_browser=True"]  # it serves Notebook 7 too
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=_environment(home), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", process, home / "log")
            yield f"http://127.0.0.1:{port}/lab/workspaces/{{0}}/tree/{{0}}.ipynb?token={token}", home / "notebooks"
        finally:
            _end(process)


def _end(process):
    process.terminate()  # which shuts its kernels down
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:  # jupyter_server may hang there when a kernel ends at the same moment
        process.kill()
        process.wait()


def _environment(home):
    return os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "NBKIT_OFFLINE": "1",
        "NBKIT_CACHE_DIR": str(home / "cache"),
        "NBKIT_DEMO_TOKENS_PER_SECOND": "150",
        "PYTHONPATH": str(Path(scripted_models.__file__).parent),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _wait_for(url, process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            return urlopen(url, timeout=PATIENCE).close()  # noqa: S310 - our own server
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")  # while Playwright runs, so does an event loop in this thread
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's `chromium` to run the browser tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS, timeout=1000 * PATIENCE)
        yield chromium
        chromium.close()


class Lab:
    """A notebook in a tab. `errors`: the errors of the console. `abroad`: requests to other hosts."""

    def __init__(self, browser, server):
        self._url, self.directory = server
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(1000 * PATIENCE)
        self.errors, self.abroad = [], []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._watch)

    def _note(self, message):
        if message.type == "error" and not message.text.startswith(JUPYTERLABS_OWN):
            self.errors.append(message.text)

    def _watch(self, request):
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.abroad.append(request.url)

    def open(self, *cells):
        """Open a new notebook with these cells, in a workspace of its own: JupyterLab reopens what was open in one."""
        name = secrets.token_hex(4)
        self.file = self.directory / f"{name}.ipynb"
        blank = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        notebook = {
            "cells": [blank | {"id": f"c{index}", "source": source} for index, source in enumerate(cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        self.file.write_text(json.dumps(notebook))
        self.page.goto(self._url.format(name))
        self.until(f"() => ({STATUS})() === 'idle'")

    def until(self, condition, value=None):
        """Wait for a JavaScript function, which is given `value`, to return something true."""
        self.page.wait_for_function(condition, arg=value)

    def until_kept(self, answers):
        """Wait until the static twin, which is renewed after the live panes, has so many answers with their costs."""
        costs = "twin => (twin.textContent.match(/ cost \\$/g) || []).length"
        self.until(
            f"answers => [...document.querySelectorAll('.nbk-static')].some(t => ({costs})(t) >= answers)", answers
        )

    def run(self, cell=None):
        """Run all cells, or one, without waiting."""
        command = "notebook:run-all-cells" if cell is None else "notebook:run-cell"
        if cell is not None:
            self.page.evaluate("index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index }", cell)
        self.page.evaluate("name => { jupyterapp.commands.execute(name) }", command)

    def save(self):
        """Save, and read the file."""
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        return json.loads(self.file.read_text())

    def close(self):
        self.page.evaluate("() => jupyterapp.shell.currentWidget?.sessionContext?.shutdown()")
        self.page.close(run_before_unload=False)


@pytest.fixture
def lab(browser, server):
    lab = Lab(browser, server)
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def shared_lab(browser, server):
    lab = Lab(browser, server)
    yield lab
    lab.close()
