"""The live comparison: panes side by side. Its messages are described in `nbkit.notebook.deltas`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets


def read_scripts(*names: str) -> str:
    """Read scripts that make up one module, of this folder."""
    return "\n".join((Path(__file__).parent / name).read_text("utf-8") for name in names)


class CompareWidget(anywidget.AnyWidget):
    """Views of one comparison. `state` is its last snapshot, for views that no kernel answers."""

    _esm = read_scripts("shared.js", "panes.js", "compare.js")
    _css = Path(__file__).with_suffix(".css")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        super().__init__()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/plain": self._sentence}, metadata
