"""The live comparison: panes side by side. Its messages are described in `nbkit.notebook.deltas`."""

from __future__ import annotations

import json
import zlib
from typing import Any

import anywidget
import traitlets

from nbkit.notebook.widgets.sources import pack_script, read_style


class CompareWidget(anywidget.AnyWidget):
    """Views of one comparison. `state` is its last snapshot as JSON, deflated: for views that no kernel answers. `twin`
    is a class of the static twins that the views cover; "" where the widget is displayed beside them."""

    _esm = pack_script(
        *("shared.js", "cover.js", "keys.js", "panes.js", "menu.js", "together.js", "votes.js", "slots.js", "files.js"),
        "compare.js",
    )
    _css = read_style("shared.css", "markdown.css", "compare.css", "votes.css")
    state = traitlets.Bytes().tag(sync=True)
    twin = traitlets.Unicode().tag(sync=True)

    def __init__(self, sentence: str, twin: str) -> None:
        self._sentence = sentence
        super().__init__(twin=twin)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Keep a snapshot in the state."""
        self.state = zlib.compress(json.dumps(snapshot).encode())

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/plain": self._sentence}, metadata
