"""The observers of every call, one row each; they do not know of each other."""

from __future__ import annotations

import logging

from nbkit.billing.entry import CallFacts, Observer
from nbkit.billing.total import TOTAL
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import NbkitError

OBSERVERS: tuple[Observer, ...] = (TOTAL,)
"""In this order they are asked before a call is sent: the first that raises or answers decides."""

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
