"""Real calls, where they are asked for: `pytest -m live tests/live`, with keys in the environment, at most a cent."""

import os

import pytest
from live_models import BUDGET, Row, choose_models

import nbkit
from nbkit.settings import Settings, override

_rows = pytest.StashKey()


def is_live(config):
    return config.option.markexpr == "live"


def pytest_generate_tests(metafunc):
    if "live_model" in metafunc.fixturenames:
        models = []
        if is_live(metafunc.config):
            with leave_test_mode():
                models = choose_models()
        metafunc.parametrize("live_model", models)


def leave_test_mode():
    """A block with the settings of a person, but for the ledger and the overrides file."""
    usual = Settings()
    return override(offline=os.environ.get("NBKIT_OFFLINE", "0") == "1", retry_wait=usual.retry_wait)


@pytest.fixture(scope="session")
def budget():
    with leave_test_mode(), nbkit.budget(usd=BUDGET):
        yield


@pytest.fixture
def row(request, live_model):
    provider, _, model = live_model.partition("/")
    one = Row(provider, model)
    request.config.stash.setdefault(_rows, []).append(one)
    return one


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(_rows, [])
    if not is_live(config):
        return
    terminalreporter.section("live calls")
    if not rows:
        terminalreporter.write_line("no provider has a key in the environment: nothing was asked")
        return
    table = [("provider", "model", "outcome", "in", "out", "USD", "seconds"), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    answered = sum(row.outcome == "ok" for row in rows)
    spent = sum(row.cost or 0 for row in rows)
    terminalreporter.write_line(f"{answered} of {len(rows)} providers answered; ${spent:.6f} of ${BUDGET}")
