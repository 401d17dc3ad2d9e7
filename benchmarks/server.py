"""A provider on 127.0.0.1 in a process of its own: `python -m benchmarks.server` prints its port.

It speaks the protocols of `benchmarks.wires`, whole and streamed. The base URL says how: below `/200x100` a stream has
200 chunks, 100 a second; below `/prose200x100` they are Markdown; below `/1000x0` it has 1,000, as fast as they can be
sent; below `/cut` it breaks off, below `/400` every answer is that error, and below `/third` a third of them fail in
one way or another, which `GET /tally` counts. Answers are prepared once, so that nearly all CPU time is the client's.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from random import Random
from typing import cast

from benchmarks.wires import WIRES, WORDS, Wire, make_prose, make_words

_TARGET = re.compile(r"POST /(?P<script>\w+)(?P<path>/\S+) ")
_STREAM = re.compile(rb'"stream":\s*true')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_TICKS = 1000  # a second
_THINKING = 0.002
"""Seconds before a whole answer: a client that happens to read later than it comes would not wait, as all do."""
_ERROR = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "no", "code": 400}, "message": "no"}'


FAULTS = ("429", "500", "reset", "cut", "garbage")
"""What happens to a third of the requests below `/third`: nothing is answered, or not what was asked for."""
_chance = Random(13)  # noqa: S311  # the same faults in each run
_tally: Counter[str] = Counter()


@cache
def _whole(wire: Wire) -> bytes:
    return _answer(200, wire.render_whole(make_words(WORDS)))


def _answer(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@cache
def _pieces(wire: Wire, chunks: int, prose: bool = False) -> tuple[bytes, ...]:
    """The head of a streamed answer with what comes before the first chunk, then one piece a chunk."""
    head = b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    words = make_prose(chunks) if prose else make_words(chunks)
    events = [b"%x\r\n%s\r\n" % (len(event), event) for event in wire.render_events(words)]
    last = len(events) - 1
    return (head, *events[:last], events[last] + b"0\r\n\r\n")


class Pace:
    """Sends the pieces of paced streams, each when it is due: one timer for all, because one per stream is slower."""

    def __init__(self) -> None:
        self._due: dict[int, list[tuple[asyncio.Transport, Iterator[bytes], int]]] = {}
        self._tick = 0
        self._running = False

    def add(self, transport: asyncio.Transport, pieces: Iterator[bytes], per_second: int) -> None:
        """Send the next piece of a stream with the next tick."""
        if not self._running:
            self._running, self._tick = True, self._now()
            asyncio.get_running_loop().call_soon(self._run)
        self._due.setdefault(self._tick + 1, []).append((transport, pieces, _TICKS // per_second))

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() * _TICKS)

    def _run(self) -> None:
        for tick in range(self._tick + 1, self._now() + 1):
            self._tick = tick
            for transport, pieces, step in self._due.pop(tick, ()):
                piece = next(pieces, None)
                if piece is not None and not transport.is_closing():
                    transport.write(piece)
                    self._due.setdefault(tick + step, []).append((transport, pieces, step))
        if self._due:
            asyncio.get_running_loop().call_at((self._tick + 1) / _TICKS, self._run)
        self._running = bool(self._due)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._received = pace, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer, once the request is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._respond(head.decode("latin-1"), body)

    def _respond(self, head: str, body: bytes) -> None:
        target = _TARGET.match(head)
        wire = _find_wire(target["path"]) if target else None
        if head.startswith("GET /tally "):
            self._transport.write(_answer(200, json.dumps(_tally).encode()))
        elif not target or not wire:
            self._transport.write(_answer(404, json.dumps({"error": {"message": head.partition("\r\n")[0]}}).encode()))
        elif target["script"] == "third":
            self._fail_at_times(wire)
        elif target["script"] == "400":
            self._transport.write(_answer(400, _ERROR))
        elif not (_STREAM.search(body) or ":stream" in target["path"]):
            asyncio.get_running_loop().call_later(_THINKING, self._transport.write, _whole(wire))
        else:
            self._stream(wire, target["script"])

    def _fail_at_times(self, wire: Wire) -> None:
        fault = _chance.choice(FAULTS) if _chance.random() < 1 / 3 else "whole"
        _tally[fault] += 1
        match fault:
            case "whole":
                self._stream(wire, "20x0")
            case "cut":
                self._stream(wire, "cut")
            case "garbage":
                self._transport.write(_answer(200, b"<html>{oops"))
            case "reset":
                connection = self._transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            case status:
                self._transport.write(_answer(int(status), _ERROR))

    def _stream(self, wire: Wire, script: str) -> None:
        if script == "cut":
            self._transport.write(b"".join(islice(_pieces(wire, WORDS), WORDS // 2)))
            self._transport.close()
            return
        chunks, _, per_second = script.partition("x")
        words = chunks.removeprefix("prose")
        pieces = iter(_pieces(wire, int(words), prose=words != chunks))
        if int(per_second):
            self._transport.write(next(pieces))
            self._pace.add(self._transport, pieces, int(per_second))
        else:
            for piece in pieces:
                if not self._transport.is_closing():  # the client may have left
                    self._transport.write(piece)


def _find_wire(path: str) -> Wire | None:
    for wire in WIRES.values():
        if path in (wire.base + wire.path, wire.base + (wire.stream_path or wire.path)):
            return wire
    return None


async def _serve() -> None:
    pace = Pace()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pace), "127.0.0.1", 0, backlog=1000)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in another process; yields its root URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve())
