"""Several models for one call: where the first cannot answer, the next is asked.

The next model is asked where the one before made no answer, its own retries included: no connection, a 5xx or an
overload, a rate limit, a quota that is used up, a key that is missing or refused. Each is asked with a request of its
own, made from the caller's conversation, and is a call of its own for the ledger, the budgets and all who are told of
calls. All of them share one deadline. A model that is rate limited is not waited for where another one can be asked
more than a few seconds earlier.

Whatever another model could not make good, or might be paid twice, ends the call: a wrong request, a content filter, a
feature that the model lacks, a budget, an answer that broke off, and a time-out after the request was sent whole.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nbkit.adapters.adapter import BaseAdapter, acomplete, complete
from nbkit.adapters.call import Call
from nbkit.adapters.stream import AsyncStream, Stream, apump, pump
from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk
from nbkit.errors import AdapterError, ApiKeyNotFoundError, ArgumentError, NbkitError
from nbkit.providers.circuits import find_obstacle

if TYPE_CHECKING:
    from nbkit.adapters.run import AsyncRun, Run


PATIENCE = 3.0
"""Seconds for which a call rather waits for its own model than asks another one."""


class FallbackAdapter(BaseAdapter):
    """Models that stand in for each other, ready to call: `get_adapter([first, second])` makes one.

    It is called like any adapter. `endpoint`, `model`, `model_id` and `name` are those of the first model;
    `completion.changes` says which other has answered, and why, and `completion.model`, `usage`, `cost` and `bill` are
    that model's. A run with tools stays with the model that has answered first.

    The error, where none answers, is that of the model that was asked last; its `errors` are those of the models before
    it. A model whose circuit is open (`nbkit.health()`) is asked only where no other is left.
    """

    def __init__(self, adapters: Sequence[BaseAdapter], *, stays: bool = False) -> None:
        flat = [one for adapter in adapters for one in getattr(adapter, "adapters", (adapter,))]
        if not flat:
            raise ArgumentError("get_adapter(): expected a model, or several, got an empty list")
        first = flat[0]
        super().__init__(first.endpoint, name=first.name, max_retries=first.max_retries, record=first._record)
        self.adapters: tuple[BaseAdapter, ...] = tuple(flat)
        """The models, in the order in which they are asked."""
        self._stays = stays

    def set_api_key(self, api_key: str | Sequence[str] | None) -> None:
        """Use this key, or these, for the models of the first one's server, from the next call on."""
        for one in self.adapters:
            if (one.endpoint.provider, one.endpoint.place) == (self.endpoint.provider, self.endpoint.place):
                one.set_api_key(api_key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', else '.join(one.model_id for one in self.adapters)}>"

    def _begin(self, conversation: Any, options: dict[str, Any], *, stream: bool) -> _Chain:
        return _Chain(self, conversation, options, stream)

    def execute(self, conversation: Any, **options: Any) -> ChatCompletion:
        """Ask, and wait for the whole answer."""
        chain = self._begin(conversation, options, stream=False)
        while True:
            with chain as call:
                return complete(call)

    async def aexecute(self, conversation: Any, **options: Any) -> ChatCompletion:
        """Ask, and await the whole answer."""
        chain = self._begin(conversation, options, stream=False)
        while True:
            async with chain as call:
                return await acomplete(call)

    def stream(self, conversation: Any, **options: Any) -> Stream:
        """Ask, and get the answer in pieces: `with adapter.stream(...) as stream: for chunk in stream: ...`."""
        return _FallbackStream(self._begin(conversation, options, stream=True))

    def astream(self, conversation: Any, **options: Any) -> AsyncStream:
        """Ask, and get the answer in pieces: `async with adapter.astream(...) as stream: async for chunk in stream`."""
        return _AsyncFallbackStream(self._begin(conversation, options, stream=True))

    def run(self, conversation: Any, **options: Any) -> Run:
        """Ask, and call tools, as `BaseAdapter.run` does; the model that answers first gives all answers of the run."""
        return BaseAdapter.run(FallbackAdapter(self.adapters, stays=True), conversation, **options)

    def arun(self, conversation: Any, **options: Any) -> AsyncRun:
        """`run`, async."""
        return BaseAdapter.arun(FallbackAdapter(self.adapters, stays=True), conversation, **options)

    def _note_answer(self, adapter: BaseAdapter) -> None:
        """Begin with this model from now on, in a run."""
        if self._stays:
            at = self.adapters.index(adapter)
            self.adapters = self.adapters[at:] + self.adapters[:at]


class _Chain:
    """One call that may go to several models. `with chain as call: ...` asks the next of them.

    A failure that the model after it may make good is swallowed there.
    """

    def __init__(self, owner: FallbackAdapter, conversation: Any, options: dict[str, Any], stream: bool) -> None:
        self._owner, self._request = owner, (conversation, options, stream)
        self._rest, self._late = list(owner.adapters), list[BaseAdapter]()
        self._reasons: list[str] = []
        self._errors: list[NbkitError] = []
        self._deadline = inf  # until the first call has begun
        self.call: Call = self._make_call()

    def _make_call(self) -> Call:
        """Make the call of the next model that has a key. Raises the error of the last one where none has."""
        while True:
            self._adapter = self._choose()
            try:
                call = self._adapter._call(*self._request)
                break
            except ApiKeyNotFoundError as missing:
                if not self._note(missing):
                    raise
            except NbkitError as error:
                self._tell_before(error)
                raise
        if self._reasons:
            change = Change("answered", f"by {call.endpoint.id}", "; ".join(self._reasons))
            call.prepared = replace(call.prepared, changes=(*call.prepared.changes, change))
        return call

    def _choose(self) -> BaseAdapter:
        """Choose the next model; one whose circuit is open comes when no other is left."""
        while self._rest:
            adapter = self._rest.pop(0)
            if not (obstacle := find_obstacle(adapter.endpoint)):
                return adapter
            self._late.append(adapter)
            self._reasons.append(f"{adapter.model_id} was passed by: its circuit is {obstacle}")
        return self._late.pop(0)

    def _go_to_kept(self) -> None:
        """Where answers are replayed, go to the first model whose answer is kept: those before it failed then."""
        if (keeper := self.call.keeper) is None:
            return
        calls = [(self._adapter, self.call)]
        for adapter in (*self._rest, *self._late):
            try:
                calls.append((adapter, adapter._call(*self._request)))
            except NbkitError:  # it cannot be asked, so it was not asked
                break
        first = keeper.find_first([call.collect_facts() for _, call in calls])
        if first:
            self._adapter, self.call = calls[first]
            self._rest, self._late = [adapter for adapter, _ in calls[first + 1 :]], []

    def _note(self, error: AdapterError | ApiKeyNotFoundError) -> bool:
        """Note why a model did not answer; tell whether another is asked now."""
        if not (self._rest or self._late) or time.monotonic() >= self._deadline:
            self._tell_before(error)
            return False
        self._errors.append(error.with_traceback(None))  # which leads to this chain, and to connections
        reason = f"no API key for {error.provider}"
        if isinstance(error, AdapterError):
            reason = str(error).removeprefix(f"{error.provider}/{error.model}: ")
        self._reasons.append(f"{self._adapter.model_id} failed: {reason}")
        return True

    def _tell_before(self, error: NbkitError) -> None:
        """Name the failures of the models before in the error that the caller gets."""
        if self._errors:
            error.errors = tuple(self._errors)

    def __enter__(self) -> Call:
        if self.call.entered:
            self.call = self._make_call()
            self.call.until = self._deadline
        else:
            self._go_to_kept()
        self.call.place.find_patience = self._find_patience
        return self.call

    def _find_patience(self) -> float:
        """Find how long a pause is waited for: a little longer than the shortest of the models that are left."""
        return min((adapter._count_pause() for adapter in self._rest), default=inf) + PATIENCE

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, NbkitError):
            if error is None or self.call.completion is not None:
                self._owner._note_answer(self._adapter)
            return False
        if isinstance(error, ApiKeyNotFoundError) or (isinstance(error, AdapterError) and self.call.may_pass):
            self._deadline = self.call.deadline
            return self._note(error)
        self._tell_before(error)
        return False

    async def __aenter__(self) -> Call:
        if self.call.entered or self.call.keeper is None:
            return self.__enter__()
        from asyncio import to_thread  # what was kept is on a disk

        return await to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, trace)


def _pump(chain: _Chain) -> Generator[ChatCompletionChunk]:
    while True:
        with chain as call:
            yield from pump(call)
            return


async def _apump(chain: _Chain) -> AsyncGenerator[ChatCompletionChunk]:
    while True:
        async with chain as call:
            async with aclosing(apump(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return


class _FallbackStream(Stream):
    def __init__(self, chain: _Chain) -> None:
        super().__init__(chain.call, _pump(chain))
        self._chain = chain

    @property
    def _call(self) -> Call:
        return self._chain.call


class _AsyncFallbackStream(AsyncStream):
    def __init__(self, chain: _Chain) -> None:
        super().__init__(chain.call, _apump(chain))
        self._chain = chain

    @property
    def _call(self) -> Call:
        return self._chain.call
