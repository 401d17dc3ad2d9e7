"""Names of hosts: looked up within the limit of a connection, and nobody waits for what takes longer."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from engines import engines, on_engines
from senders import asend, post, send

from nbkit.errors import TransportError

sends = on_engines("call", send, asend)


@pytest.fixture
def names(monkeypatch):
    """Hosts of `*.test` and their addresses; None: no server of names answers until `gate` opens."""
    known, gate, look_up = {}, threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(".test"):
            return look_up(host, port, *args, **options)
        if known[name] is None:
            gate.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    known["gate"] = gate
    yield known
    gate.set()


@sends
def test_a_name_is_looked_up_within_the_limit_of_a_connection(names, call):
    """The event loop, too, ends before the look-up does."""
    names["slow.test"] = None
    with pytest.raises(TransportError) as caught:
        call("http://slow.test:8000/v1", connect=0.05)
    assert caught.value.message == "could not connect to slow.test:8000: timed out after 0.05 s"
    assert not names["gate"].is_set()


@engines
def test_many_names_that_nobody_answers_hold_up_no_other(names, serve, response):
    """An event loop has 32 threads at most."""
    server = serve(response(b"{}"))
    names["slow.test"], names["fast.test"] = None, ["127.0.0.1"]

    async def main():
        slow = [asyncio.create_task(post(f"http://slow.test/{number}")) for number in range(40)]
        await asyncio.sleep(0)
        answer = await post(f"http://fast.test:{server.server_address[1]}/v1")
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return answer.body

    assert asyncio.run(main()) == b"{}"


@sends
def test_an_address_that_does_not_answer_leaves_time_for_the_next(names, serve, response, call):
    server = serve(response(b"{}"))
    port = server.server_address[1]
    names["two.test"] = ["127.0.0.2", "127.0.0.1"]
    with (
        socket.create_server(("127.0.0.2", port), backlog=0) as full,
        socket.socket() as first,
        socket.socket() as more,
    ):
        for waiting in (first, more):  # which fill its queue
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert call(f"http://two.test:{port}/v1", connect=0.8).body == b"{}"


@sends
def test_an_unknown_name_is_reported_in_the_words_of_the_system(call):
    with pytest.raises(TransportError, match=r"^could not connect to nobody\.invalid:80: .*[a-z]{4}"):
        call("http://nobody.invalid/v1")
