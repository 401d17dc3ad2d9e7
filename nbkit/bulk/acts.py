"""Acts on one model of a panel: `answers["demo/swift"].stop()`."""

from __future__ import annotations

from typing import Self

from nbkit.adapters.adapter import BaseAdapter
from nbkit.arguments import ModelName
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

    def swap(self, model: ModelName | BaseAdapter) -> Self:
        """Let another model answer the last prompt, and go on with this conversation. Raises ModelNotFoundError."""
        self._panel.regenerate(self._pane, model)
        return self

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
