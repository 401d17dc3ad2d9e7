"""The outputs of a comparison in its cells: the widget where a person is in front, and what is there without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from nbkit.bulk import portal
from nbkit.notebook.cells import Bundle, find_shell, forget_shown, in_voila, name_twin, note_shown, write_twin
from nbkit.settings import settings

_GRACE = 60.0  # seconds; a cell that is moved loses its view and gets another one


def person_in_front() -> bool:
    """Whether live widgets make sense: a kernel runs us, and whoever runs the cell could be asked for input.

    nbclient (so papermill, nbconvert and nbval) executes with `allow_stdin` false. So does Voila, for a person who can
    use widgets. The setting `live` decides first.
    """
    kernel = getattr(find_shell(), "kernel", None)
    if kernel is None:
        return False
    live = settings().live
    if live is not None:
        return live
    return bool(getattr(kernel, "_allow_stdin", False)) or in_voila()


class Screen:
    """The displays of one comparison. `show` belongs to the cell that calls it; `update` reaches every copy.

    What is displayed is the static twin. The views of the widget cover it; where they cannot reach it, the widget is
    displayed beside it. `make_widget` is called where a person is in front, with the class of the twin.
    """

    def __init__(self, make_widget: Callable[[str], Any]) -> None:
        self._make_widget, self._id = make_widget, uuid4().hex
        self._shown_in: object = None
        self._cells: set[str] = set()  # that show it
        self._views = 0
        self._live = person_in_front()
        self._twin = name_twin() if self._live else ""
        self._widget: Any = self._make() if self._live else None

    def _make(self) -> Any:
        widget = self._make_widget(self._twin)
        widget.on_msg(lambda _widget, content, _buffers: self._count(content.get("type")))
        return widget

    def _count(self, kind: object) -> None:
        """Count the views. When the last one was cleared with its cell, and no other comes, this is let go."""
        self._views += {"ready": 1, "left": -1}.get(str(kind), 0)
        if kind == "left" and self._views < 1:
            portal.call(lambda: asyncio.get_running_loop().call_later(_GRACE, self._let_go))

    def _let_go(self) -> None:
        for cell in tuple(self._cells if self._views < 1 else ()):
            forget_shown(cell, self)
            self.leave(cell)

    @property
    def live(self) -> bool:
        """Whether there is a widget wherever this is shown."""
        return self._live

    @property
    def shown_here(self) -> bool:
        """Whether the running cell shows this already."""
        return self._shown_in is not None and self._shown_in == _count_cells()

    def show(self, bundle: Bundle) -> None:
        """Display the widget in the running cell, over the bundle. Without IPython nothing is displayed."""
        if find_shell() is None:
            return
        from IPython.display import display

        self._shown_in = _count_cells()
        if not self._live:  # final: a later turn is shown in its own cell
            display(bundle, raw=True)
            return
        if self._widget is None:  # it was let go
            self._widget = self._make()
        self._cells.add(note_shown(self))
        display(write_twin(bundle, self._twin), raw=True, display_id=self._id)
        if not self._twin:
            display(self._widget, display_id=f"{self._id}-beside")

    def update(self, bundle: Bundle, state: dict[str, Any]) -> None:
        """Replace what is left without a kernel wherever it stands: twins, and the widget's state."""
        if self._cells:
            from IPython.display import update_display

            update_display(write_twin(bundle, self._twin), raw=True, display_id=self._id)
        if widget := self._widget:
            widget.keep(state)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to all views."""
        if widget := self._widget:
            widget.send(message)

    def leave(self, cell: str) -> None:
        """Be shown in a cell no more. Where it was the last one, the widget is closed, which lets go of the answers."""
        self._cells.discard(cell)
        if not self._cells:
            self._close()

    def freeze(self, bundle: Bundle) -> None:
        """Show only the bundle. A closed widget that is displayed would reopen as "model not found"."""
        if not self._live:
            return
        from IPython.display import update_display

        self._live = False
        update_display(bundle, raw=True, display_id=self._id)
        if not self._twin:
            update_display({"text/html": "", "text/plain": ""}, raw=True, display_id=f"{self._id}-beside")
        for cell in self._cells:
            forget_shown(cell, self)
        self._cells.clear()
        self._close()

    def _close(self) -> None:
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.close()


def _count_cells() -> object:
    shell = find_shell()
    return shell.execution_count if shell else None
