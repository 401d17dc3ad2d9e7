"""The observers of every call, one row each; they do not know of each other."""

from __future__ import annotations

import logging

from nbkit.billing.entry import CallFacts, Observer
from nbkit.billing.total import TOTAL
from nbkit.bookkeeping.budgets import BUDGETS
from nbkit.bookkeeping.ledger import LEDGER
from nbkit.bookkeeping.replay import REPLAY
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.tools import ToolCall
from nbkit.errors import AdapterError, NbkitError
from nbkit.providers.credentials import list_secrets
from nbkit.providers.key_shapes import hide_shapes
from nbkit.secret import hide_secrets
from nbkit.telemetry.content import add_mask
from nbkit.telemetry.listener import EndTool
from nbkit.telemetry.listeners import LISTENERS
from nbkit.telemetry.logs import LOG

OBSERVERS: tuple[Observer, ...] = (LOG, LISTENERS, TOTAL, REPLAY, BUDGETS, LEDGER)
"""In this order they are asked before a call is sent: the first that raises or answers decides.
A replayed answer needs no budget; who is told of calls is told of those, too, that are refused or replayed."""

add_mask(lambda text: hide_shapes(hide_secrets(text, list_secrets())))

_WRITERS = (BUDGETS, LEDGER, REPLAY)
"""In this order they write: what a budget keeps of a call counts before the ledger has its row."""
_log = logging.getLogger("nbkit")


def begin_call(call: CallFacts) -> ChatCompletion | None:
    """Ask the observers before a call is sent. Returns the completion of the first that has it; raises as they do."""
    for observer in OBSERVERS:
        answer = observer.begin(call)
        if answer is not None:
            return answer
    return None


def end_call(call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
    """Tell all observers what came of a call."""
    for observer in OBSERVERS:
        try:
            observer.end(call, completion, error)
        except Exception:  # noqa: BLE001 - a fault of whoever watches must not cost the answer, which is paid
            _log.exception("%s failed after the call of %s", type(observer).__name__, call.model_id)


def has_to_wait(call: CallFacts) -> bool:
    """Tell whether an observer may wait for a disk before a call is sent: not in an event loop."""
    return call.sample is not None or BUDGETS.watches(call)


def doubt_attempt(call: CallFacts) -> None:
    """Tell the budgets that an attempt brought no answer, and may have been paid all the same."""
    BUDGETS.doubt(call)


def begin_answer(call: CallFacts) -> None:
    """Tell that the first piece of a streamed answer has come."""
    LISTENERS.begin_answer(call)


def begin_tool(call: ToolCall) -> EndTool:
    """Tell of a tool's function that is about to be called, in its thread; return what must be told of its end."""
    return LISTENERS.begin_tool(call)


def tell_retry(call: CallFacts, error: AdapterError, seconds: float) -> None:
    """Tell that an attempt failed, and that another one follows in so many seconds."""
    LOG.retry(call, error, seconds)


def is_doubtful(call: CallFacts) -> bool:
    """Tell whether the budgets must be asked before another attempt."""
    return BUDGETS.is_doubtful(call)


def repeat_call(call: CallFacts) -> None:
    """Ask the budgets before another attempt. Raises BudgetExceededError; may wait for a disk."""
    BUDGETS.repeat(call)


class _Kept:
    """Keeps the cost of a call in the ledger, and its answer for a replay, before the call returns; in an event loop a
    thread writes them."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _settle()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        if any(one.pending for one in _WRITERS):
            from asyncio import to_thread  # a process of synchronous calls does without

            await to_thread(_settle)


def _settle() -> None:
    for writer in _WRITERS:
        if writer.pending:  # also: an import that only a kept answer needs
            writer.settle()


KEPT = _Kept()
"""`with KEPT, call: ...`, or `async with KEPT, call: ...`."""
