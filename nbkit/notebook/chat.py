"""A conversation with one model over several cells."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Self

from nbkit.adapters.adapter import MAX_TURNS
from nbkit.adapters.factory import ModelChoice
from nbkit.arguments import check_arguments
from nbkit.billing.total import RunningTotal
from nbkit.bulk.answers import append_prompt
from nbkit.bulk.steering import ensure_adapter
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.conversation.media import attach
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import AnyTurn, Conversation, Turn
from nbkit.errors import ConfigError, ConversationError
from nbkit.notebook.chat_file import ChatRecord, read_chat, write_chat
from nbkit.notebook.compare import Comparison
from nbkit.notebook.documents import write_chat_json, write_chat_markdown, write_chat_page

_GOES_ON = "The chat goes on in another cell."


class Chat:
    """Keeps a conversation: `chat = Chat("demo/swift"); chat("Hi"); chat("What is this?", "cat.png")`.

    Each call streams into its cell, like a comparison of one model, and continues the conversation, also with the
    prompts of the cell's follow-up box. Of a list of models, the next answers where the one before cannot.
    `system`: the system prompt; `conversation`: turns that it begins with.
    `options`: the fields of `ExecuteOptions`, for every call; `context="trim"` leaves out the oldest turns of a
    conversation that is longer than the model's context.

    `tools=[get_weather]`: Python functions that the model may call. They run in threads; async ones run on nbkit's own
    event loop. Each tool call and its output is shown in the answer, which then has at most `max_turns` turns; no
    further turn is requested once it has cost `max_cost` USD. `completion` is the last of them, with the tokens and
    the cost of all.

    `switch(model)` lets another model go on, `fork()` makes an independent copy, `undo()` takes the last exchange back,
    `save(path)` and `Chat.load(path)` keep it in a file, `to_markdown()`, `to_html()` and `to_json()` make documents of
    it. Reading `completion`, `conversation`, `cost`, `usage` and `context_fill` waits for the answer.

    Raises ModelNotFoundError, ConfigError or ConversationError where the model, an option or a turn is wrong.
    """

    @check_arguments
    def __init__(
        self,
        model: ModelChoice,
        *,
        system: str | None = None,
        conversation: Any = (),
        max_turns: int = MAX_TURNS,
        max_cost: float | None = None,
        **options: Any,
    ) -> None:
        ExecuteOptions.of(options)
        self._adapter, self._options = ensure_adapter(model), options
        self._limits: dict[str, Any] = {"max_turns": max_turns, "max_cost": max_cost}
        self._turns = Conversation(Turn(role="system", content=system) if system else ()) + conversation
        self._context_tokens: int | None = None
        self._total = RunningTotal()
        self._latest: Comparison | None = None

    def __call__(self, prompt: Any, *files: Any) -> Self:
        """Ask. In a notebook it returns at once; `completion`, `conversation` and `cost` wait for the answer.

        `prompt`: a string, a turn, or a list of turns that ends with the user's. `files`: images, PDFs and recordings
        that go with a string, in every form that `nbkit.attach` reads: paths, bytes, figures, PIL images.
        Raises ConversationError, before anything is sent.
        """
        if files:
            if not isinstance(prompt, str):
                raise ConversationError("files go with a prompt that is a string; in a turn, they are a part of it")
            prompt = [prompt, *map(attach, files)]
        conversation = append_prompt(self.conversation, Conversation(prompt))
        self._leave()
        panel = {"running_total": self._total, **self._limits, **self._options}
        self._latest = Comparison(conversation, self._adapter, **panel)
        return self

    @property
    def completion(self) -> ChatCompletion | None:
        """The last answer. Raises the error of a call that failed; None before the first call, and after `undo()`."""
        if self._latest is None:
            return None
        for error in self._latest.errors.values():
            raise error
        return next(iter(self._latest.completions.values()), None)

    @property
    def conversation(self) -> Conversation:
        """All turns so far."""
        return next(iter(self._latest.conversations.values())) if self._latest else self._turns

    @property
    def cost(self) -> float | None:
        """USD of all calls of this chat, whichever model answered; None where the cost of one is unknown."""
        self._wait()
        return self._total.total().cost

    @property
    def usage(self) -> Usage:
        """Tokens of all calls of this chat; those of a provider that does not count them are not in it."""
        self._wait()
        return self._total.total().usage

    @property
    def context_fill(self) -> float | None:
        """The part of the model's context that the conversation fills, 0 to 1: tokens of the last prompt and answer.

        None where they, or the model's context, are not known, and before the first answer.
        """
        tokens, context = self._count_context(), self._adapter.endpoint.tolerance.context
        return tokens / context if tokens is not None and context else None

    def stop(self) -> None:
        """Stop the answer that streams."""
        if self._latest:
            self._latest.stop()

    def fork(self) -> Chat:
        """Copy the chat, to go on in another direction: both continue independently. The copy has cost $0 so far."""
        turns, tokens = self.conversation, self._count_context()
        other = Chat(self._adapter, conversation=turns, **self._limits, **self._options)
        other._context_tokens = tokens
        return other

    @check_arguments
    def switch(self, model: ModelChoice, **options: Any) -> Self:
        """Let another model continue the conversation, with the same options, or with those given here instead.

        `cost` and `usage` count both. Raises ModelNotFoundError or ConfigError.
        """
        ExecuteOptions.of(options)
        adapter = ensure_adapter(model)
        self._leave()
        self._adapter, self._options = adapter, options or self._options
        return self

    def undo(self) -> str | AnyTurn:
        """Take the last exchange back: the prompt and all that answered it. An answer that streams is stopped.

        Returns the prompt, as text or, with images and files, as a turn: `chat(chat.undo())` asks again. What was paid
        stays in `cost`. Raises ConversationError where the chat holds nothing to undo.
        """
        self.stop()
        turns = self.conversation.turns
        last = next((index for index in reversed(range(len(turns))) if turns[index].role == "user"), None)
        if last is None:
            raise ConversationError("there is nothing to undo: the chat has no prompt yet")
        self._leave()
        self._turns, self._context_tokens = Conversation(turns[:last]), None
        prompt = turns[last]
        return prompt.content if isinstance(prompt, Turn) else prompt

    def save(self, path: str | PathLike[str]) -> None:
        """Write the chat to a JSON file: model, turns with their images, options, cost. No key is in it.

        Python functions among the `tools`, `extra_headers` and `extra_body`, which may hold a key, are left out.
        Raises ConversationError where the file cannot be written; an older file of that name is then as it was.
        """
        tokens, spent = self._count_context(), self._total.by_model()
        parts = self._adapter.model_id, self.conversation, self._options, self._limits, spent, tokens
        write_chat(Path(path).expanduser(), ChatRecord(*parts))

    @classmethod
    def load(cls, path: str | PathLike[str], model: ModelChoice | None = None, **options: Any) -> Chat:
        """Read a chat that `save` wrote, to go on with it.

        `model`: another model, or an adapter with a `base_url` or a key of its own. `options`: in the place of those in
        the file. Options that `save` left out must be given: `Chat.load("trip.json", tools=[get_weather])`, or
        `tools=None` to go on without them.
        Raises ConversationError where the file cannot be read, ConfigError where an option is missing.
        """
        path = Path(path).expanduser()
        record = read_chat(path)
        if missing := [name for name in record.left_out if name not in options]:
            raise ConfigError(f"{path} does not hold {' and '.join(missing)}: pass {'=, '.join(missing)}= (or None)")
        given: dict[str, Any] = {**record.limits, **record.options, **options}
        chat = cls(record.model if model is None else model, conversation=record.conversation, **given)
        chat._total, chat._context_tokens = RunningTotal(record.spent), record.context_tokens
        return chat

    def to_markdown(self) -> str:
        """Write all turns as Markdown. Each stands in a fence: no reader of it runs or loads anything."""
        return write_chat_markdown(self.conversation, self._total.total())

    def to_html(self) -> str:
        """Write all turns as a whole page, light and dark, without scripts."""
        return write_chat_page(self._adapter.model_id, self.conversation, self._total.total())

    def to_json(self) -> str:
        """Write all turns as JSON: `{"model", "turns" (as OpenAI writes them), "calls", "cost" (USD), "usage"}`."""
        return write_chat_json(self._adapter.model_id, self.conversation, self._total.total())

    def _wait(self) -> None:
        if self._latest:
            self._latest.wait()

    def _count_context(self) -> int | None:
        return next(iter(self._latest.context_tokens.values())) if self._latest else self._context_tokens

    def _leave(self) -> None:
        """Let the cell of the last answer take no more questions: the chat goes on elsewhere."""
        if self._latest:
            self._turns, self._context_tokens = self.conversation, self._count_context()
            self._latest.leave(_GOES_ON)
            self._latest = None

    def __repr__(self) -> str:
        turns = len(self.conversation)
        return f"<Chat with {self._adapter.model_id}: {turns} turn{'' if turns == 1 else 's'}>"

    def _ipython_display_(self) -> None:
        if self._latest:
            self._latest._ipython_display_()
        else:
            print(repr(self))  # noqa: T201 - what the cell would show
