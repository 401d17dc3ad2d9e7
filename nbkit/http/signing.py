"""Signatures of requests to AWS: Signature Version 4, computed by botocore (the extra `bedrock`).

The credentials come from AWS's standard chain (environment, profile, SSO, role of the machine ...) and are looked up
for each request: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
"""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING

from nbkit.errors import ConfigError
from nbkit.http.clients import Authorization
from nbkit.http.exchange import Request, split_url
from nbkit.installed import name_extra
from nbkit.secret import Secret

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_SIGNED = ("content-type",)
"""Headers that are signed besides the host and AWS's own: those that proxies do not change."""


class AwsAuth(Authorization):
    """AWS credentials that sign each request for `service`, in the region that the host names, else the configured one.

    `aws_auth` makes one per service and environment. Raises ConfigError, while a request is sent, if there are no
    credentials or they cannot be refreshed.
    """

    waits = True

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._used: tuple[Secret, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials used last: AWS's error messages quote the signed request."""
        return tuple(secret.reveal() for secret in self._used)

    def authorize(self, request: Request) -> None:
        """Sign the request. The chain reads files and may use the network."""
        # bedrock-runtime.us-east-1.amazonaws.com, bedrock-mantle.us-east-1.api.aws, and VPC endpoints with a prefix
        match = re.search(rf"\b{self._service}[a-z-]*\.([a-z-]+-\d+)\.", split_url(request.url).host)
        region = match[1] if match else read_region()
        if not region:
            raise ConfigError(f"unknown AWS region of {split_url(request.url).host}: set AWS_REGION")
        if problem := self._sign(request, region):
            raise ConfigError(f"the AWS credentials cannot be used: {problem}")

    def _sign(self, request: Request, region: str) -> str:
        """Sign, or say what the problem is: a traceback may print the locals of the frames that raise."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = AWSRequest(request.method, request.url, headers, request.body)
        try:
            credentials = self._load_credentials()
            self._used = tuple(Secret(secret) for secret in credentials[:3] if secret)
            SigV4Auth(credentials, self._service, region).add_auth(signed)
        except BotoCoreError as failed:
            return str(failed)
        for name, value in signed.headers.items():
            request.set_header(name, value)
        return ""

    def _load_credentials(self) -> ReadOnlyCredentials:
        """Return the current credentials. Static ones are looked up again, because their file may have changed."""
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
    """Return the credentials for a service; the same object in the same environment (AWS_...), so clients are reused.

    Raises ConfigError if botocore is not installed.
    """
    try:
        import botocore.auth  # noqa: F401
    except ImportError:
        raise ConfigError(f"requests to AWS need botocore: {name_extra('bedrock')}, or pass api_key=") from None
    settings = ((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return _auth(service, hash(frozenset(settings)))


@cache
def _auth(service: str, environment: int) -> AwsAuth:
    return AwsAuth(service)


def read_region() -> str | None:
    """Read the region from the environment or AWS's configuration file; None if it is not set or botocore is missing.

    Raises ConfigError if the file cannot be read.
    """
    if region := os.environ.get("AWS_REGION"):  # botocore does not read this one
        return region
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return None
    try:
        configured: str | None = Session().get_config_variable("region")
    except BotoCoreError as failed:
        reason = str(failed)
    else:
        return configured
    raise ConfigError(f"the AWS region cannot be read: {reason}")
