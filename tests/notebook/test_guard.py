"""Cells that hold a key do not run, and IPython keeps the key nowhere."""

import sqlite3

import pytest
from IPython.core.error import UsageError
from kernels import Kernel
from shells import error_of, run, running_shell

import nbkit
from nbkit.billing.total import TOTAL
from nbkit.notebook import guard, magics

KEY = "sk-proj-q7Zt2mVx9LwK4nBc8RyP1hGd"
OTHER = "9f3b61c07de24a58b1c6e0d2a7f4853c"


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(guard, "_allowed", [False])
    with running_shell(tmp_path) as shell:
        run(shell, "%load_ext nbkit")
        capsys.readouterr()
        magics._sessions.clear()
        yield shell


CELLS = [
    "%%chat demo/swift\nuse {}",
    "%%compare demo/swift --system {}\nHello",
    "ran = 1\nadapter = get_adapter('openai/gpt-6-luna', api_key='{}')",
    "ran = 1\n%env OPENAI_API_KEY={}",
    "%env OPENAI_API_KEY={}\nran = 1",
    "ran = 1\n!echo {}",
    "import os\nos.environ['OPENAI_API_KEY'] = '{}'\nran = 1",
    "%%bash\nexport OPENAI_API_KEY={}\necho $OPENAI_API_KEY",
    "%llm --api-key {} Hello",
    "ran = 1  # {}",
    "if True:\n    ran = '{}'\n\n",
    "ran = '''\n%%bash {}\n'''",
    "not Python at all {}",
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_with_a_key_does_not_run(shell, cell, capsys):
    before, number = TOTAL.total().calls, shell.execution_count
    result = shell.run_cell(cell.format(KEY), store_history=True)
    error, shown = result.error_in_exec, capsys.readouterr()
    assert type(error) is UsageError
    assert "nbkit.set_key('openai')" in str(error)
    assert "(sk-proj-...)" in str(error)
    assert "ran" not in shell.user_ns
    assert TOTAL.total().calls == before
    assert shell.execution_count == number + 1
    assert shell.user_ns["In"][number] == cell.format("sk-proj-...").rstrip("\n")
    kept = [shown.out, shown.err, repr(shell.user_ns["In"]), repr(shell.user_ns["_i"]), repr(result), repr(vars(error))]
    kept += [
        repr(shell.history_manager.exceptions),
        repr(shell.last_execution_result),
        repr(shell.history_manager.db_input_cache),
    ]
    assert not [text for text in kept if KEY in text]


def test_the_cells_after_it_run_and_keep_their_numbers(shell):
    shell.run_cell(f"key = {KEY!r}", store_history=True)
    number = shell.execution_count
    assert shell.run_cell("after = 1", store_history=True).success
    assert shell.user_ns["In"][number] == "after = 1"


@pytest.mark.parametrize("xmode", ["Plain", "Verbose", "Minimal"])
def test_it_is_one_line_whatever_shows_tracebacks(shell, xmode, capsys):
    shell.run_line_magic("xmode", xmode)
    capsys.readouterr()
    shell.run_cell(f"get_adapter(api_key='{KEY}')")
    assert capsys.readouterr().err.startswith(
        "UsageError: the cell did not run: it holds what looks like an API key (sk-proj-...), "
    )


def test_a_key_of_the_environment_and_a_typed_one_are_known_whatever_their_shape(shell, monkeypatch):
    monkeypatch.setenv("COHERE_API_KEYS", f"x,{OTHER}")
    assert type(error_of(shell, f"print('{OTHER}')")) is UsageError
    monkeypatch.delenv("COHERE_API_KEYS")
    assert error_of(shell, f"print('{OTHER}')") is None
    monkeypatch.setenv("COHERE_API_KEY", "production")
    assert error_of(shell, "print('production')") is None
    monkeypatch.setattr("getpass.getpass", lambda prompt: OTHER)
    nbkit.set_key("cohere")
    assert type(error_of(shell, f"print('{OTHER}')")) is UsageError
    nbkit.set_key("cohere", forget=True)
    assert error_of(shell, f"print('{OTHER}')") is None


@pytest.mark.parametrize(
    "text", ["sk-...", "YOUR_KEY", "sk-xxxxxxxxxxxxxxxxxxxxxxxx", "sk-learn-estimators-and-pipelines"]
)
def test_a_placeholder_runs(shell, text):
    run(shell, f"import os\nos.environ['NOBODYS_API_KEY'] = api_key = {text!r}; del os.environ['NOBODYS_API_KEY']")
    assert shell.user_ns["api_key"] == text


def test_it_is_switched_off_by_a_line(shell, capsys):
    run(shell, "%nbkit keys allow")
    run(shell, f"key = {KEY!r}")
    run(shell, "%nbkit keys refuse")
    assert (
        capsys.readouterr().out
        == "cells that hold an API key run, until the kernel ends\ncells that hold an API key are refused\n"
    )
    assert type(error_of(shell, f"key = {KEY!r}")) is UsageError
    assert "use %nbkit keys allow, %nbkit keys refuse" in str(error_of(shell, "%nbkit keys never"))


def test_a_magic_called_by_code_does_not_send_a_key(shell):
    shell.push({"prompt": f"use {KEY}"})
    error = error_of(shell, "get_ipython().run_cell_magic('chat', 'demo/swift', prompt)")
    assert str(error).startswith("nothing was sent: it holds what looks like an API key")


def test_the_cell_that_loads_nbkit_is_looked_at_when_it_is_too_late(shell, capsys):
    run(shell, "%unload_ext nbkit")
    run(shell, f"%load_ext nbkit\nkey = {KEY!r}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("nbkit: look at this cell: it holds what looks like an API key (sk-proj-...)")
    run(shell, "%unload_ext nbkit")
    assert guard.guard_cell not in shell.input_transformers_cleanup


def test_a_kernel_keeps_the_key_in_no_history(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("%load_ext nbkit")
        messages = kernel.run(f"%env OPENAI_API_KEY={KEY}")
        shown = "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")
        assert "UsageError: the cell did not run" in shown
        assert (
            kernel.value("[__import__('os').environ.get('OPENAI_API_KEY'), In[-2]]")[1]
            == "%env OPENAI_API_KEY=sk-proj-..."
        )
        kernel.run("get_ipython().history_manager.writeout_cache()")
        (file,) = tmp_path.rglob("history.sqlite")
        with sqlite3.connect(file) as connection:
            kept = [row[0] for row in connection.execute("select source_raw from history")]
        connection.close()
        assert "%env OPENAI_API_KEY=sk-proj-..." in kept
        assert not [text for text in kept if KEY in text]
    finally:
        kernel.close()
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
