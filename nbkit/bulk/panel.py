"""Several models answering the same, side by side. No Jupyter here.

    panel = Panel(["openai/gpt-6-luna", "anthropic/claude-haiku-4-5"], max_tokens=200)
    panel.ask("Explain recursion").ask("In one sentence")
    panel.completions["openai/gpt-6-luna"].text

A turn is one prompt to all models; its answers stream at the same time, on the portal's thread. What a panel holds is
changed on that thread only.
"""

from __future__ import annotations

from typing import Any, Self

from nbkit.adapters.adapter import MAX_TURNS
from nbkit.arguments import check_arguments
from nbkit.billing.entry import find_origin
from nbkit.billing.total import RunningTotal, Sum
from nbkit.bulk import portal
from nbkit.bulk.answers import Answer
from nbkit.bulk.background import Background
from nbkit.bulk.steering import Models, Steering, make_panes, read_prompt
from nbkit.bulk.turns import Listener, Turns
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConfigError


class Panel(Steering, Background):
    """Models that answer the same prompts.

    `models`: ids or adapters; a model may take part twice. `options`: the fields of `ExecuteOptions`, for all models.
    Each answer is a run, which calls the Python functions among the `tools`, and `max_turns` and `max_cost` (USD) limit
    it as in `BaseAdapter.run`. `running_total`: what the calls are added to, where other panels add to it too.
    Raises ModelNotFoundError or ConfigError. A call that fails raises nothing: see `errors`.

    Reading `completions`, `errors`, `conversations`, `spent`, `cost` and `rows()` waits for the answers; `panes`,
    `running_total` and `busy` can be read at any time.
    """

    @check_arguments
    def __init__(
        self,
        models: Models,
        *,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        listener: Listener | None = None,
        running_total: RunningTotal | None = None,
        **options: Any,
    ) -> None:
        ExecuteOptions.of(options)
        limits = {"max_turns": max_turns, "max_cost": max_cost}
        # a later question belongs to this cell too, wherever it is asked
        self._turns = Turns(make_panes(models), options, limits, find_origin())
        self.listener = listener
        if running_total is not None:
            self._turns.running_total = running_total
        self._work = portal.Backlog(self.stop)

    # Asking

    def ask(self, prompt: Any) -> Self:
        """Ask all models, once the turn before has ended; each continues its own conversation. Returns at once.

        `prompt`: a string, or a conversation that ends with the user's turn. Raises ConversationError, and ConfigError
        where all models are muted.
        """
        if all(pane.muted for pane in self.panes):
            raise ConfigError("all models are muted: unmute one first")
        self._work.submit(self._turns.ask(read_prompt(prompt), self._turns.stops))
        return self

    def stop(self) -> None:
        """Stop the answers that stream, and drop the questions that wait for their turn. Returns at once."""
        self._turns.stop()
        self._work.submit(self._turns.rest())  # whoever waits afterwards finds the partial answers complete

    def fork(self) -> Panel:
        """Copy the conversations and answers so far into a new panel, which has cost nothing yet. Waits."""
        self.wait()
        other = Panel([pane.adapter for pane in self.panes], **self._turns.limits, **self._turns.options)
        other._turns.panes = tuple(pane.copy() for pane in self.panes)
        return other

    # Results

    @property
    def blocks(self) -> tuple[object, ...]:
        """The blocks that it began in: budgets, replays."""
        return self._turns.origin.blocks

    @property
    def busy(self) -> bool:
        """Whether answers stream now."""
        return self._turns.busy

    @property
    def running_total(self) -> RunningTotal:
        """The total of all calls so far, retries included; of all panels that share it."""
        return self._turns.running_total

    @property
    def listener(self) -> Listener | None:
        """Follower of all turns."""
        return self._turns.listener

    @listener.setter
    def listener(self, listener: Listener | None) -> None:
        self._turns.listener, self._turns.watched = listener, listener is not None

    @property
    def completions(self) -> dict[str, ChatCompletion | None]:
        """The answers of the last turn by label: complete, partial where they broke off, None where none arrived."""
        return {label: answer.completion for label, answer in self._last_answers().items()}

    @property
    def errors(self) -> dict[str, Exception]:
        """The errors of the last turn, by label."""
        return {label: answer.error for label, answer in self._last_answers().items() if answer.error}

    @property
    def conversations(self) -> dict[str, Conversation]:
        """The conversation with each model, by label."""
        self.wait()
        return {pane.label: pane.conversation for pane in self.panes}

    @property
    def cost(self) -> float | None:
        """USD of all calls, retries included; None where the cost of one is unknown (`spent` has the known part)."""
        return self.spent.cost

    @property
    def spent(self) -> Sum:
        """How many calls, what they cost, and of how many the cost is unknown."""
        self.wait()
        return self.running_total.total()

    def rows(self) -> list[dict[str, Any]]:
        """One row per turn and model that was asked: label, turn (from 1), how many branches there are (the rows are of
        the current one), prompt, text, tokens, cost in USD, times in seconds."""
        self.wait()
        return [
            {"model": pane.label, "turn": turn + 1, "branches": len(pane.branches) or 1} | pane.answers[turn].row()
            for turn in range(max(len(pane.answers) for pane in self.panes))
            for pane in self.panes
            if turn < len(pane.answers) and pane.answers[turn].status != "skipped"
        ]

    def summarize(self) -> str:
        """Say in a few words which models answered how often, and for how much so far."""
        answers = sum(answer.status == "done" for pane in self.panes for answer in pane.answers)
        labels = ", ".join(pane.label for pane in self.panes)
        return f"{labels}: {answers} answer{'' if answers == 1 else 's'}, {self.running_total.total()}"

    def __repr__(self) -> str:
        return f"<Panel of {self.summarize()}>"

    def _last_answers(self) -> dict[str, Answer]:
        self.wait()
        return {pane.label: pane.answers[-1] for pane in self.panes if pane.answers}
