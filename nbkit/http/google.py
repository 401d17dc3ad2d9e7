"""Google's application default credentials: a bearer token, fetched by google-auth (the extra `vertex`).

They come from a service account's file, from `gcloud auth application-default login`, or from the machine's own
account: https://cloud.google.com/docs/authentication/application-default-credentials. google-auth requests tokens
through nbkit's clients.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import Any

from msgspec import Struct

from nbkit.errors import AdapterError, ConfigError, TransportError
from nbkit.http.bounded import read_limited
from nbkit.http.clients import Authorization, sync_client
from nbkit.http.exchange import Exchange, Failure, Request
from nbkit.http.failures import transport_error
from nbkit.installed import name_extra

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT = 30.0
"""Seconds for the request of a token, if google-auth does not set a timeout."""


class GoogleAuth(Authorization):
    """Google's token on each request, and the billing project if the credentials name one.

    `google_auth` makes one per credentials file. While a request is sent, raises ConfigError if there are no
    credentials or Google does not accept them, TransportError if the token server does not respond.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The current token."""
        token = getattr(self._credentials, "token", None)
        return (token,) if token else ()

    waits = True

    def authorize(self, request: Request) -> None:
        """Add the token, which is asked for where there is none or it has expired."""
        from google.auth import default, exceptions

        headers: dict[str, str] = {}
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials, _ = default(scopes=[SCOPE], request=_send)
                self._credentials.before_request(_send, request.method, request.url, headers)
        except exceptions.TransportError as failed:
            error: Exception = TransportError(f"Google's token server does not respond: {failed}")
        except exceptions.GoogleAuthError as failed:
            self._credentials = None  # after a new login they are read again
            error = ConfigError(f"Google's credentials cannot be used: {failed.args[0]}")
        else:
            for name, value in headers.items():
                request.set_header(name, value)
            return
        raise error

    def __repr__(self) -> str:
        return "GoogleAuth()"


class _Response(Struct, frozen=True):
    """A response in the form that google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _send(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **options: Any,
) -> _Response:
    """Send one request for google-auth: its `transport.Request`, on nbkit's clients."""
    from google.auth import exceptions

    exchange = Exchange.within(timeout or _TIMEOUT)
    try:
        client = sync_client(url, None)
        with closing(client.send(Request(method, url, exchange, dict(headers or {}), body or b""))) as reply:
            return _Response(reply.status, reply.headers, read_limited(reply, exchange))
    except (Failure, AdapterError) as failed:
        error = transport_error(failed, url, exchange) if isinstance(failed, Failure) else failed
        raise exceptions.TransportError(error.message) from None


def google_auth() -> GoogleAuth:
    """Return the credentials; the same object for the same credentials file, so that clients are reused.

    Raises ConfigError if google-auth is not installed.
    """
    try:
        import google.auth  # noqa: F401
    except ImportError:
        raise ConfigError(f"Google's credentials need google-auth: {name_extra('vertex')}, or pass api_key=") from None
    return _auth(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""))


@cache
def _auth(file: str) -> GoogleAuth:
    return GoogleAuth()
