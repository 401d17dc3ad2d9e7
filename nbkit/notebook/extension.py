"""The IPython extension: all that `%load_ext nbkit` adds to a shell, and `%unload_ext nbkit` removes again.

`%reload_ext` reloads only the top package, so the state lives here: what was put into each shell, and what it replaced.
Measured: 0.9 s of CPU in a fresh kernel, half of it pandas.
"""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary, proxy

import pandas as pd
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell
from msgspec import Struct, field

from nbkit.billing.entry import set_running_cell
from nbkit.bulk import portal
from nbkit.choose.frame import catalog
from nbkit.modelsdev.records import CatalogWarning
from nbkit.notebook.cells import forget_shell
from nbkit.notebook.completion import find_keyed_providers, match_models
from nbkit.notebook.guard import describe_keys, find_keys_here, guard_cell
from nbkit.notebook.magics import NbkitMagics, add_body, describe_catalog
from nbkit.notebook.outputs import person_in_front
from nbkit.notebook.variables import Variables
from nbkit.notebook.widgets import compare as _  # noqa: F401 - 0.1 s that the first comparison is spared
from nbkit.settings import settings


class _Cells:
    """Tells `billing` which cell runs, so that each call is booked to the cell that made it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = proxy(shell)  # what is kept about a shell must not keep it alive
        self._running: list[str] = []  # a cell may run others (`%run other.ipynb`): their calls are the outermost's
        if result := shell.displayhook.exec_result:  # the cell that holds `%load_ext nbkit`
            self._begin(result.info, result.execution_count)

    def begin(self, info: ExecutionInfo) -> None:
        """Take note that a cell begins."""
        # its number is not `execution_count`, which some versions of IPython have raised by now
        self._begin(info, len(self._shell.history_manager.input_hist_parsed))

    def end(self, result: ExecutionResult | None) -> None:
        """Take note that a cell has ended."""
        del self._running[-1:]
        set_running_cell(self._running[0] if self._running else None)

    def _begin(self, info: ExecutionInfo, number: int) -> None:
        if info.store_history:  # what a person runs is never inside another cell
            self._running.clear()
        self._running.append(info.cell_id or str(number))  # consoles and nbclient send no id
        set_running_cell(self._running[0])


class _Loaded(Struct):
    """State of one shell.

    `shell` is a weak proxy: what is kept about a shell must not keep it alive. `catalog` is the frame that was pushed
    under that name, `current` the catalog that was in force when the last cell began, with its `columns`; `replaced`
    the magics of our names that were there before.
    """

    cells: _Cells
    variables: Variables
    shell: InteractiveShell
    catalog: object = field(default_factory=object)
    current: object = field(default_factory=object)
    columns: list[str] = field(default_factory=list)
    replaced: dict[tuple[str, str], Any] = field(default_factory=dict)

    def follow(self, frame: pd.DataFrame) -> None:
        """Take note of the catalog in force."""
        self.current, self.columns = frame, list(frame.columns)

    def push(self, frame: pd.DataFrame) -> None:
        """Put the catalog under that name."""
        self.shell.push({"catalog": frame}, interactive=False)
        self.catalog = frame

    def renew(self, _info: ExecutionInfo) -> None:
        """Put the catalog in force in the place of an older one, unless the user has added columns to it.

        So a cell sees what an earlier one did: a refresh, a key that was set, a model that was registered.
        """
        held = self.shell.user_ns.get("catalog")
        if held is not self.current or not isinstance(held, pd.DataFrame) or list(held.columns) != self.columns:
            return
        if (frame := catalog()) is not held:
            self.follow(frame)
            if held is self.catalog:
                self.push(frame)
            else:  # the user's `from nbkit import catalog`
                self.shell.user_ns["catalog"] = frame


_loaded: WeakKeyDictionary[InteractiveShell, _Loaded] = WeakKeyDictionary()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics, their completion and, unless that name is taken, `catalog`; print one line about it."""
    settings()  # raises ConfigError where a variable is wrong: nothing is added then
    if shell not in _loaded:
        loaded = _loaded[shell] = _Loaded(_Cells(shell), Variables(), proxy(shell))
        magics = NbkitMagics(shell)
        for kind, names in magics.magics.items():
            known = shell.magics_manager.magics[kind]
            loaded.replaced |= {(kind, name): known.get(name) for name in names}
        shell.register_magics(magics)
        shell.Completer.custom_matchers.append(match_models)
        shell.input_transformers_cleanup.extend([guard_cell, add_body])
        shell.events.register("pre_run_cell", loaded.cells.begin)
        shell.events.register("pre_run_cell", loaded.renew)
        shell.events.register("post_run_cell", loaded.cells.end)
        shell.events.register("post_run_cell", loaded.variables.follow)
        loaded.variables.follow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CatalogWarning)  # the line below says it
        frame = catalog()
    name, loaded = "catalog", _loaded[shell]
    loaded.follow(frame)
    if shell.user_ns.get("catalog", loaded.catalog) is loaded.catalog:  # not there, or from us
        loaded.push(frame)
    elif shell.user_ns["catalog"] is not frame:
        name = "nbkit.catalog (your own variable catalog is kept)"
    ask = person_in_front() and not find_keyed_providers()
    hint = '. No key yet? nbkit.set_key("openai")' if ask else ""
    print(f"nbkit: {describe_catalog(frame)}. {name}, %%chat, %%compare, nbkit.pick(){hint}")  # noqa: T201  # the one line
    running = shell.displayhook.exec_result  # this very cell was not looked at before it ran
    if running and (keys := find_keys_here(running.info.raw_cell)):
        print(f"nbkit: look at this cell: {describe_keys(keys)}")  # noqa: T201


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove everything and end the thread that runs requests; a `catalog` that was assigned since stays."""
    loaded = _loaded.pop(shell, None)
    if loaded is None:
        return
    shell.events.unregister("pre_run_cell", loaded.cells.begin)
    shell.events.unregister("pre_run_cell", loaded.renew)
    shell.events.unregister("post_run_cell", loaded.cells.end)
    shell.events.unregister("post_run_cell", loaded.variables.follow)
    forget_shell(shell)
    set_running_cell(None)
    for (kind, name), before in loaded.replaced.items():
        known = shell.magics_manager.magics[kind]
        if before is None:
            known.pop(name, None)
        else:
            known[name] = before
    shell.magics_manager.registry.pop(NbkitMagics.__name__, None)
    shell.Completer.custom_matchers.remove(match_models)
    shell.input_transformers_cleanup.remove(guard_cell)
    shell.input_transformers_cleanup.remove(add_body)
    shell.drop_by_id({"catalog": loaded.catalog})
    portal.stop()
