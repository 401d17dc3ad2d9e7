"""Google's application default credentials: a bearer token, fetched by google-auth (the extra `vertex`).

They come from a service account's file, from `gcloud auth application-default login`, or from the machine's own
account: https://cloud.google.com/docs/authentication/application-default-credentials. google-auth requests tokens
through httpx2.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from functools import cache
from typing import Any

import httpx2

from nbkit.errors import ConfigError, TransportError
from nbkit.http.clients import Authorization, sync_client
from nbkit.http.exchange import limit_request
from nbkit.http.failures import FAILURES, transport_error
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

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token; called by httpx2."""
        self._authorize(request)
        yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Add the token; requests it in a thread, so that the event loop goes on."""
        await asyncio.to_thread(self._authorize, request)
        yield request

    @property
    def secrets(self) -> tuple[str, ...]:
        """The current token."""
        token = getattr(self._credentials, "token", None)
        return (token,) if token else ()

    def _authorize(self, request: httpx2.Request) -> None:
        from google.auth import default, exceptions

        headers: dict[str, str] = {}
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials, _ = default(scopes=[SCOPE], request=_send)
                self._credentials.before_request(_send, request.method, str(request.url), headers)
        except exceptions.TransportError as failed:
            error: Exception = TransportError(f"Google's token server does not respond: {failed}")
        except exceptions.GoogleAuthError as failed:
            self._credentials = None  # after a new login they are read again
            error = ConfigError(f"Google's credentials cannot be used: {failed.args[0]}")
        else:
            return request.headers.update(headers)
        raise error

    def __repr__(self) -> str:
        return "GoogleAuth()"


class _Response:
    """A response in the form that google-auth reads."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status, self.headers, self.data = response.status_code, response.headers, response.content


def _send(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **options: Any,
) -> _Response:
    """Send one request for google-auth: its `transport.Request`, on httpx2."""
    from google.auth import exceptions

    try:
        client = sync_client(str(httpx2.URL(url).copy_with(raw_path=b"/")), None)
        return _Response(
            client.request(method, url, content=body, headers=headers, timeout=limit_request(timeout or _TIMEOUT))
        )
    except FAILURES as failed:
        raise exceptions.TransportError(transport_error(failed, httpx2.URL(url).host).message) from None


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
