"""Tests on every engine: what talks HTTP in an event loop runs once on each, what does so from a thread runs once.

The fixture `engine` (tests/conftest.py) sets the engine for the whole test, whatever opens event loops in it.
"""

import pytest

ENGINES = ("httpx2", "aiohttp")
engines = pytest.mark.parametrize("engine", ENGINES, indirect=True)
"""Runs a test, or with `pytestmark` a file, once on each engine."""


def on_engines(names, *rows):
    """Parametrize a test with functions that call, alone or first in a tuple: those named `a...` once on each engine.

    The ids are `execute`, `aexecute-httpx2`, `aexecute-aiohttp`.
    """
    params = []
    for row in rows:
        values = row if isinstance(row, tuple) else (row,)
        name = "-".join([values[0].__name__, *(value for value in values[1:] if isinstance(value, str))])
        if name.startswith("a"):
            params += [pytest.param(*values, engine, id=f"{name}-{engine}") for engine in ENGINES]
        else:
            params.append(pytest.param(*values, None, id=name))
    return pytest.mark.parametrize(f"{names},engine", params, indirect=["engine"])
