"""A server that plays a fault for each cell of the matrix, many of them at once."""

import asyncio
import socket
import struct
import threading
from collections import Counter
from typing import NamedTuple

from fault_server import PATIENCE


class Play(NamedTuple):
    """What the server does with a request: it sends `data`, and then ...

    `close`, `reset` it; `hang`: is silent until the client leaves; `drip`: sends `drop` now and then; `flood`: sends
    `drop` without end; `paced`: the data byte by byte, then close.
    """

    data: bytes = b""
    then: str = "close"
    drop: bytes = b""


class Player:
    """Requests to `/<cell>/...` get what `script[cell]` says, one play a request, the last one for all further ones."""

    def __init__(self):
        self.script, self.requests, self.open = {}, Counter(), Counter()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._tasks = set()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.server = asyncio.run_coroutine_threadsafe(start, self.loop).result(PATIENCE)
        self.port = self.server.sockets[0].getsockname()[1]

    def url(self, cell):
        return f"http://127.0.0.1:{self.port}/{cell}/v1"

    def close(self):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _stop(self):
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        cell = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            cell = int(head.split(b"/")[1])
            self.open[cell] += 1
            await reader.readexactly(_read_length(head))
            number, plays = self.requests[cell], self.script[cell]
            self.requests[cell] += 1
            await _play(plays[min(number, len(plays) - 1)], reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()
            self.open[cell] -= 1
            self._tasks.discard(task)


def _read_length(head):
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


async def _play(play, reader, writer):
    for part in [play.data[i : i + 1] for i in range(len(play.data))] if play.then == "paced" else [play.data]:
        writer.write(part)
        await writer.drain()
    if play.then == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif play.then == "hang":
        await reader.read(1)
    elif play.then in ("drip", "flood"):
        while not reader.at_eof():
            writer.write(play.drop)
            await writer.drain()
            await asyncio.sleep(0.01 if play.then == "drip" else 0)
