"""The rules of the house: lint, types, import directions, small files, a pinned public face, a quick import."""

import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import nbkit

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports", "--no-cache"],
    ],
    ids=" ".join,
)
def test_checks_are_green(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def sources(*endings):
    for folder in ("nbkit", "tests"):
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings)


def test_no_file_is_longer_than_an_afternoon_allows():
    long = {
        str(path.relative_to(ROOT)): n
        for path in sources(".py", ".js", ".css")
        if (n := len(path.read_text("utf-8").splitlines())) > 450
    }
    assert not long


def test_rooms_reexport_nothing():
    for path in (ROOT / "nbkit").glob("*/__init__.py"):
        if path.parent.name == "protocols":  # its table is there
            continue
        with path.open("rb") as file:
            kinds = {token.type for token in tokenize.tokenize(file.readline)}
        assert tokenize.NAME not in kinds, path


PUBLIC = """
AdapterFactory AudioEntry BaseAdapter Bill Change Chat ChatCompletion ChatCompletionChunk Comparison ContentTurn
Conversation ExecuteOptions FileEntry FunctionCallTurn FunctionOutputTurn ImageEntry Model ModelCapabilities ModelFilter
ModelProperties Reasoning TextEntry TokenCount Tool ToolCall ToolOutputTurn ToolResult ToolsCallTurn Turn Usage
aload_catalog attach catalog changes compare count_tokens demo_models errors estimate get_adapter get_model health
load_catalog local_models offers pick plots provider_table search show trust
"""


def test_the_public_names():
    assert nbkit.__all__ == sorted(nbkit.__all__) == PUBLIC.split()
    for name in nbkit.__all__:
        assert getattr(nbkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        nbkit.nope  # noqa: B018


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_ci_runs_the_readmes_second_command():
    commands = [
        line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("python3 -m venv")
    ]
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_importing_nbkit_loads_no_heavy_package():
    heavy = {"pandas", "numpy", "plotly", "ipywidgets", "anywidget", "IPython", "httpx2", "pydantic_settings"}
    loaded = run("import nbkit, sys; print(' '.join(sys.modules))").split()
    assert not heavy & set(loaded)


def test_importing_nbkit_costs_at_most_twice_its_two_foundations():
    clock = "import time; t = time.process_time(); {}; print(time.process_time() - t)"
    codes = ("import nbkit", "import httpx2, pydantic")
    ours, theirs = (min(float(run(clock.format(code))) for _ in range(3)) for code in codes)
    assert ours <= 2 * theirs
