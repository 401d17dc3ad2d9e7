"""A provider that does what its script says, over real HTTP on 127.0.0.1."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nbkit.adapters.factory import get_adapter


def sse(*events):
    return b"".join(b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events)


def piece(text, finish=None):
    return {"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
HELLO = sse(piece("Hel"), piece("lo", "stop"), {"choices": [], "usage": USAGE}, b"[DONE]")
WHOLE = {
    "id": "c1",
    "model": "m1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


@dataclass
class Answer:
    """One scripted answer. `cut` closes the connection in the middle; `hold` waits for the test's word first.

    Status 0 closes the connection without a byte.
    """

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict = field(default_factory=dict)
    cut: bool = False
    hold: threading.Event | None = None


def whole(body=WHOLE, status=200, **headers):
    return Answer(status, json.dumps(body).encode(), headers=headers)


def streamed(body=HELLO, **more):
    return Answer(200, body, "text/event-stream", **more)


class Provider:
    def __init__(self):
        self.script, self.requests, self.hung_up = [], [], threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.requests.append((self.path, dict(self.headers), body))
                try:
                    self.answer(provider.script.pop(0))
                except OSError:
                    provider.hung_up.set()
                    self.close_connection = True

            def answer(self, answer):
                if not answer.status:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("content-type", answer.kind)
                self.send_header("content-length", str(len(answer.body) + (10**6 if answer.cut or answer.hold else 0)))
                for name, value in answer.headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(answer.body)
                if answer.hold:
                    while not answer.hold.wait(0.01):
                        self.wfile.write(b":")
                self.close_connection = answer.cut or answer.hold is not None

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def says(self, *answers):
        self.script[:] = answers
        self.requests.clear()

    def adapter(self, model="lab/m1", **more):
        return get_adapter(model, base_url=self.url, api_key=more.pop("api_key", "sk-canary-1234567890"), **more)
