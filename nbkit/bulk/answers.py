"""Answers of several models to the same prompts. How a person reads them is in `nbkit.notebook.facts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.run import Event, ToolResult
from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import Bill, ChatCompletion, Timing, Usage
from nbkit.conversation.content import FileEntry
from nbkit.conversation.turns import Conversation, ToolOutputTurn, ToolsCallTurn

_ATTACHMENTS = {"image_url": "image", "file": "file", "input_audio": "recording"}

Status = Literal["waiting", "streaming", "done", "stopped", "failed", "skipped"]
"""`skipped`: the model was not asked, because it was muted, or its conversation branched off before."""


class Answer(Struct):
    """One model's answer to one prompt, from the prompt on: the fields are filled while it streams."""

    prompt: str
    status: Status = "waiting"
    completion: ChatCompletion | None = None
    """Set at the end: complete, or what arrived until the answer broke off; None where nothing arrived."""
    error: Exception | None = None
    steps: list[str | ToolResult] = field(default_factory=list)
    """The texts and the tool outputs before the last completion, in order."""
    sent: tuple[str, ...] = ()
    """What went with the prompt, in words: "system prompt", "2 images", "report.pdf"."""
    full_prompt: Conversation = field(default_factory=Conversation)
    """The prompt as it was given, with its images, and the turns that came with it."""
    question: Conversation | None = None
    """The conversation with the prompt at its end, as it was before anything was answered."""
    context_tokens: int | None = None
    """Tokens of the conversation after it, as the last call counted them; None where it did not."""

    @property
    def text(self) -> str:
        """The text of the completion; "" until there is one."""
        return self.completion.text if self.completion else ""

    @property
    def parts(self) -> list[str | ToolResult]:
        """All texts and tool outputs, in order."""
        last = self.steps[-1] if self.steps else None
        # stopped while its tools ran: the text of that completion is among the steps already
        is_step = isinstance(last, ToolResult) and self.completion and last.call in self.completion.tool_calls
        return [*self.steps, *([self.text] if self.text and not is_step else [])]

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of the answer (reasoning included) per second of the whole call, without what it waited in line."""
        done = self.completion
        seconds = done.timing.total - done.timing.waited if done and done.timing else 0.0
        return done.usage.completion_tokens / seconds if done and done.usage and seconds > 0 else None

    def row(self) -> dict[str, Any]:
        """The answer as plain values: texts, token counts, money in USD, times in seconds; None where unknown.

        `replayed`: it was kept from an earlier run; then `saved` is what it cost, else what the prompt cache saved.
        """
        done, usage, timing, bill = self.completion, None, None, None
        if done:
            usage, timing, bill = done.usage, done.timing, done.bill
        return {
            "prompt": self.prompt,
            "text": self.text,
            "status": self.status,
            "input_tokens": usage.prompt_tokens if usage else None,
            "output_tokens": usage.completion_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "reasoning_tokens": usage.reasoning if usage else None,
            "cost": done.cost if done else None,
            "replayed": bool(bill and bill.is_replay),
            "saved": bill.saved if bill else None,
            "first_token": timing.first_token if timing else None,
            "seconds": timing.total if timing else None,
            "tokens_per_second": self.tokens_per_second,
            "finish_reason": done.finish_reason if done else None,
            "error": str(self.error) if self.error else None,
        }


class Branch(NamedTuple):
    """A conversation with a model, which another one branches off from."""

    conversation: Conversation
    answers: list[Answer]


class Pane(Struct, eq=False):
    """One model of a panel. `conversation` ends with the prompt that is being answered, or with its answer."""

    label: str
    """The model id; with " #2" where the model takes part for the second time."""
    adapter: BaseAdapter
    conversation: Conversation = field(default_factory=Conversation)
    answers: list[Answer] = field(default_factory=list)
    """One for each turn of the panel."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of this model alone; they come before those of the panel."""
    muted: bool = False
    """Whether the next prompts go to the other models only."""
    branches: list[Branch] = field(default_factory=list)
    """All, in the order of their beginnings, the current one as it was when it was left; empty where there is one."""
    branch: int = 0
    """The current branch, from 0."""
    _text: str = ""  # since the last tool output

    @property
    def name(self) -> str:
        """The model's name for people, with the label's "#2"."""
        return self.adapter.name + self.label.removeprefix(self.adapter.model_id)

    @property
    def context_tokens(self) -> int | None:
        """Tokens of the conversation, as the last call counted them; None where it did not."""
        return next((one.context_tokens for one in reversed(self.answers) if one.context_tokens), None)

    def begin(self, prompt: Conversation) -> None:
        """Begin a turn."""
        self._append(prompt)
        self.conversation = self.answers[-1].question or self.conversation

    def skip(self, prompt: Conversation) -> None:
        """Pass over a turn: the conversation goes on without it, and `begin_anew` can still begin it."""
        self._append(prompt)
        self.answers[-1].status = "skipped"

    def _append(self, prompt: Conversation) -> None:
        question = append_prompt(self.conversation, prompt)
        sent = list_attachments(prompt)
        self.answers.append(Answer(prompt[-1].text, sent=sent, full_prompt=prompt, question=question))

    def begin_branch(self, turn: int) -> None:
        """Go back to where a turn (from 0) began, on a new branch; the current one is kept."""
        former = self.answers[turn]
        branch = Branch(read_before(former), self.answers[:turn])
        self.branches = [*(self.branches or [Branch(self.conversation, self.answers)]), branch]
        self.switch(len(self.branches) - 1)

    def switch(self, branch: int) -> int:
        """Go on with a branch, by its number from 0. Return the first turn that is another there."""
        former = self.answers
        self.branches[self.branch] = Branch(self.conversation, former)
        self.branch = branch
        self.conversation, self.answers = self.branches[branch]
        same = [one is other for one, other in zip(former, self.answers, strict=False)]
        return (*same, False).index(False)

    def copy(self) -> Pane:
        """Copy the current branch, to go on in another panel."""
        return replace(self, answers=list(self.answers), options=dict(self.options), branches=[], branch=0)

    def begin_anew(self) -> None:
        """Begin the last turn from its prompt: what was answered is gone, but its cost stays counted."""
        last = self.answers[-1]
        self.conversation = last.question or self.conversation
        self.answers[-1] = Answer(last.prompt, sent=last.sent, full_prompt=last.full_prompt, question=last.question)
        self._text = ""

    def swap(self, adapter: BaseAdapter, taken: Container[str]) -> None:
        """Let another model answer from now on; its label is not among those that are `taken`."""
        self.adapter, self.label, number = adapter, adapter.model_id, 1
        while self.label in taken:
            number += 1
            self.label = f"{adapter.model_id} #{number}"

    def begin_again(self) -> None:
        """Begin the last turn again: the tools' outputs stay, so what they did is not done twice."""
        failed = self.answers[-1]
        again = Answer(failed.prompt, sent=failed.sent, full_prompt=failed.full_prompt, question=failed.question)
        self.answers[-1] = replace(again, steps=failed.steps)
        self._text = ""

    def receive(self, event: Event) -> None:
        """Take a piece of the answer, or a tool output."""
        answer = self.answers[-1]
        answer.status = "streaming"
        if isinstance(event, ToolResult):
            answer.steps += [self._text, event] if self._text else [event]
            self._text = ""
        else:
            self._text += event.text

    def end(self, status: Status, completions: Sequence[ChatCompletion] = (), error: Exception | None = None) -> None:
        """End the turn with all its completions: more than one where tools were called."""
        answer, self._text = self.answers[-1], ""
        answer.completion, answer.error, answer.status = sum_completions(completions), error, status
        if completions and completions[-1].usage:
            answer.context_tokens = completions[-1].usage.total_tokens
        last = completions[-1] if completions and not error else None
        if last is None:
            return
        appended = self.conversation[-1] == last.turn  # by the run, unless it was stopped
        if not (last.text or last.tool_calls or last.native):
            self.conversation = Conversation(self.conversation.turns[: -1 if appended else None])
        elif not appended:
            self.conversation += last


def list_attachments(prompt: Conversation) -> tuple[str, ...]:
    """Say what goes with the text of a prompt: "system prompt", "2 images", "report.pdf"."""
    sent = ["system prompt"] if any(turn.role in ("system", "developer") for turn in prompt) else []
    names = [entry.file.filename for entry in prompt[-1].media if isinstance(entry, FileEntry) and entry.file.filename]
    kinds = Counter(_ATTACHMENTS[entry.type] for entry in prompt[-1].media)
    kinds["file"] -= len(names)
    return (*sent, *(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in (+kinds).items()), *names)


def read_before(answer: Answer) -> Conversation:
    """Read the conversation as it was before the prompt of an answer."""
    turns = answer.question.turns if answer.question else ()
    return Conversation(turns[: len(turns) - len(answer.full_prompt)])


def edit_prompt(full_prompt: Conversation, prompt: Any) -> Conversation:
    """Put another last turn into a prompt; a string replaces the text only, images and files stay."""
    turn = full_prompt[-1]
    if isinstance(prompt, str) and turn.media:
        return Conversation([*full_prompt.turns[:-1], {"role": "user", "content": [prompt, *turn.media]}])
    return Conversation([*full_prompt.turns[:-1], *Conversation(prompt).turns])


def append_prompt(conversation: Conversation, prompt: Conversation) -> Conversation:
    """Continue a conversation. Its open tool calls are left out unless the prompt begins with their outputs: no
    provider accepts a call without its output."""
    is_open = conversation.turns and isinstance(conversation[-1], ToolsCallTurn)
    if is_open and not any(isinstance(turn, ToolOutputTurn) for turn in prompt.turns[:1]):
        conversation = Conversation(conversation.turns[:-1])
    return conversation + prompt


def sum_completions(completions: Sequence[ChatCompletion]) -> ChatCompletion | None:
    """Return the last completion of a run, with the reasoning, tokens, cost and seconds of all; None without any."""
    if len(completions) < 2:
        return completions[0] if completions else None
    counts = [one.usage for one in completions if one.usage]
    timings = [one.timing for one in completions if one.timing]
    sources = [one.bill.source for one in completions if one.bill]
    sources = [source for source in sources if source != "replay"] or sources
    saved = [one.bill.saved if one.bill else None for one in completions]
    notes = tuple(dict.fromkeys(note for one in completions if one.bill for note in one.bill.notes))
    source = next((vague for vague in ("unknown", "partial", "estimate") if vague in sources), "".join(sources[:1]))
    first, seconds = timings[0].first_token if timings else None, sum(timing.total for timing in timings)
    return replace(
        completions[-1],
        reasoning_blocks=tuple(block for one in completions for block in one.reasoning_blocks),
        usage=sum(counts, Usage()) if len(counts) == len(completions) else None,
        bill=Bill(sum_usd(one.cost for one in completions), source, notes=notes, saved=sum_usd(saved)),
        timing=Timing(
            first, seconds, sum(timing.attempts for timing in timings), sum(timing.waited for timing in timings)
        ),
        changes=tuple(dict.fromkeys(change for one in completions for change in one.changes)),
    )
