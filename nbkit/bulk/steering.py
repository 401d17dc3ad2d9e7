"""Acts on the panes of a panel, beside asking all of them. Every method returns at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeAlias

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.factory import ModelChoice, get_adapter
from nbkit.arguments import ModelName, read_models, suggest
from nbkit.bulk import portal
from nbkit.bulk.answers import Pane, edit_prompt, read_before
from nbkit.bulk.turns import Turns, list_prompts
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import ArgumentError, ConfigError, ConversationError

Models: TypeAlias = "ModelName | BaseAdapter | Iterable[ModelChoice]"
"""What names the models of a panel: one or several of them, rows of the catalog, or a column or index of ids.

A list in the list is one pane, of models that stand in for each other (`get_adapter`)."""


class Steering:
    """The panes of a panel, one by one and together."""

    _turns: Turns
    _work: portal.Backlog

    @property
    def panes(self) -> tuple[Pane, ...]:
        """One for each model."""
        return self._turns.panes

    @property
    def options(self) -> dict[str, Any]:
        """Options of all calls."""
        return self._turns.options

    @property
    def limits(self) -> dict[str, Any]:
        """`max_turns` and `max_cost` of each answer."""
        return self._turns.limits

    def find_pane(self, label: str) -> Pane:
        """Find a pane by its label. Raises ArgumentError, which says what is near."""
        labels = {pane.label: pane for pane in self.panes}
        if label in labels:
            return labels[label]
        raise ArgumentError(f"no model {label!r} here{suggest(label, labels)}")

    def retry(self, pane: Pane) -> Self:
        """Ask one model again, if its last answer failed."""
        if pane not in self.panes:
            raise ValueError(f"{pane.label} is a pane of another panel")
        self._work.submit(self._turns.retry(pane))
        return self

    def stop_one(self, pane: Pane) -> Self:
        """Stop the answer that streams into one pane; the others go on."""
        self._turns.stop_one(pane)
        return self

    def regenerate(self, pane: Pane, model: ModelChoice | None = None) -> Self:
        """Ask for the last answer of a pane again, of another model where one is given.

        The answer before is gone, its cost stays counted. Raises ModelNotFoundError.
        """
        adapter = None if model is None else ensure_adapter(model)
        self._work.submit(self._turns.regenerate(pane, adapter))
        return self

    def edit(self, turn: int, prompt: Any, panes: Sequence[Pane] = ()) -> Self:
        """Ask a turn (from 0; -1: the last) of some panes, or of all, with another prompt, on a new branch.

        What came after is left with the former branch. Raises ArgumentError where there is no such turn, and
        ConversationError where the prompt does not end with the user's turn.
        """
        prompts = list_prompts(panes or self.panes)
        number = turn + len(prompts) if turn < 0 else turn
        if not 0 <= number < len(prompts):
            raise ArgumentError(f"turn: expected one of the {len(prompts)} turns from 0 on, got {turn}")
        read_prompt(edit_prompt(prompts[number], prompt))
        self._work.submit(self._turns.edit(panes or self.panes, number, prompt, self._turns.stops))
        return self

    def show_branch(self, branch: int, panes: Sequence[Pane] = ()) -> Self:
        """Go on with a branch, by its number from 0, in some panes, or in all that have it."""
        panes = panes or self.panes
        most = max(len(pane.branches) or 1 for pane in panes)
        if not 0 <= branch < most:
            raise ArgumentError(f"branch: expected a number from 0 to {most - 1}, got {branch}")
        self._work.submit(self._turns.switch(panes, branch))
        return self

    def mute(self, pane: Pane, muted: bool = True) -> Self:
        """Ask the next prompts of the other models only; or of this one, too."""
        pane.muted = muted
        self._work.submit(self._turns.rename(pane))
        return self

    def set_options(self, pane: Pane, options: dict[str, Any]) -> Self:
        """Set options of the next calls of one model; None: as the panel has it. Raises ConfigError."""
        given = {name: value for name, value in (pane.options | options).items() if value is not None}
        ExecuteOptions.of(self._turns.options | given)
        pane.options = given
        self._work.submit(self._turns.rename(pane))
        return self

    def set_api_key(self, pane: Pane, api_key: str) -> Self:
        """Use a key for all models of a pane's provider, and ask those again that failed."""
        provider = pane.adapter.endpoint.provider
        for other in self.panes:
            if other.adapter.endpoint.provider == provider:
                other.adapter.set_api_key(api_key)
                self.retry(other)
        return self

    def add(self, model: ModelChoice) -> Pane:
        """Add a model: it is asked all prompts so far, one after the other. Raises ModelNotFoundError."""
        first, (pane,) = self.panes[0], make_panes([model], [pane.label for pane in self.panes])
        pane.conversation = read_before(first.answers[0]) if first.answers else first.conversation
        self._turns.add(pane)
        self._work.submit(self._turns.rename(pane))
        self._work.submit(self._turns.catch_up(pane, self._turns.stops))
        return pane


def ensure_adapter(model: ModelChoice) -> BaseAdapter:
    """Return the adapter of a model id, of a row of the catalog, or of a list of models that stand in for each other;
    an adapter as it is. Raises ModelNotFoundError."""
    return model if isinstance(model, BaseAdapter) else get_adapter(model)


def read_prompt(prompt: Any) -> Conversation:
    """Read a prompt. Raises ConversationError where it does not end with the user's turn."""
    conversation = Conversation(prompt)
    if not conversation.turns or conversation[-1].role != "user":
        raise ConversationError("expected a prompt, or a conversation that ends with the user's turn")
    return conversation


def make_panes(models: Models, taken: Iterable[str] = ()) -> list[Pane]:
    """Make a pane for each model, with labels that are not `taken`. Raises ModelNotFoundError or ConfigError."""
    adapters = [ensure_adapter(model) for model in read_models(models, (str, BaseAdapter), (list, tuple))]
    if not adapters:
        raise ConfigError("no model to ask")
    labels, panes = set(taken), []
    for adapter in adapters:
        pane = Pane("", adapter)
        pane.swap(adapter, labels)
        labels.add(pane.label)
        panes.append(pane)
    return panes
