"""Answers of several models to the same prompts. How a person reads them is in `nbkit.notebook.facts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nbkit.adapters.adapter import BaseAdapter
from nbkit.adapters.run import Event, ToolResult
from nbkit.billing.money import sum_usd
from nbkit.conversation.completion import Bill, ChatCompletion, Timing, Usage
from nbkit.conversation.content import FileEntry
from nbkit.conversation.turns import Conversation, ToolOutputTurn, ToolsCallTurn

_ATTACHMENTS = {"image_url": "image", "file": "file", "input_audio": "recording"}

Status = Literal["waiting", "streaming", "done", "stopped", "failed"]


@dataclass(slots=True)
class Answer:
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
        """Tokens of the answer (reasoning included) per second of the whole call."""
        done = self.completion
        if done is None or done.usage is None or done.timing is None or not done.timing.total:
            return None
        return done.usage.completion_tokens / done.timing.total

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


@dataclass(eq=False, slots=True)
class Pane:
    """One model of a panel. `conversation` ends with the prompt that is being answered, or with its answer."""

    label: str
    """The model id; with " #2" where the model takes part for the second time."""
    adapter: BaseAdapter
    conversation: Conversation = field(default_factory=Conversation)
    answers: list[Answer] = field(default_factory=list)
    """One for each turn of the panel."""
    _text: str = field(default="", init=False, repr=False)  # since the last tool output

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
        self.conversation = append_prompt(self.conversation, prompt)
        self.answers.append(Answer(prompt[-1].text, sent=list_attachments(prompt), question=self.conversation))

    def begin_anew(self) -> None:
        """Begin the last turn from its prompt: what was answered is gone, but its cost stays counted."""
        last = self.answers[-1]
        self.conversation = last.question or self.conversation
        self.answers[-1] = Answer(last.prompt, sent=last.sent, question=last.question)
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
        self.answers[-1] = Answer(failed.prompt, steps=failed.steps, sent=failed.sent, question=failed.question)
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
        timing=Timing(first, seconds, sum(timing.attempts for timing in timings)),
        changes=tuple(dict.fromkeys(change for one in completions for change in one.changes)),
    )
