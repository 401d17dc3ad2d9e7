"""The live grid: a table of prompts and models. Its messages are described in `nbkit.notebook.sheet`."""

from __future__ import annotations

from nbkit.notebook.widgets.compare import CompareWidget
from nbkit.notebook.widgets.sources import pack_script, read_style


class GridWidget(CompareWidget):
    """Views of one grid."""

    _esm = pack_script("shared.js", "cover.js", "sheet.js", "grid.js")
    _css = read_style("shared.css", "markdown.css", "grid.css")
