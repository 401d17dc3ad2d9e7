"""Test mode (offline, no waiting, nothing of the user's machine is touched), and fixtures that many rooms share."""

from __future__ import annotations

import atexit
import gc
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nbkit.http.clients import close_all
from nbkit.settings import override, settings

_test_mode = ExitStack()

StreamRequestHandler.disable_nagle_algorithm = True  # the servers write head and body apart: the body waited 40 ms


def pytest_configure() -> None:
    """Begin test mode before the test files are imported."""
    os.environ["NBKIT_LEDGER"] = "off"  # for the kernels and other processes that tests start
    os.environ.pop("NBKIT_REPLAY", None)
    directory = Path(_test_mode.enter_context(TemporaryDirectory(prefix="nbkit-tests-")))
    atexit.register(_test_mode.close)  # the process of a pytest-xdist worker ends without `pytest_unconfigure`
    _test_mode.enter_context(
        override(
            offline=True,
            cache_dir=directory / "cache",
            catalog_timeout=30,  # a busy machine is slow
            retry_wait=0,
            demo_tokens_per_second=0,
            live=False,
            ledger=str(directory / "data" / "ledger.sqlite3"),
            overrides=directory / "config" / "none.toml",
        )
    )


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of asynchronous calls while the test runs: `engines.py` says which tests run on each of them."""
    with ExitStack() as stack:
        if name := getattr(request, "param", None):
            stack.enter_context(override(http_engine=name))
        yield settings().http_engine


@pytest.fixture(autouse=True, scope="module")
def nothing_left() -> Iterator[None]:
    """Close connections and collect garbage after each file of tests: a socket that is left fails the file it is of."""
    yield
    close_all()
    gc.collect()
    gc.freeze()  # what stays is not looked through again


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for named tests and for live calls, whose table is made of them all; else one more than cores.

    Tests of kernels and browsers wait for half of their time.
    """
    alone = config.option.file_or_dir or config.option.markexpr == "live"
    return 0 if alone else (os.cpu_count() or 1) + 1


# ---- a models.dev on 127.0.0.1, and a small api.json

Reply = Callable[[BaseHTTPRequestHandler], None]


def model(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "Alpha",
        "family": "greek",
        "canonical_model_id": "acme/alpha",
        "description": "A model",
        "attachment": False,
        "reasoning": True,
        "tool_call": True,
        "modalities": {"input": ["text", "image"], "output": ["text"]},
        "open_weights": True,
        "limit": {"context": 200_000, "output": 64_000},
        "cost": {"input": 1, "output": 5, "cache_read": 0.1},
        "release_date": "2026-05-01",
        "last_updated": "2026-06",
    }
    return row | changes


def provider(models: dict[str, Any], **changes: Any) -> dict[str, Any]:
    row = {
        "id": "acme",
        "env": ["ACME_API_KEY"],
        "npm": "@ai-sdk/openai-compatible",
        "api": "https://api.acme.test/v1",
        "name": "Acme",
        "doc": "https://acme.test/docs",
    }
    return row | {"models": models} | changes


class ModelsDev:
    """A server that answers by calling `reply`; `requests` are the headers of each request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.reply: Reply = self.answer(500)
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append({name.lower(): value for name, value in self.headers.items()})
                site.reply(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api.json"

    @staticmethod
    def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            with suppress(ConnectionError):  # a reader that has had enough hangs up
                handler.wfile.write(body)

        return reply


@pytest.fixture
def models_dev() -> Iterator[ModelsDev]:
    site = ModelsDev()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def whole_api() -> bytes:
    """An api.json with as many models as half of the bundled snapshot, so that it may replace it."""
    return json.dumps({"acme": provider({f"alpha-{number}": model() for number in range(4200)})}).encode()


@pytest.fixture
def api() -> dict[str, Any]:
    """A small api.json: two providers; a model with everything, one with next to nothing."""
    everything = model(
        structured_output=True,
        temperature=False,
        attachment=True,
        knowledge="2025-12",
        status="deprecated",
        interleaved={"field": "reasoning_content"},
        limit={"context": 400_000, "input": 272_000, "output": 0},
        cost={
            "input": 2,
            "output": 10,
            "cache_read": 0.2,
            "cache_write": 2.5,
            "reasoning": 12,
            "input_audio": 3,
            "output_audio": 20,
            "context_over_200k": {"input": 99, "output": 99},
            "tiers": [
                {"input": 8, "output": 40, "tier": {"type": "context", "size": 200_000}},
                {"input": 4, "output": 20, "cache_read": 0.4, "tier": {"type": "context", "size": 32_000}},
            ],
        },
        reasoning_options=[
            {"type": "effort", "values": [None, "low", "high"]},
            {"type": "toggle"},
            {"type": "budget_tokens", "min": 0, "max": 32_768},
        ],
        experimental={"modes": {"fast": {"cost": {"input": 8}}}},
        provider={
            "npm": "@ai-sdk/anthropic",
            "api": "https://other.acme.test",
            "shape": "responses",
            "body": {"speed": "fast"},
            "headers": {"x-mode": "fast"},
        },
    )
    return {
        "acme": provider({"vendor/alpha:free@v1~x": everything, "beta": model(name="Beta", interleaved=True)}),
        "9.bare": {"models": {"Gamma": {}}},
    }


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return model


@pytest.fixture
def seller() -> Callable[..., dict[str, Any]]:
    return provider


# ---- a JSON server on 127.0.0.1 that writes down its requests


class JsonServer(ThreadingHTTPServer):
    """`answers`: path -> body to send as JSON, or (status, body, headers); other paths are a 404.

    `requests`: (method, path, headers) of each.
    """

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.requests = answers, []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path, (404, {}))
        if callable(answer):
            answer = answer(json.loads(sent))
        status, body, *more = answer if isinstance(answer, tuple) else (200, answer)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(data))}.items() | dict(*more).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def json_server():
    servers = []

    def start(answers):
        servers.append(JsonServer(answers))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def unregistered():
    """Whatever a test registers is gone after it."""
    with override():
        yield


@pytest.fixture
def users_file(tmp_path):
    """Writes the user's overrides file, which is in force while the test runs."""
    path = tmp_path / "overrides.toml"
    with override(overrides=path):
        yield lambda text: path.write_text(text, "utf-8")
