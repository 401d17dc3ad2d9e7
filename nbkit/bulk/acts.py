"""Acts on one model of a panel: `answers["demo/swift"].stop()`."""

from __future__ import annotations

from typing import Any, Self

from nbkit.adapters.factory import ModelChoice
from nbkit.bulk.answers import Pane
from nbkit.bulk.panel import Panel
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.turns import Conversation


class PaneActs:
    """One model of a comparison. What it does returns at once; reading its data waits for the answers."""

    def __init__(self, panel: Panel, pane: Pane) -> None:
        self._panel, self._pane = panel, pane

    def stop(self) -> Self:
        """Stop this answer; what arrived stays, and the other models go on."""
        self._panel.stop_one(self._pane)
        return self

    def retry(self) -> Self:
        """Ask again, if the last answer failed. What the tools did is not done again."""
        self._panel.retry(self._pane)
        return self

    def regenerate(self) -> Self:
        """Ask for the last answer again, from its prompt. The one before is gone, its cost stays counted."""
        self._panel.regenerate(self._pane)
        return self

    def swap(self, model: ModelChoice) -> Self:
        """Let another model answer the last prompt, and go on with this conversation. Raises ModelNotFoundError."""
        self._panel.regenerate(self._pane, model)
        return self

    def edit(self, turn: int, prompt: Any) -> Self:
        """Ask another prompt in the place of a turn (from 0; -1: the last), and go on from there on a new branch.

        Waits for the answers before. The other models are not asked. `prompt`: as `compare` takes it; a string leaves
        the images and files that went with the former one. The former branch stays, see `show_branch`.
        Raises ArgumentError, ConversationError.
        """
        self._panel.wait().edit(turn, prompt, [self._pane])
        return self

    def show_branch(self, branch: int) -> Self:
        """Go on with another branch of the conversation, by its number from 0. Waits. Raises ArgumentError."""
        self._panel.wait().show_branch(branch, [self._pane])
        return self

    def mute(self) -> Self:
        """Ask the next prompts of the other models only; `regenerate()` asks this one the last of them."""
        self._panel.mute(self._pane)
        return self

    def unmute(self) -> Self:
        """Ask the next prompts of this model, too."""
        self._panel.mute(self._pane, muted=False)
        return self

    def set_options(self, **options: Any) -> Self:
        """Set options of the next calls of this model, fields of `ExecuteOptions`; None: as the comparison has it.

        Raises ConfigError, before anything is changed.
        """
        self._panel.set_options(self._pane, options)
        return self

    @property
    def branches(self) -> list[Conversation]:
        """The conversations of all branches, in the order of their beginnings; one where nothing was edited."""
        self._panel.wait()
        pane = self._pane
        others = [branch.conversation for branch in pane.branches] or [pane.conversation]
        others[pane.branch] = pane.conversation
        return others

    @property
    def branch(self) -> int:
        """The number of the current branch, from 0."""
        self._panel.wait()
        return self._pane.branch

    @property
    def completion(self) -> ChatCompletion | None:
        """The last answer: complete, partial where it broke off, None where none arrived."""
        self._panel.wait()
        return self._pane.answers[-1].completion if self._pane.answers else None

    @property
    def error(self) -> Exception | None:
        """The error of the last answer, where it failed."""
        self._panel.wait()
        return self._pane.answers[-1].error if self._pane.answers else None

    @property
    def conversation(self) -> Conversation:
        """The conversation with this model."""
        self._panel.wait()
        return self._pane.conversation

    def __repr__(self) -> str:
        return f"<{self._pane.label} of a comparison>"
