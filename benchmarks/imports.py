"""Start-up: `import nbkit`, and `%load_ext nbkit` in a shell."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.runner import Fresh, Row, compare

_SHELL = """
import tempfile
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config, ipython_dir=tempfile.mkdtemp())
"""
_LOAD = """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    shell.run_cell("%load_ext nbkit").raise_error()
"""


def measure(rounds: int) -> Iterator[Row]:
    """Measure in new processes: a second import costs nothing."""
    foundations = "import httpx2, pydantic"
    yield compare("import nbkit", Fresh("import nbkit"), foundations, Fresh(foundations), rounds, aim="0.1")
    shell = Fresh("import pandas", _SHELL)
    yield compare("%load_ext nbkit", Fresh(_LOAD, _SHELL), "import pandas in IPython", shell, rounds)
