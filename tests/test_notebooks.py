"""The shipped notebooks: they run as written, and read well without a kernel and as a web page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def run(*command):
    environment = os.environ | {"NBKIT_OFFLINE": "1", "NBKIT_DEMO_TOKENS_PER_SECOND": "0"}
    command = (sys.executable, "-m", *command)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nbval_runs_every_cell_and_finds_the_outputs_that_are_shipped():
    output = run(
        "pytest", "--nbval", "--nbval-sanitize-with=tests/nbval.cfg",
        "--nbval-cell-timeout=600", "--nbval-kernel-startup-timeout=300",  # only a hang takes so long
        "--override-ini=filterwarnings=", "-p", "no:cacheprovider", "notebooks",
    )  # fmt: skip
    assert re.search(r"\d+ passed", output)


@each
def test_it_is_shipped_clean(notebook):
    shipped = json.loads(notebook.read_text("utf-8"))
    assert "widgets" not in shipped["metadata"]  # GitHub refuses a notebook whose widget state is incomplete
    assert str(Path.home()) not in notebook.read_text("utf-8")
    cells = [cell for cell in shipped["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    for output in outputs:
        if data := output.get("data"):
            assert "text/plain" in data
            assert "application/vnd.jupyter.widget-view+json" not in data


def test_answers_and_costs_are_in_the_web_page(tmp_path):
    run("nbconvert", "--to", "html", "--output-dir", str(tmp_path), "notebooks/quickstart.ipynb")
    page = (tmp_path / "quickstart.html").read_text("utf-8")
    shipped = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text("utf-8"))
    compared = [cell for cell in shipped["cells"] if "nbkit.compare(" in "".join(cell["source"])]
    (output,) = compared[0]["outputs"]
    prices = re.findall(r"\$0\.\d+", "".join(output["data"]["text/plain"]))
    assert len(prices) >= 4
    for price in prices:
        assert price in page
    for word in ("recursion", "demo/sage", "base case"):
        assert word in page.lower()
