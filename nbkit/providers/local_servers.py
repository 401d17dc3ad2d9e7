"""Servers of models on this machine: Ollama, LM Studio, llama.cpp and vLLM, looked for on their loopback ports.

Their lists of models: https://docs.ollama.com/api/tags and /api/show,
https://lmstudio.ai/docs/developer/rest (`/api/v0/models`),
https://github.com/ggml-org/llama.cpp/tree/master/tools/server (`/v1/models`, `/props`),
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (`/v1/models`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from nbkit.errors import AdapterError, ConfigError
from nbkit.http.bounded import is_success, read_limited
from nbkit.http.clients import sync_client
from nbkit.http.exchange import Exchange, Failure, Request
from nbkit.json_text import read_json, write_json
from nbkit.modelsdev.records import Record
from nbkit.providers.registered import register_provider

_NAME = re.compile(r"[\w.:@/+~-]{1,200}", re.ASCII)  # the form of a model's name in the catalog
_Facts = dict[str, Any]  # one model, in the form of models.dev
_Request = Callable[..., Any]  # path and body of a request to the server -> its JSON, None for an error status


def find_local_models(ports: Mapping[str, int], seconds: float) -> list[Record]:
    """Ask the servers of this machine for their models, and register those that answer as providers."""
    servers = _list_servers(ports)
    with ThreadPoolExecutor(len(servers)) as pool:
        answers = list(pool.map(lambda server: _list_models(server, seconds), servers))
    return [
        record
        for server, models in zip(servers, answers, strict=True)
        if models
        for record in register_provider(
            _describe(server, models), f"{server.root}{server.base}", source="local"
        ).records
    ]


# ---- reading each server's lists


class _Server(Struct, frozen=True):
    id: str
    name: str
    port: int
    read: Callable[[_Request], Iterator[_Facts]]
    npm: str = "@ai-sdk/openai-compatible"
    base: str = "/v1"
    """The path of the base URL for calls."""

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _read_ollama(request: _Request) -> Iterator[_Facts]:
    for listed in _objects(request("/api/tags"), "models"):
        name = str(listed.get("model") or listed.get("name") or "")
        shown = _object(request("/api/show", {"model": name}))
        abilities = _words(shown.get("capabilities")) or ["completion", "tools"]
        info = _object(shown.get("model_info"))
        context = next((size for key, size in info.items() if key.endswith(".context_length")), None)
        family = _object(listed.get("details")).get("family")
        yield _facts(name.removesuffix(":latest"), context, abilities) | {"family": family}


def _read_lmstudio(request: _Request) -> Iterator[_Facts]:
    for listed in _objects(request("/api/v0/models"), "data"):
        abilities = [
            _LMSTUDIO_ABILITIES.get(word, word)
            for word in (*_words(listed.get("capabilities")), str(listed.get("type")))
        ]
        context = listed.get("loaded_context_length") or listed.get("max_context_length")
        yield _facts(str(listed.get("id") or ""), context, abilities)


def _read_llamacpp(request: _Request) -> Iterator[_Facts]:
    props = _object(request("/props"))
    context = _object(props.get("default_generation_settings")).get("n_ctx")
    reads_images = _object(props.get("modalities")).get("vision")
    for listed in _objects(request("/v1/models"), "data"):
        name = str(listed.get("id") or "")
        if name.endswith(".gguf"):  # the path of the only model, which calls may name as they like
            name = re.split(r"[/\\]", name)[-1]
        size = context or _object(listed.get("meta")).get("n_ctx_train")
        yield _facts(name, size, ["tools", "vision"] if reads_images else ["tools"])


def _read_vllm(request: _Request) -> Iterator[_Facts]:
    for listed in _objects(request("/v1/models"), "data"):
        yield _facts(str(listed.get("id") or ""), listed.get("max_model_len"), ["tools"])


_LMSTUDIO_ABILITIES = {"tool_use": "tools", "vlm": "vision", "llm": "completion", "embeddings": "embedding"}
_SERVERS = (
    _Server("ollama", "Ollama", 11434, _read_ollama, "ollama-ai-provider", ""),
    _Server("lmstudio", "LM Studio", 1234, _read_lmstudio),
    _Server("llamacpp", "llama.cpp", 8080, _read_llamacpp),
    _Server("vllm", "vLLM", 8000, _read_vllm),
)


def _facts(name: str, context: Any, abilities: list[str]) -> _Facts:
    """Put what a server's list says of a model into the form of models.dev; a model on this machine costs 0."""
    return {
        "id": name,
        "name": name,
        "tool_call": "tools" in abilities,
        "reasoning": "thinking" in abilities,
        "attachment": "vision" in abilities,
        "open_weights": True,
        "modalities": {"input": ["text", "image"] if "vision" in abilities else ["text"], "output": ["text"]},
        "limit": {"context": context if isinstance(context, int) else 0},
        "cost": {"input": 0, "output": 0},
    }


# ---- asking the servers


def _list_servers(ports: Mapping[str, int]) -> list[_Server]:
    known = {server.id: server for server in _SERVERS}
    for name in ports:
        if name not in known:
            raise ConfigError(f"local_models(ports=): unknown server {name!r}; there are {', '.join(known)}")
    where = {"ollama": _ollama_port()} | dict(ports)
    return [replace(server, port=where.get(server.id, server.port)) for server in _SERVERS]


def _ollama_port() -> int:
    """Read the port from OLLAMA_HOST: `host`, `:port`, `host:port` or a URL."""
    host = os.environ.get("OLLAMA_HOST", "").strip()
    try:
        port = urlsplit(host if "://" in host else f"//{host}").port
    except ValueError:
        port = -1
    if port == -1:
        raise ConfigError(f"OLLAMA_HOST: the port of {host!r} is not a number")
    return port or 11434


def _list_models(server: _Server, seconds: float) -> dict[str, _Facts]:
    """Ask a server for its models, by name; empty where no server listens, or one of another kind does."""
    client = sync_client(server.root, None)

    def request(path: str, body: Any = None) -> Any:
        exchange, url = Exchange.within(seconds), f"{server.root}/{path.lstrip('/')}"
        request = Request("GET", url, exchange)
        if body is not None:
            request = Request("POST", url, exchange, {"content-type": "application/json"}, write_json(body))
        with closing(client.send(request)) as reply:
            text = read_limited(reply, exchange)
            return read_json(text) if is_success(reply.status) else None

    try:
        return {facts["id"]: facts for facts in server.read(request) if _NAME.fullmatch(facts["id"])}
    except (Failure, AdapterError, ValueError):
        return {}


def _describe(server: _Server, models: dict[str, _Facts]) -> dict[str, Any]:
    return {"id": server.id, "name": server.name, "npm": server.npm, "env": [], "models": models}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _objects(value: Any, key: str) -> list[dict[str, Any]]:
    listed = _object(value).get(key)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
