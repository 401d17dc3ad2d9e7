"""Images by their address: what is fetched, from whom, and what is refused before a byte is sent."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import ssl
import struct
import sys
import zlib
from base64 import b64decode
from ipaddress import ip_address

import pytest

from nbkit.conversation.media import MAX_BYTES
from nbkit.errors import ConversationError, TransportError
from nbkit.http.media import afetch_media, fetch_media, public


def png(width=1, height=1):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def here(address):
    return address == ip_address("127.0.0.1")


def fetch(url):
    return fetch_media(url, allowed=here)


def afetch(url):
    return asyncio.run(afetch_media(url, allowed=here))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.0.1", "172.32.0.1", "193.0.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"],
)
def test_the_open_internet(address):
    assert public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "127.0.0.1", "127.8.8.8", "172.16.0.1", "192.168.1.1", "198.18.0.1"),  # noqa: S104
        *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),  # metadata
        *("224.0.0.1", "239.255.255.250", "ff02::1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "2001:db8::1"),
        *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fec0::1"),
        *("3fff::1", "2001:10::1", "2001:20::1", "5f00::1", "100::1", "::ffff:0:7f00:1", "2002:7f00:1::"),
        *("::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "2002:808:808::1", "2001:0:4136::1"),
        "192.88.99.1",
    ],
)
def test_addresses_around_this_machine(address):
    assert not public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0", "[::1]", "[::]"),
        *("169.254.169.254", "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "[64:ff9b::7f00:1]"),
        *(
            "LOCALHOST",
            "127\u30020\u30020\u30021",
            "017700000001",
            "0x7f.0x0.0x0.0x1",
            "0x7f.1",
            "127.0.1",
            "00",
            "0x0",
        ),
        *("2852039166", "0xa9fea9fe", "169.254.43518", "[0000::0001]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]"),
        *("[0:0:0:0:0:ffff:127.0.0.1]", "[fe80::1%lo]", "[2002:7f00:1::]", "[2001:0:7f00:1::1]", "[3fff::1]"),
    ],
)
def test_no_spelling_reaches_this_machine(host):
    with pytest.raises(ConversationError, match="is not a public IP address, so it is not downloaded"):
        fetch_media(f"http://{host}:8888/api/contents?token=secret")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x.test/",
        "ftp://x.test/",
        "//x.test/a",
        "http:///a",
        "http://x:port/",
        "http://0177.0.0.1/",
        "http://0251.0376.0251.0376/",
        "http://127.000.000.001/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
        "http://local\nhost/",
        "http://localhost\t/",
        "cat.png",
        "",
    ],
)
def test_what_is_not_a_url(url):
    with pytest.raises(ConversationError, match="must begin with http:// or https:// and name a host"):
        fetch_media(url)


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8@127.0.0.1", "127.0.0.1\\@8.8.8.8", "127.0.0.1#@8.8.8.8", "127.0.0.1?@8.8.8.8", "x@127.0.0.1:80@8.8.8.8"],
)
def test_a_host_behind_a_user_name_is_refused(host):
    with pytest.raises(ConversationError, match="a URL with a user name or password is not downloaded"):
        fetch_media(f"http://{host}/")


@pytest.mark.parametrize("get", [fetch, afetch])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_image_arrives_with_the_type_of_its_bytes(serve, response, get, zipped):
    if zipped:
        answer = response(gzip.compress(png()), content_encoding="gzip", content_type="text/html")
    else:
        answer = response(png(), content_type="text/html", set_cookie="a=b")
    server = serve(answer)
    url = f"http://localhost:{server.server_address[1]}/cat.txt?size=1#top"
    head, _, data = get(url).partition(",")
    assert (head, b64decode(data)) == ("data:image/png;base64", png())
    (request,) = server.requests
    line, *headers = request.decode().lower().strip().split("\r\n")
    assert line == "get /cat.txt?size=1 http/1.1"
    assert f"host: localhost:{server.server_address[1]}" in headers
    assert {header.partition(":")[0] for header in headers} <= {
        *("host", "accept", "accept-encoding", "user-agent", "connection")
    }


def test_a_name_is_resolved_once_and_its_address_connected_to(serve, response):
    server = serve(response(png()))
    lookups, on = [], [True]

    def note(event, args):
        if on and event in ("socket.getaddrinfo", "socket.connect"):
            lookups.append((event.partition(".")[2], args[0] if event == "socket.getaddrinfo" else args[1][0]))

    sys.addaudithook(note)
    fetch(f"http://localhost:{server.server_address[1]}/")
    on.clear()  # a hook cannot be removed
    addresses = [(what, name) for what, name in lookups if name != "127.0.0.1" or what == "connect"]
    assert addresses == [("getaddrinfo", "localhost"), ("connect", "127.0.0.1")]


def test_tls_names_the_host_and_checks_its_certificate(serve):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda connection, name, context: names.append(name)
    server = serve(b"")

    def greet(connection, address):
        try:
            context.wrap_socket(connection, server_side=True)  # without a certificate
        except ssl.SSLError:
            connection.close()

    server.finish_request = greet
    with pytest.raises(TransportError, match="could not connect to localhost"):
        fetch(f"https://localhost:{server.server_address[1]}/")
    assert names == ["localhost"]


def test_no_proxy_and_no_netrc(serve, response, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password p\nmachine localhost login u password p")
    for name, value in (("HTTP_PROXY", "http://u:p@127.0.0.1:9"), ("NETRC", str(tmp_path / "netrc"))):
        monkeypatch.setenv(name, value)
    server = serve(response(png()))
    assert fetch(server.url)
    assert b"authorization" not in server.requests[0].lower()


def test_redirects_are_followed_five_times(serve, response):
    def answer(connection, request):
        left = int(request.split(b" ")[1].strip(b"/"))
        if left:
            connection.sendall(response(b"", 302, location=f"/{left - 1}", set_cookie="a=b"))
        else:
            connection.sendall(response(png()))

    server = serve(answer)
    start = f"http://{server.host}/"
    assert fetch(start + "5").startswith("data:image/png")
    assert not any(b"cookie" in request.lower() for request in server.requests)
    assert all(f"host: {server.host}".encode() in request.lower() for request in server.requests)
    with pytest.raises(ConversationError, match=r"^the image at 127\.0\.0\.1: more than 5 redirects$"):
        fetch(start + "6")


@pytest.mark.parametrize(
    ("location", "what"),
    [
        (
            "http://169.254.169.254/latest/meta-data?x=secret",
            "169.254.169.254: 169.254.169.254 is not a public IP address",
        ),
        ("//[::1]/secret", "::1: ::1 is not a public IP address"),
        ("http://u:secret@127.0.0.1/", "127.0.0.1: a URL with a user name or password"),
        ("file:///etc/secret", "must begin with http:// or https://"),
        ("http://x:port/secret", "must begin with http:// or https://"),
    ],
)
def test_each_redirect_is_checked(serve, response, location, what):
    server = serve(response(b"", 307, location=location))
    with pytest.raises((ConversationError, TransportError), match=what) as caught:
        fetch(server.url)
    assert len(server.requests) == 1
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


SECRET = b"<html>secret</html>"


@pytest.mark.parametrize("get", [fetch, afetch])
@pytest.mark.parametrize(
    ("body", "headers", "kind", "what"),
    [
        (SECRET, {"content_type": "image/png"}, ConversationError, "expected PNG"),
        (b"%PDF-1.7 secret", {}, ConversationError, "application/pdf, expected an image"),
        (png(50_000, 50_000), {}, ConversationError, "50000 x 50000 pixels, more than 40 million"),
        (png()[:12], {}, ConversationError, "a damaged image/png"),
        (png(), {"content_encoding": "gzip, gzip"}, TransportError, "compressed in an unsupported format"),
        (png(), {"content_encoding": "br"}, TransportError, "compressed in an unsupported format"),
        (png() + bytes(MAX_BYTES), {}, ConversationError, "longer than 20 MiB"),
        (SECRET, {"status": 404}, TransportError, r"download failed \(HTTP 404\)"),
        (SECRET, {"status": 304}, TransportError, "HTTP 304"),
    ],
)
def test_content_that_is_refused(serve, response, get, body, headers, kind, what):
    server = serve(response(body, **headers))
    with pytest.raises(kind, match=rf"^the image at 127\.0\.0\.1: .*{what}") as caught:
        get(server.url)
    assert caught.value.__context__ is None
    assert b"secret" not in pickle.dumps(caught.value)


def test_a_bomb_is_not_unpacked(serve):
    compress = zlib.compressobj(9, wbits=31)
    piece = compress.compress(png() + bytes(2**22))
    sent = []

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + piece)
        for _ in range(1000):  # 16 GB
            connection.sendall(compress.compress(bytes(2**24)))
            sent.append(1)

    with pytest.raises(ConversationError, match="longer than 20 MiB"):
        fetch(serve(answer).url)
    assert len(sent) < 100


def test_a_dripping_image_ends_at_the_deadline(serve):
    """The server never pauses, so that no read times out; it could go on for longer than 20 MiB of single bytes."""

    def drip(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + png())
        while True:
            connection.sendall(b"x")

    server = serve(drip)
    what = r"^the image at 127\.0\.0\.1: timed out: the deadline passed before the response was complete$"
    with pytest.raises(TransportError, match=what) as caught:
        fetch_media(server.url, seconds=1, allowed=here)
    assert caught.value.__context__ is None
    assert server.sees_hang_up()


def test_a_silent_server_is_left(serve):
    server = serve(lambda connection, request: connection.recv(1))
    with pytest.raises(
        TransportError, match=r"^timed out after 0\.\d+ s without data from 127\.0\.0\.1:\d+$"
    ) as caught:
        fetch_media(server.url, seconds=0.5, allowed=here)
    assert caught.value.__context__ is None
    assert server.sees_hang_up()


def test_hosts_that_do_not_respond():
    for url, what in (
        ("http://127.0.0.1:9/cat?key=secret", "could not connect to 127.0.0.1:9: "),
        ("http://nobody.invalid/cat?key=secret", "the image at nobody.invalid: unknown host"),
        (f"http://{'a' * 300}.test/?key=secret", "must begin with http:// or https:// and name a host"),
        (f"http://{'a' * 63}.test/?key=secret", "unknown host"),
    ):
        with pytest.raises((ConversationError, TransportError), match=what) as caught:
            fetch(url)
        assert "secret" not in str(caught.value)
        assert len(str(caught.value)) < 200
