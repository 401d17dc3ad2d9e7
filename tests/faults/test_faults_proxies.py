"""Proxies on every engine: what they are sent, with which password, to whom, and what they never see."""

import asyncio
import base64
import contextlib
import socket
import ssl
import threading

import pytest
from engines import engines
from fault_server import KEY, PATIENCE, FaultServer, adapter_at, four, good, hang, respond

from nbkit import errors
from nbkit.http.clients import _choose_engine
from nbkit.http.environment import Proxy
from nbkit.settings import override

CREDENTIALS = base64.b64encode(b"me@home:p w/1").decode()
WORD = "p w/1"


@pytest.fixture
def proxy():
    """A second server, which is the proxy."""
    one = FaultServer()
    yield one
    one.close()


def tunnel(port):
    """A step: connect the client to a port of this machine, and pass bytes on in both directions."""

    def step(connection):
        with socket.create_connection(("127.0.0.1", port)) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pass_on, args=(target, connection), daemon=True).start()
            pass_on(connection, target)

    return step


def pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def secure(server, monkeypatch, certificate):
    """The server speaks TLS with a certificate that SSL_CERT_FILE trusts."""
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return server


@pytest.fixture(params=["http", "https"])
def scheme(request, proxy, certificate, monkeypatch):
    """How one speaks to the proxy itself."""
    if request.param == "https":
        proxy.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        proxy.tls.load_cert_chain(certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return request.param


@four
def test_a_request_over_http_goes_to_the_proxy_with_its_password(proxy, scheme, monkeypatch, call):
    monkeypatch.setenv("HTTP_PROXY", f"{scheme}://me%40home:p%20w%2F1@localhost:{proxy.port}")
    proxy.says(good(call))
    assert call(adapter_at(8000, "http://api.example.test")).text == "Hello"
    (request,) = proxy.requests
    head = request.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("POST http://api.example.test:8000/v1/chat/completions HTTP/1.1\r\n")
    assert f"proxy-authorization: Basic {CREDENTIALS}".lower() in head.lower()
    assert "\r\nhost: api.example.test:8000" in head.lower()


@four
def test_a_password_in_any_script_is_sent_to_a_proxy_in_utf_8(proxy, monkeypatch, call):
    monkeypatch.setenv("HTTP_PROXY", f"http://m%C3%A9:p%E2%82%AC@localhost:{proxy.port}")
    proxy.says(good(call))
    assert call(adapter_at(8000, "http://api.example.test")).text == "Hello"
    assert base64.b64encode("mé:p€".encode()) in proxy.requests[0]


@four
def test_a_request_over_https_goes_through_a_tunnel_that_sees_no_key(secure, proxy, scheme, monkeypatch, call):
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me%40home:p%20w%2F1@localhost:{proxy.port}")
    secure.says(good(call))
    proxy.says(tunnel(secure.port))
    assert call(adapter_at(secure.port, "https://localhost")).text == "Hello"
    (connect,) = proxy.requests
    assert connect.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % secure.port)
    assert f"proxy-authorization: basic {CREDENTIALS}".lower().encode() in connect.lower()
    assert KEY.encode() not in connect
    (request,) = secure.requests
    assert request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert KEY.encode() in request
    assert b"proxy-authorization" not in request.lower()


@engines
@pytest.mark.parametrize("password", ["", "me:word@"])
def test_a_tunnel_is_used_again(secure, proxy, monkeypatch, password):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{password}127.0.0.1:{proxy.port}")
    secure.says(
        *[(respond({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}, connection="x"), "keep")]
        * 3
    )
    proxy.says(tunnel(secure.port))
    adapter = adapter_at(secure.port, "https://localhost")

    async def thrice():
        return [(await adapter.aexecute("Hi")).text for _ in range(3)]

    assert asyncio.run(thrice()) == ["Hello"] * 3
    assert (len(proxy.requests), secure.connections) == (1, 1)


@four
def test_a_certificate_behind_a_tunnel_is_checked(server, proxy, certificate, monkeypatch, call):
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(certificate)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.says(tunnel(server.port))
    with pytest.raises(errors.TransportError, match=r"certificate failed: self-signed certificate") as caught:
        call(adapter_at(server.port, "https://localhost"))
    assert (caught.value.attempts, server.requests) == (1, [])
    assert f"the proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY) for localhost:{server.port}" in caught.value.message


REFUSALS = {
    "407 with a page": (respond(b"<html>" + WORD.encode(), 407, proxy_authenticate="Basic"), r"407", 1),
    "403": (respond(b"", 403), "403", 1),
    "502": (respond(b"", 502), "502", 3),
    "nothing": (b"", "Server disconnected", 3),
    "what is not HTTP": (b"SSH-2.0\r\n\r\n", "not valid HTTP: SSH-2.0", 1),
}


@pytest.mark.parametrize("what", REFUSALS)
@four
def test_a_proxy_that_opens_no_tunnel_is_named_and_its_password_is_not(proxy, monkeypatch, what, call):
    answer, words, attempts = REFUSALS[what]
    monkeypatch.setenv("HTTPS_PROXY", f"http://me%40home:p%20w%2F1@127.0.0.1:{proxy.port}")
    proxy.says(*[answer] * 3)
    with pytest.raises(errors.TransportError, match=words) as caught:
        call(adapter_at(443, "https://api.example.test"))
    error = caught.value
    assert f"the proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY)" in error.message
    assert (error.attempts, len(proxy.requests)) == (attempts, attempts)
    assert not [text for text in (WORD, "p%20w", CREDENTIALS, KEY) if text in f"{error} {vars(error)}"]


@four
def test_a_proxy_that_is_silent_has_a_limit(proxy, monkeypatch, call):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.says(*[hang()] * 3)
    with override(http_deadline=0.15), pytest.raises(errors.TransportError, match="timed out: the deadline passed"):
        call(adapter_at(443, "https://api.example.test"))
    assert proxy.sees_hang_up()


@engines
def test_cancelling_while_a_proxy_is_silent_closes_its_socket(proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.says(hang())
    adapter = adapter_at(443, "https://api.example.test")

    async def main():
        task = asyncio.create_task(adapter.aexecute("Hi"))
        while not proxy.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(proxy.hung_up.acquire, timeout=PATIENCE)

    assert asyncio.run(main())


@pytest.mark.parametrize("exceptions", ["127.0.0.1", "127.0.0.0/8", "*", "other.test, 127.0.0.1:{port}"])
@four
def test_what_no_proxy_names_is_called_directly(server, monkeypatch, exceptions, call):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", exceptions.format(port=server.port))
    server.says(good(call))
    assert call(server.adapter()).text == "Hello"
    assert server.requests[0].startswith(b"POST /v1/")


@pytest.mark.parametrize("wish", ["auto", "aiohttp", "httpx2"])
def test_what_an_engine_cannot_do_another_does(wish):
    """aiohttp speaks to proxies over HTTP only, not SOCKS."""
    names = {}
    with override(http_engine=wish):
        for scheme in ("http", "https", "socks5", "socks5h"):
            names[scheme] = _choose_engine(Proxy(scheme, "h", 1, None, "ALL_PROXY")).__module__.rpartition("_")[2]
    others = "httpx2" if wish == "httpx2" else "aiohttp"
    assert names == {"http": others, "https": others, "socks5": "httpx2", "socks5h": "httpx2"}
