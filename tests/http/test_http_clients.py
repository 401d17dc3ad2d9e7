"""Clients: one for the same server, key and settings, closed when nobody needs it; keys that nothing shows."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import ssl
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from engines import engines, on_engines
from senders import asend, post, send

from nbkit.errors import ConfigError
from nbkit.http.clients import MAX_CLIENTS, KeyAuth, async_client, close_all, sync_client
from nbkit.settings import override

KEY = "sk-test-0123456789abcdef"
URL = "http://127.0.0.1:9/v1/"


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
    for changed in ({"max_connections": 7}, {"max_keepalive_connections": 7}, {"http_engine": "httpx2"}):
        with override(**changed):
            others.append(sync_client(URL, bearer()))
    assert len({client, *others}) == 8
    with override(http_timeout=1):  # which is each request's affair
        assert sync_client(URL, bearer()) is client


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
    assert sync_client(URL, None) is not client


@pytest.fixture
def young():
    """Objects stay in the generation in which they are: the collector works when it is called."""
    gc.disable()
    yield
    gc.enable()


def test_a_client_in_a_cycle_closes_its_connections(serve, response, young):
    """The collector takes objects in no certain order: here sockets, which complain, would come before the client."""
    server = serve(response(b"{}"))
    cycle = [sync_client(server.url, None)]
    cycle.append(cycle)
    gc.collect(0)
    send(server.url)
    for number in range(MAX_CLIENTS):
        sync_client(URL, bearer(f"key-{number}"))
    del cycle
    gc.collect()
    assert server.sees_hang_up()


@engines
def test_so_does_one_of_an_event_loop(serve, response, engine, young):
    server = serve(response(b"{}"))

    async def work():
        cycle = [async_client(server.url, None)]
        cycle.append(cycle)
        gc.collect(0)
        await post(server.url)
        for number in range(MAX_CLIENTS):
            async_client(URL, bearer(f"key-{number}"))
        del cycle
        gc.collect()
        assert await asyncio.to_thread(server.sees_hang_up)

    asyncio.run(work())


sends = on_engines("call", send, asend)


@sends
def test_what_a_request_carries(serve, response, call):
    server = serve(response(b"{}"))
    call(f"{server.url}chat", auth=bearer())
    call(f"{server.url}chat", auth=KeyAuth("x-api-key", "", f" {KEY}\n"), headers={"Content-Type": "text/x"})
    call(f"{server.url}chat?a=b%20c", b"")
    first, second, third = (request.decode().lower() for request in server.requests)
    assert first.startswith("post /v1/chat http/1.1\r\n")
    assert third.startswith("post /v1/chat?a=b%20c http/1.1\r\n")
    assert "\r\naccept-encoding: identity\r\n" in first
    assert "\r\nuser-agent: nbkit\r\n" in first
    assert f"\r\nhost: {server.host}\r\n" in first
    assert f"\r\nauthorization: bearer {KEY}\r\n" in first
    assert first.endswith("\r\n\r\n{}")
    assert f"\r\nx-api-key: {KEY}\r\n" in second
    assert KEY not in third
    assert ["\r\ncontent-length: 2\r\n" in request for request in (first, second)] == [True, True]
    assert "\r\ncontent-length: 0\r\n" in third
    names = [{line.partition(":")[0] for line in request.split("\r\n")[1:-2]} for request in (first, second, third)]
    usual = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
    assert [each - {"connection"} - usual for each in names] == [
        {"authorization"},
        {"x-api-key", "content-type"},
        set(),
    ]


@sends
def test_no_header_is_sent_twice(serve, response, call):
    """Whatever its spelling: servers take the first, the last, or refuse both."""
    server = serve(response(b"{}"))
    call(server.url, auth=bearer(), headers={"AUTHORIZATION": "Basic x", "User-Agent": "mine", "accept": "a/b"})
    _, *lines = server.requests[0].decode().lower().partition("\r\n\r\n")[0].split("\r\n")
    names = sorted(line.partition(":")[0] for line in lines)
    assert names == sorted(set(names))
    assert {f"authorization: bearer {KEY}", "user-agent: mine", "accept: a/b"} <= set(lines)


@engines
def test_a_loop_closes_its_clients_when_it_ends(serve, response, engine):
    server = serve(response(b"{}"))
    seen = []

    async def call():
        client = async_client(server.url, bearer())
        assert async_client(server.url, bearer()) is client
        assert async_client(server.url, None) is not client
        assert type(client._engine).__module__ == f"nbkit.http.engine_{engine}"
        await post(server.url, auth=bearer())
        seen.append(client)

    for _ in range(3):
        asyncio.run(call())
        assert server.sees_hang_up()
    assert len(set(seen)) == 3


@engines
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


@pytest.mark.parametrize("engine", ["aiohttp"], indirect=True)
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")  # Python's and aiohttp's complaints
def test_nor_is_one_that_is_closed_while_a_request_waits(serve, engine):
    answer = Event()
    server, loop = serve(lambda connection, request: answer.wait()), asyncio.new_event_loop()

    async def begin():
        request = asyncio.ensure_future(post(server.url))
        while not server.requests:
            await asyncio.sleep(0.01)
        return request

    request = loop.run_until_complete(begin())
    loop.close()
    closed = weakref.ref(loop)
    del loop, request
    asyncio.run(post(serve(b"HTTP/1.1 204 X\r\n\r\n").url))
    gc.collect()
    answer.set()
    assert closed() is None


@engines
def test_at_exit_the_clients_of_a_loop_that_rests_are_closed(serve, response):
    server, loop = serve(response(b"{}")), asyncio.new_event_loop()
    loop.run_until_complete(post(server.url, auth=bearer()))
    close_all()
    assert server.sees_hang_up()
    loop.close()


def test_async_clients_belong_to_a_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        async_client(URL, None)


def test_keys_are_equal_by_value():
    assert bearer() == bearer()
    assert hash(bearer()) == hash(bearer())
    assert bearer() == bearer(f"{KEY}\n")
    assert bearer() != bearer("another-key")
    assert bearer() != KeyAuth("x-api-key", "", KEY)
    assert bearer() != KEY
    assert bearer().key == KEY


@sends
def test_a_key_is_not_shown(serve, response, call, caplog):
    caplog.set_level(logging.DEBUG)
    server = serve(response(b"{}"))
    auth = bearer()
    call(server.url, auth=auth)
    client = sync_client(server.url, auth)
    shown = [repr(auth), str(auth), f"{vars(auth)}", repr(client), repr(vars(client)), caplog.text]
    assert not [text for text in shown if KEY in text]
    assert repr(auth) == "KeyAuth('Authorization', 'sk-...cdef')"
    assert repr(bearer("short-key")) == "KeyAuth('Authorization', '...')"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_not_copied(copied):
    with pytest.raises(TypeError, match="not pickled"):
        copied(bearer())
    with pytest.raises(TypeError):
        pickle.dumps(sync_client(URL, bearer()))


def test_an_engine_that_is_not_installed_is_an_error(monkeypatch):
    async def get():
        return type(async_client(URL, None)._engine).__module__

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert asyncio.run(get()) == "nbkit.http.engine_httpx2"
    with override(http_engine="aiohttp"), pytest.raises(ConfigError, match=r"not installed: pip install aiohttp"):
        asyncio.run(get())


@pytest.mark.parametrize("key", ["", " \n", f"{KEY}\nx: y", f"{KEY}é", f"{KEY}\x00", f"{KEY}\ud800"])
def test_a_key_that_a_header_cannot_hold_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError, match="characters that a header cannot hold") as caught:
        bearer(key)
    *_, (frame, _) = traceback.walk_tb(caught.value.__traceback__)
    assert frame.f_code.co_name == "__init__"
    assert KEY not in repr(frame.f_locals)
