"""Time: the deadline holds on every byte of the wire, and silence is waited for as long as it should be."""

import asyncio
import contextlib
import json
import re
import socket
import threading
import time

import pytest
from engines import engines
from fault_server import (
    ANSWER,
    CHUNKED,
    EVENTS,
    PATIENCE,
    STREAMED,
    WHOLE,
    adapter_at,
    aexecute,
    chunk,
    four,
    good,
    hang,
    piece,
    respond,
    sse,
)

from nbkit import errors
from nbkit.http import bounded
from nbkit.settings import override

HEAD = b"HTTP/1.1 200 OK\r\n"


@four
def test_the_deadline_ends_a_server_that_reads_nothing(server, call):
    """F1: the request stays in the buffers of the kernel, and is larger than they are."""
    lazy = socket.create_server(("127.0.0.1", 0))
    with (
        lazy,
        override(http_deadline=0.2),
        pytest.raises(errors.TransportError, match="timed out: the deadline passed"),
    ):
        call(server.adapter(base_url=f"http://127.0.0.1:{lazy.getsockname()[1]}/v1"), extra_body={"x": "y" * 2**25})


@four
def test_a_deadline_belongs_to_its_request(server, call):
    """F1: the connection is shared: a call with a long deadline on one that served a short one."""
    body = respond(ANSWER, connection="keep-alive") if call in WHOLE else CHUNKED + chunk(EVENTS) + b"0\r\n\r\n"
    adapter = server.adapter()
    server.says((body, "keep"), (body, "keep"))
    with override(http_deadline=50):
        assert call(adapter).text == "Hello"
    assert call(adapter).text == "Hello"
    assert server.connections == (1 if call in (WHOLE[0], STREAMED[0]) else 2)  # asyncio.run ends with its connections


@four
def test_each_kind_of_answer_has_its_own_patience(server, call):
    """F14: an answer that is not streamed is made before its first byte."""
    with server.adapter()._call("Hi", {}, stream=call in STREAMED) as prepared, prepared.attempt():
        waits = prepared.request().exchange
    assert (waits.read, waits.write, waits.pool, waits.connect) == (60 if call in STREAMED else 600, 60, 60, 5)
    with server.adapter()._call("Hi", {"timeout": 7}, stream=call in STREAMED) as prepared, prepared.attempt():
        assert prepared.request().exchange.read == 7


@four
def test_the_body_of_an_error_is_not_waited_for_as_an_answer_is(server, monkeypatch, call):
    """F7"""
    monkeypatch.setattr(bounded, "ERROR_BODY_SECONDS", 0.05)
    body = b'{"error": {"message": "model m1 is no more"'
    server.says(hang(respond(body, 400).replace(b"content-length: ", b"content-length: 9")))
    with pytest.raises(errors.BadRequestError, match="m1 is no more"):
        call(server.adapter())


@four
def test_waiting_for_a_connection_names_the_setting(server, call):
    """F13"""
    server.says(hang(CHUNKED + chunk(sse(piece("Hel")))))
    adapter = server.adapter()
    full = pytest.raises(errors.TransportError, match=r"timed out after 0\.07 s .* NBKIT_MAX_CONNECTIONS")

    async def wait_too():
        async with adapter.astream("Hi") as first:
            await anext(aiter(first))
            ask = adapter.astream if call in STREAMED else adapter.aexecute
            with full:
                await ask("Hi", timeout=0.07)

    with override(max_connections=1):
        if call in (WHOLE[0], STREAMED[0]):
            with adapter.stream("Hi") as first:
                next(iter(first))
                with full:
                    call(adapter, timeout=0.07)
        else:
            asyncio.run(wait_too())
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["messages"]


# ---- connecting and sending

LARGE = {"extra_body": {"x": "y" * 12 * 2**20}}


@contextlib.contextmanager
def serving(step):
    """An adapter whose one connection a function serves, from its first byte."""

    def serve():
        connection, _ = listening.accept()
        with connection:
            step(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield adapter_at(listening.getsockname()[1])
        thread.join(PATIENCE)


def read_head(connection):
    """The bytes of the body that are still to come."""
    data = connection.recv(2**16)
    head, _, body = data.partition(b"\r\n\r\n")
    return int(re.search(rb"(?i)content-length: (\d+)", head)[1]) - len(body)


def skip(connection, count):
    while count > 0 and (data := connection.recv(min(2**20, count))):
        count -= len(data)


@four
def test_connecting_has_a_limit(server, full, call):
    adapter = adapter_at(full)
    with override(http_connect_timeout=0.05), pytest.raises(errors.TransportError) as caught:
        call(adapter)
    assert caught.value.message == f"could not connect to 127.0.0.1:{full}: timed out after 0.05 s"
    assert caught.value.attempts == 3


@four
def test_connecting_ends_at_the_deadline_too(server, full, call):
    adapter = adapter_at(full)
    with override(http_deadline=0.1), pytest.raises(errors.TransportError, match="timed out: the deadline passed"):
        call(adapter)


@four
def test_a_handshake_that_is_not_answered_has_the_limit_of_a_connection(server, call):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        adapter = adapter_at(port, "https://localhost")
        with override(http_connect_timeout=0.05), pytest.raises(errors.TransportError) as caught:
            call(adapter)
    assert caught.value.message == f"could not connect to localhost:{port}: timed out after 0.05 s"


@four
def test_a_server_that_takes_no_data_has_a_limit_and_is_tried_again(server, call):
    with socket.create_server(("127.0.0.1", 0)) as lazy:
        port = lazy.getsockname()[1]
        adapter = adapter_at(port)
        with override(http_timeout=0.1, http_answer_timeout=50), pytest.raises(errors.TransportError) as caught:
            call(adapter, **LARGE)
    assert caught.value.message == f"timed out after 0.1 s in which 127.0.0.1:{port} accepted no data of the request"
    assert caught.value.attempts == 3


@four
def test_a_server_that_reads_slowly_gets_the_whole_request(call):
    """The limit is for silence: all together takes longer."""

    def read_slowly(connection):
        missing = read_head(connection)
        while missing > 0:
            skip(connection, min(2**20, missing))
            missing -= 2**20
            time.sleep(0.03)
        connection.sendall(good(call))

    with serving(read_slowly) as adapter, override(http_timeout=0.5, http_answer_timeout=50):
        assert call(adapter, **LARGE).text == "Hello"


@pytest.mark.parametrize("status", [413, 200])
@pytest.mark.parametrize("body", ["with its head", "while the request is sent", "behind the request"])
@four
def test_an_answer_that_begins_before_the_request_is_sent_counts(call, body, status):
    """A request that is too large is refused at its first bytes; others send their head first of all."""
    answer = good(call) if status == 200 else respond({"error": {"message": "too large"}}, status)
    cut = len(answer) - (0 if body == "with its head" else 40)

    def begin_at_once(connection):
        missing = read_head(connection)
        connection.sendall(answer[:cut])
        early = missing // 4 if body == "while the request is sent" else missing
        skip(connection, early)
        connection.sendall(answer[cut:])
        skip(connection, missing - early)

    with serving(begin_at_once) as adapter:
        if status == 200:
            assert call(adapter, **LARGE).text == "Hello"
        else:
            with pytest.raises(errors.BadRequestError, match="too large") as caught:
                call(adapter, **LARGE)
            assert (caught.value.status, caught.value.attempts) == (status, 1)


@four
def test_a_server_that_says_100_and_takes_no_data_has_the_same_limit(call):
    def say_100(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left.wait(PATIENCE)

    left = threading.Event()
    limited = override(http_timeout=0.1, http_answer_timeout=50, max_retries=0)
    with serving(say_100) as adapter:
        with limited, pytest.raises(errors.TransportError, match=r"0\.1 s in which .* accepted no data of the request"):
            call(adapter, **LARGE)
        left.set()


@four
def test_a_head_before_the_head_does_not_end_the_limit_for_silence(server, call):
    server.says(hang(b"HTTP/1.1 103 Early Hints\r\n\r\n"))
    silent = pytest.raises(errors.TransportError, match=r"timed out after 0\.1 s without data")
    with override(http_timeout=0.1, http_answer_timeout=0.1), silent:
        call(server.adapter())


def test_a_refusal_with_a_reset_behind_it_counts_in_an_event_loop():
    """What the server says is read before the failure that sending more to it meets."""

    def refuse(connection):
        read_head(connection)
        time.sleep(0.1)  # until all buffers are full
        connection.sendall(respond({"error": {"message": "too large"}}, 413))  # what is closed unread is reset

    refused = pytest.raises(errors.BadRequestError, match="too large")
    with serving(refuse) as adapter, override(http_engine="aiohttp"), refused as caught:
        aexecute(adapter, **LARGE)
    assert caught.value.attempts == 1


@engines
def test_a_kept_connection_that_closes_in_a_long_request_is_not_an_attempt_and_nothing_is_logged(server, caplog):
    def close_early(connection):
        """Read the first bytes of the next request only."""
        connection.sendall(respond(ANSWER, connection="keep-alive"))
        connection.recv(2**16)

    server.says(close_early, respond(ANSWER))

    async def twice():
        adapter = server.adapter()
        return [await adapter.aexecute("Hi"), await adapter.aexecute("Hi", **LARGE)]

    assert [(answer.text, answer.timing.attempts) for answer in asyncio.run(twice())] == [("Hello", 1)] * 2
    assert (server.connections, [record for record in caplog.records if record.name == "asyncio"]) == (2, [])
