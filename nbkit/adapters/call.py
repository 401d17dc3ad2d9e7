"""One call from its first attempt to its bill, without a socket: the four shells of adapter.py and stream.py pump it.

A shell does, for each attempt: open the response inside `with call.attempt() as attempt`, hand over what arrives, and
return. Where the attempt failed it is swallowed there, and `attempt.wait()` raises the error or says how many seconds
to sleep before the next.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import random
from types import TracebackType
from typing import Any

import httpx2
from pydantic_core import to_json

from nbkit.adapters.prepare import Prepared, supplied
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk, Timing, Usage
from nbkit.errors import AdapterError, BadRequestError, ProviderError, RateLimitError, StreamError, TransportError
from nbkit.http import retry
from nbkit.http.clients import Authorization
from nbkit.http.failures import FAILURES, redirect_error, scrub, transport_error
from nbkit.http.framing import FRAMINGS
from nbkit.protocols import protocol
from nbkit.protocols.reading import parse
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import settings

# Base URLs that refused `stream_options`: it is not sent there again. Usage is then what the endpoint says unasked.
_WITHOUT_STREAM_OPTIONS: set[str] = set()

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
_LONG_PROMPT = 2000
"""Tokens from which on an estimate is good enough to tell that a prompt was cut."""

# By base URL and key
_BUDGETS: defaultdict[tuple[str, Authorization | None], retry.RetryBudget] = defaultdict(retry.RetryBudget)


class Call:
    """One call. `completion` is set once the answer is complete; until then `partial()` tells what came."""

    def __init__(self, endpoint: Endpoint, prepared: Prepared, auth: Authorization | None, max_retries: int) -> None:
        self.endpoint, self.prepared, self.auth, self.max_retries = endpoint, prepared, auth, max_retries
        self.completion: ChatCompletion | None = None
        self.attempts = 0
        self.delivered = False
        self.started = time.monotonic()
        self.deadline = self.started + settings().http_deadline
        self._first_token: float | None = None
        self._protocol = protocol(endpoint.protocol)
        self._budget, self._spent = _BUDGETS[endpoint.base_url, auth], 0
        self._start_over()

    @property
    def content(self) -> bytes:
        """The request's body."""
        body = self.prepared.request.body
        if self.endpoint.base_url in _WITHOUT_STREAM_OPTIONS:
            body = {key: value for key, value in body.items() if key != "stream_options"}
        return to_json(body)

    @property
    def timeout(self) -> httpx2.Timeout:
        """Seconds without a byte, never past the deadline."""
        left = max(self.deadline - time.monotonic(), 0.001)
        silence = min(self.prepared.options.timeout or settings().http_timeout, left)
        return httpx2.Timeout(silence, connect=min(settings().http_connect_timeout, left))

    def request(self) -> dict[str, Any]:
        """What a client's `stream()` takes, for this attempt."""
        return {
            "method": "POST",
            "url": self.endpoint.base_url + self.prepared.request.path,
            "content": self.content,
            "headers": {"content-type": "application/json", **self.prepared.request.headers},
            "timeout": self.timeout,
        }

    @property
    def wanted(self) -> tuple[str, ...]:
        """Addresses of images that must be fetched before the call can be sent."""
        return self.prepared.wanted

    def supply(self, media: list[str]) -> None:
        """Take the `data:` URLs of what was wanted, in that order. Raises UnsupportedFeatureError with `strict`."""
        found = dict(zip(self.wanted, media, strict=True))
        self.prepared = supplied(self.prepared, self.endpoint, found)

    def attempt(self) -> Attempt:
        """Begin the next attempt."""
        self.attempts += 1
        self._start_over()
        return Attempt(self)

    def _start_over(self) -> None:
        self._events = FRAMINGS[self._protocol.FRAMING]()
        self._decoder = self._protocol.Decoder(self.endpoint.dialect)
        self._seen = False
        self.response: httpx2.Response | None = None

    # A whole answer

    def read(self, response: httpx2.Response, body: bytes) -> ChatCompletion:
        """Take a whole answer. Raises an AdapterError where it is none."""
        self.response = response
        if not response.is_success:
            raise self.refusal(response, body)
        self.completion = self._settled(self._decoded(body))
        return self.completion

    def refusal(self, response: httpx2.Response, body: bytes) -> AdapterError:
        """The error that an answer other than 2xx stands for."""
        self.response = response
        if response.is_redirect:
            return redirect_error(response)
        return self._protocol.error(response.status_code, body, self.endpoint.dialect)

    def _decoded(self, body: bytes) -> ChatCompletion:
        return self._protocol.decode(parse(body), self.endpoint.dialect)

    # A stream

    def feed(self, data: bytes) -> Iterator[ChatCompletionChunk]:
        """Take bytes of a stream, give the pieces of the answer that they complete."""
        return self._pieces(self._events.feed(data))

    def end(self) -> Iterator[ChatCompletionChunk]:
        """The stream has ended: complete the answer. Raises StreamError where its finish signal did not come."""
        yield from self._pieces(self._events.finish())
        if self._seen:
            self.completion = self._settled(self._decoder.finish())
            return
        whole = self._decoded(self._events.stray)  # asked for a stream, and got a whole answer
        self.completion = self._settled(whole)
        self.delivered = True
        yield ChatCompletionChunk(text=whole.text, reasoning=whole.reasoning, finish_reason=whole.finish_reason)

    def _pieces(self, events: list[tuple[str, bytes]]) -> Iterator[ChatCompletionChunk]:
        for name, data in events:
            self._seen = True
            for chunk in self._decoder.feed(name, data):
                if not self.delivered:
                    self.delivered = True
                    self._first_token = time.monotonic() - self.started
                yield chunk

    # What came of it

    def partial(self) -> ChatCompletion:
        """What came so far, priced by an estimate where the provider has not counted yet."""
        so_far = self._decoder.partial()
        usage = so_far.usage
        if usage is None or not usage.completion_tokens:
            prompt = usage or Usage(input=estimate_tokens(self.prepared.conversation.text))
            usage = replace(prompt, output=estimate_tokens(so_far.text), reasoning=estimate_tokens(so_far.reasoning))
        return self._settled(replace(so_far, usage=usage), partial=True)

    def _settled(self, answer: ChatCompletion, partial: bool = False) -> ChatCompletion:
        priced = bill(
            answer.usage,
            self.endpoint.cost,
            reported=answer.reported_cost,
            catalog_date=self.endpoint.catalog_date,
            partial=partial,
        )
        if not partial:
            self._budget.give_back(self._spent)
        timing = Timing(self._first_token, time.monotonic() - self.started, self.attempts)
        kind, changes = self.prepared.options.answer_type, self.prepared.changes + answer.changes
        if not partial and self.endpoint.dialect.cuts_prompts:
            changes += self._cut(answer.usage)
        choices = tuple(replace(choice, answer_type=kind) for choice in answer.choices)
        return replace(answer, bill=priced, timing=timing, changes=changes, answer_type=kind, choices=choices)

    def _cut(self, usage: Usage | None) -> tuple[Change, ...]:
        """What is told where a server counted far less of the prompt than was sent: it cut the rest."""
        sent = estimate_tokens(self.prepared.conversation.text)
        if usage is None or sent < _LONG_PROMPT or usage.prompt_tokens > 0.6 * sent:
            return ()
        why = f"the model read {usage.prompt_tokens} of about {sent} tokens: a larger num_ctx reads more"
        return (Change("dropped", "part of the prompt", why),)

    # What went wrong, and whether to try again

    def explained(self, failure: Exception) -> AdapterError:
        """The error of a failed attempt, with all that is known of the call and nothing of the key."""
        host = httpx2.URL(self.endpoint.base_url).host
        error = failure if isinstance(failure, AdapterError) else transport_error(failure, host)
        if self.delivered:
            if not isinstance(error, StreamError):
                error = StreamError(error.message, code=error.code, body=error.body)
            error.partial = self.partial()
        error.provider, error.model, error.attempts = self.endpoint.provider, self.endpoint.model, self.attempts
        if self.response is not None:
            headers = self.response.headers
            error.status = error.status or self.response.status_code
            error.request_id = next((headers[name] for name in _REQUEST_IDS if name in headers), None)
            told = retry.retry_after(headers, time.time())
            error.retry_after = error.retry_after if told is None else told
        error.message = scrub(error.message, self._secrets)
        error.body = None if error.body is None else scrub(error.body, self._secrets, limit=len(error.body))
        return error

    def again(self, failure: Exception, error: AdapterError) -> float | None:
        """Seconds to wait before the next attempt; None: there is none. Nothing is repeated once text was delivered."""
        if self.delivered:
            return None
        if self.prepared.stream and "stream_options" in error.message and isinstance(error, BadRequestError):
            known = self.endpoint.base_url in _WITHOUT_STREAM_OPTIONS
            _WITHOUT_STREAM_OPTIONS.add(self.endpoint.base_url)
            return None if known else 0.0
        headers: Mapping[str, str] = self.response.headers if self.response is not None else {}
        if self.attempts > self.max_retries or not retry.retryable(self._status(failure), headers, error.code):
            return None
        seconds = retry.wait(
            self.attempts - 1,
            error.retry_after,
            base=settings().retry_wait,
            rand=random(),  # noqa: S311  # jitter
            remaining=self.deadline - time.monotonic(),
        )
        if seconds is None or not (spent := self._budget.take(throttled=error.status == 429)):
            return None
        self._spent += spent
        return seconds

    def _status(self, failure: Exception) -> int | None:
        """The status that decides about a retry: an error told amidst an answer of 200 counts as what it says."""
        if self.response is None or not isinstance(failure, AdapterError) or isinstance(failure, TransportError):
            return failure.status if isinstance(failure, AdapterError) else None
        if self.response.is_success and failure.body is not None:
            return {RateLimitError: 429, ProviderError: 500}.get(type(failure), 400)
        return self.response.status_code

    @property
    def _secrets(self) -> tuple[str, ...]:
        return self.auth.secrets if self.auth else ()


class Attempt:
    """One attempt: swallows a failure, and then says whether there is to be another."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._failure: Exception | None = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(failure, (AdapterError, *FAILURES)):
            self._failure = failure
            return True
        return False

    def wait(self) -> float:
        """Seconds to sleep before the next attempt. Raises the error, with nothing behind it, where there is none."""
        failure, self._failure = self._failure, None
        if failure is None:
            raise RuntimeError("the attempt has not failed")
        error = self._call.explained(failure)
        seconds = self._call.again(failure, error)
        del failure
        if seconds is None:
            raise error.with_traceback(None)
        return seconds
