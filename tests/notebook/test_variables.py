"""NBKIT_* variables that a cell sets: the next cell has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shells import error_of, run, running_shell

import nbkit
from nbkit.errors import BudgetExceededError, ConfigError
from nbkit.settings import override, renew, settings


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    with running_shell(tmp_path) as shell:
        run(shell, "%load_ext nbkit")
        run(shell, "import nbkit, os; adapter = nbkit.get_adapter('demo/swift')")
        capsys.readouterr()
        with monkeypatch.context() as variables:
            for name in ("NBKIT_BUDGET", "NBKIT_HTTP_TIMEOUT", "NBKIT_BUGDET", "NBKIT_OF_SOMEBODY_ELSE"):
                variables.setenv(name, "")  # whatever the cells set is taken back in the end
            yield shell
        renew()


@pytest.mark.parametrize("cell", ["%env NBKIT_BUDGET=0.0000001/call", "os.environ['NBKIT_BUDGET'] = '0.0000001/call'"])
def test_a_budget_holds_from_the_next_cell_on(shell, capsys, cell):
    run(shell, "adapter.execute('Hi')")
    run(shell, cell)
    assert isinstance(error_of(shell, "adapter.execute('Hi')"), BudgetExceededError)
    run(shell, "%env NBKIT_BUDGET=5/call")
    run(shell, "adapter.execute('Hi')")
    run(shell, "%nbkit settings")
    printed = capsys.readouterr()
    assert "* NBKIT_BUDGET                     5/call" in printed.out
    assert "nbkit:" not in printed.out + printed.err


def test_a_wrong_value_is_reported_once_and_the_other_variables_count(shell, capsys):
    run(shell, "%env NBKIT_HTTP_TIMEOUT=7.5")
    run(shell, "os.environ |= {'NBKIT_HTTP_TIMEOUT': 'soon', 'NBKIT_BUDGET': '5/call'}")
    text = "nbkit: NBKIT_HTTP_TIMEOUT: expected a number, got 'soon'; it stays 7.5\n"
    assert capsys.readouterr().out.endswith(text)
    assert (settings().http_timeout, settings().budget) == (7.5, "5/call")
    run(shell, "os.environ['NBKIT_BUDGET'] = '6/call'")
    assert capsys.readouterr().out == ""
    assert (settings().http_timeout, settings().budget) == (7.5, "6/call")
    run(shell, "del os.environ['NBKIT_HTTP_TIMEOUT']")
    assert (settings().http_timeout, settings().budget) == (60, "6/call")


def test_a_wrong_budget_is_reported_at_once_and_no_call_goes_without_one(shell, capsys):
    run(shell, "%env NBKIT_BUDGET=5/dya")
    assert "got '5/dya'; calls are refused until it is right\n" in capsys.readouterr().out
    assert isinstance(error_of(shell, "adapter.execute('Hi')"), ConfigError)


def test_a_wrong_name_is_reported(shell, capsys):
    run(shell, "os.environ |= {'NBKIT_BUGDET': '5/day', 'NBKIT_OF_SOMEBODY_ELSE': '1'}")
    assert capsys.readouterr().out == "nbkit: NBKIT_BUGDET is not a setting; did you mean NBKIT_BUDGET?\n"


def test_a_block_of_other_settings_stays_in_force(shell):
    with override(http_timeout=3):
        run(shell, "%env NBKIT_HTTP_TIMEOUT=7.5")
        assert settings().http_timeout == 3
    assert settings().http_timeout == 7.5


def test_a_notebook_without_the_extension_is_left_alone(shell):
    run(shell, "%unload_ext nbkit")
    run(shell, "%env NBKIT_HTTP_TIMEOUT=7.5")
    assert settings().http_timeout == 60


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from shells import running_shell

with running_shell(sys.argv[2]) as shell:
    for cell in (
        "%load_ext nbkit",
        "import nbkit, os; adapter = nbkit.get_adapter('demo/swift')",
        "adapter.execute('one')",
        f"os.environ['NBKIT_LEDGER'] = {sys.argv[2] + '/second.sqlite3'!r}",
        "print(len(nbkit.ledger()))",
        "adapter.execute('two'), adapter.execute('three')",
        "print(len(nbkit.ledger()))",
        "%env NBKIT_REPLAY=only",
        "adapter.execute('four')",
    ):
        if error := shell.run_cell(cell).error_in_exec:
            print(type(error).__name__)
"""


def test_the_ledger_and_the_replay_follow(tmp_path):
    environment = os.environ | {
        "NBKIT_OFFLINE": "1",
        "NBKIT_DEMO_TOKENS_PER_SECOND": "0",
        "NBKIT_CACHE_DIR": str(tmp_path / "cache"),
        "NBKIT_LEDGER": str(tmp_path / "first.sqlite3"),
    }
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isalnum()] == ["0", "2", "ReplayMissError"]
    assert done.stderr == ""
    with override(ledger=str(tmp_path / "first.sqlite3")):
        assert len(nbkit.ledger()) == 1
