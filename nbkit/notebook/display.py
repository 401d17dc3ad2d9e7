"""Where a comparison is shown: its views and its static twin; and what the views ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nbkit.adapters.run import Event, ToolResult
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.billing.total import TOTAL, Sum
from nbkit.bulk import portal
from nbkit.bulk.answers import Pane
from nbkit.bulk.panel import Panel
from nbkit.conversation.completion import Usage
from nbkit.errors import ApiKeyNotFoundError, AuthenticationError
from nbkit.judging.ballot import Ballot
from nbkit.notebook import export
from nbkit.notebook.attachments import Attachments
from nbkit.notebook.deltas import Board
from nbkit.notebook.facts import describe_context, describe_end, describe_key
from nbkit.notebook.judged import append_votes, cast_vote, describe_votes
from nbkit.notebook.outputs import Bundle, Screen
from nbkit.notebook.pictures import describe_prompt

if TYPE_CHECKING:
    from nbkit.notebook.widgets.compare import CompareWidget


class Display:
    """Shows a panel: to views in deltas at the pace of the eye, to everybody else in a static twin, renewed whenever
    all is quiet. The methods of `Listener`, and what they call, run on the portal's thread."""

    def __init__(self, panel: Panel, ballot: Ballot) -> None:
        self._panel, self._ballot = panel, ballot
        self._indices = {pane: index for index, pane in enumerate(panel.panes)}
        self._board = Board([(pane.name, pane.label) for pane in panel.panes])
        self._timer: asyncio.TimerHandle | None = None
        self._kind = "comparison" if len(panel.panes) > 1 else "chat"
        self._title = f"nbkit comparison of {len(panel.panes)} models" if len(panel.panes) > 1 else "nbkit chat"
        self._notice = ""  # why no more questions are taken
        self._screen = Screen(self._make_widget)
        self._files = Attachments(panel, self._screen.send)
        if self.live:
            self._screen.show(export.write_bundle((), f"{self._title}: no answer yet"))
            panel.listener = self

    def _make_widget(self) -> CompareWidget:
        from nbkit.notebook.widgets.compare import CompareWidget

        widget = CompareWidget(f"{self._title}; re-run to interact")
        widget.on_msg(lambda _widget, content, buffers: self._handle(content, buffers))
        return widget

    @property
    def live(self) -> bool:
        """Whether there is a widget, which shows the answers while they stream."""
        return self._screen.live

    def show(self, since: int = 0) -> None:
        """Show the turns from `since` on in the running cell."""
        self._screen.show(self.write_bundle(since))

    def show_again(self) -> None:
        """Show all in the running cell, unless that has been done."""
        if not self._screen.shown_here:
            self.show()

    def write_bundle(self, since: int = 0) -> Bundle:
        """Write the static twin, from turn `since` on."""
        return append_votes(export.write_bundle(self._panel.panes, self._totals(), since), self._ballot)

    def freeze(self) -> None:
        """Leave only the static twin."""
        portal.wait(portal.submit(self._freeze()))

    async def _freeze(self) -> None:
        self._panel.listener = None
        self._screen.freeze(self.write_bundle())

    def leave(self, notice: str) -> None:
        """Take no more questions and retries from the views."""
        self._notice = notice
        if self.live:
            portal.call(self.rest)

    def _totals(self) -> str:
        so_far = " so far" if self._panel.busy else ""
        return f"this {self._kind} {self._panel.running_total.total()}{so_far} · notebook {TOTAL.total()}"

    def _describe_context(self) -> tuple[str, bool] | None:
        pane = self._panel.panes[0]
        return describe_context(pane.context_tokens, pane.adapter) if self._kind == "chat" else None

    def _estimate(self) -> str:
        """Estimate what a follow-up costs before it is answered: each model reads its conversation again."""
        if not any(pane.answers for pane in self._panel.panes):
            return ""
        reading = Sum()
        for pane in self._panel.panes:
            usage = Usage(input=estimate_tokens(pane.conversation.text))
            usd = bill(usage, pane.adapter.endpoint.cost).total
            reading += Sum(1, unknown=1) if usd is None else Sum(1, Decimal(str(usd)))
        return f"reading the conversation again costs about {reading}"

    # Listener of the panel

    def begin(self, pane: Pane, retry: bool) -> None:
        """Show the prompt; at a retry, what the tools did before."""
        index, answer = self._indices[pane], pane.answers[-1]
        if not retry:
            once = index and len(pane.answers) == 1  # then the bar alone shows the prompt
            self._board.add(index, answer.prompt, {} if once else describe_prompt(pane))
        else:
            turn = self._board.last(index)
            turn.reset()
            for step in answer.steps:
                if isinstance(step, ToolResult):
                    turn.insert(export.write_tool(step))
                else:
                    turn.feed(step, "")
        self._flush_in(0)  # when all panes have begun

    def receive(self, pane: Pane, event: Event) -> None:
        """Show a piece of the answer."""
        turn = self._board.last(self._indices[pane])
        if isinstance(event, ToolResult):
            turn.insert(export.write_tool(event))
        else:
            turn.feed(event.text, event.reasoning)
        self._flush_in(self._board.flush_seconds)

    def end(self, pane: Pane) -> None:
        """Show what stands under a finished answer."""
        answer, end = pane.answers[-1], describe_end(pane.answers[-1])
        if isinstance(answer.error, ApiKeyNotFoundError | AuthenticationError):
            end["key"] = describe_key(pane.adapter.endpoint)
        self._board.last(self._indices[pane]).finish(answer.status, end)
        self._flush_in(self._board.flush_seconds)

    def rename(self, pane: Pane) -> None:
        """Show the name of the model that answers from now on."""
        self._board.rename(self._indices[pane], pane.name, pane.label)
        self._screen.send(self._board.snapshot())

    def rest(self) -> None:
        """Renew the static twin, and the state of views that come later."""
        self._flush()
        self._screen.update(self.write_bundle(), self._board.snapshot())

    def _flush_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def _flush(self) -> None:
        """Send the views what is new."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        busy = self._panel.busy
        spent = str(self._panel.running_total.total())
        self._board.set_foot(busy=busy, totals=self._totals(), ahead="" if busy else self._estimate(), spent=spent)
        self._board.set_foot(closed=self._notice, context=self._describe_context())
        if not busy and len(self._panel.panes) > 1:
            self._board.set_foot(votes=describe_votes(self._panel, self._ballot))
        if delta := self._board.delta():
            self._screen.send(delta)

    # Messages of the views. They come on the kernel's main thread or on a subshell's, so they are only handed on.

    def _handle(self, content: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        kind, text, index = content.get("type"), content.get("text"), content.get("pane")
        written = text if isinstance(text, str) and text.strip() else ""
        pane = self._panel.panes[index] if isinstance(index, int) and 0 <= index < len(self._indices) else None
        if kind in ("ready", "resync"):
            portal.call(self._greet)
        elif kind == "ping":
            portal.call(self._screen.send, {"type": "pong"})
        elif kind == "stop":
            self._panel.stop()
        elif self._notice:
            return
        elif kind == "attach":
            self._files.receive(content, buffers)
        elif kind == "detach":
            self._files.drop(content.get("id"))
        elif kind == "ask" and (prompt := self._files.join(written, content.get("files"))):
            self._panel.ask(prompt)
        elif kind == "stop_one" and pane:
            self._panel.stop_one(pane)
        elif kind == "retry" and pane:
            self._panel.retry(pane)
        elif kind == "regenerate" and pane:
            self._panel.regenerate(pane)
        elif kind == "vote":
            portal.call(self._vote, content.get("choice"))
        elif kind == "key" and pane and written:
            self._panel.set_api_key(pane, written)

    def _vote(self, choice: Any) -> None:
        if not self._panel.busy and cast_vote(self._ballot, [pane.label for pane in self._panel.panes], choice):
            self.rest()

    def _greet(self) -> None:
        self._flush()
        self._screen.send(self._board.snapshot())
