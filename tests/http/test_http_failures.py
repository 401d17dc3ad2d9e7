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
PATIENT = 60.0  # seconds: long enough for a busy machine


def fail_sync(url: str, headers: dict[str, str], read: float = PATIENT) -> AdapterError:
    with httpx2.Client(timeout=httpx2.Timeout(PATIENT, read=read)) as client:
        try:
            with client.stream("POST", url, headers=headers) as response:
                read_limited(response, time.monotonic() + PATIENT)
        except FAILURES as exc:
            return transport_error(exc, "api.test")
    raise AssertionError("it did not fail")


def fail_async(url: str, headers: dict[str, str], read: float = PATIENT) -> AdapterError:
    async def call() -> AdapterError:
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(PATIENT, read=read)) as client:
            try:
                async with client.stream("POST", url, headers=headers) as response:
                    await aread_limited(response, time.monotonic() + PATIENT)
            except FAILURES as exc:
                return transport_error(exc, "api.test")
        raise AssertionError("it did not fail")

    return asyncio.run(call())


def stay_silent(connection, request):
    connection.recv(1)


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
        (cut, TransportError, "lost the connection to api.test: peer closed connection"),
        (hang_up, TransportError, "lost the connection to api.test: Server disconnected"),
        (b"BAH\r\n\r\n", TransportError, "lost the connection to api.test: illegal status line"),
        (damage, ProviderError, "the response from api.test cannot be decompressed"),
    ],
    ids=["cut", "hang up", "no HTTP", "damaged gzip"],
)
def test_failures_of_a_server(serve, fail, answer, kind, sentence):
    error = fail(serve(answer).url, {"x-api-key": KEY})
    assert type(error) is kind
    assert error.message.startswith(sentence)
    assert KEY.encode() not in pickle.dumps(error)


@pytest.mark.parametrize("fail", [fail_sync, fail_async])
@pytest.mark.parametrize("answer", [stay_silent, stall])
def test_a_server_that_sends_nothing_more(serve, fail, answer):
    error = fail(serve(answer).url, {"x-api-key": KEY}, read=0.2)
    assert type(error) is TransportError
    assert error.message == "timed out after 0.2 s without data from api.test"
    assert KEY.encode() not in pickle.dumps(error)


@pytest.mark.parametrize("fail", [fail_sync, fail_async])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://x/", "cannot send to api.test: "),
        ("http://x:port/", "cannot send to api.test: "),
        ("http://127.0.0.1:9/", "could not connect to api.test:9: "),
    ],
)
def test_requests_that_cannot_be_sent(fail, url, sentence):
    error = fail(url, {})
    assert type(error) is TransportError
    assert error.message.startswith(sentence)
    assert len(error.message) > len(sentence)


def test_a_header_that_cannot_be_sent_is_not_quoted(serve):
    error = fail_sync(serve(b"").url, {"x-api-key": f"{KEY}\n"})
    assert str(error) == "cannot send the request to api.test: it is not valid HTTP"


@pytest.mark.parametrize(
    ("exc", "sentence"),
    [
        (httpx2.ConnectTimeout, "could not connect to h:80: timed out after 2 s"),
        (httpx2.WriteTimeout, "timed out after 3 s in which h accepted no data of the request"),
        (
            httpx2.PoolTimeout,
            "timed out after 4 s of waiting for a free connection to h: all are in use, and NBKIT_MAX_CONNECTIONS says "
            "how many there may be",
        ),
    ],
)
def test_other_time_outs(exc, sentence):
    times = httpx2.Timeout(connect=2, read=1, write=3, pool=4)
    request = httpx2.Request("POST", "http://h", extensions={"timeout": times.as_dict()})
    assert transport_error(exc("timed out", request=request), "h").message == sentence


def test_a_failure_without_a_message_is_named():
    assert transport_error(ConnectionResetError(), "h").message == "lost the connection to h: ConnectionResetError"


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://evil.test/v1?key=1", "redirects to https://evil.test/v1"),
        ("https://user:pass@evil.test:8443/", "redirects to https://evil.test:8443/"),
        ("https://аpi.test/", "redirects to https://xn--pi-6kc.test/"),  # a Cyrillic letter
        ("/other", "redirects to http://api.test/other"),
        ("http://x:port/", "answers with a redirect (HTTP 307) that names no usable address"),
        (None, "answers with a redirect (HTTP 307) that names no usable address"),
    ],
)
def test_a_redirect_names_both_hosts(location, where):
    seen = []

    def answer(request):
        seen.append(request.url.host)
        return httpx2.Response(307, headers=[] if location is None else [(b"location", location.encode())])

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        error = redirect_error(client.post("http://api.test/v1"))
    assert error.message == f"api.test {where}; nbkit does not follow redirects: check the base URL"
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


def test_scrub_cuts_at_its_limit():
    assert scrub("é" * 2000, limit=2000) == "é" * 2000
    assert scrub("é" * 2001, limit=2000) == "é" * 1999 + "…"
