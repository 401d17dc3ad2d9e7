"""A connection of aiohttp's, and what it does not do: it writes a long request in pieces, each of which has its time,
leaves what nobody waits for to the system, tells every reader how it ended, and is not used again after what nobody has
asked for.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from nbkit.http.exchange import PIECE, Exchange, Failure, Kind

_MAX_HEAD = 100 * 2**10
"""Bytes of one header of a reply, as with httpcore2; some providers send more than aiohttp's own limit of 8 KiB."""
_MAX_HEADERS = 1000


class Connection(ResponseHandler):
    """aiohttp's connection, which notes in the exchange that uses it when the first bytes come."""

    _of: Exchange | None = None
    end: BaseException | None = None
    """Why the connection is over, where it did not end well."""
    wanted = True
    """Whether a reader waits for data. What comes before is left to the system, which joins it: one read for all."""
    _answered = True
    _rest = memoryview(b"")  # of the request
    _writing: asyncio.Handle | None = None

    def begin(self, exchange: Exchange, request: bytes) -> None:
        """Send the request of an exchange, and be ready for its reply."""
        exchange.reused = self._of is not None
        self._of, self._answered = exchange, False
        self.want(exchange, True)
        self.set_response_params(
            read_timeout=exchange.read,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            max_headers=_MAX_HEADERS,
        )
        if len(request) > PIECE:
            self._rest = memoryview(request)
            self._write(exchange)
        elif self.transport is not None:
            self.transport.write(request)
            self.start_timeout()

    def want(self, exchange: Exchange, wanted: bool) -> None:
        """Begin or end to wait for data of an exchange; nothing happens where the connection serves another by now."""
        if self._of is exchange:
            self.wanted = wanted
            if wanted and self.transport is not None and not self.transport.is_reading():
                self.transport.resume_reading()
                self._reschedule_timeout()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of the reply, and its body to come; heads before it, such as 103, say nothing."""
        code = data[0].code
        if not 100 <= code < 200 or code == 101:
            self._answered = True
            super().feed_data(data, size)

    @property
    def writes(self) -> bool:
        """Whether a part of the request waits for the server to accept it."""
        return self._writing is not None

    def _write(self, exchange: Exchange) -> None:
        """Write what is left of a request in pieces, each of which the server must accept in its time."""
        self._stop_writing()
        while self._rest and not self._paused and self.transport is not None and not self.transport.is_closing():
            if self.transport.is_reading() and _is_readable(self.transport):
                # an answer, and perhaps a reset behind it, which the next piece would meet first
                self._writing = self._loop.call_soon(self._write, exchange)
                return
            self.transport.write(self._rest[:PIECE])
            self._rest = self._rest[PIECE:]
        if self._paused:
            self._writing = self._loop.call_later(min(exchange.write, exchange.left), self._give_up)
        if not self._answered:
            self._limit_silence()

    def _limit_silence(self) -> None:
        """Give the head of the reply its time, which begins when the server has taken the request."""
        if self.writes:
            self._drop_timeout()
        else:
            self.start_timeout()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing.cancel()
            self._writing = None

    def _give_up(self) -> None:
        if not self._answered:  # a server may answer before it has the whole request, and read on
            self.set_exception(Failure(Kind.WRITE_TIMEOUT))

    def resume_writing(self) -> None:
        """Go on with a long request: the server has accepted what was written."""
        super().resume_writing()
        if self._of is not None and self.writes:
            self._write(self._of)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and note that something has."""
        if self._of is not None:  # a proxy's answer comes before there is one
            self._of.received = True
        if data and not self.wanted and self._answered and (self._payload is None or self._payload.is_eof()):
            self.force_close()  # what nobody has asked for must not be the next request's answer
        super().data_received(data)
        if not self._answered:
            self._limit_silence()
        if not self.wanted and self.transport is not None:
            self.transport.pause_reading()
            self._drop_timeout()  # it is not the server that is silent

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell who waits, for a head or for more of a body, why nothing more will come."""
        super().set_exception(exc, *cause)
        # aiohttp tells who waits for a head, and leaves who reads a body waiting for ever
        end_body(self._payload, exc)
        # again, because who reads may have been woken by the end of a chunk, and will wait for the next
        self._loop.call_soon(end_body, self._payload, exc)

    def is_connected(self) -> bool:
        """Tell whether the connection can be used again: a server that has closed it has made it readable."""
        return super().is_connected() and not self.should_close and not _is_readable(self.transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what is under way: the connection is closed, with an error where it was reset."""
        self.end, self._rest = exc, memoryview(b"")
        self._stop_writing()
        if exc is not None:  # else the end of the connection may be that of the body
            end_body(self._payload, exc)
        super().connection_lost(exc)

    def close(self) -> None:
        """Close at once: what is left of a request is not sent any more."""
        if not self._loop.is_closed():  # else its sockets are closed with it
            body = self._payload
            self.abort()
            end_body(body, aiohttp.ClientConnectionError())


def end_body(body: StreamReader | None, error: BaseException) -> None:
    """Tell who reads a body, now or later, that it does not come to its end; of several errors the first counts."""
    if body is not None and not body.is_eof():
        body.set_exception(body.exception() or error)


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    socket: Any = transport.get_extra_info("socket") if transport else None
    if socket is None:
        return False
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))
