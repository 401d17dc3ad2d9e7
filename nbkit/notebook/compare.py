"""One prompt, several models, side by side, live: a panel shown in a notebook."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from nbkit.adapters.factory import ModelChoice
from nbkit.arguments import check_arguments
from nbkit.billing.total import Sum
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import Models, read_prompt
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.template import fill
from nbkit.conversation.turns import Conversation, Turn
from nbkit.errors import ConfigError
from nbkit.judging.ballot import Ballot
from nbkit.judging.cases import find_turn
from nbkit.notebook.blind import BlindBallot, BlindDisplay, Rounds, list_prompts
from nbkit.notebook.compared import ComparedModel
from nbkit.notebook.display import Display
from nbkit.notebook.documents import write_json, write_page
from nbkit.notebook.judged import Judged
from nbkit.notebook.pictures import write_pictures

if TYPE_CHECKING:
    import pandas as pd


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
    blind: bool = False,
    **options: Any,
) -> Comparison:
    """Ask several models the same and show their answers side by side while they arrive.

    `prompt`: a string, or a conversation that ends with the user's turn; without one, nothing is sent: the panes wait
    for what is typed below them. `models`: ids, adapters, rows of the catalog, or a picker; a model may take part
    twice, and a list in the list is one pane, in which the next model answers where the one before cannot.
    `system`: a system prompt. `template`, in the place of a prompt: a text whose `{{name}}`s are replaced once by
    `values`. `options`: the fields of `ExecuteOptions`, for all models; with Python functions among the `tools` also
    `max_turns` and `max_cost` of `BaseAdapter.run`, which limit how often the models call them.

    `blind`: the answers stand in random order, without names, costs and speeds, until a vote says which is best. Then
    `prompt` may be a list of texts or conversations, which are asked one after the other, each on its own; after the
    last vote the ranking is shown. `seed` makes the order the same again, and is not sent to the models.

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
    if blind:
        prompts = [] if prompt is None else list_prompts(prompt)
        return _BlindComparison(prompts, _read_picker(models), start, **options)
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

    def __init__(
        self, prompt: Any, models: Models | Panel, *, start: Conversation | None = None, **options: Any
    ) -> None:
        conversation = None if prompt is None else read_prompt(prompt)
        self._panel = models if isinstance(models, Panel) else Panel(models, **options)
        self._ballot = Ballot(partial(find_turn, self._panel))
        self._display = Display(self._panel, self._ballot)
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
        turns = self._count_turns()
        write_pictures(prompt[-1])  # they are kept, and take a while, and the portal must not wait
        self._panel.ask(prompt)
        self._show(since=turns)

    def _count_turns(self) -> int:
        return max(len(pane.answers) for pane in self._panel.panes)

    def _show(self, since: int) -> None:
        """Without views, wait for the answers and show the turns from `since` on."""
        if not self._display.live:
            try:
                self._panel.wait()
            finally:
                self._display.show(since)

    @check_arguments
    def edit(self, turn: int, prompt: Any) -> Self:
        """Ask all models another prompt in the place of a turn (from 0; -1: the last). Waits for the answers before.

        Each conversation goes on from there on a new branch; the former one stays, and so does its cost: `show_branch`.
        A string leaves the images and files that went with the former prompt. Raises ArgumentError, ConversationError.
        """
        turns = self.wait()._count_turns()
        self._panel.edit(turn, prompt)
        self._show(since=turn % turns)
        return self

    @check_arguments
    def show_branch(self, branch: int) -> Self:
        """Go on with another branch, by its number from 0, in all conversations that have it. Waits for the answers.

        Raises ArgumentError.
        """
        self.wait()._panel.show_branch(branch)
        return self

    def add(self, model: ModelChoice) -> ComparedModel:
        """Add a model, which is asked all prompts so far, one after the other. Raises ModelNotFoundError."""
        pane = self._panel.add(model)
        self._show(since=0)
        return ComparedModel(self._panel, pane)

    def fork(self) -> Comparison:
        """Copy the conversations and answers so far into a new comparison, to go on in another direction. Waits.

        Nothing is asked before its next prompt, and it has cost $0 so far.
        """
        return Comparison(None, self._panel.fork())

    def __getitem__(self, label: str) -> ComparedModel:
        """Return one model to act on: `answers["demo/swift"].stop()`, `.retry()`, `.regenerate()`, `.swap(model)`,
        `.edit(turn, prompt)`, `.mute()`, `.set_options(temperature=0)`, `.to_chat()`, `.to_markdown()`, `.to_code()`.

        Raises ArgumentError where no model has this label.
        """
        return ComparedModel(self._panel, self._panel.find_pane(label))

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
        return self.wait()._display.write_bundle()["text/markdown"]

    def to_html(self) -> str:
        """Write all turns as a whole page, light and dark, without scripts."""
        return write_page(self.wait()._display.write_bundle()["text/html"], f"Comparison of {self._panel.summarize()}")

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


class _BlindComparison(Comparison):
    """A comparison of answers without names, until they are voted on. Its turns are rounds: see `nbkit.notebook.blind`.

    `vote()` takes the letter of an answer while it has no name, and is about the round that is shown.
    """

    def __init__(self, prompts: list[Any], models: Models, start: Conversation, **options: Any) -> None:
        seed = options.pop("seed", None)
        self._panel = Panel(models, **options)
        if len(self._panel.panes) < 2:
            raise ConfigError("a blind comparison needs two models")
        self._rounds = Rounds(self._panel, start, seed)
        for prompt in prompts:
            self._rounds.add(prompt)
        self._ballot = BlindBallot(self._rounds)
        self._display: BlindDisplay = BlindDisplay(self._panel, self._rounds, self._ballot)
        self._go_on()

    def _ask(self, prompt: Conversation) -> None:
        if self._display.live:
            portal.call(self._display.add, prompt)
            return
        self._rounds.add(prompt)
        self._go_on()

    def _go_on(self) -> None:
        """Ask what is to be seen first; all, where no person is in front."""
        if self._display.live:
            portal.call(self._display.rest)
            return
        size = self._rounds.size
        try:
            for number in range(size, len(self._rounds.prompts)):
                self._rounds.ask()
                self._panel.wait()
                self._rounds.settle()
                self._rounds.current = number
        finally:
            self._display.show(since=size)

    def add(self, model: ModelChoice) -> ComparedModel:
        """Raise ConfigError: who came later would be known by it."""
        raise ConfigError("a blind comparison takes no more models: begin another one")

    def edit(self, turn: int, prompt: Any) -> Self:
        """Raise ConfigError: a prompt is voted on as it was asked."""
        raise ConfigError("a prompt of a blind comparison is not edited: ask() it as a further one")

    def fork(self) -> Comparison:
        """Raise ConfigError: each prompt is asked anew."""
        raise ConfigError("a blind comparison has no conversation to fork: each of its prompts is asked anew")

    def stop(self) -> None:
        """Stop the answers that are being written, and ask for no more until the next prompt is gone to."""
        self._rounds.settle()
        super().stop()
