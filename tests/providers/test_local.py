"""Models that run on this machine, asked of real servers on 127.0.0.1."""

import socket
import threading

import pytest

import nbkit
from nbkit.errors import ConfigError

pytestmark = pytest.mark.usefixtures("unregistered")

SERVERS = ("ollama", "lmstudio", "llamacpp", "vllm")
OLLAMA = {
    "/api/tags": {
        "models": [
            {"name": "llama3.2:latest", "model": "llama3.2:latest", "details": {"family": "llama"}},
            {"name": "gemma3:4b", "model": "gemma3:4b", "details": None},
            {"name": "old", "model": "old"},
            "junk",
        ]
    },
    "/api/show": lambda body: {
        "llama3.2:latest": {"capabilities": ["completion", "tools"], "model_info": {"llama.context_length": 131072}},
        "gemma3:4b": {"capabilities": ["vision", "thinking"], "model_info": {"gemma3.context_length": 8192}},
    }.get(body["model"], (404, {"error": "not found"})),
}  # fmt: skip
LMSTUDIO = {
    "/api/v0/models": {
        "data": [
            {"id": "qwen/qwen3-vl-8b", "type": "vlm", "max_context_length": 32768, "capabilities": ["tool_use"]},
            {"id": "nomic-embed-text", "type": "embeddings", "max_context_length": 2048},
        ]
    }
}
LLAMACPP = {
    "/props": {"default_generation_settings": {"n_ctx": 4096}, "modalities": {"vision": True}},
    "/v1/models": {"data": [{"id": "/models/My Models/gemma-3-4b.gguf", "meta": {"n_ctx_train": 131072}}]},
}
VLLM = {"/v1/models": {"data": [{"id": "Qwen/Qwen3-8B", "owned_by": "vllm", "max_model_len": 40960}]}}


@pytest.fixture
def nobody():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return port


@pytest.fixture
def look(json_server, nobody):
    """Asks servers that give these answers; the others are not there."""

    def run(**answers):
        ports = dict.fromkeys(SERVERS, nobody)
        servers = {name: json_server(answer) for name, answer in answers.items()}
        models = nbkit.local_models(ports | {name: server.port for name, server in servers.items()}, seconds=30)
        return models, servers

    return run


def test_all_four(look):
    models, servers = look(ollama=OLLAMA, lmstudio=LMSTUDIO, llamacpp=LLAMACPP, vllm=VLLM)
    assert list(models.columns) == list(nbkit.catalog.columns)
    columns = ["vendor", "vision", "tools", "reasoning", "context", "input_cost"]
    assert {row: models.loc[row, columns].tolist() for row in models.index} == {
        "ollama/llama3.2": ["meta", False, True, False, 131072, 0.0],
        "ollama/gemma3:4b": ["google", True, False, True, 8192, 0.0],
        "ollama/old": ["unknown", False, True, False, models.loc["ollama/old", "context"], 0.0],
        "lmstudio/qwen/qwen3-vl-8b": ["alibaba", True, True, False, 32768, 0.0],
        "lmstudio/nomic-embed-text": ["nomic-ai", False, False, False, 2048, 0.0],
        "llamacpp/gemma-3-4b.gguf": ["google", True, True, False, 4096, 0.0],
        "vllm/Qwen/Qwen3-8B": ["alibaba", False, True, False, 40960, 0.0],
    }
    assert models.context.isna().sum() == 1
    assert nbkit.get_adapter("vllm/Qwen/Qwen3-8B").endpoint.base_url == f"{servers['vllm'].url}/v1"
    ollama = nbkit.get_adapter("ollama/llama3.2").endpoint
    assert (ollama.protocol, ollama.base_url, ollama.auth) == ("ollama-chat", servers["ollama"].url, "none")


def test_a_local_model_can_be_called_without_a_key(look):
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    answer = {"id": "1", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    _, servers = look(vllm=VLLM | {"/v1/chat/completions": answer})
    completion = nbkit.get_adapter("vllm/Qwen/Qwen3-8B").execute("Hello")
    assert (completion.text, completion.cost) == ("Hi", 0)
    _, path, headers = servers["vllm"].requests[-1]
    assert path == "/v1/chat/completions"
    assert not {"authorization", "x-api-key"} & {name.lower() for name in headers}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"vllm": {}},
        {"vllm": {"/v1/models": b"<html>Jupyter Server</html>"}},
        {"vllm": {"/v1/models": {"data": [{"id": 3.5}, {"id": ""}, {"id": "a b"}, {}, None]}}},
        {"vllm": {"/v1/models": {"data": {"id": "x"}}}, "ollama": {"/api/tags": [1]}},
        {"ollama": {"/api/tags": (500, {"error": "no"})}, "llamacpp": {"/props": [], "/v1/models": None}},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_or_something_else_listens(look, answers):
    models, _ = look(**answers)
    assert list(models.index) == (["vllm/3.5"] if "3.5" in str(answers) else [])
    assert list(models.columns) == list(nbkit.catalog.columns)


def test_a_silent_server_is_given_up(json_server):
    """One that accepts the connection and does not answer until `given_up` is set."""
    given_up, requests = threading.Event(), threading.Semaphore(0)

    class Silent(dict):
        def get(self, path, default):
            requests.release()
            given_up.wait(30)
            return super().get(path, default)

    servers = [json_server(Silent(VLLM)) for _ in SERVERS]
    ports = dict(zip(SERVERS, (server.port for server in servers), strict=True))
    assert nbkit.local_models(ports, seconds=0.2).empty
    assert not given_up.is_set()
    assert all(requests.acquire(timeout=30) for _ in SERVERS)  # each was asked, though none answered
    given_up.set()
    assert not nbkit.local_models(ports, seconds=30).empty


@pytest.mark.parametrize("form", ["127.0.0.1:{}", ":{}", "0.0.0.0:{}", "http://localhost:{}/"])
def test_ollamas_own_variable(json_server, nobody, monkeypatch, form):
    monkeypatch.setenv("OLLAMA_HOST", form.format(json_server(OLLAMA).port))
    models = nbkit.local_models(dict.fromkeys(SERVERS[1:], nobody), seconds=30)
    assert set(models.provider) == {"ollama"}


def test_wrong_names_and_ports(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown server 'olama'; there are ollama, lmstudio, llamacpp, vllm"):
        nbkit.local_models({"olama": 1})
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:many")
    with pytest.raises(ConfigError, match=r"OLLAMA_HOST: the port of '127.0.0.1:many' is not a number"):
        nbkit.local_models()
