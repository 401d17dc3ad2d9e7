"""Failed attempts: the error that a failure becomes, and whether the call is tried again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from random import random

import httpx2

from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import AdapterError, BadRequestError, ProviderError, RateLimitError, StreamError, TransportError
from nbkit.http import retry
from nbkit.http.clients import Authorization
from nbkit.http.failures import scrub, transport_error
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import Scoped, settings

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
_Budgets = defaultdict[tuple[str, Authorization | None], retry.RetryBudget]

without_stream_options: Scoped[set[str]] = Scoped(set)
"""Base URLs that refused `stream_options`: it is not sent there again. Usage is then what the server sends unasked."""

_budgets: Scoped[_Budgets] = Scoped(lambda: defaultdict(retry.RetryBudget))  # by base URL and key


def explain_failure(
    failure: Exception,
    endpoint: Endpoint,
    auth: Authorization | None,
    *,
    response: httpx2.Response | None,
    attempts: int,
    partial: ChatCompletion | None,
) -> AdapterError:
    """Make the error of a failed attempt, with all that is known of the call and nothing of the key.

    `response` is None where no answer began; `partial` is what was delivered of one.
    """
    host = httpx2.URL(endpoint.base_url).host
    error = failure if isinstance(failure, AdapterError) else transport_error(failure, host)
    if partial is not None:
        if not isinstance(error, StreamError):
            error = StreamError(error.message, code=error.code, body=error.body)
        error.partial = partial
    error.provider, error.model, error.attempts = endpoint.provider, endpoint.model, attempts
    if response is not None:
        error.status = error.status or response.status_code
        error.request_id = next((response.headers[name] for name in _REQUEST_IDS if name in response.headers), None)
        seconds = retry.read_retry_after(response.headers, time.time())
        error.retry_after = error.retry_after if seconds is None else seconds
    secrets = auth.secrets if auth else ()
    error.message = scrub(error.message, secrets)
    error.body = None if error.body is None else scrub(error.body, secrets, limit=len(error.body))
    return error


class Retries:
    """The retries of one call: at most `most`, out of the budget that all calls to a base URL with one key share."""

    def __init__(self, base_url: str, auth: Authorization | None, most: int) -> None:
        self._base_url, self._most = base_url, most
        self._budget, self._spent = _budgets()[base_url, auth], 0

    def plan(
        self,
        failure: Exception,
        error: AdapterError,
        *,
        response: httpx2.Response | None,
        attempts: int,
        remaining: float,
    ) -> float | None:
        """Decide about another attempt: seconds to wait before it, or None. `remaining`: seconds to the deadline."""
        if "stream_options" in error.message and isinstance(error, BadRequestError):
            # some servers refuse this option of OpenAI's: once more without it
            known = self._base_url in without_stream_options()
            without_stream_options().add(self._base_url)
            return None if known else 0.0
        headers: Mapping[str, str] = response.headers if response is not None else {}
        status = _deciding_status(failure, response)
        if attempts > self._most or not retry.is_retryable(status, headers, error.code):
            return None
        seconds = retry.compute_wait(
            attempts - 1,
            error.retry_after,
            base=settings().retry_wait,
            rand=random(),  # noqa: S311  # jitter
            remaining=remaining,
        )
        if seconds is None or not (spent := self._budget.take(throttled=error.status == 429)):
            return None
        self._spent += spent
        return seconds

    def give_back(self) -> None:
        """Return to the budget what this call's retries took: it has its answer."""
        self._budget.give_back(self._spent)


def _deciding_status(failure: Exception, response: httpx2.Response | None) -> int | None:
    """Find the status that decides about a retry: an error inside an answer of 200 counts as what it reports."""
    if response is None or not isinstance(failure, AdapterError) or isinstance(failure, TransportError):
        return failure.status if isinstance(failure, AdapterError) else None
    if response.is_success and failure.body is not None:
        return {RateLimitError: 429, ProviderError: 500}.get(type(failure), 400)
    return response.status_code
