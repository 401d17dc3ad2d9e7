"""The log of calls: `logging.getLogger("nbkit")`, one line for each call that ends (INFO), more at DEBUG.

nbkit adds no handler: a program, or `logging.basicConfig(level="INFO")` in a cell, says what is shown. Without that
Python prints warnings only: they are what a user must know, such as a ledger that cannot be written.
"""

from __future__ import annotations

import logging
import time

from nbkit.billing.entry import CallFacts
from nbkit.billing.money import format_usd
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import AdapterError, NbkitError
from nbkit.settings import settings
from nbkit.telemetry.content import describe_error, strip_url, write_answer, write_prompt

_log = logging.getLogger("nbkit")


class CallLog:
    """An observer that writes the log. Lines of one call begin with the same id, which the ledger has too."""

    def begin(self, call: CallFacts) -> None:
        """Write that a call begins, at DEBUG."""
        if _log.isEnabledFor(logging.DEBUG):
            kind = "streamed" if call.stream else "whole"
            _log.debug("%s: begins, %s, %s, %s", _name(call), call.protocol, kind, strip_url(call.url))
            if settings().log_content:
                _log.debug("%s: prompt %s", _name(call), write_prompt(call.conversation))

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Write what came of a call."""
        if not _log.isEnabledFor(logging.INFO):
            return
        whole = settings().log_content
        outcome = "failed" if error else _name_outcome(completion)
        facts = _list_facts(completion) if completion else []
        if isinstance(error, AdapterError) and not completion:
            facts.append(_count_attempts(error.attempts))
        facts.append(f"{time.monotonic() - call.started:.2f} s")
        if error is not None:
            facts.append(describe_error(error, whole=whole))
        _log.info("%s: %s, %s", _name(call), outcome, ", ".join(facts))
        if completion is not None and _log.isEnabledFor(logging.DEBUG):
            for change in completion.changes:
                _log.debug("%s: %s", _name(call), change)
            if whole:
                _log.debug("%s: answer %s", _name(call), write_answer(completion))

    def retry(self, call: CallFacts, error: AdapterError, seconds: float) -> None:
        """Write at DEBUG that an attempt failed, and how long the next one waits."""
        if _log.isEnabledFor(logging.DEBUG):
            reason = describe_error(error, whole=settings().log_content)
            _log.debug("%s: attempt %d failed, %s; the next in %.2f s", _name(call), error.attempts, reason, seconds)


def _name(call: CallFacts) -> str:
    return f"call {call.id[:8]} {call.model_id}"


def _name_outcome(completion: ChatCompletion | None) -> str:
    if completion is None:
        return "cancelled"
    source = completion.bill.source if completion.bill else ""
    return {"replay": "replayed", "partial": "left"}.get(source, completion.finish_reason or "done")


def _list_facts(completion: ChatCompletion) -> list[str]:
    usage, timing, bill = completion.usage, completion.timing, completion.bill
    facts = [
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "tokens unknown",
        f"cost {format_usd(completion.cost)}",
    ]
    if bill is not None and bill.is_replay and bill.saved:
        facts.append(f"saved {format_usd(bill.saved)}")
    if timing is not None:
        facts.append(_count_attempts(timing.attempts))
        facts += [f"waited {timing.waited:.2f} s"] if timing.waited else []
    if completion.id:
        facts.append(f"id {completion.id}")
    return facts


def _count_attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


LOG = CallLog()
