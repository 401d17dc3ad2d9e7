"""Where a comparison is shown: its views and its static twin; and what the views ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nbkit.adapters.run import Event, ToolResult
from nbkit.billing.total import TOTAL
from nbkit.bulk import portal
from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.panel import Panel
from nbkit.errors import ApiKeyNotFoundError, AuthenticationError, NbkitError
from nbkit.judging.ballot import Ballot
from nbkit.notebook import export
from nbkit.notebook.ahead import describe_ahead
from nbkit.notebook.attachments import Attachments
from nbkit.notebook.cells import Bundle
from nbkit.notebook.deltas import Board, LiveTurn
from nbkit.notebook.differences import Differences
from nbkit.notebook.facts import describe_context, describe_end, describe_key, describe_pane
from nbkit.notebook.judge_form import JUDGE_MESSAGES, JudgeForm
from nbkit.notebook.judged import append_votes, cast_vote, describe_votes
from nbkit.notebook.outputs import Screen
from nbkit.notebook.pane_requests import fulfill, read_text
from nbkit.notebook.pictures import describe_prompt
from nbkit.rendering.sanitize import visible

if TYPE_CHECKING:
    from nbkit.notebook.widgets.compare import CompareWidget


class Display:
    """Shows a panel: to views in deltas at the pace of the eye, to everybody else in a static twin, renewed whenever
    all is quiet. The methods of `Listener`, and what they call, run on the portal's thread."""

    def __init__(self, panel: Panel, ballot: Ballot) -> None:
        self._panel, self._ballot = panel, ballot
        self._board = Board([])
        for pane in panel.panes:
            self._draw(pane)
        self._timer: asyncio.TimerHandle | None = None
        self._title = f"nbkit comparison of {len(panel.panes)} models" if len(panel.panes) > 1 else "nbkit chat"
        self._differences, self._judge = Differences(), JudgeForm(panel, ballot, self.rest)
        self._notice = ""  # why no more questions are taken
        self._screen = Screen(partial(_make_widget, self._title, self._handle))
        self._files = Attachments(panel, self._screen.send)
        if self.live:
            self._screen.show(export.write_bundle((), f"{self._title}: no answer yet"))
            panel.listener = self

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
        kind = "comparison" if len(self._panel.panes) > 1 else "chat"
        return f"this {kind} {self._panel.running_total.total()}{so_far} · notebook {TOTAL.total()}"

    # Listener of the panel

    def begin(self, pane: Pane, retry: bool) -> None:
        """Show the prompt; at a retry, what the tools did before."""
        index, answer = self._find(pane), pane.answers[-1]
        self._differences.on = False
        self._judge.clear()
        if not retry:
            self._add(pane, answer)
        else:
            turn = self._board.last(index)
            turn.reset()
            feed_parts(turn, answer.steps)
        self._flush_in(0)  # when all panes have begun

    def receive(self, pane: Pane, event: Event) -> None:
        """Show a piece of the answer."""
        turn = self._board.last(self._find(pane))
        if isinstance(event, ToolResult):
            turn.insert(export.write_tool(event))
        else:
            turn.feed(event.text, event.reasoning)
        self._flush_in(self._board.flush_seconds)

    def hold(self, pane: Pane, seconds: float | None) -> None:
        """Show that a call waits for its turn."""
        self._board.last(self._find(pane)).hold(seconds)
        self._flush_in(self._board.flush_seconds)

    def end(self, pane: Pane) -> None:
        """Show what stands under a finished answer."""
        self._finish(pane, pane.answers[-1])
        self._flush_in(self._board.flush_seconds)

    def _finish(self, pane: Pane, answer: Answer) -> None:
        self._board.last(self._find(pane)).finish(answer.status, _describe_finish(pane, answer))

    def _add(self, pane: Pane, answer: Answer) -> LiveTurn:
        index = self._find(pane)
        once = index and len(pane.answers) == 1 and not pane.branches  # then the bar alone shows the prompt
        return self._board.add(index, answer.prompt, {} if once else describe_prompt(pane, answer))

    def _find(self, pane: Pane) -> int:
        return self._panel.panes.index(pane)

    def rename(self, pane: Pane) -> None:
        """Show what stands above a pane now."""
        self._board.set_head(self._find(pane), **describe_pane(pane))
        if self._panel.busy:
            self._flush_in(0)
        else:
            self.rest()

    def branch(self, pane: Pane, turn: int) -> None:
        """Show the answers of another branch, from `turn` on."""
        self._board.cut(self._find(pane), turn)
        self._draw(pane, turn)
        self._flush_in(0)

    def _draw(self, pane: Pane, since: int = 0) -> None:
        """Put what stands above a pane, and its answers, on the board."""
        self._board.set_head(self._find(pane), **describe_pane(pane))
        for answer in pane.answers[since:]:
            turn = self._add(pane, answer)
            turn.feed("", answer.completion.reasoning or "" if answer.completion else "")
            feed_parts(turn, answer.parts)
            self._finish(pane, answer)

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
        self._fill_board()
        if delta := self._board.delta():
            self._screen.send(delta)

    def _fill_board(self) -> None:
        """Set what stands around the answers."""
        self._board.set_foot(**_describe_foot(self._panel), totals=self._totals(), closed=self._notice)
        if len(self._panel.panes) > 1:
            answers, names = self._list_shown()
            if not self._panel.busy:
                self._board.set_foot(votes=describe_votes(self._ballot, answers, list(names), self._differences))
            self._board.set_slots(**self._judge.write_slots(self._differences.write_tools(answers, names)))
            self._board.set_slots(**self._differences.write_slots(answers, names))

    def _list_shown(self) -> tuple[dict[str, str], dict[str, str]]:
        """List the complete answers that are shown, and the names of all models, both by label."""
        names = {pane.label: visible(pane.name) for pane in self._panel.panes}
        return {} if self._panel.busy else self._ballot.list_answers(), names

    # Messages of the views. They come on the kernel's main thread or on a subshell's, so they are only handed on.

    def _handle(self, content: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        kind = content.get("type")
        if kind in ("ready", "resync"):
            portal.call(self._greet)
        elif kind == "ping":
            portal.call(self._screen.send, {"type": "pong"})
        elif kind == "stop":
            self._panel.stop()
        elif self._notice:
            return
        elif kind in ("attach", "detach"):
            self._files.receive(content, buffers)
        elif kind == "differences":
            portal.submit(self._compare(content))
        elif kind in JUDGE_MESSAGES:
            self._judge.receive(content)
        elif kind == "vote":
            portal.call(self._vote, content.get("choice"))
        else:
            try:
                if kind == "ask" and (prompt := self._files.join(read_text(content), content.get("files"))):
                    self._panel.ask(prompt)
                answer = fulfill(self._panel, content)
            except NbkitError as error:
                answer = {"type": "notice", "text": visible(str(error))}
            if answer:
                portal.call(self._screen.send, answer)

    async def _compare(self, content: dict[str, Any]) -> None:
        await self._differences.change(content, *self._list_shown())
        self._flush()

    def _vote(self, choice: Any) -> None:
        if not self._panel.busy and cast_vote(self._ballot, [pane.label for pane in self._panel.panes], choice):
            self.rest()

    def _greet(self) -> None:
        self._flush()
        self._screen.send(self._board.snapshot())


def _make_widget(title: str, handle: Callable[[dict[str, Any], Sequence[Any]], None], twin: str) -> CompareWidget:
    from nbkit.notebook.widgets.compare import CompareWidget

    widget = CompareWidget(f"{title}; re-run to interact", twin)
    widget.on_msg(lambda _widget, content, buffers: handle(content, buffers))
    return widget


def feed_parts(turn: LiveTurn, parts: Sequence[str | ToolResult]) -> None:
    """Show texts and tool outputs that are there already."""
    for part in parts:
        if isinstance(part, ToolResult):
            turn.insert(export.write_tool(part))
        else:
            turn.feed(part, "")


def _describe_foot(panel: Panel) -> dict[str, Any]:
    """Say what the foot of a view shows of a panel."""
    first, busy = panel.panes[0], panel.busy
    context = describe_context(first.context_tokens, first.adapter) if len(panel.panes) == 1 else None
    spent = str(panel.running_total.total())
    return {"busy": busy, "ahead": "" if busy else describe_ahead(panel), "spent": spent, "context": context}


def _describe_finish(pane: Pane, answer: Answer) -> dict[str, Any]:
    """Say what stands under an answer, with the box for a key where one is missing."""
    no_key = isinstance(answer.error, ApiKeyNotFoundError | AuthenticationError)
    return describe_end(answer) | ({"key": describe_key(pane.adapter.endpoint)} if no_key else {})
