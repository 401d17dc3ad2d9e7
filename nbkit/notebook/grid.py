"""Many prompts, several models, one table to read, filter and vote on: a `Table` shown in a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from nbkit.arguments import check_arguments, describe, is_table
from nbkit.billing.total import TOTAL, Sum
from nbkit.bulk import portal
from nbkit.bulk.answers import Pane
from nbkit.bulk.steering import Models
from nbkit.bulk.table import AT_ONCE, Table
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.template import fill, list_names
from nbkit.errors import ArgumentError, ConfigError
from nbkit.judging.ballot import Ballot
from nbkit.judging.cases import find_row
from nbkit.notebook.cells import Bundle
from nbkit.notebook.judged import cast_vote
from nbkit.notebook.outputs import Screen
from nbkit.notebook.sheet import Sheet, describe_start
from nbkit.notebook.sheet_export import write_sheet

if TYPE_CHECKING:
    import pandas as pd

    from nbkit.notebook.widgets.grid import GridWidget

_FLUSH_SECONDS = 0.2
"""Changes are batched for so long: a table is not read while it fills."""
_KEEP_SECONDS = 1.0
"""After a vote the static twin, which is long, is renewed so late: one vote follows the other."""


@check_arguments
def grid(
    template: str,
    frame: Any,
    models: Models,
    *,
    system: str | None = None,
    start: bool | None = None,
    at_once: int = AT_ONCE,
    **options: Any,
) -> Grid:
    """Ask several models many prompts, and show the answers as a table: a row for each prompt, a column for each model.

    `template`: the prompt, in which `{{name}}` stands for the value of that column; `system`: a system prompt, filled
    alike. `frame`: a DataFrame, a Series, a list of dicts, or a list of texts, whose name is `text`. `models`: ids or
    adapters. `at_once`: how many prompts one model is asked at the same time. `options`: the fields of
    `ExecuteOptions`, for all models, and `max_turns` and `max_cost` (USD) of `BaseAdapter.run`, which limit one answer.

    In a notebook it shows what all calls would cost and waits for its Start button, or for `.start()`; `start=True`
    begins at once. Without a person in front (nbconvert, nbval, papermill, `NBKIT_LIVE=0`, plain Python) it begins at
    once, unless `start=False`, and returns when all is answered.
    Raises ConfigError for a name without a column and for a missing value, ModelNotFoundError, ArgumentError or
    ConversationError before anything is sent. A call that fails raises nothing: its cell says why, as does `errors`.
    """
    rows = _read_rows(frame)
    names = list_names(template, rows[0], "column") if rows else ()
    prompts = [_fill_row(template, system, row, number) for number, row in enumerate(rows)]
    table = Table(prompts, models, at_once=at_once, **options)
    return Grid(template, table, [{name: row[name] for name in names} for row in rows], start)


def _read_rows(frame: Any) -> list[dict[str, Any]]:
    """Read the rows, as values by the names of the columns."""
    import pandas as pd

    if isinstance(frame, pd.Series):
        frame = frame.to_frame(frame.name or "text")
    elif not is_table(frame):
        if isinstance(frame, str | bytes) or not isinstance(frame, Iterable):
            raise ArgumentError(f"grid(): frame: expected a DataFrame or a list of rows, got {describe(frame)}")
        values = frame if isinstance(frame, Mapping) else list(frame)
        is_text = not isinstance(values, Mapping) and all(isinstance(value, str) for value in values)
        frame = pd.DataFrame({"text": values} if is_text else values)
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentError(f"grid(): frame: expected a DataFrame, got {describe(frame)}")
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _fill_row(template: str, system: str | None, row: dict[str, Any], number: int) -> Any:
    for name in list_names(f"{template}\n{system or ''}", row, "column"):
        if row[name] is None or row[name] != row[name]:  # NaN
            raise ConfigError(
                f"grid(): row {number} has no value in the column {name!r}: fill it in (frame.fillna('')), or leave "
                "the row out (frame.dropna())"
            )
    turns = [("system", system)] * (system is not None) + [("user", template)]
    return [{"role": role, "content": fill(text or "", row, "column")} for role, text in turns]


class Grid:
    """Result of `grid`: a table of prompts and models, and where it is shown.

    Rows are counted from 0. Reading its data waits for what was asked for; so does `await`.
    """

    def __init__(self, title: str, table: Table, values: list[dict[str, Any]], start: bool | None) -> None:
        self._table, self._values = table, values
        self._ballot = Ballot(partial(find_row, table), "row")
        self._display = _Display(title, table, self._ballot)
        if start or (start is None and not self._display.live):
            self.start()
        elif not self._display.live:
            self._display.show()

    # Asking

    def start(self) -> Self:
        """Ask for all answers that are not there: not begun, or stopped. In a notebook it returns at once."""
        return self._ask(self._table.start)

    def retry(self) -> Self:
        """Ask again for the answers that failed. In a notebook it returns at once."""
        return self._ask(self._table.retry)

    def _ask(self, ask: Any) -> Self:
        ask()
        if not self._display.live:
            try:
                self._table.wait()
            finally:
                self._display.show()
        return self

    def stop(self) -> None:
        """Stop the answers that are being written, and ask for no more. Returns at once; `start` goes on."""
        self._table.stop()

    def wait(self, timeout: float | None = None) -> Self:
        """Wait for all that was asked for, at most `timeout` seconds (then TimeoutError, and the calls go on).

        Interrupting the kernel meanwhile stops the requests.
        """
        self._table.wait(timeout)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._join().__await__()

    async def _join(self) -> Self:
        await self._table
        return self

    def freeze(self) -> None:
        """Leave only the static output, for a clean file; waits first."""
        self.wait()
        self._display.freeze()

    # Voting

    def vote(self, row: int, winner: str | None) -> Self:
        """Say which answer of a row is the best: a model's label, "tie", "bad" (none is good), or None for no vote.

        Raises ArgumentError where the row or the model is unknown, or has no answer to vote on.
        """
        self.wait()
        self._ballot.vote(winner, number=row)
        portal.call(self._display.show_vote, row)
        return self

    @property
    def votes(self) -> pd.DataFrame:
        """The votes as pairs, for `nbkit.rank`: the winner of a row against each of the others.

        The columns of a frame of votes (prompt, left, right, winner, voter, left_cost and right_cost in USD), then
        `row`, `left_answer`, `right_answer` and what else `Comparison.votes` has.
        """
        return self._ballot.to_frame()

    # Results

    @property
    def completions(self) -> dict[tuple[int, str], ChatCompletion | None]:
        """The answers by row and model: complete, partial where they broke off, None where there is none."""
        self.wait()
        return {key: cell.answers[-1].completion if cell.answers else None for key, cell in self._list_cells()}

    @property
    def errors(self) -> dict[tuple[int, str], Exception]:
        """The errors by row and model."""
        self.wait()
        answers = ((key, cell.answers[-1]) for key, cell in self._list_cells() if cell.answers)
        return {key: answer.error for key, answer in answers if answer.error}

    def _list_cells(self) -> Iterator[tuple[tuple[int, str], Pane]]:
        return (((row, cell.label), cell) for cell, (row, _) in self._table.places.items())

    @property
    def cost(self) -> float | None:
        """USD of all calls, retries included; None where the cost of one is unknown (`spent` has the known part)."""
        return self.spent.cost

    @property
    def spent(self) -> Sum:
        """How many calls, what they cost, and of how many the cost is unknown."""
        self.wait()
        return self._table.spent

    def to_frame(self) -> pd.DataFrame:
        """One row for each prompt and model: the values of the template's names, the prompt, the answer, tokens, cost
        in USD, times in seconds, and in `vote` the vote on its row."""
        import pandas as pd

        choices = self._ballot.choices
        rows = ((row["row"], row) for row in self._table.rows())
        return pd.DataFrame([self._values[number] | row | {"vote": choices.get(number)} for number, row in rows])

    def __repr__(self) -> str:
        done, size = len(self._table.list_cells(["done"])), (len(self._table.cells), len(self._table.columns))
        return f"<Grid of {size[0]} prompts and {size[1]} models: {done} answers, {self._table.spent}>"

    def _ipython_display_(self) -> None:
        """Show it in this cell too, unless the call that began it has done so."""
        self._display.show_again()


class _Display:
    """Shows a table: to views in deltas, to everybody else in a static twin, renewed whenever all is quiet.

    The methods of `Follower`, and what they call, run on the portal's thread.
    """

    def __init__(self, title: str, table: Table, ballot: Ballot) -> None:
        self._title, self._table, self._ballot = title, table, ballot
        self._sheet = Sheet(title, table, ballot)
        self._timer: asyncio.TimerHandle | None = None
        self._keeper: asyncio.TimerHandle | None = None
        self._screen = Screen(self._make_widget)
        if self.live:
            self._screen.show(self._bundle())
            table.follower = self

    def _make_widget(self, twin: str) -> GridWidget:
        from nbkit.notebook.widgets.grid import GridWidget

        size = f"{len(self._table.cells)} prompts and {len(self._table.columns)} models"
        widget = GridWidget(f"nbkit grid of {size}; re-run to interact", twin)
        widget.on_msg(lambda _widget, content, _buffers: self._handle(content))
        return widget

    @property
    def live(self) -> bool:
        """Whether there is a widget."""
        return self._screen.live

    def show(self) -> None:
        """Show all in the running cell."""
        self._screen.show(self._bundle())

    def show_again(self) -> None:
        """Show all in the running cell, unless that has been done."""
        if not self._screen.shown_here:
            self.show()

    def _bundle(self) -> Bundle:
        table = self._table
        totals = f"this grid {table.spent} · notebook {TOTAL.total()}"
        if ahead := "" if table.busy else describe_start(table):
            totals = f"not asked: {ahead} · {totals}"
        return write_sheet(self._title, table, self._ballot.choices, totals)

    def freeze(self) -> None:
        """Leave only the static twin."""
        portal.wait(portal.submit(self._freeze()))

    async def _freeze(self) -> None:
        self._table.follower = None
        self._screen.freeze(self._bundle())

    def show_vote(self, row: int) -> None:
        """Show the vote on a row."""
        self._sheet.vote(row)
        self._flush_in(0)
        if self.live and self._keeper is None:
            self._keeper = asyncio.get_running_loop().call_later(_KEEP_SECONDS, self._keep)

    # Follower of the table

    def change(self, cell: Pane) -> None:
        """Show that a cell begins, or its answer."""
        self._sheet.change(cell)
        self._flush_in(_FLUSH_SECONDS)

    def hold(self, cell: Pane, seconds: float | None) -> None:
        """Show that a cell waits for a rate limit."""
        self._sheet.hold(cell, seconds)
        self._flush_in(_FLUSH_SECONDS)

    def rest(self) -> None:
        """Renew the static twin, and the state of views that come later."""
        self._sheet.rest()
        self._flush()
        self._keep()

    def _keep(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        self._screen.update(self._bundle(), {})

    def _flush_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def _flush(self) -> None:
        """Send the views what is new."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delta := self._sheet.delta():
            self._screen.send(delta)

    # Messages of the views. They come on the kernel's main thread or on a subshell's, so they are only handed on.

    def _handle(self, content: dict[str, Any]) -> None:
        kind, row = content.get("type"), content.get("row")
        row = row if isinstance(row, int) and 0 <= row < len(self._table.cells) else None
        if kind in ("ready", "resync"):
            portal.call(self._greet)
        elif kind == "ping":
            portal.call(self._screen.send, {"type": "pong"})
        elif kind == "stop":
            self._table.stop()
        elif kind == "start":
            self._table.start()
        elif kind == "retry":
            self._table.retry()
        elif kind == "open" and row is not None:
            portal.call(self._open, row)
        elif kind == "vote" and row is not None:
            portal.call(self._vote, row, content.get("choice"))

    def _vote(self, row: int, choice: Any) -> None:
        cast_vote(self._ballot, [column.label for column in self._table.columns], choice, row)
        self.show_vote(row)

    def _open(self, row: int) -> None:
        self._screen.send(self._sheet.write_answers(row))

    def _greet(self) -> None:
        self._flush()
        self._screen.send(self._sheet.snapshot())
