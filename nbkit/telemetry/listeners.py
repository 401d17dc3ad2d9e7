"""Listeners to calls, for as long as they like: functions (`on`) and traces (`trace`).

`LISTENERS` is the observer that passes on to them what it is told. What one of them raises is logged, and costs
neither the call nor its answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.tools import ToolCall
from nbkit.errors import NbkitError
from nbkit.settings import Scoped

EndTool = Callable[[Any, Exception | None], None]
"""Is told what a tool gave to the model, and what its function raised."""
_log = logging.getLogger("nbkit")
_lock = threading.Lock()


class Listener:
    """Base of those who listen. `subscribed`: calls that begin are told; `pending`: one of these is under way."""

    subscribed = True
    pending = False

    def begin(self, call: CallFacts) -> None:
        """Take note of a call that is about to be sent."""

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Take note of what came of a call, as an observer does."""

    def begin_tool(self, call: ToolCall) -> EndTool | None:
        """Take note of a tool's function that is about to be called, in its thread; return what is told of its end."""
        return None


class Subscription:
    """Ends what was subscribed when it is called, and at the end of its `with` block."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._all = listener, _listeners()
        with _lock:
            self._all.append(listener)

    def __call__(self) -> None:
        """End it; another time does nothing."""
        self._listener.subscribed = False
        _drop_ended(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self()


_listeners: Scoped[list[Listener]] = Scoped(list, copy=list)


def _drop_ended(listeners: list[Listener]) -> None:
    with _lock:
        listeners[:] = [one for one in listeners if one.subscribed or one.pending]


class Listeners:
    """An observer that tells everyone who listens, in the order in which they began to."""

    def begin(self, call: CallFacts) -> None:
        """Tell of a call that is about to be sent."""
        for one in tuple(_listeners()):
            if one.subscribed:
                try:
                    one.begin(call)
                except Exception:  # noqa: BLE001 - whoever listens must not cost the call
                    _log.exception("%s failed before the call of %s", type(one).__name__, call.model_id)

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Tell what came of a call; one that ended its subscription meanwhile gets the end of what had begun."""
        for one in tuple(_listeners()):
            try:
                one.end(call, completion, error)
            except Exception:  # noqa: BLE001 - nor its answer
                _log.exception("%s failed after the call of %s", type(one).__name__, call.model_id)
            if not one.subscribed:
                _drop_ended(_listeners())

    def begin_tool(self, call: ToolCall) -> EndTool:
        """Tell of a tool's function that is about to be called; return what must be told of its end."""
        ends: list[EndTool] = []
        for one in tuple(_listeners()):
            try:
                end = one.begin_tool(call) if one.subscribed else None
            except Exception:  # noqa: BLE001
                _log.exception("%s failed before the tool %s", type(one).__name__, call.name)
            else:
                ends += [end] if end else []
        return lambda content, error: _end_tool(ends, call, content, error)


def _end_tool(ends: list[EndTool], call: ToolCall, content: Any, error: Exception | None) -> None:
    for end in reversed(ends):
        try:
            end(content, error)
        except Exception:  # noqa: BLE001
            _log.exception("a listener failed after the tool %s", call.name)


LISTENERS = Listeners()
