"""One prompt, several models, side by side, live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.factory import get_adapter
from nbkit.adapters.run import MAX_TURNS, AsyncRun, ToolResult
from nbkit.adapters.stream import AsyncStream
from nbkit.billing import total as tally
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.billing.total import Sum, Tally
from nbkit.bulk import portal
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import ConfigError, ConversationError
from nbkit.notebook import export
from nbkit.notebook.deltas import Board
from nbkit.notebook.facts import Answer, Pane, whole
from nbkit.notebook.outputs import Screen

if TYPE_CHECKING:
    import pandas as pd


def compare(prompt: Any, models: str | BaseAdapter | Sequence[str | BaseAdapter], **options: Any) -> Comparison:
    """Ask several models the same and show their answers side by side while they arrive.

    `prompt`: a string, or a conversation that ends with the user's turn. `models`: ids or adapters; a model may take
    part twice. `options`: the fields of `ExecuteOptions`, for all models; with Python functions among the `tools` also
    `max_turns` and `max_cost` of `BaseAdapter.run`, by which the models' calls of them are made.

    In a notebook it returns at once and streams in the background. Without a person in front (nbconvert, nbval,
    papermill, `NBKIT_LIVE=0`, plain Python) it returns when all have answered.
    Raises ModelNotFoundError, ConfigError or ConversationError before anything is sent. A call that fails raises
    nothing: its pane says why, and so does `errors`.
    """
    return Comparison(prompt, models, **options)


class Comparison:
    """What `compare` returns. Reading its data waits for the answers; so does `await`."""

    def __init__(
        self,
        prompt: Any,
        models: str | BaseAdapter | Sequence[str | BaseAdapter],
        *,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> None:
        tools = ExecuteOptions.of(options).tools or ()
        asked = _asked(prompt)
        self._options = options
        limits: dict[str, Any] = {"max_turns": max_turns, "max_cost": max_cost}
        self._limits = limits if any(tool.function for tool in tools) else None
        self._panes = _panes(models)
        self._tally = Tally()
        self._work: set[Future[None]] = set()
        self._stops = 0  # how often: a turn that was asked before the last stop is not begun after it
        # What follows is touched on the portal only.
        self._turns = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._board = Board([(pane.name, pane.label) for pane in self._panes])
        what = f"nbkit comparison of {_count(len(self._panes), 'model')}" if len(self._panes) > 1 else "nbkit chat"
        self._screen = Screen(f"{what}; re-run to interact", self._hear)
        if self._screen.live:
            self._screen.show(export.bundle((), f"{what}: no answer yet"))
        self._begin(asked)

    # What a cell calls

    def ask(self, prompt: Any) -> Self:
        """Ask all models a follow-up. Each goes on with its own answers, once the turn before has ended."""
        self._begin(_asked(prompt))
        return self

    def stop(self) -> None:
        """Stop what streams, and forget what waits to be asked. Returns at once."""
        self._stops += 1
        portal.call(self._cancel)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until all have answered, at most `timeout` seconds (then TimeoutError, and the streams go on).

        Interrupting the kernel meanwhile stops the requests.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            for work in tuple(self._work):
                portal.wait(work, None if end is None else max(0.0, end - time.monotonic()))
        except KeyboardInterrupt:
            self.stop()
            with suppress(TimeoutError):  # the partial answers are complete when the sockets are closed
                portal.wait(portal.submit(self._quiet()), timeout=2)
            raise
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._awaited().__await__()

    async def _awaited(self) -> Self:
        try:
            for work in tuple(self._work):
                await portal.until(work)
        except asyncio.CancelledError:
            self.stop()
            raise
        return self

    def freeze(self) -> None:
        """Leave only the static output, for a clean file; waits first. Later questions do without a widget."""
        self.wait()
        portal.wait(portal.submit(self._freeze()))

    # What there is to read

    @property
    def completions(self) -> dict[str, ChatCompletion | None]:
        """The answers of the last turn, by model: complete, partial where they broke off, None where none came."""
        return {label: answer.completion for label, answer in self._last().items()}

    @property
    def errors(self) -> dict[str, Exception]:
        """What went wrong in the last turn, by model."""
        return {label: answer.error for label, answer in self._last().items() if answer.error}

    @property
    def conversations(self) -> dict[str, Conversation]:
        """What each model was told and said."""
        self.wait()
        return {pane.label: pane.conversation for pane in self._panes}

    @property
    def cost(self) -> float | None:
        """USD of all calls, retries included; None where the cost of one is unknown (`spent` has the known part)."""
        return self.spent.cost

    @property
    def spent(self) -> Sum:
        """How many calls, what they cost, and of how many the cost is unknown."""
        self.wait()
        return self._tally.total()

    def to_frame(self) -> pd.DataFrame:
        """One row per turn and model: the prompt, the answer, tokens, cost in USD, times in seconds."""
        import pandas as pd

        self.wait()
        return pd.DataFrame(
            {"model": pane.label, "turn": number} | pane.answers[number - 1].row()
            for number in range(1, len(self._panes[0].answers) + 1)
            for pane in self._panes
        )

    def _last(self) -> dict[str, Answer]:
        self.wait()
        return {pane.label: pane.answers[-1] for pane in self._panes if pane.answers}

    def __repr__(self) -> str:
        answered = sum(answer.status == "done" for pane in self._panes for answer in pane.answers)
        labels = ", ".join(pane.label for pane in self._panes)
        return f"<Comparison of {labels}: {_count(answered, 'answer')}, {self._tally.total()}>"

    def _ipython_display_(self) -> None:
        """Show it in this cell too, unless the call that began it has done so."""
        if not self._screen.shown_here:
            self._screen.show(self._bundle())

    def _bundle(self, since: int = 0) -> dict[str, str]:
        return export.bundle(self._panes, self._totals(), since)

    def _totals(self) -> str:
        what = "comparison" if len(self._panes) > 1 else "chat"
        so_far = " so far" if self._running else ""
        return f"this {what} {self._tally.total()}{so_far} · notebook {tally.total()}"

    def _ahead(self) -> str:
        """What a follow-up costs before it is answered: each model reads its conversation again. An estimate."""
        reading = Sum()
        for pane in self._panes:
            usage = Usage(input=estimate_tokens(pane.conversation.text))
            usd = bill(usage, pane.adapter.endpoint.cost).total
            reading += Sum(1, usd or 0.0, int(usd is None))
        return f"about {reading} to be read"

    # Asking

    def _begin(self, asked: Conversation) -> None:
        turns = len(self._panes[0].answers)
        self._submit(self._turn(asked, self._stops))
        if not self._screen.live:
            try:
                self.wait()
            finally:
                self._screen.show(self._bundle(since=turns))

    def _submit(self, work: Coroutine[Any, Any, None]) -> None:
        future = portal.submit(work)
        self._work.add(future)
        future.add_done_callback(self._forget)

    def _forget(self, future: Future[None]) -> None:
        if future.cancelled() or future.exception() is None:  # a failure is kept for `wait` to raise
            self._work.discard(future)

    # On the portal

    async def _turn(self, asked: Conversation, stops: int) -> None:
        async with self._turns:
            await self._quiet()
            if stops != self._stops:
                return
            for index, pane in enumerate(self._panes):
                pane.conversation = continued(pane.conversation, asked)
                pane.answers.append(Answer(asked[-1].text))
                self._board.add(index, asked[-1].text)
            await self._stream(range(len(self._panes)))

    async def _retry(self, index: int) -> None:
        pane = self._panes[index]
        if pane.answers and pane.answers[-1].status == "failed":
            answer = pane.answers[-1] = Answer(pane.answers[-1].prompt, steps=pane.answers[-1].steps)
            live = self._board.last(index)
            live.reset()
            for step in answer.steps:
                if isinstance(step, ToolResult):
                    live.insert(export.tool_html(step))
                else:
                    live.feed(step, "")
            await self._stream([index])

    async def _stream(self, indices: Iterable[int]) -> None:
        """Run some panes to their ends, showing what is new at the pace of the display."""
        tasks = {asyncio.create_task(self._answer(index)): index for index in indices}
        self._running |= tasks.keys()
        try:
            while running := self._running & tasks.keys():
                self._show_news()
                done, _ = await asyncio.wait(running, timeout=self._board.flush_seconds if self._screen.live else None)
                self._running -= done
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            self._running -= tasks.keys()
            for task, index in tasks.items():
                if task.cancelled():  # before its first step
                    self._end(index, "stopped", None, None)
            self._show_news()
            if self._screen.live:
                self._screen.update(self._bundle(), self._board.snapshot())
        for task in tasks:
            if not task.cancelled():
                task.result()  # what is our own fault reaches whoever waits

    def _ask(self, pane: Pane) -> AsyncStream | AsyncRun:
        if self._limits is None:
            return pane.adapter.astream(pane.conversation, **self._options)
        return pane.adapter.arun(pane.conversation, **self._limits, **self._options)

    async def _answer(self, index: int) -> None:
        """One call, from asking to booking."""
        pane, stream = self._panes[index], None
        error: Exception | None = None
        try:
            async with self._ask(pane) as stream:
                await self._pump(index, stream)
            status = "done"
        except asyncio.CancelledError:
            status = "stopped"
        except Exception as failure:  # noqa: BLE001 - whatever happens to one model stays in its pane and in `errors`
            status, error = "failed", failure
        self._end(index, status, stream, error)

    async def _pump(self, index: int, stream: AsyncStream | AsyncRun) -> None:
        steps, live, said = self._panes[index].answers[-1].steps, self._board.last(index), ""
        async for event in stream:
            if isinstance(event, ToolResult):
                steps += [said, event] if said else [event]
                said = ""
                live.insert(export.tool_html(event))
            else:
                said += event.text
                live.feed(event.text, event.reasoning)

    def _end(self, index: int, status: str, stream: AsyncStream | AsyncRun | None, error: Exception | None) -> None:
        pane = self._panes[index]
        answer = pane.answers[-1]
        answer.status, answer.error = status, error
        answer.completion = whole(completions := _completions(stream, error))
        for completion in completions:
            for sums in (self._tally, tally.NOTEBOOK):
                sums.record(pane.adapter.model_id, completion)
        if isinstance(stream, AsyncRun):
            pane.conversation = stream.conversation  # also after an error: what the tools did is not done again
        said = completions and not error and (completions[-1].text or completions[-1].tool_calls)
        if said and pane.conversation[-1].role != "assistant":
            pane.conversation += completions[-1]
        self._board.last(index).finish(status, answer.facts())

    def _show_news(self) -> None:
        if self._screen.live:
            busy = bool(self._running)
            self._board.set_foot(busy=busy, totals=self._totals(), ahead="" if busy else self._ahead())
            if news := self._board.delta():
                self._screen.send(news)

    async def _quiet(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    def _cancel(self) -> None:
        for task in self._running:
            task.cancel()

    async def _freeze(self) -> None:
        self._screen.freeze(self._bundle())

    # What the views say. Runs on the kernel's main thread or on a subshell's, so it only hands on.

    def _hear(self, content: dict[str, Any]) -> None:
        kind, text, index = content.get("type"), content.get("text"), content.get("pane")
        if kind in ("ready", "resync"):
            portal.call(self._greet)
        elif kind == "ping":
            portal.call(self._screen.send, {"type": "pong"})
        elif kind == "stop":
            self.stop()
        elif kind == "ask" and isinstance(text, str) and text.strip():
            self.ask(text)
        elif kind == "retry" and isinstance(index, int) and 0 <= index < len(self._panes):
            self._submit(self._retry(index))

    def _greet(self) -> None:
        self._show_news()
        self._screen.send(self._board.snapshot())


def adapter_of(model: str | BaseAdapter) -> BaseAdapter:
    """The adapter of a model's id; an adapter as it is."""
    return get_adapter(model) if isinstance(model, str) else model


def _panes(models: str | BaseAdapter | Sequence[str | BaseAdapter]) -> list[Pane]:
    if isinstance(models, str | BaseAdapter):
        models = [models]
    adapters = [adapter_of(model) for model in models]
    if not adapters:
        raise ConfigError("no model to ask")
    panes: list[Pane] = []
    for adapter in adapters:
        before = sum(pane.adapter.model_id == adapter.model_id for pane in panes)
        label = f"{adapter.model_id} #{before + 1}" if before else adapter.model_id
        panes.append(Pane(label, adapter, Conversation()))
    return panes


def _completions(stream: AsyncStream | AsyncRun | None, error: Exception | None) -> list[ChatCompletion]:
    """What was answered and must be paid for: complete, or what came of it."""
    if isinstance(stream, AsyncRun):
        return stream.completions
    came = getattr(error, "partial", None) if error else stream and stream.completion
    return [came] if came else []


def continued(conversation: Conversation, asked: Conversation) -> Conversation:
    """The conversation with what is asked next. Open calls are left out unless their outputs come first in that: no
    provider takes a call without its output."""
    open_calls = conversation.turns and isinstance(conversation[-1], ToolsCallTurn)
    if open_calls and not any(isinstance(turn, ToolOutputTurn) for turn in asked.turns[:1]):
        conversation = Conversation(conversation.turns[:-1])
    return conversation + asked


def _asked(prompt: Any) -> Conversation:
    asked = Conversation(prompt)
    if not asked.turns or asked[-1].role != "user":
        raise ConversationError("expected a prompt, or a conversation that ends with the user's turn")
    return asked


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
