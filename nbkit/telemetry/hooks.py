"""`nbkit.on`: functions that are called at the begin and the end of every call."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Literal, get_args

from nbkit.arguments import describe, explain_choice
from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import ArgumentError, NbkitError
from nbkit.telemetry.listener import Listener
from nbkit.telemetry.listeners import Subscription

Event = Literal["begin", "completion", "error"]
_EVENTS = get_args(Event)


class Hook(Listener):
    """A function and the event at which it is called."""

    def __init__(self, event: Event, function: Callable[..., object]) -> None:
        self._event, self._function = event, function

    def begin(self, call: CallFacts) -> None:
        """Call the function of a begin."""
        if self._event == "begin":
            self._function(call)

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Call the function of a completion or an error, unless the subscription has ended."""
        if not self.subscribed:
            return
        if error is not None:
            if self._event == "error":
                self._function(call, error)
        elif completion is not None and self._event == "completion":
            self._function(call, completion)


def on(event: Event, function: Callable[..., Any]) -> Subscription:
    """Call a function at an event of every call of this process, those of comparisons and grids included.

    `begin`: `function(call)`, before a request is sent. `completion`: `function(call, completion)`, once at the end of
    a call, streamed or not; where the answer was left or interrupted, `completion.bill.source` is `partial`, where it
    was kept from an earlier run, `replay`. `error`: `function(call, error)`; `error.partial` is what came before a
    stream broke off. A call that is cancelled before it is sent has a begin only.

    `call` has `id`, `provider`, `model`, `model_id`, `protocol`, `stream`, `cell`, `tags` and `conversation`; never a
    key. The function is called in the thread of the call, which waits for it. What it raises is logged and changes
    nothing.

    Returns the subscription: call it to end it, or use it in a `with` block. It also ends with the block of
    `settings.override` in which it began. Raises ArgumentError for an unknown event, and for an async function.
    """
    if event not in _EVENTS:
        raise ArgumentError(f"on(): event: {explain_choice(event, _EVENTS)}")
    if not callable(function):
        raise ArgumentError(f"on(): function: expected a function, got {describe(function)}")
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        raise ArgumentError("on(): function: expected a plain function, got an async one, which nobody would await")
    return Subscription(Hook(event, function))
