"""Blind comparisons: prompt after prompt, answers without names in random order, until a vote says which is best.

The answers to a prompt appear together, once all are there: who begins first, and how fast, would tell who it is. While
they are read, the next prompt is asked already. What a view is sent before the vote has letters in the place of names,
and no cost, tokens, seconds, reasoning, notes or errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from string import ascii_uppercase
from typing import Any

from msgspec.structs import replace

from nbkit.bulk import portal
from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import read_prompt
from nbkit.conversation.turns import Conversation
from nbkit.judging.ballot import NOBODY, Ballot
from nbkit.judging.cases import Case, find_turn
from nbkit.notebook import export
from nbkit.notebook.cells import Bundle
from nbkit.notebook.controls import STYLE, write_button
from nbkit.notebook.deltas import Board
from nbkit.notebook.display import Display, feed_parts
from nbkit.notebook.facts import describe_end
from nbkit.notebook.judge_form import JUDGE_MESSAGES
from nbkit.notebook.judged import append_votes, cast_vote, describe_votes
from nbkit.notebook.pane_requests import read_text
from nbkit.notebook.pictures import describe_prompt
from nbkit.notebook.ranking import write_ranking
from nbkit.rendering.sanitize import plain_html

_NO_JUDGE = {"judge": "", "ahead": "", "results": ""}


class Rounds:
    """The prompts of a blind comparison, each with an order of its own in which the answers stand.

    `start` goes before each prompt, which continues no other. `seed`: makes the orders the same again.
    """

    def __init__(self, panel: Panel, start: Conversation, seed: int | None) -> None:
        self._panel, self._start, self._random = panel, start, Random(seed)  # noqa: S311 - not for secrets
        self.prompts: list[Conversation] = []
        self.current = 0
        self.named: set[int] = set()
        """The rounds whose models are shown."""
        self._orders: list[list[Pane]] = []
        self._is_due = False  # the next one is requested, and will begin

    def add(self, prompt: Any) -> None:
        """Add a prompt, which is asked after the others. Raises ConversationError."""
        self.prompts.append(read_prompt(prompt))
        self._orders.append(self._random.sample(self._panel.panes, len(self._panel.panes)))

    @property
    def size(self) -> int:
        """How many prompts have been asked."""
        return len(self._panel.panes[0].answers)

    @property
    def is_last(self) -> bool:
        """Whether no other prompt follows."""
        return self.current >= len(self.prompts) - 1

    def ask(self) -> None:
        """Ask the next prompt, while nothing streams."""
        if self._is_due or self.size == len(self.prompts):
            return
        self._is_due = True
        for pane in self._panel.panes:
            pane.conversation = self._start
        self._panel.ask(self.prompts[self.size])

    def settle(self) -> None:
        """Note that the prompt that was asked has begun, or was stopped before."""
        self._is_due = False

    def ask_ahead(self) -> None:
        """Ask the prompt that is to be shown; once its answers are there, the one after it, unless one was stopped."""
        if self.size == self.current or (self.size == self.current + 1 and self.is_complete() and not self.stopped):
            self.ask()

    @property
    def stopped(self) -> bool:
        """Whether an answer of this round was stopped."""
        return any(pane.answers[self.current].status == "stopped" for pane in self._panel.panes)

    def is_complete(self, number: int | None = None) -> bool:
        """Tell whether all answers of a round (None: this one) are there."""
        number = self.current if number is None else number
        ended = (pane.answers[number].status not in ("waiting", "streaming") for pane in self._panel.panes)
        return number < self.size and all(ended)

    def find_case(self, number: int) -> Case:
        """Find the answers of a round (-1: of this one) in their order. Raises ArgumentError."""
        number = self.current if number == -1 else number
        order = self._orders[number] if 0 <= number < len(self._orders) else ()
        return find_turn(self._panel, number, order)

    def list_letters(self, case: Case) -> dict[str, str]:
        """List the labels of the models by letter, where they are not shown; else nothing."""
        return {} if case.number in self.named else {name_place(place): one for place, one in enumerate(case.labels)}

    def _write_unasked(self, number: int) -> Answer:
        prompt = self.prompts[number]
        return Answer(prompt[-1].text, question=self._start + prompt)

    def list_panes(self, number: int) -> list[Pane]:
        """List what is to be shown of a round: a pane for each answer, in order, without names before the vote."""
        order, panes = self._orders[number], []
        for place, pane in enumerate(order):
            answer = pane.answers[number] if number < len(pane.answers) else self._write_unasked(number)
            if number in self.named:
                panes.append(Pane(pane.label, pane.adapter, self._start, [answer]))
            else:
                panes.append(HiddenPane(name_place(place), pane.adapter, self._start, [hide_facts(answer)]))
        return panes


def list_prompts(prompts: Any) -> list[Any]:
    """List what is asked one after the other: each text or conversation of a list of them, of a Series or a column;
    anything else is one prompt."""
    if isinstance(prompts, str | Conversation) or not isinstance(prompts, Iterable):
        return [prompts]
    several = list(prompts)
    return several if all(isinstance(prompt, str | Conversation) for prompt in several) else [several]


class HiddenPane(Pane):
    """An answer without its model: a letter is all that is known of it."""

    @property
    def name(self) -> str:
        """Its letter."""
        return f"Answer {self.label}"


def name_place(place: int) -> str:
    """Name a place by a letter: A is the first."""
    return ascii_uppercase[place] if place < len(ascii_uppercase) else str(place + 1)


def hide_facts(answer: Answer) -> Answer:
    """Copy an answer without what could tell the model: its texts and tools remain."""
    parts = ["(This answer failed: the vote shows why.)"] if answer.error else answer.parts
    return replace(answer, completion=None, error=None, steps=list(parts), context_tokens=None)


class BlindBallot(Ballot):
    """Votes on rounds. A person's vote shows the models of its round."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__(rounds.find_case)
        self._rounds = rounds

    def vote(self, winner: str | None, loser: str | None = None, number: int = -1, blind: bool = False) -> None:
        """Take a person's vote, as `Ballot.vote`; before it, an answer is named by its letter."""
        case = self._find_case(number)
        letters = self._rounds.list_letters(case)
        blind = blind or (bool(letters) and winner in (*letters, *NOBODY))
        super().vote(letters.get(str(winner), winner), letters.get(str(loser), loser), case.number, blind)
        if winner is not None:
            self._rounds.named.add(case.number)


class BlindDisplay(Display):
    """Shows one round after the other, each as a snapshot."""

    def __init__(self, panel: Panel, rounds: Rounds, ballot: Ballot) -> None:
        self._rounds = rounds
        super().__init__(panel, ballot)
        letters = [name_place(place) for place in range(len(panel.panes))]
        self._board = Board([(f"Answer {letter}", letter) for letter in letters])

    def write_bundle(self, since: int = 0) -> Bundle:
        """Write the static twin: the rounds so far, as far as they may be known."""
        bundles = []
        for number in range(since, min(self._rounds.current + 1, self._rounds.size)):
            choice = self._ballot.find_choice(number)
            text = f"prompt {number + 1} of {len(self._rounds.prompts)}" + (
                f" · blind vote: {choice}" if choice else ""
            )
            bundles.append(export.write_bundle(self._rounds.list_panes(number), text))
        totals = export.write_bundle((), self._totals())
        kinds = ("text/html", "text/markdown", "text/plain")
        return append_votes(
            {kind: "\n\n".join(one[kind] for one in [*bundles, totals]) for kind in kinds}, self._ballot
        )

    def _totals(self) -> str:
        return super()._totals() if self._rounds.current in self._rounds.named else ""

    # Listener of the panel

    def begin(self, pane: Pane, retry: bool) -> None:
        """Show that the answers are waited for."""
        self._rounds.settle()
        if pane is self._panel.panes[-1]:
            self._show_round()

    def receive(self, pane: Pane, event: Any) -> None:
        """Show nothing yet."""

    def hold(self, pane: Pane, seconds: float | None) -> None:
        """Show nothing: who waits could be known by it."""

    def end(self, pane: Pane) -> None:
        """Show nothing yet."""

    def rename(self, pane: Pane) -> None:
        """Show the new name, where names are shown."""
        self._show_round()

    def branch(self, pane: Pane, turn: int) -> None:
        """Show the answers of another branch."""
        self._show_round()

    def rest(self) -> None:
        """Show the answers, ask the next prompt, and renew the static twin."""
        self._show_round()
        self._rounds.ask_ahead()
        self._screen.update(self.write_bundle(), self._board.snapshot())

    def _show_round(self) -> None:
        rounds, number = self._rounds, self._rounds.current
        panes, complete = rounds.list_panes(number), rounds.is_complete()
        self._board = Board([(pane.name, pane.label) for pane in panes], self._board.seq + 1)
        for index, pane in enumerate(panes):
            (answer,) = pane.answers
            turn = self._board.add(index, answer.prompt, {} if index else describe_prompt(pane, answer))
            if complete:
                turn.feed("", answer.completion.reasoning or "" if answer.completion else "")
                feed_parts(turn, answer.parts)
                source = self._find_source(pane, number, index)
                turn.finish(answer.status, describe_end(answer) | {"source": source, "retry": False})
        self._fill_board()
        self._board.delta()
        self._screen.send(self._board.snapshot())

    def _list_shown(self) -> tuple[dict[str, str], dict[str, str]]:
        rounds, number = self._rounds, self._rounds.current
        panes = rounds.list_panes(number)
        if not rounds.is_complete():
            return {}, {pane.label: pane.name for pane in panes}
        case = rounds.find_case(number)
        texts = {label: answer.text for label, answer in case.answers.items()}
        shown = dict(zip(case.labels, panes, strict=True))
        names = {pane.label: pane.name for pane in panes}
        return {shown[label].label: text for label, text in texts.items()}, names

    def _fill_board(self) -> None:
        rounds, number = self._rounds, self._rounds.current
        complete, named = rounds.is_complete(), number in rounds.named
        spent = str(self._panel.running_total.total()) if named else ""
        busy = number < rounds.size and not complete
        self._board.set_foot(busy=busy, totals=self._totals(), spent=spent)
        self._board.set_foot(closed=self._notice, blind="named" if named else "hidden")
        answers, names = self._list_shown()
        if complete:
            votes = describe_votes(self._ballot, answers, list(names), self._differences, number)
            self._board.set_foot(votes=votes | {"ready": votes["ready"] and not named})
        tools = self._write_tools(complete, named) + self._differences.write_tools(answers, names)
        slots = self._judge.write_slots(tools) if complete and named else _NO_JUDGE | {"tools": tools}
        if ranking := self._write_results(complete, named):
            slots |= {"results": ranking + slots["results"], "style": STYLE}
        self._board.set_slots(**slots)
        self._board.set_slots(**self._differences.write_slots(answers, names))

    def _find_source(self, pane: Pane, number: int, index: int) -> Any:
        """Find what "Copy" copies."""
        label = self._rounds.find_case(number).labels[index]
        return describe_end(self._panel.find_pane(label).answers[number])["source"]

    def _write_tools(self, complete: bool, named: bool) -> str:
        """Write where one is among the prompts, and the button that goes on."""
        rounds = self._rounds
        parts = [f"Prompt {rounds.current + 1} of {len(rounds.prompts)}"]
        if not named:
            parts.append("names, costs and speeds are shown after the vote" if complete else "waiting for all answers")
        elif choice := self._ballot.find_choice(rounds.current):
            names = {pane.label: pane.name for pane in self._panel.panes}
            parts.append({"tie": "you voted for a tie", "bad": "you voted for none"}.get(choice, ""))
            parts[-1] = parts[-1] or f"you voted for {names.get(choice, choice)}"
        text = f'<span class="nbk-label">{plain_html(" · ".join(parts))}</span>'
        if not complete or (rounds.is_last and named):
            return text
        word = "Next" if named else "Finish" if rounds.is_last else "Skip"
        return text + write_button(word, {"type": "next"}, "n", primary=named, takes_focus=True)

    def _write_results(self, complete: bool, named: bool) -> str:
        """Write the ranking, once the last prompt is voted on."""
        is_over = complete and named and self._rounds.is_last and len(self._ballot)
        return write_ranking(self._ballot.to_frame()).html if is_over else ""

    # Messages of the views

    def _handle(self, content: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        kind = content.get("type")
        if kind == "next":
            portal.call(self._go_on)
        elif kind == "ask" and not self._notice:
            if prompt := self._files.join(read_text(content), content.get("files")):
                portal.call(self.add, prompt)
        elif kind == "stop":
            self._rounds.settle()
            super()._handle(content)
        elif kind in JUDGE_MESSAGES:
            if self._rounds.current in self._rounds.named:  # before the vote it could sway it
                self._judge.receive(content)
        elif kind in (
            "ready",
            "resync",
            "ping",
            "vote",
            "differences",
            "attach",
            "detach",
        ):  # an act on one answer would tell its model
            super()._handle(content, buffers)

    def add(self, prompt: Any) -> None:
        """Add a prompt; it is asked at once where the others are done."""
        self._rounds.add(prompt)
        if len(self._rounds.prompts) == 1 or not self._rounds.is_complete():
            self.rest()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Go to the next prompt; after the last one, show its models."""
        if not self._rounds.is_complete():
            return
        if self._rounds.is_last:
            self._rounds.named.add(self._rounds.current)
        else:
            self._rounds.current += 1
            self._judge.clear()
        self.rest()

    def _vote(self, choice: Any) -> None:
        rounds = self._rounds
        if choice is None or not rounds.is_complete() or rounds.current in rounds.named:
            return
        if cast_vote(self._ballot, rounds.find_case(-1).labels, choice, rounds.current, blind=True):
            self.rest()
