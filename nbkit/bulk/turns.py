"""The turns of a panel: all models get the same prompt at once, each answer streams into its pane and is booked, and a
listener follows. Everything here runs on the portal's thread, `stop` excepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.place import asking_for
from nbkit.adapters.run import AsyncRun, Event
from nbkit.billing.entry import Origin, at_origin, find_origin
from nbkit.billing.total import RunningTotal
from nbkit.bulk import portal
from nbkit.bulk.answers import Pane, Status, edit_prompt
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.turns import Conversation
from nbkit.http.bounded import joining_reads


class Listener(Protocol):
    """Follows a panel.

    All methods are called on the portal's thread, one at a time, so they must return soon and must not wait for the
    panel. An error raised here costs no answer: `Panel.wait` raises it.
    """

    def begin(self, pane: Pane, retry: bool) -> None:
        """Begin a turn in a pane: `pane.answers[-1]`, with its prompt. `retry`: begin it again, after its `steps`."""

    def receive(self, pane: Pane, event: Event) -> None:
        """Take a chunk or a tool output of a pane."""

    def hold(self, pane: Pane, seconds: float | None) -> None:
        """Hold the call of a pane up, because of a rate limit: so many seconds at least, 0 where it depends
        on other calls; None: it goes on."""

    def end(self, pane: Pane) -> None:
        """End the turn of a pane: its answer is complete, stopped or failed."""

    def rename(self, pane: Pane) -> None:
        """Name a pane anew: it is new, another model answers in it from now on, or its settings are others."""

    def branch(self, pane: Pane, turn: int) -> None:
        """Show another branch of a pane: its answers from `turn` (from 0) on are others now."""

    def rest(self) -> None:
        """Rest: nothing streams any more. The next question may be waiting for its turn."""


class Turns:
    """Runs one turn after the other. `options` go to every call; `limits` are a run's `max_turns` and `max_cost`."""

    def __init__(self, panes: Sequence[Pane], options: dict[str, Any], limits: dict[str, Any], origin: Origin) -> None:
        self.panes, self.options, self.limits, self.origin = tuple(panes), options, limits, origin
        self.listener: Listener | None = None
        self.running_total = RunningTotal()
        self.watched = False
        """Whether a person sees the answers arrive."""
        self.stops = 0
        """How often all was stopped: a turn that was requested before the last stop is not begun after it."""
        self._late: set[Pane] = set()
        self._lock = asyncio.Lock()
        self._running: dict[asyncio.Task[None], Pane] = {}
        self._fault: Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether answers stream now."""
        return bool(self._running)

    def stop(self) -> None:
        """Cancel the answers that stream, and all turns that were requested. Returns at once, in any thread."""
        self.stops += 1
        portal.call(self._cancel)

    def stop_one(self, pane: Pane) -> None:
        """Cancel the answer that streams into one pane. Returns at once, in any thread."""
        portal.call(self._cancel, pane)

    def _cancel(self, pane: Pane | None = None) -> None:
        _cancel_once([task for task, its in self._running.items() if pane in (None, its)])

    async def rest(self) -> None:
        """Wait until nothing streams."""
        while self._running:
            await asyncio.wait(self._running)

    async def ask(self, prompt: Conversation, stops: int) -> None:
        """Ask all, when the turn before has ended; not after a stop: `stops` is their number at the request."""
        async with self._lock:
            await self.rest()
            if stops != self.stops:
                return
            panes = [pane for pane in self.panes if pane not in self._late]
            prompts = list_prompts(panes)
            for pane in panes:
                for former in prompts[len(pane.answers) :]:  # its conversation branched off before them
                    self._skip(pane, former)
                if pane.muted:
                    self._skip(pane, prompt)
                else:
                    pane.begin(prompt)
                    self._begin(pane, retry=False)
            await self._stream([pane for pane in panes if not pane.muted])

    def _skip(self, pane: Pane, prompt: Conversation) -> None:
        pane.skip(prompt)
        self._begin(pane, retry=False)
        self._notify(lambda listener: listener.end(pane))

    async def edit(self, panes: Sequence[Pane], turn: int, prompt: Any, stops: int) -> None:
        """Ask a turn (from 0) of some panes with another prompt, on a new branch, when the turn before has ended."""
        async with self._lock:
            await self.rest()
            panes = [pane for pane in panes if turn < len(pane.answers) and stops == self.stops]
            for pane in panes:
                edited = edit_prompt(pane.answers[turn].full_prompt, prompt)
                pane.begin_branch(turn)
                self._tell_branch(pane, turn)
                pane.begin(edited)
                self._begin(pane, retry=False)
            await self._stream(panes)

    async def switch(self, panes: Sequence[Pane], branch: int) -> None:
        """Show another branch of some panes, by its number from 0; panes that do not have it stay as they are."""
        async with self._lock:
            await self.rest()
            for pane in panes:
                if branch < len(pane.branches) and branch != pane.branch:
                    self._tell_branch(pane, pane.switch(branch))
            self._notify(lambda listener: listener.rest())

    def _tell_branch(self, pane: Pane, turn: int) -> None:
        self._notify(lambda listener: listener.branch(pane, turn))

    def add(self, pane: Pane) -> None:
        """Add a pane, which takes no part before it has caught up."""
        self._late.add(pane)
        self.panes = (*self.panes, pane)

    async def catch_up(self, pane: Pane, stops: int) -> None:
        """Ask a new model one prompt after the other, until one is not answered."""
        async with self._lock:
            await self.rest()
            self._late.discard(pane)
            for prompt in list_prompts([other for other in self.panes if other not in (pane, *self._late)]):
                if stops == self.stops and all(answer.status == "done" for answer in pane.answers):
                    await self.ask_one(pane, prompt)

    async def rename(self, pane: Pane) -> None:
        """Tell that the settings of a pane are others."""
        self._notify(lambda listener: listener.rename(pane))

    async def ask_one(self, pane: Pane, prompt: Conversation) -> None:
        """Ask one model, whatever the others do."""
        pane.begin(prompt)
        self._begin(pane, retry=False)
        await self._stream([pane])

    async def retry(self, pane: Pane) -> None:
        """Ask one model again, if its last answer failed."""
        if pane.answers and pane.answers[-1].status == "failed":
            pane.begin_again()
            self._begin(pane, retry=True)
            await self._stream([pane])

    async def regenerate(self, pane: Pane, adapter: BaseAdapter | None = None) -> None:
        """Ask for the last answer of a pane again, of another model where one is given; the tools run again, too."""
        if pane in self._running.values():
            self._cancel(pane)
            await asyncio.wait([task for task, its in self._running.items() if its is pane])
        if adapter is not None:
            pane.swap(adapter, {other.label for other in self.panes if other is not pane})
            self._notify(lambda listener: listener.rename(pane))
        if pane.answers:
            pane.begin_anew()
            self._begin(pane, retry=True)
            await self._stream([pane])

    def _begin(self, pane: Pane, retry: bool) -> None:
        self._notify(lambda listener: listener.begin(pane, retry))

    async def _stream(self, panes: Sequence[Pane]) -> None:
        """Run some panes to the ends of their answers."""
        if not panes:
            return
        tasks = {asyncio.create_task(self._answer(pane)): pane for pane in panes}
        for task in tasks:
            task.add_done_callback(self._leave)
        self._running |= tasks
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            _cancel_once(tasks)
            await asyncio.wait(tasks)
            raise
        finally:
            if not self._running:
                self._notify(lambda listener: listener.rest())
        for fault in (self._fault, *(task.exception() for task in tasks if not task.cancelled())):
            if fault:  # of nbkit's own: it reaches whoever waits
                self._fault = None
                raise fault

    def _leave(self, task: asyncio.Task[None]) -> None:
        pane = self._running.pop(task)
        if task.cancelled():  # before its first step
            self._end(pane, "stopped")

    async def _answer(self, pane: Pane) -> None:
        """Make one call, or a run of calls where tools are called or the provider pauses, from request to bill."""
        run: AsyncRun | None = None
        status: Status = "done"
        error: Exception | None = None
        try:
            # of an older comparison, a question in a block belongs to that block as well: a budget caps it
            origin = replace(self.origin.join(find_origin().blocks), watched=self.watched)
            with at_origin(origin), joining_reads(), asking_for((self, pane.label), partial(_hold, self, pane)):
                async with pane.adapter.arun(pane.conversation, **self.limits, **(self.options | pane.options)) as run:
                    async for event in run:
                        self._receive(pane, event)
        except asyncio.CancelledError:
            status = "stopped"
        except Exception as failure:  # noqa: BLE001 - whatever happens to one model stays in its pane and in `errors`
            status, error = "failed", failure
        if run is not None:
            pane.conversation = run.conversation  # also after an error: what the tools did is not done again
        self._end(pane, status, _list_completions(run), error)

    def _receive(self, pane: Pane, event: Event) -> None:
        pane.receive(event)
        self._notify(lambda listener: listener.receive(pane, event))

    def _end(
        self, pane: Pane, status: Status, completions: Sequence[ChatCompletion] = (), error: Exception | None = None
    ) -> None:
        for completion in completions:
            self.running_total.add(pane.adapter.model_id, completion, self.origin.cell)
        pane.end(status, completions, error)
        self._notify(lambda listener: listener.end(pane))

    def _notify(self, tell: Callable[[Listener], None]) -> None:
        if self.listener is None:
            return
        try:
            tell(self.listener)
        except Exception as fault:  # noqa: BLE001 - kept for `wait`: the answers, which are paid, go on
            self._fault = self._fault or fault


def _hold(turns: Turns, pane: Pane, seconds: float | None) -> None:
    turns._notify(lambda listener: listener.hold(pane, seconds))


def list_prompts(panes: Sequence[Pane]) -> list[Conversation]:
    """List the prompts of all turns; the first of several models that has a turn tells the prompt."""
    turns = range(max((len(pane.answers) for pane in panes), default=0))
    return [next(pane.answers[turn].full_prompt for pane in panes if turn < len(pane.answers)) for turn in turns]


def _cancel_once(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks. A second cancel would interrupt the closing of their sockets."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()


def _list_completions(run: AsyncRun | None) -> list[ChatCompletion]:
    """List what was answered and must be paid for, complete or partial: as the observers of these calls got it."""
    completions = run.completions if run else []
    # stopped before anything was sent: no call was made
    return [one for one in completions if one.timing is None or one.timing.attempts]
