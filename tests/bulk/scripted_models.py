"""Models that answer by a script over real HTTP on 127.0.0.1: for panels that must wait, fail or be stopped.

Nothing here depends on how fast the machine is: an answer stands still at a `threading.Event`, or at a
`threading.Barrier`, until the test lets it go on.
"""

import json
import select
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from msgspec.structs import replace

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.factory import get_adapter
from nbkit.billing.cost import Cost
from nbkit.errors import RateLimitError, StreamError

PATIENCE = 120
"""Seconds after which a test that waits for something has failed."""

_models, _numbers = {}, count(1)
_lock = threading.Lock()
_servers = []


class Scripted(BaseAdapter):
    """A model of the provider `scripted`: $1 per million tokens, of which a prompt has 10 and each piece of text one.

    Each of `turns` is a list of what the server does at one request, the last for all later ones:

        "text"            sends it
        Event, Barrier    waits for it
        None              waits until the client hangs up
        RateLimitError    answers with status 429 and its message
        StreamError       breaks the connection
        another Exception is raised by the adapter itself, before it sends

    `wait` seconds pass before each piece of text. `price=None`: the price is not known.
    """

    def __init__(self, name, *turns, wait=0.0, price=1.0, reasoning=""):
        cost = None if price is None else Cost({"input": price, "output": price})
        number = next(_numbers)
        endpoint = get_adapter(f"scripted/{name}", base_url=f"{_base_url()}/{number}").endpoint
        super().__init__(replace(endpoint, cost=cost), name=name.title(), max_retries=0)
        self.turns, self.pause, self.reasoning = turns or (["Hi"],), wait, reasoning
        self.requests = []
        """The bodies of the requests."""
        self.requested, self.hung_up = threading.Semaphore(0), threading.Semaphore(0)
        """Released at each request, and whenever the client hangs up before the end of an answer."""
        _models[str(number)] = self

    @property
    def prompts(self):
        """The turns of each request as (role, text) pairs."""
        return [[(turn["role"], turn["content"]) for turn in body["messages"]] for body in self.requests]

    def _turn(self):
        return self.turns[min(len(self.requests), len(self.turns) - 1)]

    def astream(self, conversation, **options):
        for piece in self._turn():
            if isinstance(piece, Exception) and not isinstance(piece, RateLimitError | StreamError):
                raise piece
        return super().astream(conversation, **options)


def wait_for(signal):
    """Wait for a semaphore or an event of another thread."""
    wait = signal.acquire if isinstance(signal, threading.Semaphore) else signal.wait
    assert wait(timeout=PATIENCE), "it did not happen"


def _base_url():
    with _lock:
        if not _servers:
            server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, name="scripted", daemon=True).start()
            _servers.append(server)
        return f"http://127.0.0.1:{_servers[0].server_port}"


class _HungUpError(Exception):
    """The client has closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        model = _models[self.path.split("/")[1]]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        turn = model._turn()
        model.requests.append(body)
        model.requested.release()
        try:
            self._answer(model, turn)
        except (OSError, _HungUpError):
            model.hung_up.release()

    def _answer(self, model, turn):
        for piece in turn:
            if isinstance(piece, RateLimitError):
                return self._refuse(piece)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        if model.reasoning:
            self._send_delta(reasoning_content=model.reasoning)
        for piece in turn:
            if isinstance(piece, str):
                time.sleep(model.pause)
                self._send_delta(content=piece)
            elif isinstance(piece, StreamError):
                return self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._wait_for(piece)
        texts = sum(isinstance(piece, str) for piece in turn)
        self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._send({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": texts}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _refuse(self, error):
        body = json.dumps({"error": {"message": error.message}}).encode()
        self.send_response(429)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_delta(self, **delta):
        self._send({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _send(self, event):
        self.wfile.write(b"data: " + json.dumps({"id": "c1", "model": "m1"} | event).encode() + b"\n\n")

    def _wait_for(self, gate):
        if isinstance(gate, threading.Barrier):
            gate.wait(PATIENCE)
            return
        while gate is None or not gate.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise _HungUpError

    def log_message(self, *args):
        pass
