"""A real IPython shell for the tests of magics, completion and displays: nothing of the user's is read or written."""

from contextlib import contextmanager

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextmanager
def running_shell(directory):
    """The shell that get_ipython() returns meanwhile."""
    config = Config()
    config.HistoryManager.enabled = False
    config.IPCompleter.use_jedi = False  # its first call takes a second
    config.InteractiveShell.ast_node_interactivity = "none"
    shell = InteractiveShell.instance(config=config, ipython_dir=str(directory))
    try:
        yield shell
    finally:
        shell.run_cell("%unload_ext nbkit")
        InteractiveShell.clear_instance()


def run(shell, cell):
    """Run a cell; what it raises is raised."""
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


def error_of(shell, cell):
    """What a cell raises."""
    return shell.run_cell(cell).error_in_exec
