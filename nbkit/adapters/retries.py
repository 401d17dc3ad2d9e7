"""Failed attempts: the error that a failure becomes, and whether the call is tried again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from random import random
from typing import NamedTuple
from urllib.parse import urlsplit

from nbkit.adapters.limits import find_line
from nbkit.adapters.place import Place
from nbkit.adapters.rotation import REFUSED_REST, Rotation, Verdict, judge_key
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import (
    AdapterError,
    AuthenticationError,
    ContentFilterError,
    ProviderError,
    RateLimitError,
    StreamError,
)
from nbkit.http import retry
from nbkit.http.bounded import MAX_ERROR_BODY, is_success
from nbkit.http.clients import Authorization
from nbkit.http.events import EventDecoder
from nbkit.http.exchange import AsyncReply, Exchange, Failure, Reply
from nbkit.http.failures import find_stage, scrub, transport_error
from nbkit.http.rate_headers import read_rest
from nbkit.protocols.reading import mapping, parse
from nbkit.providers.circuits import note_answer, note_failure
from nbkit.providers.credentials import list_secrets
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.key_shapes import find_secrets, is_random
from nbkit.providers.resolve import suggest_listed
from nbkit.settings import settings

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
_SENT = (retry.Stage.CLOSED, retry.Stage.SILENCE, retry.Stage.BROKEN)
_ILL = (*_SENT, retry.Stage.CONNECTING, retry.Stage.WRITING)
_PERMISSION = re.compile(r"api.?key|permission", re.IGNORECASE)
_MAX_CODE = 100
_MAX_REQUEST_ID = 200
"""Characters."""

# A path that the server does not know, in the words of FastAPI, nginx, Go, Express, OpenAI ...
_NO_PATH = re.compile(r"not.?found|without a message|not allowed|cannot post|invalid url|no route", re.IGNORECASE)


class AttemptEnd(NamedTuple):
    """How far a failed attempt came. `reply` is None where no answer began; `attempts`: how many there were so far.

    `in_events`: events of a stream have arrived.
    """

    url: str
    exchange: Exchange
    reply: Reply | AsyncReply | None
    attempts: int
    in_events: bool


def explain_failure(
    failure: AdapterError | Failure,
    endpoint: Endpoint,
    auth: Authorization | None,
    headers: Mapping[str, str],
    end: AttemptEnd,
    partial: ChatCompletion | None,
) -> AdapterError:
    """Make the error of a failed attempt, with all that is known of the call and nothing of the key.

    `headers` are those of the request besides the key's, which may hold another one. `partial` is what was delivered
    of an answer.
    """
    url, reply = end.url, end.reply
    error = failure if isinstance(failure, AdapterError) else transport_error(failure, url, end.exchange)
    if partial is not None:
        if not isinstance(error, StreamError):
            error = StreamError(error.message, code=error.code, body=error.body)
        error.partial = partial
    error.provider, error.model, error.attempts = endpoint.provider, endpoint.model, end.attempts
    if reply is not None:
        error.status = error.status or reply.status
        error.request_id = next((reply.headers[name] for name in _REQUEST_IDS if name in reply.headers), None)
        seconds = retry.read_retry_after(reply.headers, time.time())
        error.retry_after = error.retry_after if seconds is None else seconds
        if error.status in (404, 405) and _NO_PATH.search(error.message) and "model" not in error.message.lower():
            error.message = f"{error.message}: {_describe_path(url)}"
        elif error.status == 404:  # the model's name may be a misspelling
            error.message += suggest_listed(endpoint.id)
    _clean(error, (*(auth.secrets if auth else ()), *find_secrets(url, headers), *filter(is_random, list_secrets())))
    return error


def _describe_path(url: str) -> str:
    """Say which address a server does not know, and what is often wrong with it."""
    address = urlsplit(url)
    hint = "check the base URL" if re.search(r"/v\d", address.path) else "is /v1 missing at the end of the base URL?"
    return f"the server has nothing at {address._replace(query='', fragment='').geturl()}; {hint}"


def _clean(error: AdapterError, secrets: Iterable[str]) -> None:
    """Remove secrets and control characters from every text of an error, then cut those that people read."""
    secrets = tuple(secrets)
    error.message = scrub(error.message, secrets)
    error.code = error.code and scrub(error.code, secrets, limit=_MAX_CODE)
    error.request_id = error.request_id and scrub(error.request_id, secrets, limit=_MAX_REQUEST_ID)
    error.body = error.body and scrub(error.body, secrets, limit=MAX_ERROR_BODY)
    error.__context__ = error.__cause__ = None  # what a parser said of the body


def read_event_body(body: bytes) -> bytes:
    """Return the data of an error's body that is framed as server-sent events; any other body as it is."""
    if not body.lstrip().startswith((b"data:", b"event:", b":")):
        return body
    decoder = EventDecoder()
    events = decoder.feed(body) + decoder.finish()
    return events[0][1] if events else body


class Retries:
    """The retries of one call: at most `most` for each key, out of the budget that the key has at a server."""

    def __init__(self, base_url: str, model: str, auth: Authorization | None, most: int) -> None:
        self._most = most
        self._keys = Rotation(base_url, model, auth)
        self._spent: dict[retry.RetryBudget, int] = {}

    def begin(self) -> Authorization | None:
        """Begin an attempt; return the key that it carries."""
        self._keys.take(time.monotonic())
        return self._keys.auth

    def enter(self, place: Place, endpoint: Endpoint, *, again: bool) -> None:
        """Take a slot in the line of the key in use, or see that it must be waited for."""
        place.enter(find_line(self._keys.state, endpoint.provider, endpoint.base_url), again=again)

    def plan(
        self, failure: AdapterError | Failure, error: AdapterError, end: AttemptEnd, remaining: float, place: Place
    ) -> float | None:
        """Decide about another attempt, with so many seconds to the deadline: seconds to wait before it, or None.

        After a refusal (429) the line of the key is paused, and that is the wait. An attempt that was one too many at
        once is not counted.
        """
        keys, verdict = self._keys, judge_key(error)
        is_paused, one_too_many = place.has_slot and verdict is Verdict.LIMITED, False
        if is_paused:
            rest = read_rest(end.reply.headers, time.time()) if end.reply else None
            one_too_many = place.refuse(error.retry_after or rest) and self._most > 0
        keys.failures[keys.auth] = keys.attempts + (not one_too_many)
        again = keys.attempts <= self._most and _may_repeat(failure, error.code, end)
        verdict = verdict if keys.several else None
        seconds = None
        if verdict:
            seconds = self._change_key(verdict, error, again=again, remaining=remaining)
        elif again:
            seconds = self._compute_wait(error.retry_after, remaining)
            seconds = seconds if one_too_many else self._pay(seconds, throttled=error.status == 429)
            seconds = 0.0 if is_paused and seconds else seconds
        if seconds is None and (verdict or len(keys.failures) > 1):
            error.message += keys.describe()
        return seconds

    def _change_key(self, verdict: Verdict, error: AdapterError, *, again: bool, remaining: float) -> float | None:
        """Leave the key in use alone for a while, and take the next one; `again` tells whether this one may be it."""
        keys, now = self._keys, time.monotonic()
        rest = REFUSED_REST if verdict is Verdict.REFUSED else self._compute_backoff()
        keys.rest(verdict, now, rest if error.retry_after is None else error.retry_after)
        usable = [
            one
            for one in keys.keys
            if (again and verdict is Verdict.LIMITED if one == keys.auth else keys.failures.get(one, 0) <= self._most)
        ]
        seconds = keys.take_next(usable, now)
        if seconds:
            seconds = self._compute_wait(seconds, remaining)
        if seconds is None or seconds >= remaining:
            return None
        return (
            self._pay(seconds, throttled=True) if keys.attempts else seconds
        )  # the first attempt of a key costs nothing

    def _compute_backoff(self) -> float:
        return retry.compute_backoff(self._keys.attempts - 1, settings().retry_wait, random())  # noqa: S311  # jitter

    def _compute_wait(self, requested: float | None, remaining: float) -> float | None:
        return retry.compute_wait(
            self._keys.attempts - 1,
            requested,
            base=settings().retry_wait,
            rand=random(),  # noqa: S311  # jitter
            remaining=remaining,
        )

    def _pay(self, seconds: float | None, *, throttled: bool) -> float | None:
        """Take a retry out of the budget of the key; return None where there is none to pay for, or nothing is left."""
        budget = self._keys.state.budget
        if seconds is None or not (spent := budget.take(throttled=throttled)):
            return None
        self._spent[budget] = self._spent.get(budget, 0) + spent
        return seconds

    def close(self, *, answered: bool) -> None:
        """End the call. With its answer, the budgets get back what its retries took."""
        if answered:
            own = self._keys.state.budget
            for budget, spent in ({own: 0} | self._spent).items():
                budget.give_back(spent)
        self._keys.close(time.monotonic(), answered=answered)


def _may_repeat(failure: AdapterError | Failure, code: str | None, end: AttemptEnd) -> bool:
    """Tell whether the request may be sent again: the rules and their reasons are in `nbkit.http.retry`."""
    reply = end.reply
    if isinstance(failure, Failure):
        return find_stage(failure, received=end.exchange.received or reply is not None).retried
    if reply is None:  # a token server that did not answer: the request was not sent
        return True
    return retry.is_retryable(_read_status(failure, reply.status, end), reply.headers, code)


def _read_status(failure: AdapterError, status: int, end: AttemptEnd) -> int:
    """Return the status of an answer; of an error that a stream reports, the one that its kind would have."""
    if is_success(status) and end.in_events and _is_reported(failure):
        return {RateLimitError: 429, ProviderError: 500, AuthenticationError: 401}.get(type(failure), 400)
    return status


def judge_failure(failure: AdapterError | Failure, error: AdapterError, end: AttemptEnd, endpoint: Endpoint) -> bool:
    """Tell whether another model may be asked after the last attempt; note for the circuit whether the server is ill.

    Another one may where no answer was made. A refused certificate or proxy does not go away, but another server may do
    without. A refused key is told from a refused request as `judge_key` does.
    """
    reply = end.reply
    if isinstance(failure, Failure):
        stage = find_stage(failure, received=end.exchange.received or reply is not None)
        if stage in _ILL:
            note_failure(endpoint, error.message)
        return stage.retried or stage is retry.Stage.REFUSED
    if reply is None:  # a token server did not answer, or a limit would last too long: the request was not sent
        return True
    status = _read_status(failure, reply.status, end)
    if status >= 500:
        note_failure(endpoint, f"HTTP {status}")
    else:
        note_answer(endpoint)
    may_pass = judge_key(error) is not None or status in retry.STATUSES or status >= 500 or _refuses_key(error)
    return may_pass and not isinstance(error, ContentFilterError)


def _refuses_key(error: AdapterError) -> bool:
    """Tell whether a 403 is about what the key may do: other models may have other keys."""
    return error.status == 403 and bool(_PERMISSION.search(error.message))


def may_be_paid(failure: AdapterError | Failure, end: AttemptEnd) -> bool:
    """Tell whether a failed attempt may be billed: it was sent whole, and no status rules an answer out."""
    reply = end.reply
    if isinstance(failure, Failure):
        return find_stage(failure, received=end.exchange.received or reply is not None) in _SENT
    return reply is not None and is_success(reply.status)


def _is_reported(failure: AdapterError) -> bool:
    """Tell whether an error in a stream is one that the server reports, not an event that nobody understands."""
    try:
        body = mapping(parse((failure.body or "").encode()))
    except ProviderError:
        return False
    return bool(body.get("error") or body.get("type") == "error" or str(body.get("code")).endswith("Exception"))
