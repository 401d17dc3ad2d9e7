"""Models that run on this machine, asked of real servers on 127.0.0.1."""

import socket
import time

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
    "/api/show": lambda asked: {
        "llama3.2:latest": {"capabilities": ["completion", "tools"], "model_info": {"llama.context_length": 131072}},
        "gemma3:4b": {"capabilities": ["vision", "thinking"], "model_info": {"gemma3.context_length": 8192}},
    }.get(asked["model"], (404, {"error": "not found"})),
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
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    return port


@pytest.fixture
def look(json_server, nobody):
    """Asks servers that give these answers; the others are not there."""

    def run(seconds=2.0, **answers):
        ports = dict.fromkeys(SERVERS, nobody)
        servers = {name: json_server(said) for name, said in answers.items()}
        found = nbkit.local_models(ports | {name: server.port for name, server in servers.items()}, seconds=seconds)
        return found, servers

    return run


def test_all_four(look):
    found, servers = look(ollama=OLLAMA, lmstudio=LMSTUDIO, llamacpp=LLAMACPP, vllm=VLLM)
    assert list(found.columns) == list(nbkit.catalog.columns)
    columns = ["vendor", "vision", "tools", "reasoning", "context", "input_cost"]
    assert {row: found.loc[row, columns].tolist() for row in found.index} == {
        "ollama/llama3.2": ["meta", False, True, False, 131072, 0.0],
        "ollama/gemma3:4b": ["google", True, False, True, 8192, 0.0],
        "ollama/old": ["unknown", False, True, False, found.loc["ollama/old", "context"], 0.0],
        "lmstudio/qwen/qwen3-vl-8b": ["alibaba", True, True, False, 32768, 0.0],
        "lmstudio/nomic-embed-text": ["nomic-ai", False, False, False, 2048, 0.0],
        "llamacpp/gemma-3-4b.gguf": ["google", True, True, False, 4096, 0.0],
        "vllm/Qwen/Qwen3-8B": ["alibaba", False, True, False, 40960, 0.0],
    }
    assert found.context.isna().sum() == 1
    assert nbkit.get_adapter("vllm/Qwen/Qwen3-8B").endpoint.base_url == f"{servers['vllm'].url}/v1"
    ollama = nbkit.get_adapter("ollama/llama3.2").endpoint
    assert (ollama.protocol, ollama.base_url, ollama.auth) == ("ollama-chat", servers["ollama"].url, "none")


def test_a_model_that_was_found_can_be_called_without_a_key(look):
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    said = {"id": "1", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    _, servers = look(vllm=VLLM | {"/v1/chat/completions": said})
    completion = nbkit.get_adapter("vllm/Qwen/Qwen3-8B").execute("Hello")
    assert (completion.text, completion.cost) == ("Hi", 0)
    _, path, headers = servers["vllm"].asked[-1]
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
    found, _ = look(**answers)
    assert list(found.index) == (["vllm/3.5"] if "3.5" in str(answers) else [])
    assert list(found.columns) == list(nbkit.catalog.columns)


def test_a_silent_server_is_not_waited_for(look):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        port = silent.getsockname()[1]
        found = nbkit.local_models(dict.fromkeys(SERVERS, port), seconds=0.2)
        assert found.empty
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("form", ["127.0.0.1:{}", ":{}", "0.0.0.0:{}", "http://localhost:{}/"])
def test_ollamas_own_variable(json_server, nobody, monkeypatch, form):
    monkeypatch.setenv("OLLAMA_HOST", form.format(json_server(OLLAMA).port))
    found = nbkit.local_models(dict.fromkeys(SERVERS[1:], nobody))
    assert set(found.provider) == {"ollama"}


def test_wrong_names_and_ports(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown server 'olama'; there are ollama, lmstudio, llamacpp, vllm"):
        nbkit.local_models({"olama": 1})
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:many")
    with pytest.raises(ConfigError, match=r"OLLAMA_HOST: '127.0.0.1:many' has no port that is a number"):
        nbkit.local_models()
