"""Variables of settings (NBKIT_*) that a cell sets, with %env, `os.environ` or `load_dotenv()`: the next cell has them.

Comparing them takes 0.1 ms a cell; a call reads no variable.
"""

from __future__ import annotations

import os
from difflib import get_close_matches

from IPython.core.interactiveshell import ExecutionResult

from nbkit.adapters.limits import read_limits
from nbkit.billing.entry import Origin
from nbkit.bookkeeping.budgets import list_budgets
from nbkit.bookkeeping.ledger import settle_last
from nbkit.bookkeeping.replay import find_replay
from nbkit.errors import ConfigError
from nbkit.settings import Settings, follow_variables, settings

_NAMES = [f"NBKIT_{name.upper()}" for name in Settings.__struct_fields__]


class Variables:
    """The variables, as they were when the last cell ended."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def follow(self, _result: ExecutionResult | None = None) -> None:
        """Read the settings anew where variables have changed; print what is wrong with one, once."""
        present = {name: value for name, value in os.environ.items() if name.startswith("NBKIT_")}
        changed = {name for name, _ in present.items() ^ self._known.items()}
        self._known = present
        for problem in _renew(changed) if changed else ():
            print(f"nbkit: {problem}")  # noqa: T201  # there is a person in front, and no error that could be raised


def _renew(changed: set[str]) -> list[str]:
    """Read the settings anew, and return what is wrong with the variables that have changed."""
    problems = []
    for name in sorted(name for name in changed.difference(_NAMES) if os.environ.get(name)):
        if near := get_close_matches(name, _NAMES, 1, cutoff=0.8):  # others may have names that begin like ours
            problems.append(f"{name} is not a setting; did you mean {near[0]}?")
    if not changed.isdisjoint(("NBKIT_LEDGER", "NBKIT_LEDGER_DURABLE")):
        settle_last()  # what waits for the ledger that was
    problems += [problem for name, problem in follow_variables().items() if name in changed]
    try:  # what is read when a call needs it
        list_budgets(()), find_replay(Origin()), read_limits(settings().limits)
    except ConfigError as wrong:
        problems.append(f"{wrong}; calls are refused until it is right")
    return problems
