"""Connections that are kept between the requests of threads.

httpcore2's own pool looks through all connections twice for each request and makes an event for it, a tenth of a call;
this one keeps what is idle on a stack for each server. The connections are httpcore2's, and so is the pool where there
is a proxy.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore2

from nbkit.http.exchange import KEEP_ALIVE, Limits

if TYPE_CHECKING:
    import ssl

_Server = tuple[bytes, bytes, int | None, str]
"""Scheme, host and port, and the name for TLS where the host is an address."""


class Connections:
    """Connections to servers, at most `limits.connections` at once. Safe to use from several threads."""

    def __init__(
        self, certificates: ssl.SSLContext | None, limits: Limits, network_backend: httpcore2.NetworkBackend
    ) -> None:
        self._certificates, self._limits, self._backend = certificates, limits, network_backend
        self._changed = threading.Condition(threading.Lock())
        self._idle: dict[_Server, list[httpcore2.HTTPConnection]] = {}  # what was used last is at the end
        self._busy: dict[httpcore2.HTTPConnection, _Server] = {}

    def handle_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request and wait for the head of its reply, as httpcore2's pool does. Raises what that raises."""
        connection = self._take(request)
        try:
            response = connection.handle_request(request)
        except BaseException:
            self._give_back(connection, keep=False)
            raise
        response.stream = _Body(response.stream, self, connection)
        return response

    def _take(self, request: httpcore2.Request) -> httpcore2.HTTPConnection:
        """Take the connection to a server that was used last, where it is still open, or make one."""
        url, extensions = request.url, request.extensions
        server = (url.scheme, url.host, url.port, extensions.get("sni_hostname", ""))
        while True:
            with self._changed:
                if not self._idle.get(server):
                    self._make_room(server, extensions["timeout"]["pool"])
                idle = self._idle.get(server)
                connection = idle.pop() if idle else self._connect(url.origin)
                self._busy[connection] = server
            if not connection.has_expired():
                return connection
            self._give_back(connection, keep=False)

    def _make_room(self, server: _Server, timeout: float) -> None:
        """Close what is idle, or wait for a connection, where there are as many as may be; the lock is held."""
        most = self._limits.connections
        while len(self._busy) + sum(map(len, self._idle.values())) >= most and not self._idle.get(server):
            if idle := self._drop_idle():
                for connection in idle:
                    connection.close()
            elif not self._changed.wait_for(lambda: len(self._busy) < most, timeout):
                raise httpcore2.PoolTimeout

    def _connect(self, origin: Any) -> httpcore2.HTTPConnection:
        return httpcore2.HTTPConnection(
            origin,
            ssl_context=self._certificates,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=self._backend,
        )

    def _give_back(self, connection: httpcore2.HTTPConnection, *, keep: bool = True) -> None:
        """Keep a connection whose reply was read to its end; close any other, and what is idle for too long."""
        closing = []
        with self._changed:
            server = self._busy.pop(connection, None)
            if server is None or not keep or not connection.is_idle() or not self._limits.kept:
                closing.append(connection)
            else:
                idle = self._idle.setdefault(server, [])
                while idle and (len(idle) >= self._limits.kept or idle[0].has_expired()):
                    closing.append(idle.pop(0))
                idle.append(connection)
            self._changed.notify()
        for one in closing:
            one.close()

    def _drop_idle(self) -> list[httpcore2.HTTPConnection]:
        dropped = [connection for idle in self._idle.values() for connection in idle]
        self._idle.clear()
        return dropped

    def close(self) -> None:
        """Close all connections."""
        with self._changed:
            closing = [*self._drop_idle(), *self._busy]
            self._busy.clear()
        for connection in closing:
            with suppress(OSError):
                connection.close()


class _Body:
    """The body of a reply; closing it gives the connection back."""

    def __init__(self, stream: Any, owner: Connections, connection: httpcore2.HTTPConnection) -> None:
        self._stream, self._owner = stream, owner
        self._connection: httpcore2.HTTPConnection | None = connection

    def __iter__(self) -> Any:
        return iter(self._stream)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                self._stream.close()
            finally:
                self._owner._give_back(connection)
