"""Proxies and certificates of the environment: which variable counts, for which hosts."""

from __future__ import annotations

import pytest

from nbkit.errors import ConfigError
from nbkit.http.clients import sync_client
from nbkit.http.environment import find_proxy, name_server, read_environment, ssl_context
from nbkit.http.exchange import split_url

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in (*NAMES, *map(str.lower, NAMES), "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://h", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h", "p:1 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://h", None),
        ({"HTTP_PROXY": "p:1"}, "http://h", "p:1 (HTTP_PROXY)"),
        ({"HTTP_PROXY": "p"}, "http://h", "p:80 (HTTP_PROXY)"),
        ({"HTTP_PROXY": "http://me:secret@p:1/"}, "http://h", "p:1 (HTTP_PROXY)"),
        ({"ALL_PROXY": "https://p"}, "http://h", "p:443 (ALL_PROXY)"),
        ({"ALL_PROXY": "http://[::1]:1"}, "http://h", "[::1]:1 (ALL_PROXY)"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, "https://h", "p:1 (HTTPS_PROXY)"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://p:1"}, "https://h", "low:1 (https_proxy)"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p:1"}, "https://h", None),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://h", None),  # a CGI script's visitor sets it
    ],
)
def test_which_proxy_counts(monkeypatch, variables, url, proxy):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    match = find_proxy(split_url(url))
    assert (match and match.name) == proxy


@pytest.mark.parametrize(
    ("exceptions", "host", "excepted"),
    [
        ("h.test", "h.test", True),
        ("H.TEST", "h.test", True),
        ("h.test", "api.h.test", True),
        (".h.test", "api.h.test", True),
        (".h.test", "h.test", True),
        ("*.h.test", "api.h.test", True),
        ("h.test", "myh.test", False),
        ("other.test, h.test ,", "h.test", True),
        ("", "h.test", False),
        (",", "h.test", False),
        ("*", "h.test", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.1/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("fd00::/8", "[fd00::5]", True),
        ("h.test:443", "h.test", True),
        ("h.test:8443", "h.test", False),
        ("https://h.test", "h.test", True),
        ("http://h.test", "h.test", False),
        ("all://h.test", "h.test", True),
    ],
)
def test_hosts_that_no_proxy_is_for(monkeypatch, exceptions, host, excepted):
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    for name in ("NO_PROXY", "no_proxy"):
        with monkeypatch.context() as patch:
            patch.setenv(name, exceptions)
            assert (find_proxy(split_url(f"https://{host}/v1")) is None) is excepted


def test_the_environment_is_part_of_a_clients_key_and_does_not_show_passwords(monkeypatch):
    client = sync_client("http://127.0.0.1:9/v1", None)
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@p:1")
    assert sync_client("http://127.0.0.1:9/v1", None) is not client
    assert repr(read_environment("http://h")) == "Environment(HTTP_PROXY)"
    assert repr(read_environment("https://h")) == "Environment()"
    monkeypatch.delenv("HTTP_PROXY")
    assert sync_client("http://127.0.0.1:9/v1", None) is client


def test_certificates_are_loaded_once_for_each_setting(monkeypatch, tmp_path):
    usual = ssl_context()
    assert ssl_context() is usual
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert ssl_context() is not usual
    monkeypatch.delenv("SSL_CERT_DIR")
    assert ssl_context() is usual


def test_an_address_that_is_not_one_is_not_quoted(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:secret@p:1")
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY is not the address of a proxy: ") as caught:
        find_proxy(split_url("https://h"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"), [("https://h/v1", "h:443"), ("http://h:8/v1", "h:8"), ("http://[::1]/", "[::1]:80")]
)
def test_servers_are_named_with_their_port(url, name):
    assert name_server(split_url(url)) == name
