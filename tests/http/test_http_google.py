"""Google's application default credentials, with a token server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import threading
from base64 import urlsafe_b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from engines import engines
from senders import post, send

from nbkit.errors import ConfigError, TransportError
from nbkit.http.google import google_auth


class Server(ThreadingHTTPServer):
    """Grants tokens at /token once `gate` is open; any other path returns the request's authorization."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.grants, self.life, self.refuses = [], 3600, False
        self.gate = threading.Event()
        self.gate.set()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/token":
            return self.say(200, {"authorization": self.headers["authorization"],
                                  "project": self.headers.get("x-goog-user-project")})  # fmt: skip
        self.server.grants.append(parse_qs(body.decode()))
        assert self.server.gate.wait(30)  # else the connection is closed without a response
        if self.server.refuses:
            return self.say(400, {"error": "invalid_grant", "error_description": "Token has been revoked."})
        token = f"token-{len(self.server.grants)}"
        return self.say(200, {"access_token": token, "expires_in": self.server.life, "token_type": "Bearer"})

    def say(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    listening = Server()
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    yield listening
    listening.shutdown()
    listening.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Nothing of this machine is looked at."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def credentials(server, private_key, monkeypatch, tmp_path):
    """A service account's file; `credentials(field=...)` writes it once more."""

    def write(**fields):
        account = {"type": "service_account", "client_email": "a@b.example", "private_key": private_key,
                   "private_key_id": "1", "project_id": "p", "token_uri": f"{server.url}/token"}  # fmt: skip
        file = tmp_path / "adc.json"
        file.write_text(json.dumps(account | fields))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    write()
    return write


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def ask(server):
    return json.loads(send(f"{server.url}/model", auth=google_auth()).body)


def test_a_service_account_gets_a_token_once(server, credentials):
    assert [ask(server) for _ in range(2)] == [{"authorization": "Bearer token-1", "project": None}] * 2
    (grant,) = server.grants
    assert grant["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = json.loads(urlsafe_b64decode(grant["assertion"][0].split(".")[1] + "=="))
    assert (claims["iss"], claims["scope"]) == ("a@b.example", "https://www.googleapis.com/auth/cloud-platform")


def test_the_project_that_pays_is_named(server, credentials, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
    assert ask(server)["project"] == "payer"


def test_a_token_that_expires_is_replaced(server, credentials):
    server.life = 1  # google-auth asks anew some minutes before the end
    assert [ask(server)["authorization"] for _ in range(2)] == ["Bearer token-1", "Bearer token-2"]


@engines
def test_the_event_loop_goes_on_while_one_token_is_requested_for_five_calls(server, credentials):
    """The token server responds only after the event loop has opened its gate."""
    server.gate.clear()

    async def open_gate():
        while not server.grants:
            await asyncio.sleep(0.001)
        server.gate.set()

    async def ask_five():
        calls = (post(f"{server.url}/model", auth=google_auth()) for _ in range(5))
        _, *answers = await asyncio.gather(open_gate(), *calls)
        return [json.loads(answer.body)["authorization"] for answer in answers]

    assert asyncio.run(ask_five()) == ["Bearer token-1"] * 5
    assert len(server.grants) == 1


def test_credentials_that_are_refused_and_then_replaced(server, credentials):
    server.refuses = True
    with pytest.raises(ConfigError, match=r"Google's credentials cannot be used: .*Token has been revoked") as caught:
        ask(server)
    assert caught.value.__context__ is None
    server.refuses = False
    credentials(client_email="new@b.example")
    assert ask(server)["authorization"] == "Bearer token-2"
    assert b"new@b.example" in urlsafe_b64decode(server.grants[1]["assertion"][0].split(".")[1] + "==")


def test_a_token_server_that_is_not_there(server, credentials):
    credentials(token_uri="http://127.0.0.1:9/token")
    with pytest.raises(
        TransportError, match=r"Google's token server does not respond: could not connect to 127\.0\.0\.1"
    ):
        ask(server)


def test_no_credentials_and_a_file_that_is_none(server, monkeypatch, tmp_path):
    with pytest.raises(
        ConfigError, match="Google's credentials cannot be used: Your default credentials were not found"
    ):
        ask(server)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        ask(server)


def test_without_google_auth(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ConfigError, match=r"pip install '[\w-]+\[vertex\]'"):
        google_auth()


def test_clients_are_kept_and_the_token_is_not_shown(server, credentials, monkeypatch):
    auth = google_auth()
    assert google_auth() is auth
    assert auth.secrets == ()
    ask(server)
    assert auth.secrets == ("token-1",)
    assert repr(auth) == "GoogleAuth()"
    assert "token-1" not in str(vars(auth))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(auth)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/elsewhere.json")
    assert google_auth() is not auth
