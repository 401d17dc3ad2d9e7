"""Requests signed for AWS, verified as AWS does: by its documented algorithm, on what a server has received."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import pickle
import re
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from engines import engines
from senders import asend, build, post, send

from nbkit.errors import ConfigError
from nbkit.http.clients import sync_client
from nbkit.http.signing import aws_auth, read_region

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token-of-this-test"
PATH = "/model/eu.anthropic.claude%3A0/converse"
BODY = json.dumps({"messages": "é"}).encode()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No credentials of this machine; those of the test are where the standard chain looks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    got = []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    listening.got = got
    listening.url = f"http://127.0.0.1:{listening.server_port}"
    yield listening
    listening.shutdown()
    listening.server_close()


def digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def verify(path, headers, body, secret=SECRET):
    """docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; gives the scope."""
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)", headers["authorization"]
    )
    _, scope, names, signature = match.groups()
    lines = "".join(f"{name}:{headers[name]}\n" for name in names.split(";"))
    canonical = ["POST", quote(path, safe="/~"), "", lines, names, hashlib.sha256(body).hexdigest()]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = digest(key, part)
    expected = digest(key, f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashed}").hex()
    assert signature == expected
    return scope.split("/")[1:], set(names.split(";"))


def ask(url, **headers):
    content = {"content-type": "application/json", **headers}
    return send(url + PATH, BODY, auth=aws_auth("bedrock"), headers=content)


def sign_for(url, service="bedrock"):
    """The scope of a request that is not sent."""
    request = build(url, BODY)
    aws_auth(service).authorize(request)
    return request.headers["Authorization"].split("/")[1:4]


def test_a_server_can_verify_what_was_signed(server, keys):
    ask(server.url, **{"x-trace": "of a proxy"})
    (path, headers, body) = server.got[0]
    assert (path, body) == (PATH, BODY)
    scope, names = verify(path, headers, body)
    assert scope == ["eu-central-1", "bedrock", "aws4_request"]
    assert names == {"host", "content-type", "x-amz-date"}
    with pytest.raises(AssertionError):
        verify(path, headers, body + b" ")


@engines
def test_temporary_credentials_and_async(server, keys, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    asend(server.url + PATH, BODY, auth=aws_auth("bedrock-mantle"))
    path, headers, body = server.got[0]
    scope, names = verify(path, headers, body)
    assert (scope[1], headers["x-amz-security-token"]) == ("bedrock-mantle", TOKEN)
    assert "x-amz-security-token" in names


@pytest.mark.parametrize(
    ("host", "service", "region"),
    [
        ("bedrock-runtime.us-gov-west-1.amazonaws.com", "bedrock", "us-gov-west-1"),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "bedrock", "us-east-1"),
        ("vpce-0a1-b2.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "bedrock", "ap-southeast-2"),
        ("bedrock-mantle.eu-north-1.api.aws", "bedrock-mantle", "eu-north-1"),
        ("my-proxy-1.example.com", "bedrock", "eu-central-1"),
    ],
)
def test_the_region_is_that_of_the_host(keys, host, service, region):
    _, signed, of = sign_for(f"https://{host}/v1", service)
    assert (signed, of) == (region, service)


def test_the_region_of_the_environment_then_of_the_configuration_file(monkeypatch, tmp_path):
    assert read_region() is None
    (tmp_path / "config").write_text("[default]\nregion = sa-east-1\n")
    assert read_region() == "sa-east-1"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match=r"the AWS region cannot be read: .*nobody"):
        read_region()
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-west-1")
    assert read_region() == "ca-west-1"
    monkeypatch.setenv("AWS_REGION", "ap-east-1")
    assert read_region() == "ap-east-1"


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown AWS region of proxy\.example: set AWS_REGION"):
        sign_for("https://proxy.example/")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(ConfigError, match="no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        sign_for("https://proxy.example/")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match=r"cannot be used: .*nobody") as caught:
        sign_for("https://proxy.example/")
    assert caught.value.__context__ is None


def test_without_botocore(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigError, match=r"pip install '[\w-]+\[bedrock\]'"):
        aws_auth("bedrock")
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert read_region() is None


def test_clients_are_kept_while_the_environment_is_the_same(server, keys, monkeypatch):
    first = sync_client(server.url, aws_auth("bedrock"))
    assert sync_client(server.url, aws_auth("bedrock")) is first
    assert sync_client(server.url, aws_auth("bedrock-mantle")) is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    assert sync_client(server.url, aws_auth("bedrock")) is not first


def test_a_credentials_file_that_is_written_anew_counts_at_once(server, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for secret in ("first-secret", "second-secret"):
        profile = f"[default]\naws_access_key_id = A\naws_secret_access_key = {secret}\n"
        (tmp_path / "credentials").write_text(profile)
        ask(server.url)
        path, headers, body = server.got[-1]
        verify(path, headers, body, secret)


@engines
def test_credentials_that_expire_are_kept_until_then_and_fetched_beside_the_event_loop(server, monkeypatch, tmp_path):
    """The program that prints the credentials waits for a file, which the event loop writes meanwhile."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    fetched = {
        "Version": 1,
        "AccessKeyId": "A",
        "SecretAccessKey": SECRET,
        "SessionToken": TOKEN,
        "Expiration": expires,
    }
    program, runs, gate = (tmp_path / name for name in ("credentials.py", "runs", "gate"))
    program.write_text(
        f"""
import pathlib, time
with open({str(runs)!r}, "a") as file:
    file.write("x")
for _ in range(3000):
    if pathlib.Path({str(gate)!r}).exists():
        print({json.dumps(fetched)!r})
        break
    time.sleep(0.01)
else:
    raise SystemExit("the event loop was blocked")
"""
    )
    (tmp_path / "config").write_text(
        f"[default]\nregion = us-east-1\ncredential_process = {sys.executable} {program}\n"
    )

    async def open_gate():
        while not runs.exists():
            await asyncio.sleep(0.001)
        gate.touch()

    async def ask_twice():
        await asyncio.gather(open_gate(), post(server.url + PATH, BODY, auth=aws_auth("bedrock")))
        await post(server.url + PATH, BODY, auth=aws_auth("bedrock"))

    asyncio.run(ask_twice())
    assert runs.read_text() == "x"
    assert [verify(*request)[0][0] for request in server.got] == ["us-east-1", "us-east-1"]


def test_secrets_are_known_and_not_shown(server, keys, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    auth = aws_auth("bedrock")
    assert auth.secrets == ()
    ask(server.url)
    assert auth.secrets == (KEY_ID, SECRET, TOKEN)
    assert repr(auth) == "AwsAuth('bedrock')"
    assert SECRET not in str(vars(auth))
    assert TOKEN not in str(vars(auth))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(auth)
