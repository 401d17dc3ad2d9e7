"""Cells of a notebook, and what they show: one static twin for several comparisons, until the cell runs again.

JupyterLab shows 50 outputs of a cell, and keeps what has no output: a widget lives until it is closed. So a twin serves
several screens, and what a cell has shown is let go when it runs again: its answers are then kept only by who holds
the comparison.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from nbkit.bulk import portal

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo

Bundle = dict[str, str]

_MOST, _LONG = 10, 50_000  # screens of a twin, and characters after which no further one joins: it is sent as a whole
_PAUSE = 0.5  # seconds in which the ends of several screens make one renewal
_MARKS = {"text/html": "\n", "text/plain": "\n\n"}
# Front ends that show each output in a frame of its own, where the widget's style cannot hide the static twin.
_APART = ("VSCODE_PID", "COLAB_RELEASE_TAG")
# What JupyterLab shows below it when the notebook is reopened: "Error displaying widget: model not found".
_HIDE_LOST_WIDGET = "<style>.jp-OutputArea:has(.nbk-static) .jupyter-widgets:not(:has(*)){display:none}</style>"


class Leaving(Protocol):
    """A screen, as far as a cell knows it."""

    def leave(self, twin: Twin) -> None:
        """Be shown there no more."""


class Twin:
    """One output for what several screens leave when the kernel is gone, hidden while a widget is there."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._bundles: dict[Leaving, Bundle] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether no further screen is to join."""
        return len(self._bundles) >= _MOST or sum(len(one["text/html"]) for one in self._bundles.values()) > _LONG

    def show(self, screen: Leaving, bundle: Bundle) -> None:
        """Take what a screen leaves; the first one displays the twin in the running cell."""
        from IPython.display import display

        is_first = not self._bundles
        self._bundles[screen] = bundle
        if is_first:
            display(self._join(), raw=True, display_id=self._id)
        else:
            portal.call(self._renew)

    def put(self, screen: Leaving, bundle: Bundle) -> None:
        """Replace what a screen leaves. To be called on the portal's thread."""
        self._bundles[screen] = bundle
        self._renew()

    def remove(self, screen: Leaving) -> None:
        """Leave a screen out. To be called on the portal's thread."""
        del self._bundles[screen]
        self._renew()

    def let_go(self) -> None:
        """Let go of all screens: the cell has cleared its outputs."""
        screens = list(self._bundles)
        self._bundles.clear()
        for screen in screens:
            screen.leave(self)

    def _renew(self) -> None:
        if len(self._bundles) < 2:
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._send)

    def _send(self) -> None:
        from IPython.display import update_display

        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        update_display(self._join(), raw=True, display_id=self._id)

    def _join(self) -> Bundle:
        bundles = list(self._bundles.values())
        joined = {kind: mark.join(bundle[kind] for bundle in bundles) for kind, mark in _MARKS.items()}
        return fold_twin(joined) if bundles else joined


def fold_twin(bundle: Bundle) -> Bundle:
    """Prepare what stands beside a widget: hidden, or folded where it would stand open below it; and without Markdown,
    which says what the plain text says."""
    html = bundle["text/html"]
    if any(name in os.environ for name in _APART):
        html = f"<details><summary>static copy</summary>{html}</details>"
    return {"text/html": f'<div class="nbk-twin">{html}</div>{_HIDE_LOST_WIDGET}', "text/plain": bundle["text/plain"]}


_shown: dict[str, list[Twin]] = {}
"""The twins that stand in each cell."""


def find_shell() -> Any:
    """Return the IPython shell that runs us, or None. Does not import IPython: where nobody has, there is none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def find_twin() -> Twin:
    """Find the twin of the running cell, or make one."""
    shell = find_shell()
    if let_go not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", let_go)
    parent = shell.get_parent()
    cell = parent["metadata"].get("cellId") or parent["header"]["msg_id"]  # consoles send no id
    twins = _shown.setdefault(cell, [])
    if not twins or twins[-1].full:
        twins.append(Twin())
    return twins[-1]


def let_go(info: ExecutionInfo) -> None:
    """Let go of what a cell has shown: it runs again. IPython calls this before each cell."""
    for twin in _shown.pop(info.cell_id or "", ()):
        twin.let_go()


def forget_shell(shell: Any) -> None:
    """Be called before cells no more."""
    if let_go in shell.events.callbacks["pre_run_cell"]:
        shell.events.unregister("pre_run_cell", let_go)
