"""Many prompts to several models: a table with a row for each prompt and a column for each model. No Jupyter here.

    table = Table(["Explain recursion", "Explain iteration"], ["openai/gpt-6-luna", "anthropic/claude-haiku-4-5"])
    table.start().wait()
    table.cells[1][0].answers[-1].text

A cell is a pane with one turn. Each model is asked so many prompts at once, from the first row on, on the portal's
thread, where all that a table holds is changed. A stop leaves what was not sent yet; `start` goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Protocol, Self

from nbkit.adapters.adapter import MAX_TURNS
from nbkit.adapters.run import Event
from nbkit.arguments import check_arguments
from nbkit.billing.cost import bill
from nbkit.billing.entry import find_origin
from nbkit.billing.tokens import count_tokens
from nbkit.billing.total import RunningTotal, Sum
from nbkit.bulk import portal
from nbkit.bulk.answers import Pane, Status
from nbkit.bulk.background import Background
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import Models, read_prompt
from nbkit.bulk.turns import Turns
from nbkit.conversation.completion import Usage
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConfigError

AT_ONCE = 8
"""Prompts that one model is asked at the same time, unless it is told otherwise."""
ANSWER_TOKENS = 300
"""Tokens that an answer is taken to have in an estimate, before there are answers."""


class Follower(Protocol):
    """Follows a table. Its methods are called on the portal's thread, so they must return soon."""

    def change(self, cell: Pane) -> None:
        """Take note that a cell begins, or has ended."""

    def hold(self, cell: Pane, seconds: float | None) -> None:
        """Take note that a cell waits for a rate limit, at least so many seconds; None: no more."""

    def rest(self) -> None:
        """Take note that nothing is asked any more."""


class Table(Background):
    """Prompts to models.

    `prompts`: strings or conversations that end with the user's turn. `models`: as a `Panel` takes them. `at_once`: how
    many prompts one model is asked at the same time. `options`: the fields of `ExecuteOptions`, for all; `max_turns`
    and `max_cost` (USD) limit the tool calls of one answer as in `BaseAdapter.run`.
    Raises ModelNotFoundError, ConfigError or ConversationError. Nothing is sent before `start`.
    """

    @check_arguments
    def __init__(
        self,
        prompts: Iterable[Any],
        models: Models,
        *,
        at_once: int = AT_ONCE,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> None:
        if at_once < 1:
            raise ConfigError(f"at_once: expected 1 or more, got {at_once}")
        self.prompts: tuple[Conversation, ...] = tuple(read_prompt(prompt) for prompt in prompts)
        if not self.prompts:
            raise ConfigError("no prompt to ask")
        limits = {"max_turns": max_turns, "max_cost": max_cost}
        self.columns: tuple[Pane, ...] = Panel(models, max_turns=max_turns, max_cost=max_cost, **options).panes
        """The models; their panes stay empty."""
        self.cells: tuple[tuple[Pane, ...], ...] = tuple(
            tuple(Pane(column.label, column.adapter) for column in self.columns) for _ in self.prompts
        )
        """The cells, by row and column. The answer is the last of `answers`; there is none before it is asked for."""
        self.places = {cell: (row, number) for row, line in enumerate(self.cells) for number, cell in enumerate(line)}
        """Row and column of each cell."""
        self.totals = tuple(RunningTotal() for _ in self.columns)
        """What each column has cost, retries included."""
        self.follower: Follower | None = None
        self._turns = Turns(tuple(self.places), options, limits, find_origin())
        self._turns.listener = self
        self._gates = [asyncio.Semaphore(at_once) for _ in self.columns]
        self._pending: set[Pane] = set()
        self._work = portal.Backlog(self.stop)
        self.answer_tokens: int = min(ANSWER_TOKENS, options.get("max_tokens") or ANSWER_TOKENS)
        """Tokens that an answer is taken to have, before there are answers."""
        self._read = [int(count_tokens(prompt)) for prompt in self.prompts]

    # Asking

    def start(self) -> Self:
        """Ask for all answers that are not there: not begun, or stopped. Returns at once."""
        return self._submit(("waiting", "stopped"))

    def retry(self) -> Self:
        """Ask again for the answers that failed. Returns at once."""
        return self._submit(("failed",))

    def _submit(self, statuses: Sequence[Status]) -> Self:
        self._work.submit(self._ask(statuses, self._turns.stops))
        return self

    def stop(self) -> None:
        """Stop the answers that stream, and ask for no more. Returns at once."""
        self._turns.stop()
        self._work.submit(self._turns.rest())

    async def _ask(self, statuses: Sequence[Status], stops: int) -> None:
        cells = [cell for cell in self.list_cells(statuses) if cell not in self._pending]
        if not cells or stops != self._turns.stops:
            return
        self._pending |= set(cells)
        tasks = [asyncio.create_task(self._ask_one(cell, stops)) for cell in cells]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            self._pending -= set(cells)
            if not self._pending and self.follower:
                self.follower.rest()
        for fault in [task.exception() for task in tasks if not task.cancelled()]:
            if fault:  # of nbkit's own: it reaches whoever waits
                raise fault

    async def _ask_one(self, cell: Pane, stops: int) -> None:
        row, column = self.places[cell]
        async with self._gates[column]:
            if stops != self._turns.stops:
                return
            if get_status(cell) == "failed":
                await self._turns.retry(cell)  # what its tools did is not done again
            else:
                cell.conversation, cell.answers = Conversation(), []
                await self._turns.ask_one(cell, self.prompts[row])

    # Listener of the turns

    def begin(self, pane: Pane, retry: bool) -> None:
        """Tell that a cell begins."""
        self._tell(pane)

    def receive(self, pane: Pane, event: Event) -> None:
        """Leave the pieces of an answer to its cell."""

    def hold(self, pane: Pane, seconds: float | None) -> None:
        """Tell that a cell waits for a rate limit."""
        if self.follower:
            self.follower.hold(pane, seconds)

    def end(self, pane: Pane) -> None:
        """Book an answer, and tell."""
        if completion := pane.answers[-1].completion:
            self.totals[self.places[pane][1]].add(pane.label, completion)
        self._tell(pane)

    def rename(self, pane: Pane) -> None:
        """Take no note: the models of a table stay."""

    def branch(self, pane: Pane, turn: int) -> None:
        """Take no note: a table has no branches."""

    def rest(self) -> None:
        """Take no note: between two answers of one model, nothing may stream."""

    def _tell(self, cell: Pane) -> None:
        if self.follower:
            self.follower.change(cell)

    # Results

    @property
    def blocks(self) -> tuple[object, ...]:
        """The blocks that it began in: budgets, replays."""
        return self._turns.origin.blocks

    @property
    def busy(self) -> bool:
        """Whether answers are asked for now."""
        return bool(self._pending)

    def list_cells(self, statuses: Sequence[Status]) -> list[Pane]:
        """List the cells whose answers have one of these statuses, row by row."""
        return [cell for cell in self.places if get_status(cell) in statuses]

    @property
    def spent(self) -> Sum:
        """How many calls so far, what they cost, and of how many the cost is unknown."""
        return sum((total.total() for total in self.totals), Sum())

    def estimate(self, cells: Iterable[Pane]) -> Sum:
        """Estimate what it costs to ask for some cells: as much as the model's answers cost so far, on average; before
        there are any, by the tokens of the prompts, and answers of ANSWER_TOKENS (or of `max_tokens`, if fewer)."""
        means = [self._average(total.total()) for total in self.totals]
        return sum((self._estimate_cell(cell, means) for cell in cells), Sum())

    def _estimate_cell(self, cell: Pane, means: Sequence[Decimal | None]) -> Sum:
        row, column = self.places[cell]
        if (mean := means[column]) is not None:
            return Sum(1, mean)
        usd = bill(Usage(input=self._read[row], output=self.answer_tokens), cell.adapter.endpoint.cost).total
        return Sum(1, unknown=1) if usd is None else Sum(1, Decimal(str(usd)))

    @staticmethod
    def _average(total: Sum) -> Decimal | None:
        known = total.calls - total.unknown
        return total.usd / known if known else None

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row for each prompt and model: row (from 0), label, then as `Answer.row`. Waits for the answers."""
        self.wait()
        for cell, (row, _) in self.places.items():
            answer = cell.answers[-1].row() if cell.answers else {"prompt": self.prompts[row][-1].text}
            yield {"row": row, "model": cell.label, "status": "waiting"} | answer


def get_status(cell: Pane) -> Status:
    """Get the status of a cell's answer; "waiting" before it is asked for."""
    return cell.answers[-1].status if cell.answers else "waiting"
