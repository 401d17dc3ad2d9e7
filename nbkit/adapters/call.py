"""One call from its begin to its end, without a socket: the four shells of adapter.py and stream.py pump it.

A shell holds the call in a `with` block: entering it tells the observers, one of which may have the completion
already; leaving it, in whatever way, ends the call once. Inside, for each attempt, a shell opens the response within
`with call.attempt() as attempt`, hands over what arrives, and returns. A failed attempt is swallowed there, and
`attempt.wait()` raises the error or returns the seconds to sleep before the next.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import random
from types import TracebackType
from typing import Any, Self

import httpx2
from pydantic_core import to_json

from nbkit.adapters.observers import begin_call, end_call
from nbkit.adapters.prepare import Prepared, supply_media
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.billing.entry import CallFacts, running_cell
from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk, Timing, Usage
from nbkit.errors import (
    AdapterError,
    BadRequestError,
    NbkitError,
    ProviderError,
    RateLimitError,
    StreamError,
    TransportError,
)
from nbkit.http import retry
from nbkit.http.clients import Authorization
from nbkit.http.failures import FAILURES, redirect_error, scrub, transport_error
from nbkit.http.framing import FRAMINGS
from nbkit.protocols import protocol
from nbkit.protocols.reading import parse
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import settings

# Base URLs that refused `stream_options`: it is not sent there again. Usage is then what the endpoint sends unasked.
_WITHOUT_STREAM_OPTIONS: set[str] = set()

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
_LONG_PROMPT = 2000
"""Tokens from which on an estimate is good enough to tell that a prompt was cut."""

# By base URL and key
_BUDGETS: defaultdict[tuple[str, Authorization | None], retry.RetryBudget] = defaultdict(retry.RetryBudget)


class Call:
    """One call. `completion` is set once the answer is complete, `outcome` once the call has ended."""

    def __init__(self, endpoint: Endpoint, prepared: Prepared, auth: Authorization | None, max_retries: int) -> None:
        self.endpoint, self.prepared, self.auth, self.max_retries = endpoint, prepared, auth, max_retries
        self.completion: ChatCompletion | None = None
        self.outcome: ChatCompletion | None = None
        self.attempts = 0
        self.delivered = False
        self.started = time.monotonic()
        self.deadline = self.started + settings().http_deadline
        self._first_token: float | None = None
        self._protocol = protocol(endpoint.protocol)
        self._budget, self._spent = _BUDGETS[endpoint.base_url, auth], 0
        self._facts: CallFacts | None = None  # from the begin of the call to its end
        self._start_over()

    # Begin and end

    def __enter__(self) -> Self:
        self.started = time.monotonic()
        self.deadline = self.started + settings().http_deadline
        endpoint = self.endpoint
        self._facts = CallFacts(
            id=uuid.uuid4().hex,
            provider=endpoint.provider,
            model=endpoint.model,
            protocol=endpoint.protocol,
            stream=self.prepared.stream,
            cell=running_cell(),
        )
        try:
            self.completion = begin_call(self._facts)
        except NbkitError as refusal:
            self.close(None, refusal)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.completion is not None:
            self.close(self.completion, None)
        elif isinstance(error, NbkitError):
            self.close(getattr(error, "partial", None), error)
        else:  # left, cancelled or interrupted: the provider bills what it has made of the answer all the same
            self.close(self.partial() if self.attempts else None, None)

    def close(self, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """End the call: tell the observers what came of it, once."""
        facts, self._facts = self._facts, None
        if facts is None:
            return
        self.outcome = completion
        if self.completion is not None:
            self._budget.give_back(self._spent)
        end_call(facts, completion, error)

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
        """Build the arguments of a client's `stream()` for this attempt."""
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
        """Take the `data:` URLs of the wanted addresses. Raises UnsupportedFeatureError with `strict`."""
        by_address = dict(zip(self.wanted, media, strict=True))
        self.prepared = supply_media(self.prepared, self.endpoint, by_address)

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
        """Take a whole answer. Raises an AdapterError where it is not one."""
        self.response = response
        if not response.is_success:
            raise self.refusal(response, body)
        self.completion = self._price(self._decode(body))
        return self.completion

    def refusal(self, response: httpx2.Response, body: bytes) -> AdapterError:
        """Make the error that an answer other than 2xx stands for."""
        self.response = response
        if response.is_redirect:
            return redirect_error(response)
        return self._protocol.error(response.status_code, body, self.endpoint.dialect)

    def _decode(self, body: bytes) -> ChatCompletion:
        return self._protocol.decode(parse(body), self.endpoint.dialect)

    # A stream

    def feed(self, data: bytes) -> Iterator[ChatCompletionChunk]:
        """Take bytes of a stream, yield the pieces of the answer that they complete."""
        return self._take_events(self._events.feed(data))

    def end(self) -> Iterator[ChatCompletionChunk]:
        """The stream has ended: complete the answer. Raises StreamError where its finish signal did not come."""
        yield from self._take_events(self._events.finish())
        if self._seen:
            self.completion = self._price(self._decoder.finish())
        else:  # the server ignored the wish for a stream and sent a whole answer
            self.completion = self._price(self._decode(self._events.stray))
            self.delivered = True
            yield self.whole_chunk(self.completion)

    @staticmethod
    def whole_chunk(completion: ChatCompletion) -> ChatCompletionChunk:
        """Make one piece of an answer that did not come in pieces."""
        return ChatCompletionChunk(completion.text, completion.reasoning, finish_reason=completion.finish_reason)

    def _take_events(self, events: list[tuple[str, bytes]]) -> Iterator[ChatCompletionChunk]:
        for name, data in events:
            self._seen = True
            for chunk in self._decoder.feed(name, data):
                if not self.delivered:
                    self.delivered = True
                    self._first_token = time.monotonic() - self.started
                yield chunk

    # What it costs

    def partial(self) -> ChatCompletion:
        """Build the completion of what arrived so far, priced by an estimate until the provider counts the tokens."""
        so_far = self._decoder.partial()
        usage = so_far.usage
        if not self.attempts:
            usage = Usage()  # nothing was sent
        elif self.prepared.stream and (usage is None or not usage.completion_tokens):
            prompt = usage or Usage(input=estimate_tokens(self.prepared.conversation.text))
            usage = replace(prompt, output=estimate_tokens(so_far.text), reasoning=estimate_tokens(so_far.reasoning))
        return self._price(replace(so_far, usage=usage), partial=True)

    def _price(self, answer: ChatCompletion, partial: bool = False) -> ChatCompletion:
        """Add the bill, the timing and the changes of the request."""
        priced = bill(
            answer.usage,
            self.endpoint.cost,
            reported=answer.reported_cost,
            catalog_date=self.endpoint.catalog_date,
            partial=partial,
        )
        timing = Timing(self._first_token, time.monotonic() - self.started, self.attempts)
        kind, changes = self.prepared.options.answer_type, self.prepared.changes + answer.changes
        if not partial and self.endpoint.dialect.cuts_prompts:
            changes += self._report_cut(answer.usage)
        choices = tuple(replace(choice, answer_type=kind) for choice in answer.choices)
        return replace(answer, bill=priced, timing=timing, changes=changes, answer_type=kind, choices=choices)

    def _report_cut(self, usage: Usage | None) -> tuple[Change, ...]:
        """List a change where the server counted far fewer tokens than were sent: it cut the rest of the prompt."""
        sent = estimate_tokens(self.prepared.conversation.text)
        if usage is None or sent < _LONG_PROMPT or usage.prompt_tokens > 0.6 * sent:
            return ()
        why = f"the model read {usage.prompt_tokens} of about {sent} tokens: a larger num_ctx reads more"
        return (Change("dropped", "part of the prompt", why),)

    # What went wrong, and whether to try again

    def explain(self, failure: Exception) -> AdapterError:
        """Make the error of a failed attempt, with all that is known of the call and nothing of the key."""
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
            seconds = retry.retry_after(headers, time.time())
            error.retry_after = error.retry_after if seconds is None else seconds
        error.message = scrub(error.message, self._secrets)
        error.body = None if error.body is None else scrub(error.body, self._secrets, limit=len(error.body))
        return error

    def plan_retry(self, failure: Exception, error: AdapterError) -> float | None:
        """Decide about another attempt: seconds to wait before it, or None. After the first text there is none."""
        if self.delivered:
            return None
        if self.prepared.stream and "stream_options" in error.message and isinstance(error, BadRequestError):
            # some servers refuse this option of OpenAI's: once more without it
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
        """Find the status that decides about a retry: an error inside an answer of 200 counts as what it reports."""
        if self.response is None or not isinstance(failure, AdapterError) or isinstance(failure, TransportError):
            return failure.status if isinstance(failure, AdapterError) else None
        if self.response.is_success and failure.body is not None:
            return {RateLimitError: 429, ProviderError: 500}.get(type(failure), 400)
        return self.response.status_code

    @property
    def _secrets(self) -> tuple[str, ...]:
        return self.auth.secrets if self.auth else ()


class Attempt:
    """One attempt: swallows a failure, and then decides whether there is another."""

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
        """Return the seconds to sleep before the next attempt, or raise the error, with nothing behind it."""
        failure, self._failure = self._failure, None
        if failure is None:
            raise RuntimeError("the attempt did not fail")
        error = self._call.explain(failure)
        seconds = self._call.plan_retry(failure, error)
        del failure
        if seconds is None:
            raise error.with_traceback(None)
        return seconds
