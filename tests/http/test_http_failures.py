"""What goes wrong on the way to a reply: errors with plain messages, the same from threads and on every engine."""

from __future__ import annotations

import pickle
import socket
from base64 import b64encode

import pytest
from engines import on_engines
from senders import asend, build, send

from nbkit.errors import AdapterError, ProviderError, TransportError
from nbkit.http.causes import CUT, NO_REPLY
from nbkit.http.clients import KeyAuth, sync_client
from nbkit.http.exchange import Exchange, Failure, Kind
from nbkit.http.failures import redirect_error, scrub, transport_error

KEY = "sk-test-0123456789abcdef"
sends = on_engines("call", send, asend)


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


@sends
@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (cut, TransportError, f"lost the connection to {{host}}: {CUT}"),
        (hang_up, TransportError, f"lost the connection to {{host}}: {NO_REPLY}"),
        (b"BAH\r\n\r\n", TransportError, "lost the connection to {host}: not valid HTTP: BAH"),
        (damage, ProviderError, "the response cannot be decompressed"),
    ],
    ids=["cut", "hang up", "no HTTP", "damaged gzip"],
)
def test_failures_of_a_server(serve, call, answer, kind, sentence):
    server = serve(answer)
    with pytest.raises(AdapterError) as caught:
        call(server.url, auth=KeyAuth("x-api-key", "", KEY))
    assert type(caught.value) is kind
    assert caught.value.message == sentence.format(host=server.host)
    assert KEY.encode() not in pickle.dumps(caught.value)


@sends
@pytest.mark.parametrize("answer", [stay_silent, stall])
def test_a_server_that_sends_nothing_more(serve, call, answer):
    server = serve(answer)
    with pytest.raises(TransportError) as caught:
        call(server.url, read=0.2)
    assert caught.value.message == f"timed out after 0.2 s without data from {server.host}"
    assert server.sees_hang_up()


@sends
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://x/", "cannot send to x: the URL must begin with http:// or https:// and name a host"),
        ("http://x:port/", "cannot send to x:port: "),
        ("http://127.0.0.1:9/", "could not connect to 127.0.0.1:9: Connection refused"),
        ("http://nobody.invalid/", "could not connect to nobody.invalid:80: "),
    ],
)
def test_requests_that_cannot_be_sent(call, url, sentence):
    with pytest.raises(TransportError) as caught:
        call(url)
    assert caught.value.message.startswith(sentence)
    assert len(caught.value.message) > len(sentence) or sentence.endswith(("host", "refused"))


@sends
@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nx-b: c", f"{KEY}\x00", f"{KEY}é", f"{KEY}\ud800"])
def test_a_header_that_cannot_be_sent_is_not_quoted(serve, response, call, value):
    server = serve(response(b"{}"))
    with pytest.raises(TransportError) as caught:
        call(server.url, headers={"x-api-key": value})
    assert str(caught.value) == f"cannot send the request to {server.host}: it is not valid HTTP"
    assert not server.requests


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Kind.CONNECT_TIMEOUT, "could not connect to h:80: timed out after 2 s"),
        (Kind.WRITE_TIMEOUT, "timed out after 3 s in which h accepted no data of the request"),
        (
            Kind.POOL_TIMEOUT,
            "timed out after 4 s of waiting for a free connection to h: all are in use, and NBKIT_MAX_CONNECTIONS says "
            "how many there may be",
        ),
        (Kind.READ_TIMEOUT, "timed out after 1 s without data from h"),
    ],
)
def test_time_outs_name_their_seconds(kind, sentence):
    exchange = build("http://h", connect=2, read=1, write=3, pool=4).exchange
    assert transport_error(Failure(kind), "http://h", exchange).message == sentence


@pytest.mark.parametrize(
    ("alone", "received", "sentence"),
    [
        (False, False, "timed out: the deadline passed before the response was complete"),
        (True, True, "timed out: the deadline passed before the response was complete"),
        (True, False, "timed out after 1 s without data from h"),  # all of its time was for this silence
    ],
)
def test_a_time_out_at_the_deadline_says_so(alone, received, sentence):
    exchange = Exchange(0, connect=1, read=1, write=1, pool=1, alone=alone)
    exchange.received = received
    assert transport_error(Failure(Kind.READ_TIMEOUT), "http://h", exchange).message == sentence


def test_what_an_engine_quotes_is_cleaned():
    error = transport_error(Failure(Kind.LOST, "bad\x1b[31m\x00 line\x07" + "x" * 999), "http://h", Exchange.within(1))
    assert error.message.startswith("lost the connection to h: bad[31m linexxx")
    assert len(error.message) < 600


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@sends
def test_no_redirect_is_followed(serve, response, call, status):
    server = serve(response(b"", status, location="/elsewhere"))
    assert call(server.url, auth=KeyAuth("x-api-key", "", KEY)).status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://evil.test/v1?key=1", "redirects to https://evil.test/v1"),
        ("https://user:pass@evil.test:8443/", "redirects to https://evil.test:8443/"),
        ("https://аpi.test/", "redirects to https://xn--pi-6kc.test/"),  # a Cyrillic letter
        ("/other", "redirects to http://{host}/other"),
        ("http://x:port/", "answers with a redirect (HTTP 307) that names no usable address"),
        (None, "answers with a redirect (HTTP 307) that names no usable address"),
    ],
)
@sends
def test_a_redirect_names_both_hosts(serve, response, call, location, where):
    server = serve(response(b"", 307, **({} if location is None else {"location": location})))
    reply = call(server.url)
    error = redirect_error(reply, server.url)
    place = where.format(host=server.host)
    assert error.message == f"{server.host} {place}; nbkit does not follow redirects: check the base URL"
    assert (error.status, len(server.requests)) == (307, 1)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"wrong key {KEY}!", "wrong key [key]!"),
        (f"wrong key {KEY[:5]}\x1b{KEY[5:]}!", "wrong key [key]!"),  # joined only by the cleaning
        ("the other-secret-1 and other-secret", "the [key] and [key]"),  # the longer one first
        (f"{b64encode(KEY.encode()).decode()} {b64encode(b'other-secret').decode()}", "[key] [key]"),
        ("?key=a%2Fslash%3Ain%20it", "?key=[key]"),
        ("short", "short"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        (" \x1b[31mred\x00\x07\x9b\r\n\tok\n", "[31mred\n\tok"),
        ("x" * 600, "x" * 499 + "…"),
        (KEY * 100, "[key]" * 100),
    ],
)
def test_scrub(text, clean):
    assert scrub(text, [KEY, "other-secret", "other-secret-1", "a/slash:in it", "short", ""]) == clean


def test_scrub_cuts_at_its_limit():
    assert scrub("é" * 2000, limit=2000) == "é" * 2000
    assert scrub("é" * 2001, limit=2000) == "é" * 1999 + "…"


def test_a_client_says_what_is_not_a_url_before_anything_is_sent():
    with pytest.raises(Failure) as caught:
        sync_client("ftp://h/", None)
    assert caught.value.kind is Kind.BAD_URL
