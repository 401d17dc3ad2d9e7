"""The documentation: its tables are those that `python docs/tables.py` prints, its names exist, its first cell runs."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pages
import pytest
import tables  # docs/tables.py

import nbkit
from nbkit.choose.columns import list_columns
from nbkit.conversation.options import ExecuteOptions
from nbkit.providers import overrides

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [page for page in PAGES if pages.list_blocks(page)]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def read(name):
    return (ROOT / name).read_text("utf-8")


def first_columns(name):
    """The code words in the first cells of a page's table."""
    return re.findall(r"^\| (`.+?) \|", read(name), re.MULTILINE)


def test_the_documents_are_printed_from_the_data():
    printed = tables.render_documents()
    assert [column.name for column in list_columns()] == list(nbkit.catalog.columns)
    for path, text in printed.items():
        assert path.read_text("utf-8") == text, path.name
    assert printed[ROOT / "docs" / "columns.md"].count("\n| `") == nbkit.catalog.shape[1]
    assert printed[ROOT / "README.md"].count("| `openai-chat` |") == 1


def test_every_quirk_has_a_source():
    rows = re.findall(r"^\| (`.+) \| (.+) \| (.*) \|$", read("docs/quirks.md"), re.MULTILINE)
    assert len(rows) > 100
    assert [name for name, done, source in rows if not source and not done.startswith("as `")] == []


def test_the_readmes_first_cell_has_five_lines_and_runs_without_a_key(tmp_path):
    cell = re.search(r"```python\n(.*?)```", read("README.md"), re.DOTALL)[1]
    assert cell.count("\n") <= 5
    program = f"""
import json
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
outcome = shell.run_cell({cell!r})
outcome.raise_error()
completions = outcome.result.completions
lengths = {{model: len(completion.text) for model, completion in completions.items()}}
print("\\n", json.dumps([lengths, len(shell.user_ns["cheap"])]))
"""
    own = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
    environment = own | {"NBKIT_OFFLINE": "1", "NBKIT_DEMO_TOKENS_PER_SECOND": "0", "IPYTHONDIR": str(tmp_path)}
    output = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    lengths, cheap = json.loads(output.splitlines()[-1])
    assert list(lengths) == ["demo/swift", "demo/sage", "demo/scholar", "demo/tortoise"]
    assert min(lengths.values()) > 100
    assert cheap > 100


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What the code of each page has printed, and how its process ended; all keys of the catalog are set."""
    folder = tmp_path_factory.mktemp("pages")
    with pages.serve_any_model() as address:
        environment = os.environ | pages.make_environment(address, folder)
        command = [sys.executable, ROOT / "tests" / "pages.py", folder, *CODE]
        ends = json.loads(subprocess.check_output(command, text=True, env=environment))
    texts = [(folder / f"{number}.txt").read_text("utf-8") for number in range(len(CODE))]
    return dict(zip(CODE, zip(ends, texts, strict=True), strict=True))


@pytest.mark.parametrize("page", CODE, ids=lambda path: path.name)
def test_the_code_of_a_page_runs_and_shows_no_key(page, outputs):
    end, text = outputs[page]
    assert end == 0, text
    assert pages.CANARY not in text


@each_page
def test_names_of_nbkit_exist(page):
    modules = {path.stem for path in (ROOT / "nbkit").iterdir()}
    used = re.findall(r"(?<![\w/.])nbkit\.([a-z_A-Z]+)(?!\.toml)", page.read_text("utf-8"))
    assert [name for name in used if name not in {*dir(nbkit), *modules}] == []


@each_page
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^#)]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_files_that_contributors_are_sent_to_exist():
    files = set(re.findall(r"`((?:nbkit|tests|docs|benchmarks|notebooks|binder)/[\w./-]*)`", read("CONTRIBUTING.md")))
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_contributors_see_the_rooms_of_the_import_contract():
    (layers, *_) = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    table = read("CONTRIBUTING.md").partition("| room | question |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", table, re.MULTILINE)
    assert [re.findall(r"\w+", rooms) for rooms, _ in rows] == [layer.split(" | ") for layer in layers["layers"]]
    for rooms, questions in rows:  # one question each
        assert questions.count("?") == questions.count(" · ") + 1 == rooms.count(",") + 1


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_use_public_names(notebook):
    used = set(re.findall(r"(?<![\w/.])nbkit\.([a-z_A-Z]+)", notebook.read_text("utf-8")))
    assert used
    assert used <= {*dir(nbkit)}


def test_the_overrides_file_is_documented():
    rows = first_columns("docs/overrides.md")
    assert rows == [f"`{key}`" for key in overrides.KEYS["providers"]]
    assert [*rows[:-5], "`same_as`"] == [f"`{key}`" for key in overrides.KEYS["models"]]
    example = re.search(r"```toml\n(.*?)```", read("docs/overrides.md"), re.DOTALL)[1]
    overrides.check(overrides.tomllib.loads(example), "the example")


def test_calls_name_all_options_and_the_modules_of_their_types():
    text = read("docs/calls.md")
    options = re.findall(r"`(\w+)`", text.partition("## Options")[2].partition(": the fields of")[0])
    assert options == [name for name in ExecuteOptions.__struct_fields__ if name != "answer_type"]
    rows = re.findall(r"^\| (`nbkit\..+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows
    for modules, types in rows:
        places = [import_module(name) for name in re.findall(r"`(.+?)`", modules)]
        for name in re.findall(r"`(\w+)`", types):
            assert any(isinstance(getattr(place, name, None), type) for place in places), name
            assert name not in nbkit.__all__
