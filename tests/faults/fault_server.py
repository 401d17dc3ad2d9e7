"""A server on 127.0.0.1 whose every byte the test decides, and the four ways to call it."""

import asyncio
import contextlib
import json
import socket
import struct
import threading

from engines import on_engines

from nbkit.adapters.factory import get_adapter

KEY = "sk-canary-1234567890abcdef"
PATIENCE = 60.0
"""Seconds; only a failing test waits so long."""

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse(*events):
    return b"".join(b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events)


def piece(text, finish=None):
    return {"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
EVENTS = sse(piece("Hel"), piece("lo", "stop"), {"choices": [], "usage": USAGE}, b"[DONE]")
ANSWER = {
    "id": "c1",
    "model": "m1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def respond(body, status=200, connection="close", **headers):
    """Bytes of a whole response, after which the server closes the connection, and says so."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"connection: {connection}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def good(call):
    """Bytes of the answer that a way to call expects."""
    return respond(ANSWER) if call in WHOLE else CHUNKED + chunk(EVENTS) + b"0\r\n\r\n"


def hang(*parts):
    """A step: send, then wait until the client hangs up."""

    def step(connection):
        for part in parts:
            connection.sendall(part)
        while connection.recv(65536):
            pass

    return step


def reset(*parts):
    """A step: send, then reset the connection."""

    def step(connection):
        for part in parts:
            connection.sendall(part)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return step


def drip(start, drop):
    """A step: send, then drop by drop until the client hangs up."""

    def step(connection):
        connection.sendall(start)
        connection.settimeout(0.02)
        while True:
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                connection.sendall(drop)

    return step


class FaultServer:
    """`says(*steps)`: one step a request, bytes to send or a function of the connection, which is closed after it.

    A step `(bytes, "keep")` keeps the connection open for the next request. `requests` holds their bytes.
    """

    def __init__(self):
        self.script, self.requests, self.connections = [], [], 0
        self.tls = None  # an SSLContext for https
        self.hung_up = threading.Semaphore(0)  # released for each connection that is over
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def says(self, *steps):
        self.script[:] = steps
        self.requests.clear()

    def adapter(self, model="lab/m1", **more):
        return get_adapter(model, **{"base_url": self.url, "api_key": KEY} | more)

    def sees_hang_up(self):
        return self.hung_up.acquire(timeout=PATIENCE)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # which wakes the thread that waits for a connection
        self.socket.close()
        self.thread.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.ExitStack() as stack:
            try:
                if self.tls:
                    connection = stack.enter_context(self.tls.wrap_socket(connection, server_side=True))
                while request := read_request(connection):
                    self.requests.append(request)
                    step = self.script.pop(0)
                    step, keep = step if isinstance(step, tuple) else (step, "")
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    else:
                        step(connection)
                    if not keep:
                        break
            except OSError:
                pass
        self.hung_up.release()


def adapter_at(port, base="http://127.0.0.1"):
    return get_adapter("lab/m1", base_url=f"{base}:{port}/v1", api_key=KEY)


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while sizes and len(body) < sizes[0]:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def execute(adapter, **options):
    return adapter.execute("Hi", **options)


def aexecute(adapter, **options):
    return asyncio.run(adapter.aexecute("Hi", **options))


def stream(adapter, **options):
    with adapter.stream("Hi", **options) as chunks:
        text = "".join(chunk.text for chunk in chunks)
    assert text == chunks.completion.text
    return chunks.completion


def astream(adapter, **options):
    async def pump():
        async with adapter.astream("Hi", **options) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert text == chunks.completion.text
        return chunks.completion

    return asyncio.run(pump())


WHOLE = (execute, aexecute)
STREAMED = (stream, astream)
FOUR = (*WHOLE, *STREAMED)
four = on_engines("call", *FOUR)
whole = on_engines("call", *WHOLE)
streamed = on_engines("call", *STREAMED)
