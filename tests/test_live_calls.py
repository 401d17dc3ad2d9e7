"""`pytest -m live`, with providers of the catalog whose addresses lead to a server on 127.0.0.1."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from vector_files import load

ROOT = Path(__file__).parents[1]
PATHS = {
    r".*/chat/completions": "openai-chat",
    r".*/responses": "openai-responses",
    r".*/messages": "anthropic-messages",
    r".*:generateContent": "gemini-generate",
    r".*/chat": "cohere-v2",
}
KEYS = {"OPENAI_API_KEY": "sk-canary-openai-1", "ANTHROPIC_API_KEY": "sk-canary-anthropic-1",
        "GEMINI_API_KEY": "canary-gemini-1", "COHERE_API_KEY": "canary-cohere-1",
        "GROQ_API_KEY": "refused-canary-groq-1"}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, body))
        name = next(name for pattern, name in PATHS.items() if re.fullmatch(pattern, self.path))
        status, answer = 200, load(name).decode[0].whole
        if "refused" in str(self.headers):
            status, answer = 401, {"error": {"message": "Invalid API Key", "code": "invalid_api_key"}}
        if "model" in answer:
            answer = answer | {"model": body["model"]}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        one.requests = []
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def run_live(tmp_path, **more):
    own = {name: value for name, value in os.environ.items() if not re.search("KEY|TOKEN|CREDENTIALS", name)}
    environment = own | {"NBKIT_OFFLINE": "1", "HOME": str(tmp_path)} | more
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "live", "tests/live"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_one_call_for_each_key_and_a_table_of_all(server, tmp_path):
    address = f"http://127.0.0.1:{server.server_port}/v1"
    code, output = run_live(tmp_path, NBKIT_BASE_URL_OVERRIDE=address, **KEYS)
    table = output.partition("live calls")[2].splitlines()
    rows = {
        line.split()[0]: line.split() for line in table if re.match(r"(openai|anthropic|google|cohere|groq) ", line)
    }
    assert {"openai", "anthropic", "google", "cohere", "groq"} <= rows.keys(), output
    assert [rows[name][2] for name in ("openai", "anthropic", "google", "cohere")] == ["ok"] * 4
    assert float(rows["anthropic"][5]) > 0
    assert "AuthenticationError" in rows["groq"][2]
    assert code == 1  # one provider did not answer
    assert re.search(r"\d of \d providers answered; \$0\.00\d+ of \$0\.01", output)
    assert len(server.requests) == len(rows)
    assert not [key for key in KEYS.values() if key in output]


def test_the_plain_command_does_not_run_them(pytestconfig):
    assert "-m not live" in " ".join(pytestconfig.getini("addopts"))
