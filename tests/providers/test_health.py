"""The check of providers, with real servers on 127.0.0.1."""

import os
import re
import socket
from urllib.parse import urljoin

import pytest

import nbkit
from nbkit.errors import AdapterError, ConfigError
from nbkit.protocols import PROTOCOLS
from nbkit.settings import override

pytestmark = pytest.mark.usefixtures("unregistered")

KEY = "sk-canary-0123456789abcdef"
MODEL = {"id": "m", "name": "M", "modalities": {"input": ["text"], "output": ["text"]}}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in list(os.environ):
        if name.endswith(("_KEY", "_KEYS", "_TOKEN", "_PAT")):
            monkeypatch.delenv(name)


@pytest.fixture
def lab(json_server, monkeypatch):
    """Registers a provider with a key, whose server gives these answers."""

    def start(answers, name="lab", npm="@ai-sdk/openai-compatible", env=("LAB_API_KEY",), base="/v1"):
        server = json_server(answers)
        provider = {"id": name, "name": name, "npm": npm, "env": list(env), "models": {"m": MODEL}}
        nbkit.AdapterFactory.register_provider(provider, server.url + base)
        for variable in env:
            monkeypatch.setenv(variable, KEY)
        return server

    return start


def test_each_provider_has_a_status(lab):
    server = lab({"/v1/models": {"data": []}})
    lab({"/v1/models": (401, {"error": f"wrong key {KEY}"})}, "refuses", env=["REFUSES_API_KEY"])
    lab({"/v1/models": (503, b"down")}, "broken", env=["BROKEN_API_KEY"])
    lab({}, "listless", env=["LISTLESS_API_KEY"])
    table = nbkit.health()
    table = table[table.variable.notna()]  # whatever else listens on this machine
    assert table[["variable", "status", "detail"]].T.to_dict("list") == {
        "lab": ["LAB_API_KEY", "ok", ""],
        "refuses": ["REFUSES_API_KEY", "unauthorized", "HTTP 401"],
        "broken": ["BROKEN_API_KEY", "unreachable", "HTTP 503"],
        "listless": ["LISTLESS_API_KEY", "not checked", "HTTP 404"],
    }
    assert table.seconds.between(0, 5).all()
    assert "canary" not in table.to_csv()
    (method, path, headers), *more = server.requests
    assert (method, path, headers["Authorization"], more) == ("GET", "/v1/models", f"Bearer {KEY}", [])


def test_each_of_several_keys_is_checked(lab, monkeypatch):
    fine = lab({"/v1/models": {"data": []}}, env=["LAB_API_KEYS"])
    refuses = lab({"/v1/models": (401, b"no")}, "refuses", env=["REFUSES_API_KEYS"])
    for name in ("lab", "refuses"):
        monkeypatch.setenv(f"{name.upper()}_API_KEYS", f"{KEY}1,{KEY}2")
        provider = {"id": name, "name": name, "env": [f"{name.upper()}_API_KEY"], "models": {"m": MODEL}}
        nbkit.AdapterFactory.register_provider(provider, (fine if name == "lab" else refuses).url + "/v1")
    table = nbkit.health(["lab", "refuses"])
    assert table[["variable", "status", "detail"]].T.to_dict("list") == {
        "lab": ["LAB_API_KEYS", "ok", ""],
        "refuses": ["REFUSES_API_KEYS", "unauthorized", "key 1 of 2: HTTP 401"],
    }
    assert [headers["Authorization"][-1] for _, _, headers in fine.requests] == ["1", "2"]


@pytest.mark.parametrize(
    ("npm", "base", "path", "header"),
    [
        ("@ai-sdk/anthropic", "/v1", "/v1/models", "x-api-key"),
        ("@ai-sdk/google", "/v1beta", "/v1beta/models", "x-goog-api-key"),
        ("@ai-sdk/azure", "/openai/v1/", "/openai/v1/models", "api-key"),
        ("@ai-sdk/cohere", "/v2", "/v1/models", "authorization"),
    ],
)
def test_each_protocol_has_its_own_list_and_header(lab, npm, base, path, header):
    server = lab({path: {}}, npm=npm, base=base)
    assert nbkit.health(["lab"]).status.tolist() == ["ok"]
    headers = {name.lower(): value for name, value in server.requests[0][2].items()}
    assert headers[header].endswith(KEY)
    assert sum(KEY in value for value in headers.values()) == 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_row_of_a_protocol_has_the_path_of_its_list(lab, users_file, name):
    users_file(f'[providers.lab]\nprotocol = "{name}"')
    models = PROTOCOLS[name].models
    server = lab({urljoin("/v1/", models): {}})
    row = nbkit.health(["lab"]).loc["lab"]
    assert (row.status, len(server.requests)) == (("ok", 1) if models else ("not checked", 0))


def test_a_silent_and_a_closed_server_are_unreachable(lab):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = lab({})
        server.shutdown()
        server.server_close()
        with override(base_url_override=f"http://127.0.0.1:{silent.getsockname()[1]}"):
            slow = nbkit.health(["lab"], seconds=0.2).loc["lab"]
    closed = nbkit.health(["lab"]).loc["lab"]
    assert (slow.status, closed.status) == ("unreachable", "unreachable")
    assert slow.detail.startswith("timed out after 0.2 s without data from 127.0.0.1:")
    assert closed.detail.startswith("could not connect to 127.0.0.1:")


def test_a_redirect_is_not_followed(lab, json_server):
    elsewhere = json_server({})
    server = lab({"/v1/models": (302, {}, {"location": f"{elsewhere.url}/v1/models"})})
    assert nbkit.health(["lab"]).loc["lab", ["status", "detail"]].tolist() == ["not checked", "HTTP 302"]
    assert (len(server.requests), elsewhere.requests) == (1, [])


def test_providers_that_are_not_checked_say_why(monkeypatch):
    table = nbkit.health(["openai", "azure", "gitlab", "amazon-bedrock"])
    assert set(table.status) == {"not checked"}
    assert table.variable.isna().all()
    assert table.loc["openai", "detail"] == "set OPENAI_API_KEY"
    assert "set AZURE_RESOURCE_NAME" in table.loc["azure", "detail"]
    assert "GitLab Duo exchanges" in table.loc["gitlab", "detail"]
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    assert nbkit.health().variable.dropna().to_dict() == {"azure": "AZURE_API_KEY"}
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert nbkit.health(["amazon-bedrock"]).detail.tolist() == ["it has no list of models to ask for"]


def test_a_key_that_no_header_can_carry(lab, monkeypatch):
    server = lab({})
    monkeypatch.setenv("LAB_API_KEY", "naïve key")
    row = nbkit.health(["lab"]).loc["lab"]
    assert row.status == "not checked"
    assert "naïve" not in row.detail
    assert not server.requests


def test_those_without_a_key_are_listed_when_they_answer(lab, users_file):
    users_file('[providers.open]\nauth = "none"\n[providers.shut]\nauth = "none"')
    lab({"/v1/models": {}}, "open", env=[])
    lab({"/v1/models": (500, {})}, "shut", env=[])
    listed = nbkit.health().status
    assert listed["open"] == "ok"
    assert "shut" not in listed
    assert nbkit.health(["open", "shut"]).status.to_dict() == {"open": "ok", "shut": "unreachable"}
    assert nbkit.health([]).empty


def test_unknown_ids():
    with pytest.raises(ConfigError, match=r"health\(\): unknown provider 'grok'; did you mean xai\?"):
        nbkit.health(["grok"])
    with pytest.raises(ConfigError, match=r"health\(\): unknown provider 'opnai'; did you mean openai\?"):
        nbkit.health(["opnai"])


@pytest.mark.parametrize("address", ["https://far.invalid/v1", "https://192.0.2.7:8000/v1"])
def test_offline_asks_this_machine_only(lab, monkeypatch, address):
    here = lab({"/v1/models": {"data": []}})
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # a request to the network would come here
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with override(offline=True):
            assert nbkit.health(["lab"])["status"].tolist() == ["ok"]
        with override(offline=True, base_url_override=address):
            table = nbkit.health(["lab"], seconds=0.5)
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert table[["status", "detail"]].values.tolist() == [["not checked", "offline (NBKIT_OFFLINE)"]]
    assert len(here.requests) == 1


def test_models_whose_calls_have_failed_are_listed_also_without_a_key(lab):
    lab({"/v1/models": {"data": []}}, "keyless", env=[])
    lab({"/v1/models": {"data": []}})
    own = nbkit.get_adapter("lab/m", max_retries=0)
    absent = nbkit.get_adapter("shed/llama", base_url="http://127.0.0.1:9/v1", max_retries=0)
    for adapter, times in ((own, 1), (absent, 5)):
        for _ in range(times):
            with pytest.raises(AdapterError):
                adapter.execute("Hi")
    table = nbkit.health()
    assert table.circuit["keyless"] == "closed"
    assert table.circuit["lab"] == "closed"  # the server has answered, with a 404
    assert table.loc["shed", ["status", "detail"]].tolist() == ["not checked", "not in the catalog"]
    assert re.fullmatch(r"llama: open for \d+ s \(5 failures, the last: .*127\.0\.0\.1:9.*\)", table.circuit["shed"])
