"""Keys in the keyring: a back end of the keyring package that keeps them in a file of the test."""

import getpass
import json
import subprocess
import sys
import traceback

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked

import nbkit
from nbkit.errors import ApiKeyNotFoundError, ConfigError
from nbkit.providers.credentials import find_key_variable, list_secrets
from nbkit.providers.env_file import load_env
from nbkit.providers.health import health
from nbkit.providers.registered import register_provider
from nbkit.settings import override

KEY = "sk-proj-q7Zt2mVx9LwK4nBc8RyP1hGd"


class FileRing(KeyringBackend):
    """Keeps keys in one file; counts how often it is asked."""

    priority = 0.1

    def __init__(self, file):
        super().__init__()
        self.file, self.questions = file, []

    def _read(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def get_password(self, service, username):
        self.questions.append(username)
        return self._read().get(f"{service} {username}")

    def set_password(self, service, username, password):
        self.file.write_text(json.dumps(self._read() | {f"{service} {username}": password}))

    def delete_password(self, service, username):
        self.file.write_text(
            json.dumps({name: key for name, key in self._read().items() if name != f"{service} {username}"})
        )


class PlaintextRing(FileRing):
    """As keyrings.alt has one."""


class Forgetful(FileRing):
    """Takes everything and keeps nothing."""

    def set_password(self, service, username, password):
        pass


class Locked(FileRing):
    """Answers every question with an error that repeats what was asked."""

    def get_password(self, service, username):
        raise KeyringLocked(f"{username} {KEY}")

    def set_password(self, service, username, password):
        raise KeyringLocked(f"cannot keep {password}")


@pytest.fixture
def ring(tmp_path, monkeypatch):
    """The keyring of the machine; nothing is typed but the key."""
    for name in ("LAB_KEY", "LAB_KEYS", "OPENAI_API_KEY", "OPENAI_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: KEY)
    before = keyring.get_keyring()
    ring = FileRing(tmp_path / "ring.json")
    keyring.set_keyring(ring)
    with override(overrides=tmp_path / "overrides.toml"):
        yield ring
    keyring.set_keyring(before)


@pytest.fixture
def lab(ring, json_server):
    """A provider, and the keys that were sent to it."""
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    server = json_server({"/v1/chat/completions": answer, "/v1/models": {"data": []}})
    row = {"id": "lab", "env": ["LAB_KEY"], "npm": "@ai-sdk/openai-compatible", "models": {"m1": {"name": "M1"}}}
    register_provider(row, f"{server.url}/v1")

    def ask():
        nbkit.get_adapter("lab/m1").execute("Hello")
        return server.requests[-1][2]["Authorization"].removeprefix("Bearer ")

    return ask


def test_a_key_is_kept_for_later_processes_until_it_is_forgotten(ring, lab, tmp_path):
    done = nbkit.set_key("lab", keyring=True)
    name = ring.name
    assert repr(done) == f"lab: key set and kept in {name}, in the place of LAB_KEY"
    assert json.loads(ring.file.read_text()) == {"nbkit LAB_KEY": KEY}
    assert (tmp_path / "keyring.txt").read_text() == "LAB_KEY\n"
    assert lab() == KEY
    assert repr(nbkit.set_key("lab", forget=True)) == "lab: the key is forgotten; LAB_KEY (keyring) counts again"
    ring.questions.clear()
    assert nbkit.catalog.loc["lab/m1", "has_key"]
    assert ring.questions == []
    assert [lab(), lab(), lab()] == [KEY] * 3
    assert ring.questions == ["LAB_KEY"]
    assert KEY in list_secrets()
    table = health(["lab"])
    assert table.loc["lab", ["variable", "status"]].tolist() == ["LAB_KEY (keyring)", "ok"]
    assert repr(nbkit.set_key("lab", keyring=True, forget=True)) == f"lab: the key is forgotten, also by {name}"
    assert json.loads(ring.file.read_text()) == {}
    assert not nbkit.catalog.loc["lab/m1", "has_key"]
    with pytest.raises(ApiKeyNotFoundError):
        lab()


def test_typed_then_the_environment_then_the_file_then_the_keyring(ring, lab, monkeypatch, tmp_path):
    nbkit.set_key("lab", keyring=True)
    nbkit.set_key("lab", forget=True)
    assert lab() == KEY
    (tmp_path / ".env").write_text("LAB_KEY=of-the-file")
    load_env(tmp_path / ".env")
    assert lab() == "of-the-file"
    monkeypatch.setenv("LAB_KEY", "of-the-environment")
    assert lab() == "of-the-environment"
    assert find_key_variable(["LAB_KEY"]) == "LAB_KEY"
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "typed-now")
    nbkit.set_key("lab")
    assert lab() == "typed-now"


def test_several_keys_and_a_change_by_another_process(ring, lab, tmp_path, monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "one, two")
    assert repr(nbkit.set_key("lab", keyring=True)).startswith("lab: 2 keys set and kept in ")
    nbkit.set_key("lab", forget=True)
    assert lab() == "one"
    ring.set_password("nbkit", "LAB_KEY", "three")
    (tmp_path / "keyring.txt").write_text("LAB_KEY\nOTHER_KEY\n")
    assert lab() == "three"
    ring.delete_password("nbkit", "LAB_KEY")  # by the system's own program
    (tmp_path / "keyring.txt").write_text("LAB_KEY\n")
    with pytest.raises(ApiKeyNotFoundError):
        lab()
    assert nbkit.set_key("lab", keyring=True, forget=True).keyring
    assert not nbkit.set_key("lab", keyring=True, forget=True).keyring


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: fail.Keyring(), "this machine has no keyring, as most servers and containers"),
        (lambda file: null.Keyring(), "this machine has no keyring"),
        (PlaintextRing, "PlaintextRing, is a plain file that everybody can read"),
        (Forgetful, "Forgetful did not keep the key of OPENAI_API_KEY; nothing has changed"),
        (Locked, "failed: KeyringLocked; it may be locked. nbkit.set_key.. without keyring=True keeps a key until"),
    ],
)  # fmt: skip
def test_a_machine_without_a_keyring_is_explained_in_one_sentence(ring, tmp_path, make, message):
    keyring.set_keyring(make(tmp_path / "other.json"))
    with pytest.raises(ConfigError, match=message) as refused:
        nbkit.set_key("openai", keyring=True)
    assert KEY not in str(refused.value)
    assert (refused.value.__context__, refused.value.__cause__) == (None, None)
    frames = traceback.TracebackException.from_exception(refused.value, capture_locals=True).stack
    assert not [frame for frame in frames if "/tests/" not in frame.filename and KEY in str(frame.locals)]
    assert find_key_variable(["OPENAI_API_KEY"]) is None
    assert not (tmp_path / "other.json").exists()
    assert not (tmp_path / "keyring.txt").exists()


def test_of_several_keyrings_the_first_is_looked_at(ring, tmp_path):
    class Chain(chainer.ChainerBackend):
        backends = (PlaintextRing(tmp_path / "plain.json"), ring)

    keyring.set_keyring(Chain())
    with pytest.raises(ConfigError, match="is a plain file"):
        nbkit.set_key("openai", keyring=True)


def test_a_keyring_that_is_locked_later_is_named_by_the_call(ring, lab, tmp_path):
    nbkit.set_key("lab", keyring=True)
    nbkit.set_key("lab", forget=True)
    keyring.set_keyring(Locked(tmp_path / "locked.json"))
    with pytest.raises(ConfigError, match="failed: KeyringLocked") as refused:
        lab()
    assert KEY not in str(refused.value)
    keyring.set_keyring(ring)
    assert lab() == KEY


def test_a_list_of_keys_that_is_spoilt_is_named_and_works_again_without_it(ring, lab, tmp_path):
    nbkit.set_key("lab", keyring=True)
    nbkit.set_key("lab", forget=True)
    (tmp_path / "keyring.txt").write_bytes(b"LAB_KEY\xff\n")
    with pytest.raises(ConfigError, match=r"keyring\.txt: .*; correct or delete it"):
        lab()
    (tmp_path / "keyring.txt").unlink()
    with pytest.raises(ApiKeyNotFoundError):
        lab()


def test_who_has_no_key_there_does_not_load_the_package(tmp_path):
    code = """
import sys, nbkit
from nbkit.providers.credentials import has_key
nbkit.catalog["has_key"].sum()
try:
    nbkit.get_adapter("openai/gpt-6-luna").execute("Hi")
except nbkit.errors.ApiKeyNotFoundError:
    print("keyring" in sys.modules)
sys.modules["keyring"] = None
nbkit.set_key("openai", keyring=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={
            "NBKIT_OFFLINE": "1",
            "NBKIT_OVERRIDES": str(tmp_path / "overrides.toml"),
            "NBKIT_CACHE_DIR": str(tmp_path),
        },
    )
    assert done.stdout == "False\n"
    assert (
        "needs the package keyring, which is not installed: pip install 'nbkit-llm[keyring]'"
        in done.stderr.splitlines()[-1]
    )
