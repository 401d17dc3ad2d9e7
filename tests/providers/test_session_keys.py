"""`set_key`: a key that is typed, for this process only."""

import getpass
import os
import subprocess
import sys

import pytest

import nbkit
from nbkit.errors import ApiKeyNotFoundError, ConfigError
from nbkit.providers.credentials import read_variable
from nbkit.providers.registered import register_provider
from nbkit.settings import override

CANARY = "sk-canary-1234567890"


@pytest.fixture(autouse=True)
def typed(monkeypatch):
    """What a person types, one after the other."""
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEYS", "GEMINI_API_KEY", "LAB_KEY"):
        monkeypatch.delenv(name, raising=False)
    texts = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: texts.pop(0))
    with override():  # what is typed is forgotten
        yield texts


def test_a_typed_key_wins_and_is_nowhere_to_be_seen(typed, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEYS", "sk-of-the-environment,sk-another")
    before = dict(os.environ)
    typed.append(f"  {CANARY}\n")
    done = nbkit.set_key("openai")
    assert repr(done) == "openai: key set until this kernel ends, in the place of OPENAI_API_KEY"
    assert (read_variable("OPENAI_API_KEY"), read_variable("OPENAI_API_KEYS")) == (CANARY, "")
    assert dict(os.environ) == before
    assert repr(nbkit.set_key("openai", forget=True)) == "openai: the key is forgotten; OPENAI_API_KEYS counts again"
    assert read_variable("OPENAI_API_KEY") == ""
    assert read_variable("OPENAI_API_KEYS") == "sk-of-the-environment,sk-another"


def test_it_wins_over_every_variable_of_the_provider_and_may_be_several(typed, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "of-the-environment")
    typed.append("one,two")
    assert repr(nbkit.set_key("gemini")).startswith("google: 2 keys set")
    assert read_variable("GEMINI_API_KEY") == ""
    assert read_variable("GOOGLE_API_KEYS") == "one,two"


@pytest.mark.parametrize("name", ["openai", " OpenAI ", "openai/gpt-6-luna"])
def test_a_provider_goes_by_its_id_its_name_or_a_model(typed, name):
    typed.append(CANARY)
    assert nbkit.set_key(name).variable == "OPENAI_API_KEY"


def test_the_catalog_knows_and_an_adapter_that_was_there_uses_it(typed, json_server):
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    server = json_server({"/v1/chat/completions": answer})
    row = {"id": "lab", "env": ["LAB_KEY"], "npm": "@ai-sdk/openai-compatible", "models": {"m1": {"name": "M1"}}}
    register_provider(row, f"{server.url}/v1")
    adapter = nbkit.get_adapter("lab/m1")
    with pytest.raises(ApiKeyNotFoundError, match=r"nbkit.set_key\('lab'\) asks for one"):
        adapter.execute("Hello")
    assert not nbkit.catalog.loc["lab/m1", "has_key"]
    for text in (CANARY, "another-1"):
        typed.append(text)
        nbkit.set_key("lab")
        assert adapter.execute("Hello").text == "Hi"
        assert server.requests[-1][2]["Authorization"] == f"Bearer {text}"
    assert nbkit.catalog.loc["lab/m1", "has_key"]
    nbkit.set_key("lab", forget=True)
    assert not nbkit.catalog.loc["lab/m1", "has_key"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opnai", "no provider 'opnai'; did you mean openai?"),
        ("qqqqqqqq", r"nbkit.provider_table\(\) lists them"),
        ("google-vertex-anthropic", "takes no API key"),
        (5, "expected text, got 5"),
    ],
)
def test_a_wrong_provider_is_explained_at_once(name, message):
    with pytest.raises(ConfigError, match=message):
        nbkit.set_key(name)


def test_a_key_in_the_place_of_the_provider_is_not_repeated():
    with pytest.raises(ConfigError, match="takes the id of a provider, and asks for the key itself") as refused:
        nbkit.set_key("sk-proj-q7Zt2mVx9LwK4nBc8RyP1hGd")
    assert "q7Zt" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "  ", "my key", "sk-\u2026", "sk-\x07"])
def test_what_is_not_a_key_changes_nothing_and_is_not_repeated(typed, text):
    typed += [CANARY, text]
    nbkit.set_key("openai")
    with pytest.raises(ConfigError, match="nothing has changed") as refused:
        nbkit.set_key("openai")
    assert not text.strip() or text not in str(refused.value)
    assert read_variable("OPENAI_API_KEY") == CANARY


def test_where_nobody_can_answer_the_variable_is_named():
    code = "import nbkit; nbkit.set_key('openai')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # without a terminal
        env=os.environ | {"NBKIT_OFFLINE": "1"},
    )
    assert done.stderr.splitlines()[-1].endswith(
        "set_key(): nobody can be asked for the key here; set the environment variable OPENAI_API_KEY"
    )
