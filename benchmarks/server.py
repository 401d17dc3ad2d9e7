"""A provider on 127.0.0.1 in a process of its own: `python -m benchmarks.server` prints its port.

It answers every POST with the same completion of OpenAI's chat protocol: streamed as one event for each chunk, where
the request asks for a stream. Everything is prepared beforehand, so that nearly all CPU time is the client's.
"""

from __future__ import annotations

import json
import re
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CHUNKS = 2000
TEXT = [f"word{number} " for number in range(CHUNKS)]
_USAGE = {"prompt_tokens": 10, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 10}
_HEAD = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "gpt-4o-mini"}


def _event(body: object) -> bytes:
    data = b"data: " + (body if isinstance(body, bytes) else json.dumps(_HEAD | {"choices": [body]}).encode()) + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


_STREAM = [
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    *(_event({"index": 0, "delta": {"content": text}, "finish_reason": None}) for text in TEXT),
    _event({"index": 0, "delta": {}, "finish_reason": "stop"}),
    _event(json.dumps(_HEAD | {"choices": [], "usage": _USAGE}).encode()),
    _event(b"[DONE]") + b"0\r\n\r\n",
]
_MESSAGE = {"role": "assistant", "content": "".join(TEXT[:50])}
_WHOLE = json.dumps(
    _HEAD | {"choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}], "usage": _USAGE}
).encode()
_HEADERS = f"content-type: application/json\r\ncontent-length: {len(_WHOLE)}"
_ANSWER = f"HTTP/1.1 200 OK\r\n{_HEADERS}\r\n\r\n".encode() + _WHOLE


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while body := self._read():
            for piece in _STREAM if re.search(rb'"stream": ?true', body) else [_ANSWER]:
                self.wfile.write(piece)

    def _read(self) -> bytes:
        """Read a request; its body, or nothing when the client has hung up."""
        size = 0
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return self.rfile.read(size)


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in another process; yields its base URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
