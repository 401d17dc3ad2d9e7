"""The way there: base URLs, proxies and certificates as people have them, and errors that say what to look at."""

import asyncio
import json
import ssl

import pytest
from engines import engines
from fault_server import CHUNKED, KEY, chunk, four, good, respond, sse, streamed

from nbkit import errors
from nbkit.adapters.factory import get_adapter
from nbkit.http.addresses import join_path, read_base_url
from nbkit.settings import override

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*PROXIES, *map(str.lower, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


# ---- base URLs

PASTED = [
    ("https://h/v1", "https://h/v1", None),
    ("https://h/v1/", "https://h/v1", None),
    ("https://h", "https://h", None),
    ("https://h///", "https://h", None),
    ("  https://h/v1\n", "https://h/v1", None),
    ('"https://h/v1"', "https://h/v1", None),
    ("<https://h/v1>", "https://h/v1", None),
    ("https://h/v1#top", "https://h/v1", None),
    ("HTTPS://h/v1", "https://h/v1", None),
    ("https:/h/v1", "https://h/v1", None),
    ("//h/v1", "https://h/v1", None),
    ("h/v1", "https://h/v1", None),
    ("h.example:8443/v1", "https://h.example:8443/v1", None),
    ("http.example/v1", "https://http.example/v1", None),
    ("localhost:8000/v1", "http://localhost:8000/v1", None),
    ("127.0.0.1:8000", "http://127.0.0.1:8000", None),
    ("[::1]:8000/v1", "http://[::1]:8000/v1", None),
    ("https://h/openai/deployments/d?api-version=1", "https://h/openai/deployments/d?api-version=1", None),
    ("https://h/v1/?a=b", "https://h/v1?a=b", None),
    ("https://h/v1/chat/completions", "https://h/v1", "openai-chat"),
    ("https://h/v1/chat/completions/", "https://h/v1", "openai-chat"),
    ("https://h/d/chat/completions?api-version=1", "https://h/d?api-version=1", "openai-chat"),
    ("https://h/v1/completions", "https://h/v1", "openai-completions"),
    ("https://h/v1/messages", "https://h/v1", "anthropic-messages"),
    ("https://h/v1/responses", "https://h/v1", "openai-responses"),
    ("https://h/v1beta/models/g:generateContent", "https://h/v1beta", "gemini-generate"),
    ("https://h/v1beta/models/g:streamGenerateContent?alt=sse", "https://h/v1beta?alt=sse", "gemini-generate"),
    ("https://h/model/a.b/converse", "https://h", "bedrock-converse"),
    ("http://localhost:11434/api/chat", "http://localhost:11434", "ollama-chat"),
    ("https://h/v2/chat", "https://h/v2", "cohere-v2"),
    ("https://h/v1/chat", "https://h/v1/chat", None),
]


@pytest.mark.parametrize(("text", "url", "protocol"), PASTED, ids=[f"A22: {text!r}" for text, _, _ in PASTED])
def test_base_urls_as_people_paste_them(text, url, protocol):
    assert read_base_url(text) == (url, protocol)
    assert read_base_url(url) == (url, None)
    adapter = get_adapter("lab/m", base_url=text, api_key="x")
    assert adapter.endpoint.base_url == url
    assert adapter.endpoint.protocol == (protocol or "openai-chat")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://h/v1", "begins with ftp://"),
        ("https://", "names no host"),
        (" ", "names no host"),
        ("https://h:port/v1", "a port that is not a number"),
        ("https://[::1/v1", "names no host"),
        ("https://h /v1", "has a space"),
        ("https://h/\n/v1", "has a space or a line break"),
        ("https://user:sk-secret@h/v1", "cannot hold a user name or a password"),
    ],
    ids=lambda text: f"A22: {text!r}",
)
def test_base_urls_that_cannot_be_one(text, problem):
    with pytest.raises(errors.ConfigError, match=problem) as caught:
        get_adapter("lab/m", base_url=text, api_key="x")
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://h/v1", "/chat", "https://h/v1/chat"),
        ("https://h/v1?a=b", "/chat", "https://h/v1/chat?a=b"),
        ("https://h/v1", "/m:stream?alt=sse", "https://h/v1/m:stream?alt=sse"),
        ("https://h/v1?a=b", "/m:stream?alt=sse", "https://h/v1/m:stream?a=b&alt=sse"),
    ],
)
def test_the_path_stands_before_the_query(base, path, url):
    assert join_path(base, path) == url


@four
@pytest.mark.parametrize("end", ["/d?api-version=2", "/d/chat/completions?api-version=2", "/d/?api-version=2"])
def test_a_query_is_sent_behind_the_path(server, end, call):
    """A22"""
    server.says(good(call))
    assert call(server.adapter(base_url=server.url + end)).text == "Hello"
    assert server.requests[0].startswith(b"POST /v1/d/chat/completions?api-version=2 HTTP/1.1\r\n")


# ---- proxies


@four
@pytest.mark.parametrize("address", ["http://me:sk-secret@127.0.0.1:9", "127.0.0.1:9"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_dead_proxy_is_named(monkeypatch, name, address, call):
    """A25, and that its password is not."""
    monkeypatch.setenv(name, address)
    with pytest.raises(errors.TransportError) as caught:
        call(get_adapter("lab/m1", base_url="http://api.example.test/v1", api_key=KEY))
    start = f"could not connect to the proxy 127.0.0.1:9 ({name}) for api.example.test: "
    assert caught.value.message == f"{start}Connection refused"
    assert "sk-secret" not in f"{caught.value} {vars(caught.value)}"


@four
@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (407, 1), (502, 3)])
def test_a_proxy_that_refuses_is_named(server, monkeypatch, status, attempts, call):
    """A25: for https the proxy answers CONNECT; nothing was sent to the provider."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
    server.says(*[respond(b"", status)] * 3)
    with pytest.raises(errors.TransportError, match=rf"the proxy 127.0.0.1:{server.port} \(HTTPS_PROXY\) .* {status}"):
        call(get_adapter("lab/m1", base_url="https://api.example.test/v1", api_key=KEY))
    assert [request[:7] for request in server.requests] == [b"CONNECT"] * attempts
    assert KEY.encode() not in b"".join(server.requests)


@four
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_says_what_to_install(server, monkeypatch, scheme, call):
    """A23"""
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:sk-secret@127.0.0.1:1080")
    with pytest.raises(errors.ConfigError, match=r"^ALL_PROXY names a SOCKS proxy, .* pip install socksio"):
        call(server.adapter())
    assert server.requests == []


@pytest.mark.parametrize("address", ["socks4://h:1", "ftp://h", "http://", "http://h:port", "://"])
def test_an_address_that_is_no_proxy_names_its_variable(server, monkeypatch, address):
    """A23"""
    monkeypatch.setenv("all_proxy", address)
    with pytest.raises(errors.ConfigError, match=r"^all_proxy is not the address of a proxy: expected http, https"):
        server.adapter().execute("Hi")


@four
def test_proxies_that_change_count_at_the_next_call(server, monkeypatch, call):
    """A24"""
    server.says(*[good(call)] * 5)
    adapter = server.adapter()
    assert call(adapter).text == "Hello"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(errors.TransportError, match="the proxy"):
        call(adapter)
    monkeypatch.setenv("NO_PROXY", "example.test, 127.0.0.0/8")
    assert call(adapter).text == "Hello"
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    assert call(adapter).text == "Hello"
    assert server.requests[-1].startswith(f"POST {server.url}/chat".encode())  # as it is sent to a proxy
    monkeypatch.setenv("http_proxy", "")
    assert call(adapter).text == "Hello"
    assert server.requests[-1].startswith(b"POST /v1/chat")


# ---- certificates


@four
def test_a_certificate_that_is_not_trusted_is_tried_once_and_one_that_is_counts_at_once(
    server, monkeypatch, certificate, call
):
    """A24, F13"""
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(certificate)
    server.says(good(call))
    adapter = server.adapter(base_url=f"https://localhost:{server.port}/v1")
    with pytest.raises(
        errors.TransportError, match=r"certificate failed: self-signed certificate.*SSL_CERT_FILE"
    ) as caught:
        call(adapter)
    assert (caught.value.attempts, server.connections) == (1, 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert call(adapter).text == "Hello"


@four
def test_a_server_that_closes_in_the_handshake_is_named_so(server, call):
    def close(connection, **_):
        connection.recv(2**16)
        connection.close()
        return connection

    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.wrap_socket = close
    with pytest.raises(errors.TransportError, match="connection was closed in the TLS handshake"):
        call(server.adapter(base_url=f"https://localhost:{server.port}/v1"))


@four
def test_a_host_of_ones_own_takes_the_place_of_the_urls(server, call):
    server.says(good(call))
    assert call(server.adapter(), extra_headers={"Host": "other.test"}).text == "Hello"
    head = server.requests[0].lower().partition(b"\r\n\r\n")[0]
    assert [line for line in head.split(b"\r\n") if line.startswith(b"host:")] == [b"host: other.test"]


@four
def test_certificates_that_cannot_be_read_name_their_variable(monkeypatch, tmp_path, call):
    """A24"""
    adapter = get_adapter("lab/m1", base_url="https://localhost:9/v1", api_key=KEY)
    for name in ("missing.pem", "bad.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        (tmp_path / "bad.pem").write_text("no certificate")
        with pytest.raises(
            errors.ConfigError, match=rf"^SSL_CERT_FILE: the certificates of '.*{name}' cannot be read: "
        ):
            call(adapter)


# ---- words


@four
def test_a_refused_connection_names_host_and_port(call):
    """R6"""
    with pytest.raises(
        errors.TransportError, match=r"^lab/m1: could not connect to 127\.0\.0\.1:9: .*refused"
    ) as caught:
        call(get_adapter("lab/m1", base_url="http://127.0.0.1:9/v1", api_key=KEY))
    assert caught.value.attempts == 3


FORGOTTEN = [
    b'{"detail":"Not Found"}',
    b"404 page not found",
    b"<html><title>404 Not Found</title>",
    b"",
    b"Cannot POST /",
]


@four
@pytest.mark.parametrize("body", FORGOTTEN, ids="R6: {}".format)
def test_a_forgotten_v1_is_suggested(server, body, call):
    base = f"http://127.0.0.1:{server.port}"
    server.says(respond(body, 404))
    with pytest.raises(errors.BadRequestError) as caught:
        call(server.adapter(base_url=base))
    assert f"nothing at {base}/chat/completions; is /v1 missing at the end of the base URL?" in str(caught.value)
    server.says(respond(body, 404))
    with pytest.raises(errors.BadRequestError, match=r"/v1/chat/completions; check the base URL"):
        call(server.adapter())


def test_an_unknown_model_is_not_a_wrong_address(server):
    """R6"""
    server.says(respond({"error": {"message": "model 'm1' not found", "code": "model_not_found"}}, 404))
    with pytest.raises(errors.BadRequestError) as caught:
        server.adapter().execute("Hi")
    assert caught.value.message == "model 'm1' not found"


@four
def test_an_errors_body_that_is_framed_as_events_is_read(server, call):
    """R6"""
    body = b": hello\n\nevent: error\n" + sse({"error": {"message": "no such model", "code": "nope"}})
    for framed in (body, body[9:], body.replace(b"\n", b"\r\n")):
        server.says(respond(framed, 404, content_type="text/event-stream"))
        with pytest.raises(errors.BadRequestError) as caught:
            call(server.adapter())
        assert (caught.value.message, caught.value.code) == ("no such model", "nope")


# ---- keys


@four
@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        (respond({"error": {"message": "no", "code": f"bad {KEY}\x1b[31m"}}, 400), "code bad [key][31m"),
        (respond({"error": {"message": "no"}}, 400, x_request_id=f"r-{KEY}"), "request r-[key]"),
        (respond({"error": {"message": "no", "code": "c" * 5000}}, 400, x_request_id="r" * 5000), "c…"),
        (respond({"error": {"message": "x" * 490 + KEY + "y" * 5000}}, 400), "x[key]yyyy…"),
        (respond({"error": {"message": "x" * 1990 + KEY}}, 400), "x…"),
        (respond(b"x" * 490 + KEY.encode() + b"!" * 70_000, 400), "x[key]!!!!…"),
        (respond(b"<" + b"x" * 70 + KEY.encode()), "is not JSON"),
        (respond([f"{'x' * 70}{KEY}"]), "lab/m1: "),
        (respond({"choices": None, "error": {"message": KEY, "code": KEY}}), "[key]"),
    ],
    ids=[
        "F3: in the code", "F3: in the request id", "F3: long ones", "F4: across character 500", "F4: across 2000",
        "F4: in plain text", "F4: in what is not JSON", "F4: in a list", "F3: in a 200",
    ],
)  # fmt: skip
def test_no_text_of_an_error_holds_the_key_or_is_long(server, answer, clean, call):
    server.says(answer)
    with pytest.raises(errors.AdapterError) as caught:
        call(server.adapter())
    error = caught.value
    shown = f"{error} {error.code} {error.request_id} {error.body}"
    assert KEY[:8] not in shown
    assert clean in str(error)
    assert len(str(error)) < 1000
    assert "\x1b" not in shown


@streamed
def test_no_event_of_an_error_shows_the_key(server, call):
    """F3, F4"""
    event = {"error": {"message": f"{'x' * 490}{KEY}", "code": f"{KEY}"}}
    server.says(CHUNKED + chunk(sse({"choices": [{"delta": {"content": "Hel"}}]}, event)) + b"0\r\n\r\n")
    with pytest.raises(errors.StreamError) as caught:
        call(server.adapter())
    assert KEY[:8] not in f"{caught.value} {caught.value.code} {caught.value.body}"


@engines
def test_many_keys_and_servers_leave_few_sockets_open(server):
    """F8: the clients that were used last are kept, and those that are in use."""
    answers = [{"choices": [{"message": {"content": str(n)}, "finish_reason": "stop"}]} for n in range(200)]
    server.says(*[(respond(answer, connection="keep-alive"), "keep") for answer in answers])
    with override(max_retries=0):
        for number in range(100):
            assert server.adapter(api_key=f"sk-{number:020}").execute("Hi").text == str(number)
    for _ in range(100 - 64):
        assert server.sees_hang_up()
    assert not server.hung_up.acquire(timeout=0.05)

    async def main():
        for number in range(100):
            answer = await server.adapter(api_key=f"sk-{number:020}").aexecute("Hi")
            assert answer.text == str(number + 100)
        for _ in range(100 - 64):
            while not server.hung_up.acquire(blocking=False):
                await asyncio.sleep(0.005)

    asyncio.run(main())
    assert json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
