from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx2
import pytest

from nbkit import settings
from nbkit.demo import provider
from nbkit.demo.pace import schedule

EXPLAIN = {"messages": [{"role": "user", "content": "Explain recursion"}], "stream": True}


def connect(address):
    connection = HTTPConnection(urlsplit(address).netloc, timeout=120)
    connection.connect()
    return connection


@pytest.mark.parametrize(("model", "rate"), [("brittle", 100), ("swift", 150), ("tortoise", 100 / 3)])
def test_the_schedule_keeps_each_models_pace(model, rate):
    due = schedule(model, 1000.0, 100, 600)
    assert due == sorted(due)
    assert 599 / (due[-1] - due[0]) == pytest.approx(rate, rel=0.02)
    assert due[0] > 1000.1
    assert schedule(model, 1000.0, 0, 2) == [1000.0, 1000.0]


def start_call(connection, model, **fields):
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": model} | EXPLAIN | fields))
    return connection


def test_the_opening_of_a_stream_is_sent_at_once_and_the_first_token_when_it_is_due(address):
    with settings.override(demo_tokens_per_second=5), closing(connect(address)) as connection:
        response = start_call(connection, "brittle").getresponse()
        assert b'"role":"assistant"' in response.readline()
        assert response.readline() == b"\n"
        connection.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            response.readline()


def test_a_whole_answer_is_sent_when_its_last_token_is_due(address):
    with settings.override(demo_tokens_per_second=5), closing(connect(address)) as connection:
        start_call(connection, "swift", stream=False)
        connection.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.getresponse()


def test_a_client_that_leaves_early_disturbs_nobody(address, client, capfd):
    with settings.override(demo_tokens_per_second=2000):
        for _ in range(3):
            with (
                httpx2.Client(base_url=address) as leaving,
                leaving.stream("POST", "/chat/completions", json={"model": "scholar"} | EXPLAIN) as response,
            ):
                next(response.iter_raw())
        answer = client.post("/chat/completions", json={"model": "swift"} | EXPLAIN)
        assert answer.text.endswith("data: [DONE]\n\n")
        time.sleep(0.1)  # time enough for the abandoned streams to be written into closed sockets
    assert capfd.readouterr() == ("", "")


def test_many_calls_at_once_share_one_server(demo):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: demo.post("/chat/completions", json={"model": "swift"} | EXPLAIN), range(64)))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 64
    assert len({len(answer.text) for answer in answers}) == 1


def test_a_connection_serves_one_call_after_another_also_after_an_error(address):
    with closing(connect(address)) as connection:
        connected, statuses = connection.sock, []
        for path in ("/v1/models", "/x", "/v1/models"):
            connection.request("GET", path)
            response = connection.getresponse()
            statuses.append(response.status)
            response.read()
        assert connection.sock is connected
    assert statuses == [200, 404, 200]


def test_the_list_of_models(demo):
    listed = demo.get("/models").json()["data"]
    assert [model["id"] for model in listed] == list(provider.PROVIDER["models"])


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:1", 200), ("localhost", 200), ("evil.example:80", 403), ("[x", 403), ("", 403)]
)
def test_only_loopback_names_are_served(demo, host, status):
    assert demo.get("/models", headers={"Host": host}).status_code == status
    body = {"model": "swift", "messages": [{"role": "user", "content": "Hi"}]}
    assert demo.post("/chat/completions", json=body, headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/nowhere", b"{}", 404),
        ("/chat/completions", b"{", 400),
        ("/chat/completions", b"[]", 400),
        ("/messages", b"\xff", 400),
    ],
)
def test_nonsense_is_refused_in_json(demo, path, body, status):
    response = demo.post(path, content=body)
    assert (response.status_code, type(response.json()["error"]["message"])) == (status, str)


def test_a_body_of_unknown_length_ends_the_connection(demo):
    response = demo.post("/messages", content=iter([b"{}"]))
    assert (response.status_code, response.headers["connection"]) == (411, "close")
    assert response.json()["type"] == "error"


def test_it_starts_once_and_again_after_stop():
    script = """
import threading, urllib.request
from concurrent.futures import ThreadPoolExecutor
from nbkit.demo import provider, server
assert threading.active_count() == 1
with ThreadPoolExecutor(8) as pool:
    first, = set(pool.map(lambda _: provider.base_url(), range(32)))
server.stop()
try:
    urllib.request.urlopen(first + "/models")
except OSError:
    pass
else:
    raise SystemExit("still served")
urllib.request.urlopen(provider.base_url() + "/models").close()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_forked_child_starts_its_own():
    script = """
import os, urllib.request
from nbkit.demo import provider
parent = provider.base_url()
child = os.fork()
urllib.request.urlopen(provider.base_url() + "/models").close()
if not child:
    os._exit(0 if provider.base_url() != parent else 3)
assert os.waitpid(child, 0)[1] == 0
assert provider.base_url() == parent
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_provider_reads_like_one_of_models_dev():
    models = provider.PROVIDER["models"]
    for name, model in models.items():
        assert model["id"] == name
        assert "simulated" in model["name"]
        assert 0 < model["cost"]["cache_read"] < model["cost"]["input"] < model["cost"]["output"]
        assert model["limit"]["output"] < model["limit"]["context"]
    assert len({str(model["cost"]) for model in models.values()}) == len(models)
    assert len({model.get("provider", provider.PROVIDER)["npm"] for model in models.values()}) == len(models)
