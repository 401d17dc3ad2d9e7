from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbkit.http.clients import close_all

Answer = Callable[[socket.socket, bytes], None]
PATIENCE = 60.0
"""Seconds; only a failing test waits so long."""


class Server(socketserver.ThreadingTCPServer):
    """A server on 127.0.0.1 whose every byte the test decides: `answer(connection, request)` sends it."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.hung_up = threading.Semaphore(0)  # released for each connection that the client has closed
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}/v1/"

    def sees_hang_up(self) -> bool:
        """Wait until a client has closed a connection; False where none does."""
        return self.hung_up.acquire(timeout=PATIENCE)


class _Connection(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        self.server.connections += 1
        try:
            while request := self._read():
                self.server.requests.append(request)
                self.server.answer(self.request, request)
        except OSError:
            pass
        self.server.hung_up.release()

    def _read(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data and (more := self.request.recv(65536)):
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while size and len(body) < int(size[1]) and (more := self.request.recv(65536)):
            data, body = data + more, body + more
        return data


@pytest.fixture(autouse=True)
def no_client_left() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer | bytes], Server]]:
    servers: list[Server] = []

    def start(answer: Answer | bytes) -> Server:
        def say(connection: socket.socket, request: bytes) -> None:
            connection.sendall(answer)  # type: ignore[arg-type]

        servers.append(Server(answer if callable(answer) else say))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def response(body: bytes, status: int = 200, **headers: Any) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(name="response")
def response_fixture() -> Callable[..., bytes]:
    return response
