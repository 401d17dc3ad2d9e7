"""The values of the seam: a request's clock, addresses, headers, the kinds of failures, and what was used last."""

from __future__ import annotations

import time

import httpcore2
import pytest

from nbkit.errors import TransportError
from nbkit.http.exchange import Address, Exchange, Failure, Kind, Request, join_headers, split_url
from nbkit.http.failures import find_stage
from nbkit.http.media import fetch_media
from nbkit.http.recent import Recent
from nbkit.http.retry import Stage
from nbkit.http.sockets import Wait


def test_an_exchange_may_be_hurried_never_prolonged():
    exchange = Exchange(time.monotonic() + 5000, connect=1, read=2, write=3, pool=4)
    exchange.hurry(10_000)
    assert 1000 < exchange.left <= 5000  # an hour's room for a slow machine
    assert not exchange.expired
    exchange.hurry(0)
    assert exchange.expired
    assert exchange.left == 0.001


@pytest.mark.parametrize(("seconds", "waits"), [(50, 50), (0, 0.001), (-1, 0.001)])
def test_an_exchange_for_one_request_has_one_time_for_all(seconds, waits):
    exchange = Exchange.within(seconds)
    assert {exchange.connect, exchange.read, exchange.write, exchange.pool} == {waits}
    assert exchange.alone
    assert exchange.left <= waits


@pytest.mark.parametrize(
    ("reused", "received", "stale"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_only_a_kept_connection_without_an_answer_is_stale(reused, received, stale):
    exchange = Exchange.within(1)
    exchange.reused, exchange.received = reused, received
    assert exchange.stale is stale


def test_no_repr_of_a_request_shows_what_it_carries():
    request = Request("POST", "http://h/", Exchange.within(1), {"x-api-key": "sk-secret"}, b"a prompt")
    assert "secret" not in repr(request)
    assert "prompt" not in repr(request)


def test_other_requests_keep_to_their_deadline_too(serve):
    """F1: images are fetched from servers that may drip."""

    def drip(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x-a: b\r\n")
            time.sleep(0.01)

    server = serve(drip)
    with pytest.raises(TransportError, match="timed out: the deadline passed"):
        fetch_media(server.url, seconds=0.2, allowed=lambda address: True)
    assert server.sees_hang_up()


# ---- addresses


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://h/v1", ("https", "h", None, "/v1")),
        ("https://h:443/v1", ("https", "h", None, "/v1")),
        ("http://h:80", ("http", "h", None, "/")),
        ("http://h:443/", ("http", "h", 443, "/")),
        ("http://h?a=b", ("http", "h", None, "/?a=b")),
        ("http://127.0.0.1:8000/v1/m:stream?alt=sse", ("http", "127.0.0.1", 8000, "/v1/m:stream?alt=sse")),
        ("HTTP://H.Example/V1", ("http", "h.example", None, "/V1")),
        ("http://[::1]:8000/v1", ("http", "::1", 8000, "/v1")),
        ("https://аpi.test/", ("https", "xn--pi-6kc.test", None, "/")),  # a Cyrillic letter
        ("https://h/a b?c=é", ("https", "h", None, "/a%20b?c=%C3%A9")),
        ("https://h/a%20b?c=%C3%A9", ("https", "h", None, "/a%20b?c=%C3%A9")),
        ("https://h./v1", ("https", "h.", None, "/v1")),
        ("https://h/v1#top", ("https", "h", None, "/v1")),
    ],
)
def test_urls_are_split_and_encoded(url, address):
    assert split_url(url) == Address(*address)
    assert split_url(split_url(url).url) == Address(*address)


@pytest.mark.parametrize(
    "url", ["ftp://h/", "h/v1", "//h/v1", "http://", "http:///a", "http://h:port/", "", "file:///x"]
)
def test_what_is_not_a_url_is_a_failure(url):
    with pytest.raises(Failure) as caught:
        split_url(url)
    assert caught.value.kind is Kind.BAD_URL
    assert caught.value.text


def test_headers_that_come_twice_keep_both_values():
    assert join_headers([("Set-Cookie", "a"), ("X-B", "1"), ("set-cookie", "b")]) == {"set-cookie": "a, b", "x-b": "1"}


# ---- failures


@pytest.mark.parametrize(
    ("kind", "received", "stage", "retried"),
    [
        (Kind.POOL_TIMEOUT, False, Stage.QUEUED, True),
        (Kind.NOT_CONNECTED, False, Stage.CONNECTING, True),
        (Kind.CONNECT_TIMEOUT, False, Stage.CONNECTING, True),
        (Kind.TLS, False, Stage.REFUSED, False),
        (Kind.PROXY, False, Stage.CONNECTING, True),
        (Kind.PROXY_REFUSED, False, Stage.REFUSED, False),
        (Kind.WRITE_TIMEOUT, False, Stage.WRITING, True),
        (Kind.NOT_WRITTEN, False, Stage.WRITING, True),
        (Kind.READ_TIMEOUT, False, Stage.SILENCE, False),
        (Kind.READ_TIMEOUT, True, Stage.SILENCE, False),
        (Kind.LOST, False, Stage.CLOSED, True),
        (Kind.LOST, True, Stage.BROKEN, False),
        (Kind.BAD_REQUEST, False, Stage.UNFIT, False),
        (Kind.BAD_URL, False, Stage.UNFIT, False),
    ],
)
def test_which_failures_are_sent_again(kind, received, stage, retried):
    """F14: nothing is sent again that may have been billed."""
    assert find_stage(Failure(kind), received=received) is stage
    assert stage.retried is retried
    assert len(stage.reason) > 10


def test_every_kind_names_a_limit_of_the_exchange_or_none():
    limits = {kind.limit for kind in Kind}
    assert limits == {"", "pool", "connect", "write", "read"}
    assert all(("{seconds" in kind.sentence) == bool(kind.limit) for kind in Kind)


# ---- details


def test_a_wait_is_a_number_for_whoever_does_not_know_it():
    exchange = Exchange.within(1)
    assert isinstance(Wait.within(exchange, 2.5), float)
    assert Wait.within(exchange, 2.5) == 2.5
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
