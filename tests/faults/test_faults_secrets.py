"""Keys on every engine: no log, message, traceback or repr of any library shows one, whatever happens to a call."""

import asyncio
import gc
import logging
import traceback
import warnings

import pytest
from engines import engines, on_engines
from fault_server import (
    ANSWER,
    CHUNKED,
    KEY,
    aexecute,
    astream,
    chunk,
    execute,
    good,
    hang,
    piece,
    reset,
    respond,
    sse,
    stream,
)

from nbkit import errors
from nbkit.http.clients import async_client, sync_client
from nbkit.settings import override

WORD = "password-of-the-proxy"
HAPPENS = {
    "an answer": None,
    "no answer": hang(),
    "the connection is closed": b"",
    "the connection is reset": reset(),
    "the answer is cut": respond(ANSWER)[:-9],
    "what comes is not HTTP": b"SSH\r\n\r\n",
    "the key is refused": respond({"error": {"message": "no"}}, 401),
    "the key comes back in a header": respond(ANSWER, set_cookie=f"who={KEY}"),
    "the key comes back in a broken header": f"HTTP/1.1 200 OK\r\nbroken {KEY}\r\n\r\n".encode(),
    "the key is sent back": respond({"error": {"message": f"wrong: {KEY}"}}, 400),
    "the stream stops": hang(CHUNKED + chunk(sse(piece("Hel")))),
}


def debug(call, adapter):
    """Call, in event loops that log what they do."""
    with override(http_timeout=0.05, http_answer_timeout=0.05), warnings.catch_warnings():
        warnings.simplefilter("error")
        return call(adapter)


def show(call, adapter):
    """All that a call gives or raises, as text."""
    try:
        yield repr(debug(call, adapter))
    except errors.AdapterError as failed:
        error = failed
    else:
        return
    assert (error.__context__, error.__cause__) == (None, None)
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    yield from (str(frame.locals) for frame in frames if "/tests/" not in frame.filename)
    yield from (repr(error), str(error), str(vars(error)))


@pytest.fixture
def logs(caplog, monkeypatch):
    """All that every library logs, its debug messages included."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "slow_callback_duration", 0.0, raising=False)
    caplog.set_level(logging.DEBUG)
    for name in ("httpcore2", "httpx2", "aiohttp", "aiohttp.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.mark.parametrize("what", HAPPENS)
@on_engines("call", execute, stream, aexecute, astream)
def test_no_log_and_no_traceback_shows_the_key_or_the_password_of_a_proxy(server, monkeypatch, logs, what, call):
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{WORD}@127.0.0.1:{server.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.says(*[HAPPENS[what] or good(call)] * 3)
    shown = list(show(call, server.adapter()))
    shown += [f"{record.getMessage()} {record.exc_text} {record.args}" for record in logs.records]
    assert len(shown) > 1
    assert not [text for text in shown if KEY[:12] in text or WORD in text or "bWU6" in text]


@engines
def test_no_repr_of_a_client_shows_the_key(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{WORD}@127.0.0.1:{server.port}")
    adapter = server.adapter()
    call = adapter._call("Hi", {}, stream=False)
    call.attempt()
    server.says(*[(respond(ANSWER, connection="keep-alive"), "keep")] * 2)

    async def main():
        await adapter.aexecute("Hi")
        client = async_client(adapter.endpoint.base_url, call.auth)
        return [repr(client), repr(vars(client)), repr(vars(client._engine))]

    adapter.execute("Hi")
    client = sync_client(adapter.endpoint.base_url, call.auth)
    shown = [repr(client), repr(vars(client)), repr(vars(client._engine)), repr(call.request()), repr(adapter)]
    shown += asyncio.run(main())
    gc.collect()
    assert not [text for text in shown if KEY[:12] in text or WORD in text]
