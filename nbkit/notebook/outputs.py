"""The outputs of a comparison in its cells: the static twin, and beside it the widget where a person is in front."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from nbkit.settings import settings

Bundle = dict[str, str]

# Front ends that show each output in a frame of its own, where the widget's style cannot hide the static twin.
_APART = ("VSCODE_PID", "COLAB_RELEASE_TAG")
# What JupyterLab shows below it when the notebook is reopened: "Error displaying widget: model not found".
_HIDE_LOST_WIDGET = "<style>.jp-OutputArea:has(.nbk-static) .jupyter-widgets:not(:has(*)){display:none}</style>"


def _shell() -> Any:
    """The IPython shell that runs us, or None. Does not import IPython: where nobody has, there is none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def person_in_front() -> bool:
    """Whether live widgets make sense: a kernel runs us, and whoever runs the cell could be asked for input.

    nbclient (so papermill, nbconvert and nbval) executes with `allow_stdin` false. So does Voila, for a person who can
    use widgets. The setting `live` decides first.
    """
    kernel = getattr(_shell(), "kernel", None)
    if kernel is None:
        return False
    live = settings().live
    if live is not None:
        return live
    return bool(getattr(kernel, "_allow_stdin", False)) or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


class Screen:
    """The displays of one comparison. `show` belongs to the cell that calls it; `update` reaches every copy.

    `make_widget` is called where a person is in front.
    """

    def __init__(self, make_widget: Callable[[], Any]) -> None:
        self._static_id, self._live_id = uuid4().hex, uuid4().hex
        self._shown_in: object = None
        self._widget: Any = make_widget() if person_in_front() else None

    @property
    def live(self) -> bool:
        """Whether there is a widget."""
        return self._widget is not None

    @property
    def shown_here(self) -> bool:
        """Whether the running cell shows this already."""
        return self._shown_in is not None and self._shown_in == _cell()

    def show(self, bundle: Bundle) -> None:
        """Display both in the running cell. Without IPython nothing is displayed."""
        if _shell() is None:
            return
        from IPython.display import display

        self._shown_in = _cell()
        if not self.live:  # final: a later turn is shown in its own cell
            display(bundle, raw=True)
            return
        display(fold_twin(bundle), raw=True, display_id=self._static_id)
        display(self._widget, display_id=self._live_id)

    def update(self, bundle: Bundle, state: dict[str, Any]) -> None:
        """Replace the static twin wherever it stands, and the widget's state, which views without a kernel show."""
        if self.live:
            from IPython.display import update_display

            update_display(fold_twin(bundle), raw=True, display_id=self._static_id)
            self._widget.keep(state)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to all views."""
        if self.live:
            self._widget.send(message)

    def freeze(self, bundle: Bundle) -> None:
        """Leave only the static twin. A closed widget alone would reopen as "model not found"."""
        if self.live:
            from IPython.display import update_display

            update_display(bundle, raw=True, display_id=self._static_id)
            update_display({"text/html": "", "text/plain": ""}, raw=True, display_id=self._live_id)
            self._widget.close()
            self._widget = None


def fold_twin(bundle: Bundle) -> Bundle:
    """Prepare a static twin to stand beside a widget: folded where it would stand open below it, without the Markdown,
    which says what the plain text says."""
    html = bundle["text/html"]
    if any(name in os.environ for name in _APART):
        html = f"<details><summary>static copy</summary>{html}</details>"
    return {"text/html": html + _HIDE_LOST_WIDGET, "text/plain": bundle["text/plain"]}


def _cell() -> object:
    shell = _shell()
    return shell.execution_count if shell else None
