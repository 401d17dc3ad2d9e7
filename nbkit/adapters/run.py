"""A conversation with tools, until the model is done: ask, call its tools, send their outputs, ask again.

`Run` and `AsyncRun` differ in how they wait; what is decided is in `_Loop`. Iterating gives, as they come, the
`ChatCompletionChunk`s of every answer and a `ToolResult` for each call. Where an answer calls a tool that has no
function (one given as a dict), the run ends there, none of the answer's calls is made, and they stand in
`run.completion.tool_calls`. A conversation that ends with calls is taken up where it stands. An answer in which the
provider pauses (Anthropic's `pause_turn`) is sent back, and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from contextvars import copy_context
from inspect import isawaitable, iscoroutinefunction
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec import Struct

from nbkit.adapters.observers import begin_tool
from nbkit.adapters.stream import AsyncStream, Stream
from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk, Usage
from nbkit.conversation.content import ContentEntry
from nbkit.conversation.functions import to_content
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import ConfigError, ConversationError, NbkitError, StreamError, ToolLoopError

_THREADS = 16  # at most, for the calls of one answer
_TICK = 0.1  # seconds; an interrupt reaches a waiting thread only when it wakes


class ToolResult(Struct, frozen=True):
    """The result of one tool call.

    `content` is sent to the model. `error` is what the function raised, or what was wrong with the call; the
    content is then its text, beginning with "Error: ".
    """

    call: ToolCall
    content: str | tuple[ContentEntry, ...]
    error: Exception | None = None

    @property
    def turn(self) -> ToolOutputTurn:
        """The result as a turn of the conversation."""
        return ToolOutputTurn(content=self.content, tool_call_id=self.call.id, name=self.call.name)


Event = ChatCompletionChunk | ToolResult


class StreamingAdapter(Protocol):
    """The part of an adapter that a run needs."""

    @property
    def model_id(self) -> str:
        """`provider/model`."""

    def stream(self, conversation: Any, **options: Any) -> Stream:
        """Ask for a streamed answer."""

    def astream(self, conversation: Any, **options: Any) -> AsyncStream:
        """Ask for a streamed answer, async."""


class _Loop:
    """The state of a run: the conversation so far, the tool calls to make, the limits."""

    def __init__(
        self,
        adapter: StreamingAdapter,
        conversation: Any,
        max_turns: int,
        max_cost: float | None,
        options: dict[str, Any],
    ) -> None:
        requested = ExecuteOptions.of(options)
        tools = requested.tools or ()
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) < len(tools):
            raise ConfigError(f"two tools have the same name: {', '.join(tool.name for tool in tools)}")
        self._adapter, self._max_turns, self._max_cost = adapter, max_turns, max_cost
        self._options = options | {"tools": tools or None}
        self._forced = requested.tool_choice not in (None, "none")
        self.conversation = Conversation(conversation)
        """The prompt, all complete answers and the tools' outputs so far."""
        self.completions: list[ChatCompletion] = []
        """The answers so far; one that broke off, or was left, is the last."""
        self.results: list[ToolResult] = []
        """The tools' results so far, in the order in which they were done."""
        self._ended = False

    @property
    def usage(self) -> Usage | None:
        """Tokens of all answers so far; None where those of one are unknown."""
        counts = [completion.usage for completion in self.completions]
        known = [usage for usage in counts if usage is not None]
        return sum(known, Usage()) if len(known) == len(counts) else None

    @property
    def cost(self) -> float | None:
        """USD of all answers so far; None where the cost of one is unknown."""
        return sum_usd(completion.cost for completion in self.completions)

    def _check_unread(self) -> None:
        """Raise StreamError for a run that has nothing more to give: a loop over it would be silently empty."""
        if self._ended:
            provider, _, model = self._adapter.model_id.partition("/")
            message = "the run was read or closed before: its answers are in .completions; ask again to repeat"
            raise StreamError(message, provider=provider, model=model)

    def _get_last(self) -> ChatCompletion:
        if not self.completions:
            raise RuntimeError("the run was left before its first answer")
        return self.completions[-1]

    def _next_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls to make now; none where the model is done, or only the caller can go on."""
        last = self.conversation.turns[-1:]
        if not last or not isinstance(last[0], ToolsCallTurn):
            return ()
        calls = last[0].tool_calls
        if not self._tools or any(call.name in self._tools and not self._tools[call.name].function for call in calls):
            return ()
        if self.completions:
            self._check_limits(calls)
        return calls

    def _is_done(self) -> bool:
        """Tell whether no answer is to follow; the provider may have paused, and goes on with its own tools' work."""
        if not self.completions:
            return False
        native = self.completions[-1].native
        if native is None or not native.paused:
            return True
        self._check_limits()
        return False

    def _check_limits(self, calls: Sequence[ToolCall] = ()) -> None:
        problem = ""
        if len(self.completions) >= self._max_turns:
            problem = f"not done after {self._max_turns} answers (max_turns)"
        elif self._max_cost is not None and (self.cost is None or self.cost >= self._max_cost):
            cost = "unknown" if self.cost is None else f"${self.cost:g}"
            problem = f"the cost so far is {cost} (max_cost=${self._max_cost:g})"
        if problem:
            wanted = ", ".join(dict.fromkeys(call.name for call in calls)) or "more time for the provider's own tools"
            raise ToolLoopError(
                f"{self._adapter.model_id}: {problem}; the model still asks for {wanted}",
                self.conversation,
                tuple(self.completions),
                self.cost,
            )

    def _next_options(self) -> dict[str, Any]:
        """Return the options of the next call. A tool is forced in the first answer only, or no answer is the last."""
        return self._options | ({"tool_choice": None} if self._forced and self.completions else {})

    @contextmanager
    def _keep(self, stream: Stream | AsyncStream) -> Generator[None]:
        """Keep the completion of one answer, also where it breaks off or is left: what was booked is listed."""
        try:
            yield
        except BaseException:
            if stream.booked is not None:
                self.completions.append(stream.booked)
            raise
        self.completions.append(stream.completion)
        self.conversation += stream.completion

    # One call of a tool

    def _find_tool(self, call: ToolCall) -> Tool:
        if call.name in self._tools:
            return self._tools[call.name]
        raise ConversationError(f"unknown tool {call.name!r}; the tools are {', '.join(self._tools)}")

    def _call_tool(self, call: ToolCall) -> ToolResult:
        """Call one tool, in this thread."""
        with _watch(call) as watched:
            try:
                value = self._find_tool(call).bind(call.arguments)()
                if isawaitable(value):
                    value = asyncio.run(_await(value))
                result = ToolResult(call, to_content(value))
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises is told to the model
                result = _fail(call, error)
            watched.append(result)
        return result

    async def _acall_tool(self, call: ToolCall, pool: ThreadPoolExecutor) -> ToolResult:
        """Call one tool: an async function here, a sync one in a thread."""
        with _watch(call) as watched:
            try:
                tool = self._find_tool(call)
                bound = tool.bind(call.arguments)
                if iscoroutinefunction(tool.function):
                    value = await bound()
                else:
                    value = await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, bound)
                    value = await value if isawaitable(value) else value
                result = ToolResult(call, to_content(value))
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises is told to the model
                result = _fail(call, error)
            watched.append(result)
        return result


@contextmanager
def _watch(call: ToolCall) -> Iterator[list[ToolResult]]:
    """Tell who listens of a tool's function and of the result that is put into the list, also where there is none."""
    end, results = begin_tool(call), list[ToolResult]()
    try:
        yield results
    finally:
        result = results[0] if results else ToolResult(call, "")
        end(result.content, result.error)


async def _await(value: Any) -> Any:
    return await value


def _fail(call: ToolCall, error: Exception) -> ToolResult:
    reason = str(error) if isinstance(error, NbkitError) else f"{type(error).__name__}: {error}"
    return ToolResult(call, to_content(f"Error: {reason}"), error)


def _start_workers(calls: Sequence[ToolCall]) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(len(calls), _THREADS), "nbkit-tool")


class Run(_Loop):
    """A run with tools: `for event in run`, or `run.completion` at once. Read once.

    Sync functions run in threads, those of one answer in parallel; an async function gets a loop of its own there.
    Leaving the `with`, or an interrupt, closes the socket, keeps the partial answer and waits for no function.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._events = self._run()

    def _run(self) -> Generator[Event]:
        try:
            while True:
                if calls := self._next_calls():
                    yield from self._call_tools(calls)
                elif self._is_done():
                    return
                stream = self._adapter.stream(self.conversation, **self._next_options())
                with self._keep(stream), stream:
                    yield from stream
        finally:
            self._ended = True

    def _call_tools(self, calls: Sequence[ToolCall]) -> Generator[Event]:
        pool = _start_workers(calls)
        try:
            made = [pool.submit(copy_context().run, self._call_tool, call) for call in calls]
            waiting = set(made)
            while waiting:
                done, waiting = futures.wait(waiting, _TICK, futures.FIRST_COMPLETED)
                for one in done:
                    self.results.append(one.result())
                    yield self.results[-1]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        self.conversation += [one.result().turn for one in made]

    @property
    def completion(self) -> ChatCompletion:
        """The last answer. Drives the run to its end first."""
        for _ in self._events:
            pass
        return self._get_last()

    def __iter__(self) -> Iterator[Event]:
        self._check_unread()
        return self._events

    def close(self) -> None:
        """Stop here, and close the socket."""
        self._ended = True
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRun(_Loop):
    """A run with tools: `async for event in run`, or `completion = await run`. Read once.

    Async functions run on this loop, sync ones in threads, those of one answer in parallel. Leaving the `async with`,
    or cancelling, closes the socket, keeps the partial answer and waits for no thread.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._events = self._run()

    async def _run(self) -> AsyncGenerator[Event]:
        try:
            while True:
                if calls := self._next_calls():
                    async with aclosing(self._call_tools(calls)) as results:
                        async for result in results:
                            yield result
                elif self._is_done():
                    return
                stream = self._adapter.astream(self.conversation, **self._next_options())
                with self._keep(stream):
                    async with stream:
                        async for chunk in stream:
                            yield chunk
        finally:
            self._ended = True

    async def _call_tools(self, calls: Sequence[ToolCall]) -> AsyncGenerator[Event]:
        pool = _start_workers(calls)
        made = [asyncio.create_task(self._acall_tool(call, pool)) for call in calls]
        waiting = set(made)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    self.results.append(one.result())
                    yield self.results[-1]
        finally:
            for one in made:
                one.cancel()
            await asyncio.gather(*made, return_exceptions=True)
            pool.shutdown(wait=False, cancel_futures=True)
        self.conversation += [one.result().turn for one in made]

    @property
    def completion(self) -> ChatCompletion:
        """The last answer so far."""
        return self._get_last()

    def __await__(self) -> Generator[Any, None, ChatCompletion]:
        return self._finish().__await__()

    async def _finish(self) -> ChatCompletion:
        async for _ in self._events:
            pass
        return self._get_last()

    def __aiter__(self) -> AsyncIterator[Event]:
        self._check_unread()
        return self._events

    async def aclose(self) -> None:
        """Stop here, and close the socket."""
        self._ended = True
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
