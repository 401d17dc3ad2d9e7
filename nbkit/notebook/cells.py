"""Cells of a notebook, and what they show until they run again.

JupyterLab keeps what has no output: a widget lives until it is closed. So what a cell has shown is let go when it runs
again, or when it was deleted: its answers are then kept only by who holds the comparison.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo

Bundle = dict[str, str]


class Leaving(Protocol):
    """Something that a cell shows, as far as the cell knows it."""

    def leave(self, cell: str) -> None:
        """Be shown there no more."""


_shown: dict[str, dict[Leaving, None]] = {}
"""What each cell shows."""


def find_shell() -> Any:
    """Return the IPython shell that runs us, or None. Does not import IPython: where nobody has, there is none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def split_words(line: str) -> list[str]:
    """Split the line of a magic into words, without the comment behind them. Quotes group words and are removed.

    Raises ValueError for a quote that is not closed.
    """
    for comment in re.finditer(r"(?<!\S)#", line):
        with suppress(ValueError):  # it stands in quotes
            return shlex.split(line[: comment.start()])
    return shlex.split(line)


def read_name(text: str) -> str:
    """Read the name of a variable. Raises ArgumentTypeError, which says so beside the option."""
    if not text.isidentifier() or iskeyword(text):
        raise ArgumentTypeError(f"expected the name of a variable, got {text!r}")
    return text


def in_voila() -> bool:
    """Whether Voila runs the cells."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def name_twin() -> str:
    """Make a class by which a widget's script finds its static twin; "" where it could not reach it.

    JupyterLab and Notebook 7, which alone tell a kernel of deleted cells, and Voila have all outputs in one page. VS
    Code, Colab and others have a frame for each.
    """
    metadata = find_shell().get_parent().get("metadata", {})
    return f"nbk-{uuid4().hex}" if "deletedCells" in metadata or in_voila() else ""


def write_twin(bundle: Bundle, name: str) -> Bundle:
    """Prepare what a widget covers, or, without a name, is displayed beside. Without Markdown, which says what the
    plain text says."""
    html = bundle["text/html"]
    if name:
        html = f'<div class="nbk-twin {name}">{html}</div>'
    else:
        html = f'<details class="nbk-beside"><summary>static copy</summary>{html}</details>'
    return {"text/html": html, "text/plain": bundle["text/plain"]}


def note_shown(leaving: Leaving) -> str:
    """Note that the running cell shows something, and return its id."""
    shell = find_shell()
    if let_go not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", let_go)
    parent = shell.get_parent()
    cell: str = parent["metadata"].get("cellId") or parent["header"]["msg_id"]  # consoles send no id
    _shown.setdefault(cell, {})[leaving] = None
    return cell


def forget_shown(cell: str, leaving: Leaving) -> None:
    """Note that a cell does not show something any more."""
    _shown.get(cell, {}).pop(leaving, None)


def let_go(info: ExecutionInfo) -> None:
    """Let go of what a cell has shown: it runs again. IPython calls this before each cell."""
    for cell in (info.cell_id or "", *find_shell().get_parent().get("metadata", {}).get("deletedCells", ())):
        for leaving in _shown.pop(cell, ()):
            leaving.leave(cell)


def forget_shell(shell: Any) -> None:
    """Be called before cells no more."""
    if let_go in shell.events.callbacks["pre_run_cell"]:
        shell.events.unregister("pre_run_cell", let_go)
