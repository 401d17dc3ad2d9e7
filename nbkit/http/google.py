"""Google's application default credentials: a Bearer token, got by google-auth (the extra `vertex`).

They are a service account's file, `gcloud auth application-default login` or the machine's own account:
https://cloud.google.com/docs/authentication/application-default-credentials. google-auth asks
for tokens through httpx2.
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
from nbkit.http.failures import FAILURES, transport_error

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT = 30.0
"""Seconds for a token, where google-auth does not say."""


class GoogleAuth(Authorization):
    """Puts a token on each request, and the project that pays where the credentials name one.

    `google_auth` makes one for each credentials file. Raises ConfigError, when a request is sent, where there are no
    credentials or Google does not accept them; TransportError where the token server does not answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token; called by httpx2."""
        self._authorize(request)
        yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Add the token; it is asked for in a thread."""
        await asyncio.to_thread(self._authorize, request)
        yield request

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token, to find it in texts."""
        token = getattr(self._credentials, "token", None)
        return (token,) if token else ()

    def _authorize(self, request: httpx2.Request) -> None:
        from google.auth import default, exceptions

        headers: dict[str, str] = {}
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials, _ = default(scopes=[SCOPE], request=_ask)
                self._credentials.before_request(_ask, request.method, str(request.url), headers)
        except exceptions.TransportError as failed:
            error: Exception = TransportError(f"Google's token server does not answer: {failed}")
        except exceptions.GoogleAuthError as failed:
            self._credentials = None  # who logs in anew is asked anew
            error = ConfigError(f"Google's credentials cannot be used: {failed.args[0]}")
        else:
            return request.headers.update(headers)
        raise error

    def __repr__(self) -> str:
        return "GoogleAuth()"


class _Answer:
    """What google-auth reads of an answer."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status, self.headers, self.data = response.status_code, response.headers, response.content


def _ask(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **options: Any,
) -> _Answer:
    """One request of google-auth's: its `transport.Request`, on httpx2."""
    from google.auth import exceptions

    try:
        client = sync_client("", None)
        return _Answer(client.request(method, url, content=body, headers=headers, timeout=timeout or _TIMEOUT))
    except FAILURES as failed:
        raise exceptions.TransportError(transport_error(failed, httpx2.URL(url).host).message) from None


def google_auth() -> GoogleAuth:
    """What puts a token on requests; the same object for the same credentials file, so that clients are kept.

    Raises ConfigError where google-auth is not installed.
    """
    try:
        import google.auth  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Google's credentials are read by google-auth: pip install nbkit[vertex], or give a key"
        ) from None
    return _auth(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""))


@cache
def _auth(file: str) -> GoogleAuth:
    return GoogleAuth()
