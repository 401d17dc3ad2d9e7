"""One prompt, several models, side by side, live: a panel shown in a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from nbkit.adapters.run import Event, ToolResult
from nbkit.billing.cost import bill, estimate_tokens
from nbkit.billing.total import TOTAL, Sum
from nbkit.bulk import portal
from nbkit.bulk.acts import PaneActs
from nbkit.bulk.answers import Pane
from nbkit.bulk.panel import Models, Panel, read_prompt
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.conversation.template import fill
from nbkit.conversation.turns import Conversation, Turn
from nbkit.errors import ApiKeyNotFoundError, AuthenticationError, ConfigError
from nbkit.judging.ballot import Ballot
from nbkit.notebook import export
from nbkit.notebook.deltas import Board
from nbkit.notebook.documents import write_json, write_page
from nbkit.notebook.facts import describe_context, describe_end, describe_key
from nbkit.notebook.judged import Judged, append_votes, cast_vote, describe_votes
from nbkit.notebook.outputs import Bundle, Screen

if TYPE_CHECKING:
    import pandas as pd

    from nbkit.notebook.widgets.compare import CompareWidget


class Picker(Protocol):
    """What `nbkit.pick()` returns, as far as a comparison reads it."""

    @property
    def value(self) -> list[str]:
        """The ids of the picked models."""


def compare(
    prompt: Any = None,
    models: Models | Picker = (),
    *,
    system: str | None = None,
    template: str | None = None,
    values: Mapping[str, Any] | None = None,
    **options: Any,
) -> Comparison:
    """Ask several models the same and show their answers side by side while they arrive.

    `prompt`: a string, or a conversation that ends with the user's turn; without one, nothing is sent: the panes wait
    for what is typed below them. `models`: ids, adapters, rows of the catalog, or a picker; a model may take part
    twice. `system`: a system prompt. `template`, in the place of a prompt: a text whose `{{name}}`s are replaced once
    by `values`. `options`: the fields of `ExecuteOptions`, for all models; with Python functions among the `tools` also
    `max_turns` and `max_cost` of `BaseAdapter.run`, which limit how often the models call them.

    In a notebook it returns at once and streams in the background. Without a person in front (nbconvert, nbval,
    papermill, `NBKIT_LIVE=0`, plain Python) it returns when all have answered.
    Raises ModelNotFoundError, ConfigError or ConversationError before anything is sent. A call that fails raises
    nothing: its pane says why, and so does `errors`.
    """
    if template is not None:
        if prompt is not None:
            raise ConfigError("compare() takes a prompt or a template, not both")
        prompt = fill(template, values or {})
    elif values is not None:
        raise ConfigError("values fill the names of a template: pass template= too")
    start = Conversation(Turn(role="system", content=system) if system else ())
    return Comparison(None if prompt is None else start + prompt, _read_picker(models), start=start, **options)


def _read_picker(models: Models | Picker) -> Models:
    picked = getattr(models, "value", None)
    if not isinstance(picked, list):
        return cast("Models", models)
    if not picked:
        raise ConfigError("no model is picked: pick one in the picker first")
    return picked


class Comparison(Judged):
    """Result of `compare`: a panel, and where it is shown. Reading its data waits for the answers; so does `await`."""

    def __init__(self, prompt: Any, models: Models, *, start: Conversation | None = None, **options: Any) -> None:
        conversation = None if prompt is None else read_prompt(prompt)
        self._panel = Panel(models, **options)
        self._ballot = Ballot(self._panel)
        self._display = _Display(self._panel, self._ballot)
        if conversation is not None:
            self._ask(conversation)
        elif start is not None:  # the first prompt will follow it
            for pane in self._panel.panes:
                pane.conversation = start

    # Asking

    def ask(self, prompt: Any) -> Self:
        """Ask all models a follow-up. Each continues its own conversation, once the turn before has ended."""
        self._ask(read_prompt(prompt))
        return self

    def _ask(self, prompt: Conversation) -> None:
        turns = len(self._panel.panes[0].answers)
        self._panel.ask(prompt)
        if not self._display.live:
            try:
                self._panel.wait()
            finally:
                self._display.show(since=turns)

    def __getitem__(self, label: str) -> PaneActs:
        """Return one model to act on: `answers["demo/swift"].stop()`, `.retry()`, `.regenerate()`, `.swap(model)`.

        Raises ArgumentError where no model has this label.
        """
        return PaneActs(self._panel, self._panel.find_pane(label))

    def stop(self) -> None:
        """Stop the answers that stream, and drop the questions that wait for their turn. Returns at once."""
        self._panel.stop()

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until all have answered, at most `timeout` seconds (then TimeoutError, and the streams go on).

        Interrupting the kernel meanwhile stops the requests.
        """
        self._panel.wait(timeout)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._join().__await__()

    async def _join(self) -> Self:
        await self._panel
        return self

    def freeze(self) -> None:
        """Leave only the static output, for a clean file; waits first. Later questions do without a widget."""
        self.wait()
        self._display.freeze()

    def leave(self, notice: str) -> None:
        """Take no more questions and retries from the views: their box shows the `notice` instead."""
        self._display.leave(notice)

    # Results

    @property
    def completions(self) -> dict[str, ChatCompletion | None]:
        """The answers of the last turn, by model: complete, partial where they broke off, None where none arrived."""
        return self._panel.completions

    @property
    def errors(self) -> dict[str, Exception]:
        """The errors of the last turn, by model."""
        return self._panel.errors

    @property
    def conversations(self) -> dict[str, Conversation]:
        """The conversation with each model."""
        return self._panel.conversations

    @property
    def context_tokens(self) -> dict[str, int | None]:
        """The tokens of the conversation with each model, as its last call counted them; None where it did not."""
        self.wait()
        return {pane.label: pane.context_tokens for pane in self._panel.panes}

    @property
    def cost(self) -> float | None:
        """USD of all calls, retries included; None where the cost of one is unknown (`spent` has the known part)."""
        return self._panel.cost

    @property
    def spent(self) -> Sum:
        """How many calls, what they cost, and of how many the cost is unknown."""
        return self._panel.spent

    def to_frame(self) -> pd.DataFrame:
        """One row per turn and model: the prompt, the answer, tokens, cost in USD, times in seconds."""
        import pandas as pd

        return pd.DataFrame(self._panel.rows())

    def to_markdown(self) -> str:
        """Write all turns as Markdown. Prompts and answers stand in fences: no reader of it runs or loads anything."""
        return self.wait()._display._bundle()["text/markdown"]

    def to_html(self) -> str:
        """Write all turns as a whole page, light and dark, without scripts."""
        return write_page(self.wait()._display._bundle()["text/html"], f"Comparison of {self._panel.summarize()}")

    def to_json(self) -> str:
        """Write all turns as JSON: `{"models": [{"model", "name", "turns": [...]}]}`.

        A turn has the columns of `to_frame()`, and `sent`, `reasoning` and `tools`.
        """
        return write_json(self.wait()._panel.panes)

    def __repr__(self) -> str:
        return f"<Comparison of {self._panel.summarize()}>"

    def _renew(self) -> None:
        if self._display.live:
            portal.call(self._display.rest)

    def _ipython_display_(self) -> None:
        """Show it in this cell too, unless the call that began it has done so."""
        self._display.show_again()


class _Display:
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
        if self.live:
            self._screen.show(export.write_bundle((), f"{self._title}: no answer yet"))
            panel.listener = self

    def _make_widget(self) -> CompareWidget:
        from nbkit.notebook.widgets.compare import CompareWidget

        widget = CompareWidget(f"{self._title}; re-run to interact")
        widget.on_msg(lambda _widget, content, _buffers: self._handle(content))
        return widget

    @property
    def live(self) -> bool:
        """Whether there is a widget, which shows the answers while they stream."""
        return self._screen.live

    def show(self, since: int = 0) -> None:
        """Show the turns from `since` on in the running cell."""
        self._screen.show(self._bundle(since))

    def show_again(self) -> None:
        """Show all in the running cell, unless that has been done."""
        if not self._screen.shown_here:
            self.show()

    def _bundle(self, since: int = 0) -> Bundle:
        return append_votes(export.write_bundle(self._panel.panes, self._totals(), since), self._ballot)

    def freeze(self) -> None:
        """Leave only the static twin."""
        portal.wait(portal.submit(self._freeze()))

    async def _freeze(self) -> None:
        self._panel.listener = None
        self._screen.freeze(self._bundle())

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
            self._board.add(index, answer.prompt, answer.sent)
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
        self._screen.update(self._bundle(), self._board.snapshot())

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

    def _handle(self, content: dict[str, Any]) -> None:
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
        elif kind == "ask" and written:
            self._panel.ask(written)
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
        cast_vote(self._panel, self._ballot, choice)
        self.rest()

    def _greet(self) -> None:
        self._flush()
        self._screen.send(self._board.snapshot())
