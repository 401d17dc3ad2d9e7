"""Requests signed for AWS: Signature Version 4, computed by botocore (the extra `bedrock`).

The credentials are those of AWS's standard chain (environment, profile, SSO, role of the machine ...), looked up for
each request: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncGenerator, Generator
from functools import cache
from typing import TYPE_CHECKING

import httpx2
from pydantic import SecretStr

from nbkit.errors import ConfigError
from nbkit.http.clients import Authorization

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_SIGNED = ("host", "content-type")
"""The headers that are signed besides AWS's own: those that no proxy touches."""


class AwsAuth(Authorization):
    """Signs each request for `service`; the region is the host's own, else the configured one.

    `aws_auth` makes one for each service and environment. Raises ConfigError, when a request is sent, where there are
    no credentials or they cannot be refreshed.
    """

    requires_request_body = True

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._used: tuple[SecretStr, ...] = ()

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign; called by httpx2."""
        request.read()
        self._sign(request)
        yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Sign in a thread: the chain reads files and may ask the network."""
        await request.aread()
        await asyncio.to_thread(self._sign, request)
        yield request

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials last used, to find them in texts: a refusal quotes what was signed."""
        return tuple(secret.get_secret_value() for secret in self._used)

    def _sign(self, request: httpx2.Request) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        # bedrock-runtime.us-east-1.amazonaws.com, bedrock-mantle.us-east-1.api.aws, and what VPC endpoints put in front
        found = re.search(rf"\b{self._service}[a-z-]*\.([a-z-]+-\d+)\.", request.url.host)
        region = found[1] if found else configured_region()
        if not region:
            raise ConfigError(f"the AWS region of {request.url.host} is not known: set AWS_REGION")
        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), headers, request.content)
        try:
            credentials = self._current()
            self._used = tuple(SecretStr(secret) for secret in credentials[:3] if secret)
            SigV4Auth(credentials, self._service, region).add_auth(signed)
        except BotoCoreError as failed:
            reason = str(failed)
        else:
            return request.headers.update(dict(signed.headers.items()))
        raise ConfigError(f"the AWS credentials cannot be used: {reason}")

    def _current(self) -> ReadOnlyCredentials:
        """The credentials of this moment. Static ones are looked up anew: their file may have been written since."""
        from botocore.credentials import RefreshableCredentials
        from botocore.session import Session

        with self._lock:
            if not isinstance(self._credentials, RefreshableCredentials):
                self._credentials = Session().get_credentials()
            if self._credentials is None:
                raise ConfigError("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
            return self._credentials.get_frozen_credentials()

    def __repr__(self) -> str:
        return f"AwsAuth({self._service!r})"


def aws_auth(service: str) -> AwsAuth:
    """What signs requests for a service; the same object in the same environment (AWS_...), so that clients are kept.

    Raises ConfigError where botocore is not installed.
    """
    try:
        import botocore.auth  # noqa: F401
    except ImportError:
        raise ConfigError("requests to AWS are signed by botocore: pip install nbkit[bedrock], or give a key") from None
    settings = ((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return _auth(service, hash(frozenset(settings)))


@cache
def _auth(service: str, environment: int) -> AwsAuth:
    return AwsAuth(service)


def configured_region() -> str | None:
    """The region of the environment or of AWS's configuration file; None where there is none, or no botocore.

    Raises ConfigError where the file cannot be read.
    """
    if region := os.environ.get("AWS_REGION"):  # which botocore does not read
        return region
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return None
    found: str | None
    try:
        found = Session().get_config_variable("region")
    except BotoCoreError as failed:
        reason = str(failed)
    else:
        return found
    raise ConfigError(f"the AWS region cannot be read: {reason}")
