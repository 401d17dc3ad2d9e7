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
from typing import Any

from nbkit.demo.face import FACES, DemoFace
from nbkit.demo.models import PROVIDER
from nbkit.demo.pace import schedule
from nbkit.demo.reply import UNKNOWN_PATH, reply, write_json
from nbkit.demo.request import DemoRequest
from nbkit.settings import settings

LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?", re.IGNORECASE)
BODY_LIMIT = 64 * 1024 * 1024
STATUSES = {"server_error": 500, "rate_limit": 429}
"""A failure that a prompt asks for -> its HTTP status."""


class _DemoServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many calls may start at once


_running: list[_DemoServer] = []  # at most one
_starting = threading.Lock()


def base_url() -> str:
    """Return the base URL, `http://127.0.0.1:PORT/v1`; start the server where none runs in this process."""
    with _starting:
        if not _running:
            server = _DemoServer(("127.0.0.1", 0), _DemoHandler)
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
    """Close the socket in a forked child, which does not have the thread that serves it."""
    while _running:
        _running.pop().socket.close()
    _starting.release()


if hasattr(os, "register_at_fork"):  # not on Windows; the lock is held so that no thread is half-way through
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_after_fork_in_child,
    )


class _DemoRefusal(Exception):
    """An error that a request gets for an answer: its status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _DemoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nbkit-demo", ""
    disable_nagle_algorithm = True  # a token leaves when it is due

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client may hang up at any time
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error belongs to the notebook."""

    def do_GET(self) -> None:
        try:
            self._check_host()
            listed = _list_models(self.path.partition("?")[0])
        except _DemoRefusal as refusal:
            return self._send_refusal(refusal)
        self._send(200, listed)

    def do_POST(self) -> None:
        arrived = time.monotonic()
        path = self.path.partition("?")[0]
        routes = ((face, match) for face in FACES.values() if (match := re.fullmatch(face.PATH, path)))
        face, match = next(routes, (None, None))
        try:
            body = self._read_body()
            self._check_host()
            if face is None or match is None:
                raise _DemoRefusal(404, f"{UNKNOWN_PATH}POST {self.path}")
            request = _read_request(face, body, match.groupdict())
        except _DemoRefusal as refusal:
            return self._send_refusal(refusal, face)
        answer, identity = reply(request), face.ID_PREFIX + secrets.token_hex(12)
        headers = {face.REQUEST_ID: f"req_{secrets.token_hex(12)}"}
        due = schedule(request.model, arrived, settings().demo_tokens_per_second, answer.completion)
        if status := STATUSES.get(answer.failure):
            retry = {"Retry-After": "1"} if status == 429 else {}
            message = "Simulated failure, as the prompt asked."
            return self._send(status, face.write_error(status, message), headers | retry)
        form = (answer, request, identity, int(time.time()))
        if request.stream:
            about = {"Content-Type": face.STREAM_TYPE, "Cache-Control": "no-cache"} | headers
            return self._send_stream(_split_frames(face.write_events(*form)), due, about, cut=answer.failure == "cut")
        _sleep_until(due[-1] if due else arrived)
        self._send(200, face.write_whole(*form), headers, cut=answer.failure == "cut")

    def _send_refusal(self, refusal: _DemoRefusal, face: DemoFace | None = None) -> None:
        face = face or FACES["openai-chat"]  # where no face has the path
        self._send(refusal.status, face.write_error(refusal.status, refusal.message))

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True  # where the next request begins is not known
            raise _DemoRefusal(413 if length.isdecimal() else 411, f"Content-Length must be 0 to {BODY_LIMIT}")
        return self.rfile.read(int(length))

    def _check_host(self) -> None:
        """Refuse hosts other than loopback: a web page whose name is rebound to 127.0.0.1 is not served."""
        host = self.headers.get("Host", "")
        if not LOOPBACK.fullmatch(host):
            raise _DemoRefusal(403, f"not served to the host {host!r}")

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        body = write_json(value)
        self.close_connection |= cut
        about = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self._send_head(status, about | (headers or {}))
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def _send_stream(self, frames: list[bytes], due: list[float], headers: dict[str, str], cut: bool) -> None:
        """Send the opening at once and each token when it is due; half of them where the stream is cut."""
        if cut:
            self.close_connection = True
            del frames[len(frames) // 2 + 1 :]
        self._send_head(200, {"Transfer-Encoding": "chunked"} | headers)
        self._send_chunk(frames[0])
        for moment, together in groupby(zip(due, frames[1:], strict=False), itemgetter(0)):
            _sleep_until(moment)
            self._send_chunk(b"".join(frame for _, frame in together))
        if not cut:
            self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def _read_request(face: DemoFace, body: bytes, path: dict[str, str]) -> DemoRequest:
    """Read the request of a body, and of the named parts of its path."""
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise ValueError("the body must be a JSON object")
        request = face.parse(value, **path)
    except ValueError as invalid:
        raise _DemoRefusal(400, str(invalid)) from None
    if request.model not in PROVIDER["models"]:
        raise _DemoRefusal(404, f"The model {request.model!r} does not exist")
    return request


def _list_models(path: str) -> dict[str, Any]:
    """Describe all models, or one, as OpenAI and Anthropic do: their fields do not contradict each other."""
    models = {model["id"]: _describe(model) for model in PROVIDER["models"].values()}
    if path == "/v1/models":
        ends = {"first_id": next(iter(models)), "last_id": list(models)[-1]}
        return {"object": "list", "data": list(models.values()), "has_more": False, **ends}
    name = path.removeprefix("/v1/models/")
    if name == path:
        raise _DemoRefusal(404, f"{UNKNOWN_PATH}GET {path}")
    if name not in models:
        raise _DemoRefusal(404, f"The model {name!r} does not exist")
    return models[name]


def _describe(model: dict[str, Any]) -> dict[str, Any]:
    for_openai = {"object": "model", "created": 0, "owned_by": "nbkit"}
    for_anthropic = {"type": "model", "display_name": model["name"], "created_at": f"{model['release_date']}T00:00:00Z"}
    return {"id": model["id"], **for_openai, **for_anthropic}


def _split_frames(events: Iterator[tuple[int, bytes]]) -> list[bytes]:
    """Split the events into the opening and one frame a token: what takes no time is sent with the token before it."""
    frames = [bytearray()]
    for tokens, data in events:
        if tokens:
            frames.append(bytearray(data))
        else:
            frames[-1] += data
    return [bytes(frame) for frame in frames]


def _sleep_until(moment: float) -> None:
    delay = moment - time.monotonic()
    if delay > 0:
        time.sleep(delay)
