"""The names of charts, for screen readers: one widget for all charts of a kernel, which is never displayed."""

from __future__ import annotations

from functools import cache

import anywidget

from nbkit.notebook.widgets.sources import read_script


class ChartNames(anywidget.AnyWidget):
    """Gives each chart in the page its title as its name, for as long as the kernel lives."""

    _esm = read_script("chart_names.js")


@cache
def name_charts() -> ChartNames:
    """Begin to name the charts."""
    return ChartNames()
