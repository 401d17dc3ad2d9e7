"""A JSON server on 127.0.0.1 that writes down what it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class JsonServer(ThreadingHTTPServer):
    """`answers`: path -> body to send as JSON, or (status, body, headers); other paths are a 404."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked = answers, []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
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
def unregistered(monkeypatch):
    """Whatever a test registers is gone after it."""
    from nbkit.providers import registry

    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def users_file(tmp_path):
    """Writes the user's overrides file, which is in force while the test runs."""
    from nbkit.settings import override

    path = tmp_path / "overrides.toml"
    with override(overrides=path):
        yield lambda text: path.write_text(text, "utf-8")
