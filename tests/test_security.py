"""What holds everywhere in nbkit: nothing executes data, certificates are checked, keys stay apart, nobody is told."""

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nbkit
from nbkit.errors import ConfigError
from nbkit.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in ROOT.glob("nbkit/**/*.py")}
EXECUTES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "dbm", "yaml", "torch", "cloudpickle", "imp"}
EXECUTES |= {"subprocess", "pty", "runpy", "code", "codeop", "ctypes", "os.system", "os.popen", "builtins"}
FIXED_NAMES = {
    "nbkit/__init__.py",
    "nbkit/protocols/__init__.py",
    "nbkit/demo/face.py",
    "nbkit/providers/registered.py",
}
"""Where a module is imported by a name that is not written there: the name comes from a table in nbkit's own code."""


def list_nodes(kind):
    return [(path, node) for path, tree in SOURCES.items() for node in ast.walk(tree) if isinstance(node, kind)]


def test_nothing_that_is_read_can_be_executed():
    """No file, cache, catalog or answer is ever a program: JSON, TOML and SQLite only."""
    imported = [(path, one.name) for path, node in list_nodes(ast.Import) for one in node.names]
    imported += [(path, f"{node.module}.{one.name}") for path, node in list_nodes(ast.ImportFrom) for one in node.names]
    parts = [(path, name, name.partition(".")[0]) for path, name in imported]
    assert [(path, name) for path, name, first in parts if first in EXECUTES or name in EXECUTES] == []
    called = [(path, ast.unparse(node.func)) for path, node in list_nodes(ast.Call)]
    assert [one for one in called if one[1] in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}] == []
    assert [one for one in called if one[1].startswith(("os.exec", "os.spawn", "os.posix_spawn"))] == []
    variable = {path for path, name in called if name.endswith("import_module")}
    assert variable == FIXED_NAMES
    assert len(SOURCES) > 200


def test_no_widget_executes_what_it_is_sent():
    for path in ROOT.glob("nbkit/notebook/widgets/*.js"):
        text = path.read_text("utf-8")
        assert [word for word in ("eval(", "new Function", "document.write", "srcdoc") if word in text] == []


def test_nothing_switches_the_check_of_certificates_off(users_file):
    names = [(path, node.attr) for path, node in list_nodes(ast.Attribute)]
    names += [(path, keyword.arg) for path, node in list_nodes(ast.Call) for keyword in node.keywords]
    words = {"verify", "verify_mode", "check_hostname", "CERT_NONE", "_create_unverified_context", "cert_reqs"}
    assert [one for one in names if one[1] in words] == []
    assert [name for name in Settings.__struct_fields__ if any(word in name for word in ("verify", "tls", "ssl"))] == []
    users_file("[providers.openai]\nverify = false\n")
    with pytest.raises(ConfigError, match="verify"):
        nbkit.get_adapter("openai/gpt-5-mini", api_key="sk-canary-1234567890")


def test_each_of_several_users_calls_with_the_key_that_was_passed(json_server):
    """One process may serve many people (Voila, Panel): no call takes the key that another one has left."""
    server = json_server({})
    server.answers["/v1/chat/completions"] = {
        "model": "m",
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    }

    def ask(number):
        user = number % 8
        adapter = nbkit.get_adapter("lab/m", base_url=f"{server.url}/v1", api_key=f"sk-user-{user}-0123456789")
        adapter.execute("Hi", extra_headers={"x-user": str(user)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(64)))
    requests = [{name.lower(): value for name, value in headers.items()} for _, _, headers in server.requests]
    assert len(requests) == 64
    assert {(one["x-user"], one["authorization"]) for one in requests} == {
        (str(user), f"Bearer sk-user-{user}-0123456789") for user in range(8)
    }


SESSION = """
import json, sys

asked = []

def note(event, arguments):
    if event == "socket.connect":
        asked.append(arguments[1][:2] if isinstance(arguments[1], tuple) else arguments[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.system"):
        asked.append([event, str(arguments[0])])

sys.addaudithook(note)
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for line in (
    "%load_ext nbkit",
    "catalog.shape, nbkit.search('alpha 7'), nbkit.show(catalog.head(3)), nbkit.get_model('openai/alpha-7')",
    "nbkit.estimate(catalog.head(9), input_tokens=9, output_tokens=9), nbkit.provider_table()",
    "nbkit.count_tokens('Hi', 'openai/alpha-7'), nbkit.Conversation('Hi'), nbkit.ledger()",
    "%nbkit",
    "%cost",
):
    shell.run_cell("import nbkit\\n" + line).raise_error()
before = len(asked)
try:
    nbkit = shell.user_ns["nbkit"]
    nbkit.get_adapter("openai/alpha-7").execute("Hi")
except nbkit.errors.NbkitError as error:
    problem = [type(error).__name__, str(error)]
print("\\n" + json.dumps([asked[:before], asked[before:], problem]))
"""


def test_a_session_without_a_call_asks_for_the_catalog_only_and_reads_no_env_file(models_dev, whole_api, tmp_path):
    """A session without a call sends one request, with no id; a .env file beside the notebook is not looked at."""
    for theirs, openais in (
        (b"acme", b"openai"),
        (b"ACME", b"OPENAI"),
        (b"-compatible", b""),
        (b"openai.test", b"openai.com"),
    ):
        whole_api = whole_api.replace(theirs, openais)
    models_dev.reply = models_dev.answer(200, whole_api)
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-canary-0123456789\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    own = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
    own |= {"HOME": str(tmp_path), "NBKIT_CATALOG_URL": models_dev.url, "NBKIT_OFFLINE": "0", "NBKIT_LEDGER": ""}
    own |= {
        "NBKIT_CACHE_DIR": str(tmp_path / "cache"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", SESSION]
    done = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    unasked, by_the_call, problem = json.loads(done.stdout.splitlines()[-1])
    port = models_dev.server.server_port
    assert [one for one in unasked if one not in (["127.0.0.1", port], ["socket.getaddrinfo", "127.0.0.1"])] == []
    assert by_the_call == []
    assert problem[0] == "ApiKeyNotFoundError"
    assert "OPENAI_API_KEY" in problem[1]
    (request,) = models_dev.requests
    assert request.keys() <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert str(tmp_path) not in json.dumps(request)
    assert "canary" not in done.stdout + done.stderr
