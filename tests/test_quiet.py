"""What httpx2 and httpcore2 log while they work for nbkit: no header, no password, no query; for others as ever."""

import logging
import re
from pathlib import Path

import httpcore2
import httpx2
import pytest

from nbkit.modelsdev.fetch import download
from nbkit.quiet import _LOGGERS

HEADER = "canary-of-the-header"


@pytest.fixture
def logs(caplog):
    for name in ("httpcore2", "httpx2"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def test_the_catalogs_address_is_logged_without_user_and_query(models_dev, logs):
    models_dev.reply = models_dev.answer(200, b"{}", set_cookie=HEADER)
    download(models_dev.url.replace("://", "://me:password@") + "?token=secret")
    assert f'HTTP Request: GET {models_dev.url} "HTTP/1.1 200 OK"' in logs.text.replace("HTTP/1.0", "HTTP/1.1")
    assert "receive_response_headers.complete" in logs.text
    assert f"port={models_dev.server.server_port}" in logs.text
    assert not [word for word in (HEADER, "password", "secret") if word in logs.text]


def test_what_others_ask_is_logged_as_ever(models_dev, logs):
    models_dev.reply = models_dev.answer(200, b"{}", set_cookie=HEADER)
    httpx2.get(f"{models_dev.url}?page=2")
    assert "?page=2" in logs.text
    assert HEADER in logs.text


@pytest.mark.parametrize("package", [httpx2, httpcore2], ids=lambda one: one.__name__)
def test_no_logger_of_the_libraries_is_forgotten(package):
    sources = [path.read_text("utf-8") for path in Path(package.__file__).parent.rglob("*.py")]
    names = {name for source in sources for name in re.findall(r'getLogger\(["\']([\w.]+)', source)}
    assert names
    assert not names - set(_LOGGERS)


def test_the_password_of_a_socks_proxy_is_not_logged(logs):
    logger = logging.getLogger("httpcore2.socks")
    lines = (
        "logger.debug(\"setup_socks5_connection.started stream=x auth=(b'me', b'password') timeouts={}\")",
        "logger.debug(\"connect_tcp.started host='127.0.0.1' port=%d\", 1080)",
    )
    for line in lines:  # as if nbkit's engine had called the library
        exec(line, {"__name__": "nbkit.http.engine_httpx2", "logger": logger})  # noqa: S102
    assert logs.messages == ["setup_socks5_connection.started", "connect_tcp.started host='127.0.0.1' port=1080"]
