"""The rules of the house: lint, types, import directions, small files, pinned public names, a light import."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import words  # tests/words.py

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


def test_no_file_is_longer_than_400_lines():
    lengths = {
        path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in sources(".py", ".js", ".css")
    }
    assert {str(path): lines for path, lines in lengths.items() if lines > 400} == {}


def test_no_class_is_longer_than_200_lines():
    classes = (
        (path, node)
        for path in sources(".py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    lengths = {f"{path.relative_to(ROOT)}: {node.name}": node.end_lineno - node.lineno + 1 for path, node in classes}
    assert {name: lines for name, lines in lengths.items() if lines > 200} == {}


@pytest.mark.parametrize(("folder", "functions"), [("nbkit", True), ("tests", False)])
def test_names_and_prose_keep_to_the_words_of_the_house(folder, functions):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert [problem for path in files for problem in words.problems(path, functions=functions)] == []


def test_rooms_reexport_nothing():
    for path in (ROOT / "nbkit").glob("*/__init__.py"):
        if path.parent.name == "protocols":  # its table is there
            continue
        with path.open("rb") as file:
            kinds = {token.type for token in tokenize.tokenize(file.readline)}
        assert tokenize.NAME not in kinds, path


PUBLIC = """
AdapterFactory BaseAdapter Chat ChatCompletion ChatCompletionChunk ContentTurn Conversation ExecuteOptions Model
ModelFilter Tool ToolOutputTurn ToolsCallTurn Turn aload_catalog attach budget catalog changes compare count_tokens
demo_models errors estimate get_adapter get_model grid health ledger limit load_catalog load_env local_models offers
on pick plots provider_table rank record replay search set_key settings show tag trace trust
"""


def test_the_public_names():
    assert sorted(["catalog", *nbkit.__all__]) == PUBLIC.split()
    for name in PUBLIC.split():
        assert getattr(nbkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        nbkit.nope  # noqa: B018


def test_a_star_import_and_tab_completion_know_the_public_names():
    star = {}
    exec("from nbkit import *", star)  # noqa: S102
    assert {name for name in star if name != "__builtins__"} == set(nbkit.__all__) == set(PUBLIC.split()) - {"catalog"}
    assert nbkit.__all__ == sorted(nbkit.__all__)
    assert [name for name in dir(nbkit) if not name.startswith("_")] == PUBLIC.split()
    assert {"__version__", "__path__", "__doc__"} <= set(dir(nbkit))


def test_type_checkers_know_the_public_names(tmp_path):
    program = tmp_path / "program.py"
    reveal = "\n".join(f"reveal_type(nbkit.{name})" for name in PUBLIC.split())
    program.write_text(f"import nbkit\n{reveal}\nnbkit.Bill\n", "utf-8")
    done = subprocess.run([BIN / "mypy", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Found 1 error" in done.stdout, done.stdout + done.stderr
    # without the folder: mypy's cache repeats the lines of an equal program, which stood in another one
    *types, error = [line for line in done.stdout.splitlines() if "program.py:" in line]
    assert 'no attribute "Bill"' in error
    assert len(types) == len(PUBLIC.split())
    assert not [line for line in types if line.endswith('"Any"')]


MODEL_FORMS = """
import nbkit

rows = nbkit.catalog.head(2)
row, model = rows.iloc[0], nbkit.get_model("openai/gpt-5-mini")
for one in ("openai/gpt-5-mini", model, row, rows, rows.index):
    adapter = nbkit.get_adapter(one, same_as=one)
    nbkit.AdapterFactory.get_model(one), nbkit.get_model(one), nbkit.offers(one), nbkit.count_tokens("Hi", one)
    nbkit.Chat(one), nbkit.compare("Hi", one), nbkit.compare("Hi", [one, adapter])
    nbkit.get_adapter([one, adapter], fallback=one), nbkit.Chat([one, adapter]), nbkit.compare("Hi", [one, [adapter]])
nbkit.Chat(adapter), nbkit.compare("Hi", adapter), nbkit.compare("Hi", rows["path"])
nbkit.get_adapter(5)  # wrong
nbkit.get_model(b"x")  # wrong
nbkit.offers(None)  # wrong
nbkit.count_tokens("Hi", 5)  # wrong
nbkit.Chat(5)  # wrong
nbkit.compare("Hi", 5)  # wrong
"""


def test_type_checkers_take_every_form_of_a_models_name(tmp_path):
    program = tmp_path / "forms.py"
    program.write_text(MODEL_FORMS, "utf-8")
    done = subprocess.run([BIN / "mypy", program], cwd=ROOT, capture_output=True, text=True, check=False)
    refused = {int(line.split("forms.py:")[1].split(":")[0]) for line in done.stdout.splitlines() if "error:" in line}
    wrong = [number for number, line in enumerate(MODEL_FORMS.splitlines(), 1) if line.endswith("# wrong")]
    assert sorted(refused) == wrong, done.stdout + done.stderr


def test_no_public_name_is_a_rooms_name():
    """Importing a room sets it as an attribute of nbkit, which would hide a function or a value of that name."""
    rooms = {path.parent.name for path in (ROOT / "nbkit").glob("*/__init__.py")}
    assert not rooms & set(PUBLIC.split())


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_ci_runs_the_readmes_second_command():
    commands = [
        line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("python3 -m venv")
    ]
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_importing_nbkit_loads_nothing_but_itself_and_the_standard_library():
    """So it takes a few milliseconds: `python -m benchmarks imports` prints how many."""
    new = run("import sys; before = set(sys.modules); import nbkit; print(*(set(sys.modules) - before))").split()
    assert [name for name in new if name.partition(".")[0] not in sys.stdlib_module_names] == ["nbkit"]


def test_a_star_import_reads_no_catalog_and_asks_nobody():
    """S16: neither the bundled file nor models.dev, though a fetch is due in an empty folder."""
    code = """
import os, socket, sys, tempfile
os.environ |= {"NBKIT_OFFLINE": "0", "NBKIT_CACHE_DIR": tempfile.mkdtemp()}
def refuse(*args):
    raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from nbkit import *
from nbkit.choose import frame
from nbkit.modelsdev import current
print(frame._shown(), os.listdir(os.environ["NBKIT_CACHE_DIR"]), "catalog" in globals())
"""
    assert run(code) == "[] [] False"
