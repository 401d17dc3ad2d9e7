"""The clock of a request, the stages at which it can fail, and the caches of what was used last."""

from __future__ import annotations

import gc
import time
import weakref

import httpcore2
import httpx2
import pytest

from nbkit.errors import TransportError
from nbkit.http.exchange import Exchange, Transport, Wait, find_exchange, limit_request
from nbkit.http.failures import find_stage, transport_error
from nbkit.http.media import fetch_media
from nbkit.http.recent import Recent
from nbkit.http.retry import Stage


def test_the_timeouts_of_a_request_know_its_exchange():
    exchange = Exchange(time.monotonic() + 50)
    times = exchange.timeout(connect=1, read=2, write=3, pool=4)
    assert times.as_dict() == {"connect": 1, "read": 2, "write": 3, "pool": 4}
    with httpx2.Client() as client:
        request = client.build_request("POST", "http://h", timeout=times)
        assert find_exchange(request) is exchange
        assert find_exchange(client.build_request("POST", "http://h", timeout=3)) is None
    assert find_exchange(httpx2.Request("POST", "http://h")) is None
    assert 0 < Exchange(time.monotonic() + 1).timeout(connect=1, read=2, write=3, pool=400).pool <= 1


def test_an_exchange_may_be_hurried_never_prolonged():
    exchange = Exchange(time.monotonic() + 5000)
    exchange.hurry(10_000)
    assert 1000 < exchange.left <= 5000  # an hour's room for a slow machine
    exchange.hurry(0)
    assert exchange.expired
    assert exchange.left == 0.001


def test_no_operation_starts_after_the_deadline():
    times = Exchange(time.monotonic() - 1).timeout(connect=9, read=9, write=9, pool=9)
    with httpx2.Client(transport=Transport()) as client, pytest.raises(httpx2.ConnectTimeout):
        client.get("http://127.0.0.1:9/", timeout=times)


def drip(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x-a: b\r\n")
        time.sleep(0.01)


def test_other_requests_keep_to_their_deadline_too(serve):
    """F1: images are fetched, and lists of models, from servers that may drip."""
    server = serve(drip)
    with pytest.raises(TransportError, match="timed out: the deadline passed"):
        fetch_media(server.url, seconds=0.2, allowed=lambda address: True)
    with httpx2.Client(transport=Transport()) as client, pytest.raises(httpx2.ReadTimeout) as caught:
        client.get(server.url, timeout=limit_request(0.2))
    assert "deadline passed" in transport_error(caught.value, "h").message
    assert server.sees_hang_up()


def test_a_transport_that_nobody_holds_closes_its_connections(serve, response):
    server = serve(response(b"{}"))
    client = httpx2.Client(transport=Transport())
    client.post(server.url)
    alive = weakref.ref(client)
    gc.disable()
    try:
        del client
        assert alive() is None
        assert server.sees_hang_up()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("failure", "received", "stage", "retried"),
    [
        (httpx2.PoolTimeout, False, Stage.QUEUED, True),
        (httpx2.ConnectError, False, Stage.CONNECTING, True),
        (httpx2.ConnectTimeout, False, Stage.CONNECTING, True),
        (httpx2.ProxyError, False, Stage.CONNECTING, True),
        (httpx2.WriteTimeout, False, Stage.WRITING, True),
        (httpx2.WriteError, False, Stage.WRITING, True),
        (httpx2.ReadTimeout, False, Stage.SILENCE, False),
        (httpx2.ReadTimeout, True, Stage.SILENCE, False),
        (httpx2.ReadError, False, Stage.CLOSED, True),
        (httpx2.RemoteProtocolError, False, Stage.CLOSED, True),
        (httpx2.ReadError, True, Stage.BROKEN, False),
        (httpx2.RemoteProtocolError, True, Stage.BROKEN, False),
        (httpx2.DecodingError, True, Stage.UNFIT, False),
        (httpx2.LocalProtocolError, False, Stage.UNFIT, False),
        (httpx2.UnsupportedProtocol, False, Stage.UNFIT, False),
        (OSError, False, Stage.UNFIT, False),
    ],
)
def test_which_failures_are_sent_again(failure, received, stage, retried):
    """F14: nothing is sent again that may have been billed."""
    assert find_stage(failure("failed"), received=received) is stage
    assert stage.retried is retried
    assert len(stage.reason) > 10


def test_a_proxy_that_refuses_is_not_tried_twice():
    assert find_stage(httpx2.ProxyError("407 Proxy Authentication Required"), received=False) is Stage.REFUSED
    assert not Stage.REFUSED.retried


def test_a_wait_is_a_number_for_whoever_does_not_know_it():
    assert isinstance(Wait.within(Exchange(0), 2.5), float)
    assert Wait.within(Exchange(0), 2.5) == 2.5
    assert httpcore2.Request("POST", "http://h", extensions={"timeout": {"read": Wait(1)}}).extensions["timeout"]


def test_the_values_used_last_are_kept():
    made = []
    recent: Recent[int, int] = Recent(3)

    def get(key: int) -> int:
        return recent.get(key, lambda: made.append(key) or key * 10)  # type: ignore[func-returns-value]

    assert [get(key) for key in (1, 2, 3, 1, 4, 1, 2)] == [10, 20, 30, 10, 40, 10, 20]
    assert made == [1, 2, 3, 4, 2]  # 2 made room for 4: 1 was used after it
    assert len(recent) == 3
    assert sorted(recent.take_all()) == [10, 20, 40]
    assert len(recent) == 0
