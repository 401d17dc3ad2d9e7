"""The begin and the end of a call, as the observers are told of them.

Entering a call tells them; one may refuse it, or have the completion already. Leaving it, in whatever way, ends the
call once.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from functools import partial
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace

from nbkit.adapters.observers import begin_call, end_call, has_to_wait, is_doubtful, repeat_call
from nbkit.adapters.prepare import Prepared
from nbkit.billing.ceiling import Ceiling
from nbkit.billing.entry import CallFacts, Origin, find_origin
from nbkit.bookkeeping.replay import Keeper, claim_sample, find_replay
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.errors import NbkitError
from nbkit.http.addresses import join_path
from nbkit.providers.circuits import note_answer
from nbkit.providers.endpoints import Endpoint
from nbkit.settings import settings

_UNSENT = {"extra_headers", "answer_type", "timeout", "strict"}
"""Options that are not in the body of a request."""


class Lifetime(ABC):
    """One call from begin to end. `completion` is set once the answer is complete, `outcome` once the call has ended.

    `refusal`: why the call cannot be sent, where it is begun all the same because an observer may have the answer.
    """

    def __init__(self, endpoint: Endpoint, prepared: Prepared, refusal: NbkitError | None) -> None:
        self.endpoint, self.prepared, self._refusal = endpoint, prepared, refusal
        self.completion: ChatCompletion | None = None
        self.outcome: ChatCompletion | None = None
        self.attempts = 0
        self.entered = False
        self._blocks = find_origin().blocks  # a stream that is begun in a block may be read after it
        self._facts: CallFacts | None = None  # from the begin of the call to its end
        self.may_pass = False
        """Whether it failed, and another model may be asked instead."""
        self.until: float | None = None
        """End of the time that it shares with a call before it."""
        self._start_clock()

    def _start_clock(self) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + settings().http_deadline if self.until is None else self.until

    def __enter__(self) -> Self:
        self._ask_observers(self._begin())
        return self

    async def __aenter__(self) -> Self:
        facts = self._begin()
        if not has_to_wait(facts):
            self._ask_observers(facts)
            return self
        from asyncio import to_thread  # a process of synchronous calls does without

        try:
            await to_thread(self._ask_observers, facts)
        except BaseException:  # also where it is cancelled meanwhile
            self.close(None, None)
            raise
        return self

    def _begin(self) -> CallFacts:
        self.entered = True
        self._start_clock()
        origin = self._find_origin()
        self._facts = facts = claim_sample(_collect_facts(self.endpoint, self.prepared, origin, self.started), origin)
        return facts

    def _find_origin(self) -> Origin:
        origin = find_origin()
        return origin if self._blocks == origin.blocks else origin.join(self._blocks)

    @property
    def keeper(self) -> Keeper | None:
        """The keeper of its answer, which may have it already; None where answers are not replayed."""
        return find_replay(self._find_origin())

    def collect_facts(self) -> CallFacts:
        """Collect what is known of it now."""
        return _collect_facts(self.endpoint, self.prepared, self._find_origin(), self.started)

    def _ask_observers(self, facts: CallFacts) -> None:
        try:
            answer = begin_call(facts)
            if answer is None and self._refusal:
                raise self._refusal
        except NbkitError as refusal:
            self.close(None, refusal)
            raise
        kind = self.prepared.options.answer_type
        if answer is not None and answer.answer_type is not kind:  # an answer that was kept does not know the type
            choices = tuple(replace(choice, answer_type=kind) for choice in answer.choices)
            answer = replace(answer, answer_type=kind, choices=choices)
        self.completion = answer

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
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
        self._release()
        if self.completion is not None and self.attempts:
            note_answer(self.endpoint)
        end_call(facts, completion, error)

    @property
    def is_doubtful(self) -> bool:
        """Whether the last attempt may have been paid without an answer, and a budget counts it."""
        return self._facts is not None and is_doubtful(self._facts)

    def repeat(self) -> None:
        """Ask the budgets before an attempt that follows a doubtful one. Raises BudgetExceededError."""
        if self._facts is not None:
            repeat_call(self._facts)

    @property
    def ended(self) -> bool:
        """Whether the call is over: answered, failed or left."""
        return self.entered and self._facts is None

    @abstractmethod
    def partial(self) -> ChatCompletion:
        """Build the completion of what arrived so far; its bill is marked as partial."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what the call has held."""


def _collect_facts(endpoint: Endpoint, prepared: Prepared, origin: Origin, started: float) -> CallFacts:
    body = prepared.request.body
    if prepared.wanted:  # the request is written when the images are here, whose addresses stand for them
        given = prepared.options.model_dump()
        options = {name: value for name, value in given.items() if name not in _UNSENT}
        body = {"model": endpoint.model, "conversation": prepared.conversation.model_dump()} | options
    return CallFacts(
        id=os.urandom(16).hex(),
        provider=endpoint.provider,
        model=endpoint.model,
        protocol=endpoint.protocol,
        stream=prepared.stream,
        cell=origin.cell,
        tags=origin.tags,
        blocks=origin.blocks,
        url=join_path(endpoint.place, prepared.request.path),
        body=body,
        conversation=prepared.conversation,
        list_options=partial(_list_options, prepared.options),
        started=started,
        find_ceiling=partial(_find_ceiling, prepared, endpoint),
    )


def _list_options(options: ExecuteOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.given - _UNSENT}


def _find_ceiling(prepared: Prepared, endpoint: Endpoint) -> Ceiling:
    from nbkit.adapters.demand import find_ceiling  # which counts tokens, where there is a budget

    return find_ceiling(prepared, endpoint)
