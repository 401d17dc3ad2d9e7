"""One call from its begin to its end, without a socket: the four shells of adapter.py and stream.py pump it.

A shell holds the call in a `with` block: entering it tells the observers, one of which may have the completion
already; leaving it, in whatever way, ends the call once. Inside, for each attempt, a shell opens the response within
`with call.attempt() as attempt`, hands over what arrives, and returns. A failed attempt is swallowed there, and
`attempt.wait()` raises the error or returns the seconds to sleep before the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from nbkit.adapters.fit_tools import restore_chunk
from nbkit.adapters.lifetime import Lifetime
from nbkit.adapters.observers import begin_answer, doubt_attempt, tell_retry
from nbkit.adapters.optional_fields import OptionalFields
from nbkit.adapters.pace import make_whole_chunk, note_piece, split_answer
from nbkit.adapters.place import Place
from nbkit.adapters.prepare import Prepared, supply_media
from nbkit.adapters.price import price_completion, price_partial, read_reported_cost
from nbkit.adapters.retries import AttemptEnd, Retries, explain_failure, judge_failure, may_be_paid, read_event_body
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, Timing
from nbkit.errors import AdapterError, NbkitError, ProviderError, StreamError
from nbkit.http.addresses import join_path
from nbkit.http.bounded import is_success
from nbkit.http.clients import Authorization
from nbkit.http.exchange import AsyncReply, Exchange, Failure, Reply, Request
from nbkit.http.failures import redirect_error
from nbkit.http.framing import FRAMINGS
from nbkit.http.throttle import Result
from nbkit.json_text import write_json
from nbkit.protocols import protocol
from nbkit.protocols.failures import read_failure
from nbkit.protocols.reading import parse
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import settings

R = TypeVar("R", bound=Reply | AsyncReply)


class Call(Lifetime):
    """One call: what is sent, and what is made of the answer."""

    def __init__(
        self,
        endpoint: Endpoint,
        prepared: Prepared,
        auth: Authorization | None,
        max_retries: int,
        refusal: NbkitError | None = None,
    ) -> None:
        super().__init__(endpoint, prepared, refusal)
        self._keys, self.auth = auth, auth
        self.delivered = False
        self._first_token: float | None = None
        self._protocol = protocol(endpoint.protocol)
        self.place = Place(endpoint.model, prepared)
        self._retries = Retries(endpoint.base_url, endpoint.model, auth, max_retries)
        self._optional = OptionalFields(endpoint, prepared.options)
        self.reply: Reply | AsyncReply | None = None
        self.exchange: Exchange  # of the latest attempt
        self._start_over()

    def _release(self) -> None:
        self.place.leave(Result.UNKNOWN)
        self._retries.close(answered=self.completion is not None)
        if self.completion or self.delivered:
            self._optional.remember()

    @property
    def url(self) -> str:
        """Where the request goes."""
        return join_path(self.endpoint.base_url, self.prepared.request.path)

    def request(self) -> Request:
        """Build the request of this attempt."""
        headers = {"content-type": "application/json", **self.prepared.request.headers}
        body = write_json(self._optional.trim(self.prepared.request.body))
        return Request("POST", self.url, self.exchange, headers, body)

    def begin(self, reply: R) -> R:
        """Take the head of the reply to this attempt; its body comes through `read`, `feed` or `refusal`."""
        self.reply = reply
        self.place.note_reply(reply)
        return reply

    def supply(self, media: list[str]) -> None:
        """Take the `data:` URLs of the wanted addresses. Raises UnsupportedFeatureError with `strict`."""
        self.prepared = supply_media(self.prepared, self.endpoint, dict(zip(self.prepared.wanted, media, strict=True)))

    def attempt(self) -> Attempt:
        """Begin the next attempt, which carries `auth`. Where its `place` waits, the shell waits before it sends."""
        self.auth = self._retries.begin()
        if self.attempts:
            self._start_over()
        self.exchange = _make_exchange(self.prepared, self.deadline)
        if settings().throttle:
            self._retries.enter(self.place, self.endpoint, again=self.attempts > 0)
        self.attempts += not self.place.waits
        return Attempt(self)

    def wait_in_line(self) -> None:
        """Wait until the request may be sent. Raises RateLimitError where the deadline or another model comes first."""
        self.place.wait(self.deadline)
        self.attempts += 1

    async def await_in_line(self) -> None:
        """Do what `wait_in_line` does, in an event loop."""
        await self.place.await_slot(self.deadline)
        self.attempts += 1

    def _start_over(self) -> None:
        self._seen = False
        self.reply = None
        if self.prepared.stream:
            self._events = FRAMINGS[self._protocol.FRAMING]()
            self._decoder = self._protocol.Decoder(self.endpoint.dialect)

    # A whole answer, or a stream

    def read(self, body: bytes) -> ChatCompletion:
        """Take the body of a whole answer. Raises an AdapterError where it is not one."""
        if self.reply is None or not is_success(self.reply.status):
            raise self.refusal(body)
        answer = self._decode(body)
        if header := self.endpoint.dialect.cost_header:
            answer = read_reported_cost(answer, self.reply.headers.get(header, ""))
        self.completion = self._price(answer)
        return self.completion

    def refusal(self, body: bytes) -> AdapterError:
        """Make the error that an answer other than 2xx stands for."""
        if self.reply is None:
            raise RuntimeError("refusal() needs a reply")
        if 300 <= self.reply.status < 400:
            return redirect_error(self.reply, self.url)
        return self._protocol.error(self.reply.status, read_event_body(body), self.endpoint.dialect)

    def _decode(self, body: bytes) -> ChatCompletion:
        return self._protocol.decode(parse(body), self.endpoint.dialect)

    def feed(self, data: bytes) -> Iterable[ChatCompletionChunk]:
        """Take bytes of a stream; return the pieces of the answer that they complete: several are made one by one."""
        events = self._split(data)
        return self._take_event(*events[0]) if len(events) == 1 else self._take_events(events)

    def replay(self) -> Iterator[tuple[float, ChatCompletionChunk]]:
        """Give a completion that nothing was sent for in pieces, and the seconds to wait before each."""
        if self.completion is not None:
            yield from split_answer(self.completion, self._facts.sample if self._facts else None, self.started)

    def is_over(self) -> bool:
        """Tell whether the provider has said that the answer is complete: what happens afterwards is not a failure."""
        return self._decoder.done

    def end(self) -> Iterator[ChatCompletionChunk]:
        """The stream has ended: complete the answer. Raises StreamError where its finish signal did not come."""
        yield from self._take_events(self._split(None))
        if not self._seen:  # the server ignored the wish for a stream and sent a whole answer
            self.completion = self._price(self._decode(self._events.stray))
            self.delivered = True
            yield make_whole_chunk(self.completion)
            return
        try:
            self.completion = self._price(self._decoder.finish())
        except StreamError as failure:
            broken = failure
        else:
            return
        self.completion = self._price(read_stray(self._events.stray.strip(), broken, self._decode))
        rest = self.completion.text.removeprefix(self._decoder.partial().text)
        yield make_whole_chunk(self.completion, rest)

    def _split(self, data: bytes | None) -> list[tuple[str, bytes]]:
        """Cut bytes of the body, or with None its end, into events; behind a complete answer there may be anything."""
        try:
            return self._events.finish() if data is None else self._events.feed(data)
        except AdapterError:
            if self.is_over():
                return []
            raise

    def _take_events(self, events: list[tuple[str, bytes]]) -> Iterator[ChatCompletionChunk]:
        for name, data in events:
            yield from self._take_event(name, data)

    def _take_event(self, name: str, data: bytes) -> list[ChatCompletionChunk]:
        self._seen = True
        try:
            chunks = self._decoder.feed(name, data)
        except AdapterError:
            if self.is_over():
                return []
            raise
        if chunks and not self.delivered:
            self.delivered = True
            self._first_token = time.monotonic() - self.started
            if self._facts is not None:
                begin_answer(self._facts)
        if self._facts is not None and self._facts.sample is not None:
            note_piece(self._facts.sample.pieces, chunks, self.started)
        names = self.prepared.names
        return [restore_chunk(chunk, names) for chunk in chunks] if names else chunks

    # What it costs

    def partial(self) -> ChatCompletion:
        """Build the completion of what arrived so far; its bill is marked as partial."""
        so_far = self._decoder.partial() if self.prepared.stream else ChatCompletion("")
        return price_partial(so_far, self.prepared, self.endpoint, self._timing())

    def _price(self, answer: ChatCompletion) -> ChatCompletion:
        return price_completion(answer, self.prepared, self.endpoint, self._timing())

    def _timing(self) -> Timing:
        return Timing(self._first_token, time.monotonic() - self.started, self.attempts, self.place.waited)

    # What went wrong
    def fail(self, failure: AdapterError | Failure) -> float:
        """Return the seconds to wait before another attempt, or raise the error where there is none."""
        partial = self.partial() if self.delivered else None
        end = AttemptEnd(self.url, self.exchange, self.reply, self.attempts, self._seen)
        error = explain_failure(failure, self.endpoint, self._keys, self.prepared.request.headers, end, partial)
        seconds = None
        if not self.delivered and self._optional.refuse(error, self.prepared.request.body):
            seconds = 0.0  # once more without a field that nobody has asked for
        elif not self.delivered and not self.place.is_passed:  # nothing is repeated after the first text
            seconds = self._retries.plan(failure, error, end, self.deadline - time.monotonic(), self.place)
            if error.partial is not None:  # an answer without text, or an error that was billed
                error.partial = price_partial(error.partial, self.prepared, self.endpoint, self._timing())
        self.place.fail(error)
        if self._facts is not None and may_be_paid(failure, end):
            doubt_attempt(self._facts)
        if seconds is None:
            self.may_pass = judge_failure(failure, error, end, self.endpoint) and not self.delivered
            del failure, end  # they hold the request, and with it the key
            raise error.with_traceback(None)
        if self._facts is not None:
            tell_retry(self._facts, error, seconds)
        return seconds


def _make_exchange(prepared: Prepared, deadline: float) -> Exchange:
    now, chosen = settings(), prepared.options.timeout
    quiet = chosen or now.http_timeout
    answer = quiet if prepared.stream else chosen or now.http_answer_timeout
    return Exchange(deadline, connect=now.http_connect_timeout, read=answer, write=quiet, pool=quiet)


def read_stray(stray: bytes, broken: StreamError, decode: Callable[[bytes], ChatCompletion]) -> ChatCompletion:
    """Read what came beside the events of a stream that is `broken`: a whole answer, or the error behind it.

    Raises that error, and `broken` itself where nothing came, or nothing that belongs to this answer.
    """
    error: AdapterError = broken
    try:
        parse(stray)
    except ProviderError:  # the HTML of a proxy, or plain text
        if stray:
            error = read_failure(stray)
            error.message = f"{broken.message}: {error.message}"
        raise error from None
    try:
        answer = decode(stray)
    except AdapterError as failure:
        error = failure if failure.body else broken
    else:
        partial = broken.partial
        if answer.text.startswith(partial.text) and answer.reasoning.startswith(partial.reasoning):
            return answer
    raise error


class Attempt:
    """One attempt: swallows a failure, and then decides whether there is another."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._failure: AdapterError | Failure | None = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(failure, AdapterError | Failure):
            self._failure = failure  # what it says of the server's limits comes before the place is left
            return True
        self._call.place.leave(Result.UNKNOWN if kind else Result.ANSWERED, self._call.completion)
        return False

    def wait(self) -> float:
        """Return the seconds to sleep before the next attempt, or raise the error, with nothing behind it."""
        seconds = self._call.fail(self._take_failure())  # no local name: a traceback may print it
        if self._call.is_doubtful:
            self._call.repeat()
        return seconds

    async def await_turn(self) -> float:
        """`wait`, for an event loop: a budget is asked in a thread."""
        seconds = self._call.fail(self._take_failure())
        if self._call.is_doubtful:
            from asyncio import to_thread

            await to_thread(self._call.repeat)
        return seconds

    def _take_failure(self) -> AdapterError | Failure:
        failure, self._failure = self._failure, None
        if failure is None:
            raise RuntimeError("the attempt did not fail")
        return failure
