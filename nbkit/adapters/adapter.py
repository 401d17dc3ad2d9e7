"""An adapter: an endpoint ready to call, in four ways that differ in their shells only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from math import inf
from typing import TYPE_CHECKING, Any

from nbkit.adapters.call import Call
from nbkit.adapters.observers import KEPT
from nbkit.adapters.prepare import prepare
from nbkit.adapters.rotation import count_pause
from nbkit.adapters.stream import AsyncStream, Stream
from nbkit.arguments import check_arguments, describe
from nbkit.billing.entry import find_origin
from nbkit.bookkeeping.replay import find_replay
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import ArgumentError, ConfigError
from nbkit.http.bounded import aread_limited, read_limited
from nbkit.http.clients import Authorization, async_client, sync_client
from nbkit.modelsdev.records import Record
from nbkit.providers.credentials import authorize, read_key
from nbkit.providers.endpoints import Endpoint
from nbkit.secret import Secret, hide_in_url
from nbkit.settings import settings

if TYPE_CHECKING:  # what a plain call does without is loaded where it is used
    from nbkit.adapters.run import AsyncRun, Run
    from nbkit.providers.models import Model

MAX_TURNS = 8
"""Answers of one run with tools, unless it is told otherwise."""


class BaseAdapter:
    """One model, ready to call.

    Every call takes a conversation (a string, an OpenAI-style dict, a turn, a list of them, or a `Conversation`) and
    the fields of `ExecuteOptions` as keyword arguments. Errors: ConversationError, ConfigError and
    UnsupportedFeatureError before anything is sent, ApiKeyNotFoundError without a key, then AdapterErrors.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str = "",
        api_key: Secret | tuple[Secret, ...] | None = None,
        max_retries: int | None = None,
        record: Record | None = None,
    ) -> None:
        if not isinstance(endpoint, Endpoint):
            raise ArgumentError(f"BaseAdapter(): expected an endpoint (see get_adapter), got {describe(endpoint)}")
        self.endpoint, self._record = endpoint, record
        self.name = name or endpoint.model
        self.max_retries = settings().max_retries if max_retries is None else max_retries
        self._api_key = api_key
        self._auth: Authorization | None = None  # of the latest call

    @property
    def model_id(self) -> str:
        """`provider/model`."""
        return self.endpoint.id

    @property
    def model(self) -> Model:
        """The model as it is known: its cost, lengths, capabilities and properties, as this adapter has them."""
        from nbkit.providers.models import describe_model

        return describe_model(self.endpoint, self._record)

    def set_api_key(self, api_key: str | Sequence[str] | None) -> None:
        """Use this key, or these, from the next call on; None: those in the provider's environment variables."""
        try:
            self._api_key = read_key(api_key, "set_api_key()")
        finally:
            del api_key  # a traceback may print the locals of the frames that raise

    def __repr__(self) -> str:
        at = f"{self.endpoint.protocol} at {hide_in_url(self.endpoint.base_url)}"
        return f"<{type(self).__name__} {self.model_id}, {at}>"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("an adapter may hold a key and is not pickled; call get_adapter() where it is needed")

    def _call(self, conversation: Any, options: dict[str, Any], stream: bool) -> Call:
        prepared = prepare(conversation, options, self.endpoint, stream)
        endpoint = prepared.endpoint
        auth, refusal = None, None
        origin = find_origin()
        keeper = find_replay(origin)
        if keeper is None or not keeper.is_sealed:
            endpoint = endpoint.locate()
            try:
                auth = authorize(endpoint.provider, endpoint.variables, endpoint.auth, self._api_key, self._auth)
            except ConfigError as missing:
                if keeper is None:
                    raise
                refusal = missing  # an answer that was kept needs no key
            self._auth = auth
        make: Callable[..., Call] = Call
        if origin.blocks:
            from nbkit.adapters.recorder import choose_call  # few calls are recorded

            make = choose_call(origin.blocks)
        return make(endpoint, prepared, auth, self.max_retries, refusal)

    def _count_pause(self) -> float:
        """Count the seconds for which a call would wait now, because of a rate limit; without a key it is infinite."""
        endpoint = self.endpoint
        try:
            auth = authorize(endpoint.provider, endpoint.variables, endpoint.auth, self._api_key, self._auth)
        except ConfigError:
            return inf
        return count_pause(endpoint.base_url, endpoint.model, auth)

    def execute(self, conversation: Any, **options: Any) -> ChatCompletion:
        """Ask, and wait for the whole answer."""
        return complete(self._call(conversation, options, stream=False))

    async def aexecute(self, conversation: Any, **options: Any) -> ChatCompletion:
        """Ask, and await the whole answer."""
        return await acomplete(self._call(conversation, options, stream=False))

    def stream(self, conversation: Any, **options: Any) -> Stream:
        """Ask, and get the answer in pieces: `with adapter.stream(...) as stream: for chunk in stream: ...`."""
        return Stream(self._call(conversation, options, stream=True))

    def astream(self, conversation: Any, **options: Any) -> AsyncStream:
        """Ask, and get the answer in pieces: `async with adapter.astream(...) as stream: async for chunk in stream`."""
        return AsyncStream(self._call(conversation, options, stream=True))

    @check_arguments
    def run(
        self,
        conversation: Any,
        *,
        tools: Any = None,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> Run:
        """Ask, call the functions that the model asks for, tell it what they gave, until it is done; all streamed.

        `tools`: Python functions with type hints, sync or async; what is not among them is never called. What one
        raises is told to the model, and stands in `run.results`. A tool given as a dict is not called: the run ends
        where the model asks for it. `max_turns`: most answers; `max_cost`: USD from which on no further one is asked
        for; at either the run raises ToolLoopError. A `tool_choice` that forces a call holds for the first answer only.
        `with adapter.run(...) as run: for event in run: ...`, or `adapter.run(...).completion`.
        """
        from nbkit.adapters.run import Run

        return Run(self, conversation, max_turns, max_cost, options | {"tools": tools})

    @check_arguments
    def arun(
        self,
        conversation: Any,
        *,
        tools: Any = None,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> AsyncRun:
        """`run`, async: `async with adapter.arun(...) as run: async for event in run: ...`, or `await` it."""
        from nbkit.adapters.run import AsyncRun

        return AsyncRun(self, conversation, max_turns, max_cost, options | {"tools": tools})


def complete(call: Call) -> ChatCompletion:
    """Send a call, and wait for its whole answer."""
    with KEPT, call:
        if call.completion:
            return call.completion
        if call.prepared.wanted:
            from nbkit.http.media import fetch_media

            call.supply([fetch_media(url) for url in call.prepared.wanted])
        while True:
            with call.attempt() as attempt:
                if call.place.waits:
                    call.wait_in_line()
                client = sync_client(call.endpoint.base_url, call.auth)
                with closing(call.begin(client.send(call.request()))) as reply:
                    return call.read(read_limited(reply, call.exchange))
            time.sleep(attempt.wait())


async def acomplete(call: Call) -> ChatCompletion:
    """Send a call, and await its whole answer."""
    import asyncio

    async with KEPT, call:
        if call.completion:
            return call.completion
        if call.prepared.wanted:
            from nbkit.http.media import afetch_media

            call.supply(await asyncio.gather(*(afetch_media(url) for url in call.prepared.wanted)))
        while True:
            with call.attempt() as attempt:
                if call.place.waits:
                    await call.await_in_line()
                client = async_client(call.endpoint.base_url, call.auth)
                async with aclosing(call.begin(await client.send(call.request()))) as reply:
                    return call.read(await aread_limited(reply, call.exchange))
            await asyncio.sleep(await attempt.await_turn())
