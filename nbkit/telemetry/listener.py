"""The base of those who listen to calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.tools import ToolCall
from nbkit.errors import NbkitError

EndTool = Callable[[Any, Exception | None], None]
"""Is told what a tool gave to the model, and what its function raised."""


class Listener:
    """Base of those who listen. `subscribed`: calls that begin are told; `pending`: one of these is under way."""

    subscribed = True

    @property
    def pending(self) -> bool:
        """Whether a call that it was told of is under way."""
        return False

    def begin(self, call: CallFacts) -> None:
        """Take note of a call that is about to be sent."""

    def begin_answer(self, call: CallFacts) -> None:
        """Take note that the first piece of a streamed answer has come."""

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Take note of what came of a call, as an observer does."""

    def begin_tool(self, call: ToolCall) -> EndTool | None:
        """Take note of a tool's function that is about to be called, in its thread; return what is told of its end."""
        return None
