from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import ssl
import subprocess
import sys
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from nbkit.errors import ConfigError
from nbkit.http.clients import KeyAuth, async_client, close_all, sync_client
from nbkit.settings import override

KEY = "sk-test-0123456789abcdef"
URL = "http://127.0.0.1:9/v1/"


@pytest.fixture(autouse=True)
def no_client_left():
    yield
    close_all()
    gc.collect()  # a connection left open warns here, and fails the test


def bearer(key: str = KEY) -> KeyAuth:
    return KeyAuth("Authorization", "Bearer ", key)


def test_one_client_for_the_same_address_key_and_settings():
    client = sync_client(URL, bearer())
    assert sync_client(URL, bearer()) is client
    others = [
        sync_client("http://127.0.0.1:9/v2/", bearer()),
        sync_client(URL, bearer("another-key")),
        sync_client(URL, KeyAuth("x-api-key", "", KEY)),
        sync_client(URL, None),
    ]
    with override(http_timeout=1, http_connect_timeout=2):
        others.append(sync_client(URL, bearer()))
    assert len({client, *others}) == 6
    assert sync_client(URL, bearer()) is client
    assert (others[-1].timeout.read, others[-1].timeout.connect) == (1, 2)


def test_threads_get_the_same_client():
    barrier = Barrier(8)

    def get(_):
        barrier.wait()
        return sync_client(URL, bearer())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(get, range(8)))) == 1


def test_clients_share_the_certificates():
    def contexts() -> int:
        return sum(
            issubclass(type(thing), ssl.SSLContext) for thing in gc.get_objects()
        )  # isinstance wakes lazy proxies

    sync_client(URL, bearer())
    before = contexts()
    clients = [sync_client(URL, bearer(f"other-key-{number}")) for number in range(5)]
    assert len(set(clients)) == 5
    assert contexts() == before


def test_a_closed_client_is_replaced():
    client = sync_client(URL, None)
    close_all()
    assert client.is_closed
    assert sync_client(URL, None) is not client


def test_what_a_request_carries(serve, response):
    server = serve(response(b"{}"))
    sync_client(server.url, bearer()).post("chat", content=b"")
    sync_client(server.url, KeyAuth("x-api-key", "", f" {KEY}\n")).post(f"{server.url}chat", content=b"")
    sync_client(server.url, None).post("chat", content=b"")
    first, second, third = (request.decode().lower() for request in server.requests)
    assert first.startswith("post /v1/chat ")
    assert "\r\naccept-encoding: identity\r\n" in first
    assert f"\r\nauthorization: bearer {KEY}\r\n" in first
    assert f"\r\nx-api-key: {KEY}\r\n" in second
    assert KEY not in third


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve, response, status):
    server = serve(response(b"", status, location="/elsewhere"))
    assert sync_client(server.url, bearer()).post("chat").status_code == status
    assert len(server.requests) == 1


def test_a_connection_is_used_again(serve, response):
    server = serve(response(b"{}"))
    for _ in range(3):
        sync_client(server.url, bearer()).post("chat")

    async def thrice():
        for _ in range(3):
            await async_client(server.url, bearer()).post("chat")

    asyncio.run(thrice())
    assert (len(server.requests), server.connections) == (6, 2)


def test_a_loop_closes_its_clients_when_it_ends(serve, response):
    server = serve(response(b"{}"))
    seen = []

    async def call():
        client = async_client(server.url, bearer())
        assert async_client(server.url, bearer()) is client
        assert async_client(server.url, None) is not client
        await client.post("chat")
        seen.append(client)

    for _ in range(3):
        asyncio.run(call())
        assert seen[-1].is_closed
        assert server.sees_hang_up()
    assert len(set(seen)) == 3


def test_a_loop_is_not_kept_once_it_is_closed():
    async def get():
        return async_client(URL, None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(get())
    loop.close()
    closed = weakref.ref(loop)
    del loop
    asyncio.run(get())
    gc.collect()
    assert closed() is None


def test_async_clients_belong_to_a_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        async_client(URL, None)


def run(script: str, *arguments: str) -> None:
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_printed_at_exit(serve, response):
    script = """
import asyncio, sys, threading
from nbkit.http.clients import async_client, sync_client

async def call():
    await async_client(sys.argv[1], None).post("x")

sync_client(sys.argv[1], None).post("x")
asyncio.run(call())
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(call(), loop).result()
"""
    server = serve(response(b"{}"))
    run(script, server.url)
    assert server.connections == 3


def test_a_forked_child_has_its_own_clients(serve, response):
    script = """
import os, sys
from nbkit.http import clients

client = clients.sync_client(sys.argv[1], None)
client.post("parent")
clients._cache.lock.acquire()  # as another thread of the parent would
clients._cache.clients._lock.acquire()
if child := os.fork():
    clients._cache.clients._lock.release()
    clients._cache.lock.release()
    assert os.waitpid(child, 0)[1] == 0
    client.post("parent")
else:
    own = clients.sync_client(sys.argv[1], None)
    assert own is not client
    own.post("child")
"""
    server = serve(response(b"{}"))
    run(script, server.url)
    assert [request.split()[1] for request in server.requests] == [b"/v1/parent", b"/v1/child", b"/v1/parent"]
    assert server.connections == 2


def test_keys_are_equal_by_value():
    assert bearer() == bearer()
    assert hash(bearer()) == hash(bearer())
    assert bearer() == bearer(f"{KEY}\n")
    assert bearer() != bearer("another-key")
    assert bearer() != KeyAuth("x-api-key", "", KEY)
    assert bearer() != KEY
    assert bearer().key == KEY


def test_a_key_is_not_shown(serve, response, caplog):
    caplog.set_level(logging.DEBUG)
    server = serve(response(b"{}"))
    auth = bearer()
    client = sync_client(server.url, auth)
    request = client.build_request("POST", "chat")
    client.send(request)
    shown = [repr(auth), str(auth), f"{vars(auth)}", repr(client), repr(vars(client)), repr(request), caplog.text]
    assert not [text for text in shown if KEY in text]
    assert "POST" in caplog.text
    assert repr(auth) == "KeyAuth('Authorization', '...cdef')"
    assert repr(bearer("short-key")) == "KeyAuth('Authorization', '...')"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_not_copied(copied):
    with pytest.raises(TypeError, match="not pickled"):
        copied(bearer())
    with pytest.raises(TypeError):
        pickle.dumps(sync_client(URL, bearer()))


@pytest.mark.parametrize("key", ["", " \n", f"{KEY}\nx: y", f"{KEY}é", f"{KEY}\x00", f"{KEY}\ud800"])
def test_a_key_that_a_header_cannot_hold_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError, match="characters that a header cannot hold") as caught:
        bearer(key)
    *_, (frame, _) = traceback.walk_tb(caught.value.__traceback__)
    assert frame.f_code.co_name == "__init__"
    assert KEY not in repr(frame.f_locals)
