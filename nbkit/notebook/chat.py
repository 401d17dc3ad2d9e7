"""A conversation with one model over several cells."""

from __future__ import annotations

from typing import Any, Self

from nbkit.adapters.adapter import MAX_TURNS, BaseAdapter
from nbkit.arguments import ModelName, check_arguments
from nbkit.billing.total import Sum
from nbkit.bulk.answers import append_prompt
from nbkit.bulk.panel import ensure_adapter
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation, Turn
from nbkit.notebook.compare import Comparison


class Chat:
    """Keeps a conversation: `chat = Chat("demo/swift"); chat("Hi")`.

    Each call streams into its cell, like a comparison of one model, and continues the conversation, also with the
    prompts of the cell's follow-up box. `options`: the fields of `ExecuteOptions`, for every call; `context="trim"`
    leaves out the oldest turns of a conversation that is longer than the model's context.

    `tools=[get_weather]`: Python functions that the model may call. They run in threads; async ones run on nbkit's own
    event loop. Each tool call and its output is shown in the answer, which then has at most `max_turns` turns; no
    further turn is requested once it has cost `max_cost` USD. `completion` is the last of them, with the tokens and
    the cost of all.

    Raises ModelNotFoundError or ConfigError where the model or an option does not exist.
    """

    @check_arguments
    def __init__(
        self,
        model: ModelName | BaseAdapter,
        *,
        system: str | None = None,
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> None:
        ExecuteOptions.of(options)
        self._adapter, self._options = ensure_adapter(model), options | {"max_turns": max_turns, "max_cost": max_cost}
        self._start = Conversation(Turn(role="system", content=system) if system else ())
        self._latest: Comparison | None = None
        self._earlier = Sum()

    def __call__(self, prompt: Any) -> Self:
        """Ask. In a notebook it returns at once; `completion`, `conversation` and `cost` wait for the answer."""
        conversation = append_prompt(self.conversation, Conversation(prompt))
        if self._latest:
            self._earlier += self._latest.spent
        self._latest = Comparison(conversation, self._adapter, **self._options)
        return self

    @property
    def completion(self) -> ChatCompletion | None:
        """The last answer. Raises the error of a call that failed; None before the first call."""
        if self._latest is None:
            return None
        for error in self._latest.errors.values():
            raise error
        return self._latest.completions[self._adapter.model_id]

    @property
    def conversation(self) -> Conversation:
        """All turns so far."""
        return self._latest.conversations[self._adapter.model_id] if self._latest else self._start

    @property
    def cost(self) -> float | None:
        """USD of all calls of this chat; None where the cost of one is unknown."""
        return (self._earlier + self._latest.spent if self._latest else self._earlier).cost

    def stop(self) -> None:
        """Stop the answer that streams."""
        if self._latest:
            self._latest.stop()

    def __repr__(self) -> str:
        return f"<Chat with {self._adapter.model_id}: {len(self.conversation)} turns>"

    def _ipython_display_(self) -> None:
        if self._latest:
            self._latest._ipython_display_()
        else:
            print(repr(self))  # noqa: T201 - what the cell would show
