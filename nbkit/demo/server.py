"""The simulated provider's HTTP server: on 127.0.0.1, in daemon threads of this process, started on first use."""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from operator import itemgetter
from types import ModuleType
from typing import Any

from nbkit.demo import (
    wire_anthropic,
    wire_bedrock,
    wire_cohere,
    wire_gemini,
    wire_ollama,
    wire_openai,
    wire_responses,
    wire_vertex,
)
from nbkit.demo.dialog import Request
from nbkit.demo.models import PROVIDER
from nbkit.demo.pace import moments
from nbkit.demo.reply import json_bytes, reply
from nbkit.settings import settings

# The protocols spoken; every model answers in each of them. A wire is a module with PATH (a pattern; its named groups
# go to `parse`), STREAM_TYPE, REQUEST_ID, ID_PREFIX, and parse, whole, events, error.
WIRES: tuple[ModuleType, ...] = (
    wire_openai,
    wire_anthropic,
    wire_responses,
    wire_cohere,
    wire_ollama,
    wire_gemini,
    wire_bedrock,
    wire_vertex,
)
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?", re.IGNORECASE)
BODY_LIMIT = 64 * 1024 * 1024
FAILURES = {"server_error": 500, "rate_limit": 429}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many calls may start at once


_running: list[_Server] = []  # at most one
_starting = threading.Lock()


def base_url() -> str:
    """Where the provider is served, `http://127.0.0.1:PORT/v1`; starts the server where none runs in this process."""
    with _starting:
        if not _running:
            server = _Server(("127.0.0.1", 0), _Handler)
            threading.Thread(target=server.serve_forever, name="nbkit-demo", daemon=True).start()
            _running.append(server)
        return f"http://127.0.0.1:{_running[0].server_port}/v1"


def stop() -> None:
    """Stop the server. Calls that are being answered run to their end; `base_url` starts another."""
    with _starting:
        while _running:
            server = _running.pop()
            server.shutdown()
            server.server_close()


def _after_fork_in_child() -> None:
    """A forked child has the socket but not the thread that serves it: let go of it."""
    while _running:
        _running.pop().socket.close()
    _starting.release()


if hasattr(os, "register_at_fork"):  # not on Windows; the lock is held so that no thread is half-way through
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_after_fork_in_child,
    )


class _Refused(Exception):
    """A request that gets an error for an answer: its status and what to say."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nbkit-demo", ""
    disable_nagle_algorithm = True  # a token leaves when it is said

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client may hang up at any time
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error belongs to the notebook."""

    def do_GET(self) -> None:
        try:
            self._check_host()
            if self.path != "/v1/models":
                raise _Refused(404, f"no such path: GET {self.path}")
        except _Refused as refused:
            return self._send(refused.status, wire_openai.error(refused.status, refused.message))
        self._send(200, {"object": "list", "data": [_listed(model) for model in PROVIDER["models"].values()]})

    def do_POST(self) -> None:
        arrived = time.monotonic()
        path = self.path.partition("?")[0]
        routes = ((wire, found) for wire in WIRES if (found := re.fullmatch(wire.PATH, path)))
        wire, found = next(routes, (None, None))
        try:
            body = self._body()
            self._check_host()
            if wire is None or found is None:
                raise _Refused(404, f"no such path: POST {self.path}")
            request = _read(wire, body, found.groupdict())
        except _Refused as refused:
            return self._send(refused.status, (wire or wire_openai).error(refused.status, refused.message))
        said, identity = reply(request), wire.ID_PREFIX + secrets.token_hex(12)
        headers = {wire.REQUEST_ID: f"req_{secrets.token_hex(12)}"}
        due = moments(request.model, arrived, settings().demo_tokens_per_second, said.completion)
        if status := FAILURES.get(said.failure):
            retry = {"Retry-After": "1"} if status == 429 else {}
            return self._send(status, wire.error(status, "Simulated failure, as the prompt asked."), headers | retry)
        form = (said, request, identity, int(time.time()))
        if request.stream:
            about = {"Content-Type": wire.STREAM_TYPE, "Cache-Control": "no-cache"} | headers
            return self._stream(_frames(wire.events(*form)), due, about, cut=said.failure == "cut")
        _sleep_until(due[-1] if due else arrived)
        self._send(200, wire.whole(*form), headers, cut=said.failure == "cut")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True  # where the next request begins is not known
            raise _Refused(413 if length.isdecimal() else 411, f"Content-Length must be 0 to {BODY_LIMIT}")
        return self.rfile.read(int(length))

    def _check_host(self) -> None:
        """Only who knows the server as loopback is served: a page whose name is rebound to 127.0.0.1 is not."""
        host = self.headers.get("Host", "")
        if not LOOPBACK.fullmatch(host):
            raise _Refused(403, f"not served to the host {host!r}")

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        body = json_bytes(value)
        self.close_connection |= cut
        about = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self._head(status, about | (headers or {}))
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def _stream(self, frames: list[bytes], due: list[float], headers: dict[str, str], cut: bool) -> None:
        """Send the opening at once and each token when it is due; half of them where the stream is cut."""
        if cut:
            self.close_connection = True
            del frames[len(frames) // 2 + 1 :]
        self._head(200, {"Transfer-Encoding": "chunked"} | headers)
        self._chunk(frames[0])
        for moment, together in groupby(zip(due, frames[1:], strict=False), itemgetter(0)):
            _sleep_until(moment)
            self._chunk(b"".join(frame for _, frame in together))
        if not cut:
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def _read(wire: ModuleType, body: bytes, path: dict[str, str]) -> Request:
    """The request of a body and of what its path names."""
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise ValueError("the body must be a JSON object")
        request: Request = wire.parse(value, **path)
    except ValueError as invalid:
        raise _Refused(400, str(invalid)) from None
    if request.model not in PROVIDER["models"]:
        raise _Refused(404, f"The model {request.model!r} does not exist")
    return request


def _listed(model: dict[str, Any]) -> dict[str, Any]:
    return {"id": model["id"], "object": "model", "created": 0, "owned_by": "nbkit"}


def _frames(events: Iterator[tuple[int, bytes]]) -> list[bytes]:
    """The opening, then one frame a token: what takes no time goes out with the token before it."""
    frames = [bytearray()]
    for takes, data in events:
        if takes:
            frames.append(bytearray(data))
        else:
            frames[-1] += data
    return [bytes(frame) for frame in frames]


def _sleep_until(moment: float) -> None:
    delay = moment - time.monotonic()
    if delay > 0:
        time.sleep(delay)
