"""Restart and run all: with kept answers a notebook sends no request, pays nothing and gives the same answers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
COUNTING = """
from nbkit.demo import server
requests, read = [], server._DemoHandler._read_body
server._DemoHandler._read_body = lambda handler: requests.append(read(handler)) or requests[-1]
"""
REPORT = """
import json
from nbkit.billing.total import TOTAL
total = TOTAL.total()
print(json.dumps([len(requests), total.calls, float(total.usd), total.replayed, float(total.saved)]))
"""
REPEATS = (
    """
import json, nbkit
nbkit.replay("repeats.replay.jsonl")
answers = nbkit.compare("Explain recursion", ["demo/swift", "demo/brittle", "demo/swift"]).ask("Now shorter")
chat = nbkit.Chat("demo/sage")
chat("Hi"), chat("Explain merge sort")
""",
    """
print(json.dumps([*answers.to_frame()["text"], *(turn.text for turn in chat.conversation)]))
""",
)
MONEY = re.compile(r" \(\d+ replayed, saved \$[\d.]+\)|(replayed, \$0, saved )?\$[\d.]+")


def write(path, cells):
    shipped = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", 4)
    cells = [nbformat.v4.new_code_cell(COUNTING), *(cells or shipped.cells), nbformat.v4.new_code_cell(REPORT)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=shipped.metadata), path)


def execute(folder, *paths):
    """Execute notebooks as nbconvert does, each in a fresh kernel; return the texts of their outputs, cell by cell."""
    environment = os.environ | {
        "NBKIT_OFFLINE": "1",
        "NBKIT_DEMO_TOKENS_PER_SECOND": "0",
        "NBKIT_REPLAY": "auto:all.replay.jsonl",
    }
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", *map(str, paths)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [
        [
            "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
            for cell in nbformat.read(path, 4).cells
            if cell.cell_type == "code"
        ]
        for path in paths
    ]


def test_a_notebook_that_is_run_again_sends_no_request_and_gives_the_same_answers(tmp_path):
    paths = tmp_path / "quickstart.ipynb", tmp_path / "repeats.ipynb"
    for path, cells in zip(paths, (None, [nbformat.v4.new_code_cell(text) for text in REPEATS]), strict=True):
        write(path, cells)
    first, second = execute(tmp_path, *paths), execute(tmp_path, *paths)
    for before, after in zip(first, second, strict=True):
        requests, calls, paid, replayed, _ = json.loads(before[-1])
        assert requests == calls > 3
        assert (paid > 0, replayed) == (True, 0)
        assert json.loads(after[-1]) == [0, calls, 0.0, calls, paid]
    for before, after in zip(first[0][:-1], second[0][:-1], strict=True):
        if "--- " in before:  # answers, each with its strip
            assert ("replayed, $0, saved $" in before, "replayed, $0, saved $" in after) == (False, True)
            assert MONEY.sub("", before) == MONEY.sub("", after)
    answers, again = (json.loads(texts[1][-2]) for texts in (first, second))
    assert answers == again
    assert len(answers) == 10
    for name, calls in (("all", 10), ("repeats", 8)):
        lines = (tmp_path / f"{name}.replay.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == calls
