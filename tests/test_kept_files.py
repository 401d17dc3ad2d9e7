"""All files that nbkit keeps on a machine, in one session: who can read them, and what a disk that fails them costs."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import nbkit
from nbkit.modelsdev.fetch import load
from nbkit.notebook.favorites import keep_favorites, read_favorites
from nbkit.settings import override

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no modes, no limits")

SESSION = """
import json, logging, os, sys, warnings
from pathlib import Path
import nbkit
from nbkit.modelsdev.logos import fetch
from nbkit.notebook.favorites import keep_favorites
from nbkit.settings import settings

if "full" in sys.argv:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
problems = {}

def keep(name, action):
    try:
        return action()
    except nbkit.errors.NbkitError as error:
        problems[name] = [type(error).__name__, str(error), repr(error.__context__)]

logging.basicConfig(format="%(message)s")
warnings.simplefilter("always")
home = Path.home()
answers = []
keep("catalog", lambda: answers.append(str(len(nbkit.load_catalog(refresh=True)))))
nbkit.load_catalog(refresh=True)
fetch(["acme"], settings())
adapter = nbkit.get_adapter("demo/swift")
ask = lambda: answers.append(adapter.execute("Hi").text[:6])
for _ in range(2):
    ask()
with nbkit.replay():
    ask(), adapter.execute("How are you?")
with nbkit.replay(home / "notes.replay.jsonl"):
    ask(), adapter.execute("How are you?")
keep("budget", lambda: nbkit.budget(usd=1, per="day").__enter__() and adapter.execute("Hi"))
keep("trust", lambda: nbkit.trust("acme"))
keep("chat", lambda: nbkit.Chat("demo/swift").save(home / "talk.json"))
problems["favorites"] = keep_favorites(["a/b"], ["c/d"])
print(json.dumps([answers, problems]))
"""
ANSWERS = ["4200", *["I am a"] * 4]


@pytest.fixture
def run_code(tmp_path, models_dev):
    """Runs a program in a home of its own, `tmp_path / "home"`."""
    home = tmp_path / "home"
    home.mkdir()
    own = {"HOME": str(home), "NBKIT_CATALOG_URL": models_dev.url, "NBKIT_OFFLINE": "0", "NBKIT_LEDGER": ""}
    own |= {"NBKIT_DEMO_TOKENS_PER_SECOND": "0", "NBKIT_LIVE": "0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NBKIT_"))}

    def run_code(code, *arguments, before=(), umask=0o022):
        command = [*before, sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=kept | own, capture_output=True, text=True, check=False, umask=umask)
        assert done.returncode == 0, done.stderr
        return done

    return run_code


@pytest.fixture
def run(run_code, models_dev, whole_api):
    """Runs the session; gives its answers, its problems and what it wrote to stderr."""
    models_dev.reply = models_dev.answer(200, whole_api)

    def run(*arguments, **how):
        done = run_code(SESSION, *arguments, **how)
        return *json.loads(done.stdout), done.stderr

    return run


def find_prefix():
    """Find what to put before a command so that it cannot write where modes forbid it, as root can."""
    if os.getuid():
        return []
    prefix = ["setpriv", "--bounding-set=-dac_override"]
    if not shutil.which("setpriv") or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("root cannot give up its rights here")
    return prefix


def test_what_is_kept_is_for_this_user_only(run, tmp_path):
    home = tmp_path / "home"
    answers, problems, printed = run(umask=0)
    assert (answers, problems) == (ANSWERS, {"favorites": ""})
    modes = {
        str(path.relative_to(home)): (path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in home.rglob("*")
    }
    assert {"notes.replay.jsonl", "talk.json", ".config/nbkit/trust.json"} <= modes.keys()
    assert {".cache/nbkit/models.dev.snapshot", ".cache/nbkit/favorites.json"} <= modes.keys()
    assert {".cache/nbkit/replay.sqlite3", ".local/share/nbkit/ledger.sqlite3"} <= modes.keys()
    assert any(name.startswith(".cache/nbkit/logos/acme-") for name in modes)
    own = {name: mode for name, mode in modes.items() if "nbkit" in name or not name.startswith(".")}
    assert {name: oct(mode) for name, (folder, mode) in own.items() if mode != (0o700 if folder else 0o600)} == {}
    assert "cannot" not in printed


KEPT = {  # what is said of each, once
    "the catalog was fetched, but every kernel will fetch it again; not kept: ": 1,
    "ledger.sqlite3 cannot be written": 1,
    "the kept answers in the cache cannot be written": 1,
    "the kept answers in notes.replay.jsonl cannot be written": 1,
}


def check_what_was_not_kept(answers, problems, printed):
    assert answers == ANSWERS
    assert {text: printed.count(text) for text in KEPT} == KEPT
    assert "calls were paid and are not in the ledger" in printed
    assert "Traceback" not in printed
    assert problems.pop("favorites").startswith("favorites are not kept: ")
    assert {name: [kind, context] for name, (kind, _, context) in problems.items()} == {
        "budget": ["LedgerError", "None"],
        "trust": ["ConfigError", "None"],
        "chat": ["ConversationError", "None"],
    }
    assert all("cannot be written" in text for _, text, _ in problems.values())


def test_a_home_that_is_read_only_costs_no_answer(run, tmp_path):
    (tmp_path / "home").chmod(0o555)
    check_what_was_not_kept(*run(before=find_prefix()))
    assert list((tmp_path / "home").iterdir()) == []


def test_a_disk_that_is_full_costs_no_answer(run, tmp_path):
    """No file can have more than 20 bytes: like a full disk, that is seen in the middle of a write."""
    check_what_was_not_kept(*run("full", "20"))
    files = [
        path
        for path in (tmp_path / "home").rglob("*")
        if path.is_file() and not path.name.startswith(("ledger", "replay"))
    ]
    assert [path.name for path in files if path.stat().st_size and path.name != "notes.replay.jsonl"] == []


READER = """
import nbkit
from nbkit.cli.main import main
from pathlib import Path

with nbkit.replay(Path.home() / "kept.sqlite3", mode="only"):
    print(nbkit.get_adapter("demo/swift").execute("Hi").bill.source)
print(len(nbkit.ledger()))
try:
    nbkit.budget(usd=1, per="day")
except nbkit.errors.LedgerError as error:
    print(error.__context__, "readonly" in str(error))
file = str(Path.home() / "kept.sqlite3")
print(main(["replay", "stats", file]), main(["replay", "prune", file, "--days", "0"]))
"""
WRITER = """
import nbkit
from pathlib import Path

with nbkit.replay(Path.home() / "kept.sqlite3"):
    nbkit.get_adapter("demo/swift").execute("Hi")
nbkit.get_adapter("demo/swift").execute("Hi")
"""


def test_what_is_kept_in_a_place_that_is_read_only_can_be_read(run_code, tmp_path):
    home = tmp_path / "home"
    run_code(WRITER)
    for path in (home, *home.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    done = run_code(READER, before=find_prefix())
    printed = done.stdout.split("\n")
    assert printed[:3] == ["replay", "2", "None True"]
    assert printed[-2] == "0 1"
    assert "Traceback" not in done.stderr
    assert "kept.sqlite3: attempt to write a readonly database" in done.stderr


def make_link_to_itself(path):
    path.symlink_to(path)


BROKEN = {
    "nothing": lambda path: path.write_bytes(b""),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe[1]"),
    "lists of lists": lambda path: path.write_bytes(b"[" * 100_000),
    "tables of tables": lambda path: path.write_bytes(b'{"a":' * 100_000),
    "arrays of arrays in TOML": lambda path: path.write_bytes(b"a=" + b"[" * 100_000),
    "other words": lambda path: path.write_bytes(b'{"openai": {"hosts": [1]}, "starred": 5}'),
    "zeros": lambda path: path.write_bytes(bytes(100_000)),
    "a directory": Path.mkdir,
    "a link to itself": make_link_to_itself,
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    "name", ["trust.json", "overrides.toml", "favorites.json", "models.dev.snapshot", "votes.jsonl"]
)
def test_a_file_that_is_spoilt_is_named_in_one_sentence_or_left_alone(tmp_path, name, spoil):
    spoil(tmp_path / name)
    with override(overrides=tmp_path / "overrides.toml", cache_dir=tmp_path, offline=True):
        uses = [
            lambda: nbkit.get_adapter("openai/gpt-5-mini", api_key="sk-canary-0123456789"),
            load,
            read_favorites,
            lambda: keep_favorites(["a/b"], []),
            lambda: nbkit.rank(tmp_path / "votes.jsonl") if name == "votes.jsonl" else None,
        ]
        for error in filter(None, map(find_error, uses)):
            assert str(error).startswith((str(tmp_path / name), "votes: "))
            assert (error.__context__, len(str(error)) < 500) == (None, True)


def find_error(use):
    """The error of nbkit's that a use raises; others stop the test."""
    try:
        use()
    except nbkit.errors.NbkitError as error:
        return error
    return None
