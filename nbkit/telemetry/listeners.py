"""Listeners to calls, for as long as they like: functions (`on`) and traces (`trace`).

`LISTENERS` is the observer that passes on to them what it is told. What one of them raises is logged, and costs
neither the call nor its answer.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.tools import ToolCall
from nbkit.errors import ConfigError, NbkitError
from nbkit.settings import Scoped, settings
from nbkit.telemetry.listener import EndTool, Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from nbkit.telemetry.tracer import Tracer

_log = logging.getLogger("nbkit")
_lock = threading.Lock()


class Subscription:
    """Ends what was subscribed when it is called, and at the end of its `with` block."""

    def __init__(self, listener: Listener) -> None:
        global _used  # noqa: PLW0603 - it stays so
        self._listener, self._all = listener, _listeners()
        _used = True
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


def _drop_ended(listeners: list[Listener]) -> None:
    with _lock:
        listeners[:] = [one for one in listeners if one.subscribed or one.pending]


def _list_automatic() -> list[Listener]:
    """List who listens because a setting says so: the trace of NBKIT_TRACE."""
    try:
        return [_make_tracer()] if settings().trace else []
    except ConfigError as missing:
        _log.warning("NBKIT_TRACE has no effect: %s", missing)
        return []


_listeners: Scoped[list[Listener]] = Scoped(list, copy=list)
_automatic: Scoped[list[Listener]] = Scoped(_list_automatic, "trace")
_used = False
"""Whether anyone has ever listened: most processes have no listener, and each call would look for some."""


def _list_current() -> tuple[Listener, ...]:
    return (*_automatic(), *_listeners()) if _used or settings().trace else ()


def _make_tracer(**providers: Any) -> Tracer:
    """Make what writes spans. Raises ConfigError where OpenTelemetry is not installed."""
    try:
        from nbkit.telemetry.tracer import Tracer  # which loads OpenTelemetry
    except ImportError as missing:
        from nbkit.installed import name_extra  # which reads the metadata of packages

        problem = f"traces need OpenTelemetry ({missing}): {name_extra('otel')}"
    else:
        return Tracer(**providers)
    raise ConfigError(problem)


def trace(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> Subscription:
    """Write an OpenTelemetry span and metrics for every call of this process from here on; needs the extra `otel`.

    A call's span is named `chat <model>`, that of a function which a run calls `execute_tool <name>`; the span that is
    current where a call begins is the parent. Attributes and metrics are those of OpenTelemetry's conventions for
    generative AI (docs/telemetry.md lists them), `operation.cost` is in USD. Prompts and answers are there only where
    the variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT allows it when this is called; keys never.

    The providers are OpenTelemetry's global ones unless they are given. Another `trace()` takes the place of this one.
    Returns the subscription: call it to end it, or use it in a `with` block. The setting NBKIT_TRACE=1 does the same
    from the first call on. Raises ConfigError where OpenTelemetry is not installed.
    """
    tracer = _make_tracer(
        tracer_provider=tracer_provider, meter_provider=meter_provider, logger_provider=logger_provider
    )
    for one in _list_current():
        if isinstance(one, type(tracer)):
            one.subscribed = False
    return Subscription(tracer)


class Listeners:
    """An observer that tells everyone who listens, in the order in which they began to."""

    def begin(self, call: CallFacts) -> None:
        """Tell of a call that is about to be sent."""
        for one in _list_current():
            if one.subscribed:
                with _keep_going(one, "before the call of", call.model_id):
                    one.begin(call)

    def begin_answer(self, call: CallFacts) -> None:
        """Tell that the first piece of a streamed answer has come."""
        for one in _list_current():
            with _keep_going(one, "in the call of", call.model_id):
                one.begin_answer(call)

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Tell what came of a call; one that ended its subscription meanwhile gets the end of what had begun."""
        for one in _list_current():
            with _keep_going(one, "after the call of", call.model_id):
                one.end(call, completion, error)
            if not one.subscribed:
                _drop_ended(_listeners())

    def begin_tool(self, call: ToolCall) -> EndTool:
        """Tell of a tool's function that is about to be called; return what must be told of its end."""
        ends: list[tuple[Listener, EndTool]] = []
        for one in _list_current():
            if one.subscribed:
                with _keep_going(one, "before the tool", call.name):
                    end = one.begin_tool(call)
                    ends += [(one, end)] if end else []

        def end_all(content: Any, error: Exception | None) -> None:
            for one, end in reversed(ends):
                with _keep_going(one, "after the tool", call.name):
                    end(content, error)

        return end_all


@contextmanager
def _keep_going(one: Listener, when: str, name: str) -> Iterator[None]:
    """Log what a listener raises."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whoever listens must cost neither the call nor its answer
        _log.exception("%s failed %s %s", type(one).__name__, when, name)


LISTENERS = Listeners()
