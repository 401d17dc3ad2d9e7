from __future__ import annotations

import asyncio
import pickle
import socket
import time

import httpx2
import pytest

from nbkit.errors import AdapterError, ProviderError, TransportError
from nbkit.http.bounded import aread_limited, read_limited
from nbkit.http.failures import FAILURES, redirect_error, scrub, transport_error

KEY = "sk-test-0123456789abcdef"
TIMES = httpx2.Timeout(5, read=0.2)


def fail_sync(url: str, headers: dict[str, str]) -> AdapterError:
    with httpx2.Client(timeout=TIMES) as client:
        try:
            with client.stream("POST", url, headers=headers) as response:
                read_limited(response, time.monotonic() + 10)
        except FAILURES as exc:
            return transport_error(exc, "api.test")
    raise AssertionError("it did not fail")


def fail_async(url: str, headers: dict[str, str]) -> AdapterError:
    async def call() -> AdapterError:
        async with httpx2.AsyncClient(timeout=TIMES) as client:
            try:
                async with client.stream("POST", url, headers=headers) as response:
                    await aread_limited(response, time.monotonic() + 10)
            except FAILURES as exc:
                return transport_error(exc, "api.test")
        raise AssertionError("it did not fail")

    return asyncio.run(call())


def stall(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
    connection.recv(1)


def cut(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
    connection.shutdown(socket.SHUT_RDWR)


def hang_up(connection, request):
    connection.shutdown(socket.SHUT_RDWR)


def damage(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello")


@pytest.mark.parametrize("fail", [fail_sync, fail_async])
@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (lambda connection, request: connection.recv(1), TransportError, "no byte from api.test for 0.2 s"),
        (stall, TransportError, "no byte from api.test for 0.2 s"),
        (cut, TransportError, "the connection to api.test broke off: peer closed connection"),
        (hang_up, TransportError, "the connection to api.test broke off: Server disconnected"),
        (b"BAH\r\n\r\n", TransportError, "the connection to api.test broke off: illegal status line"),
        (damage, ProviderError, "the answer of api.test cannot be decompressed"),
    ],
    ids=["silence", "stall", "cut", "hang up", "no HTTP", "damaged gzip"],
)
def test_what_a_server_does_wrong(serve, fail, answer, kind, sentence):
    error = fail(serve(answer).url, {"x-api-key": KEY})
    assert type(error) is kind
    assert error.message.startswith(sentence)
    assert KEY.encode() not in pickle.dumps(error)


@pytest.mark.parametrize("fail", [fail_sync, fail_async])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://x/", "cannot send to api.test: "),
        ("http://x:port/", "cannot send to api.test: "),
        ("http://127.0.0.1:9/", "could not connect to api.test: "),
    ],
)
def test_what_never_left(fail, url, sentence):
    error = fail(url, {})
    assert type(error) is TransportError
    assert error.message.startswith(sentence)
    assert len(error.message) > len(sentence)


def test_a_header_that_cannot_be_sent_is_not_quoted(serve):
    error = fail_sync(serve(b"").url, {"x-api-key": f"{KEY}\n"})
    assert str(error) == "cannot send such a request to api.test"


@pytest.mark.parametrize(
    ("exc", "sentence"),
    [
        (httpx2.ConnectTimeout, "could not connect to h within 2 s"),
        (httpx2.WriteTimeout, "h took no byte of the request for 3 s"),
        (httpx2.PoolTimeout, "no connection to h became free within 4 s"),
    ],
)
def test_other_time_outs(exc, sentence):
    times = httpx2.Timeout(connect=2, read=1, write=3, pool=4)
    request = httpx2.Request("POST", "http://h", extensions={"timeout": times.as_dict()})
    assert transport_error(exc("timed out", request=request), "h").message == sentence


def test_a_failure_without_words_is_named():
    assert transport_error(ConnectionResetError(), "h").message == "the connection to h broke off: ConnectionResetError"


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://evil.test/v1?key=1", "https://evil.test/v1"),
        ("https://user:pass@evil.test:8443/", "https://evil.test:8443/"),
        ("https://аpi.test/", "https://xn--pi-6kc.test/"),  # a Cyrillic letter
        ("/other", "http://api.test/other"),
        ("http://x:port/", "nowhere"),
        (None, "nowhere"),
    ],
)
def test_a_redirect_names_both_hosts(location, where):
    seen = []

    def answer(request):
        seen.append(request.url.host)
        return httpx2.Response(307, headers=[] if location is None else [(b"location", location.encode())])

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        error = redirect_error(client.post("http://api.test/v1"))
    assert error.message == f"api.test redirects to {where}; a POST is not redirected"
    assert (error.status, seen) == (307, ["api.test"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"wrong key {KEY}!", "wrong key [key]!"),
        (f"wrong key {KEY[:5]}\x1b{KEY[5:]}!", "wrong key [key]!"),  # joined only by the cleaning
        ("the other-secret-1 and other-secret", "the [key] and [key]"),  # the longer one first
        ("short", "short"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        (" \x1b[31mred\x00\x07\x9b\r\n\tok\n", "[31mred\n\tok"),
        ("x" * 600, "x" * 499 + "…"),
        (KEY * 100, "[key]" * 100),
    ],
)
def test_scrub(text, clean):
    assert scrub(text, [KEY, "other-secret", "other-secret-1", "short", ""]) == clean


def test_scrub_keeps_as_much_as_it_is_asked_to():
    assert scrub("é" * 2000, limit=2000) == "é" * 2000
    assert scrub("é" * 2001, limit=2000) == "é" * 1999 + "…"
