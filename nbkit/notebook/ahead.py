"""Words on the price of the next prompt to a panel, before it is sent."""

from __future__ import annotations

from decimal import Decimal

from nbkit.billing.cost import bill, estimate_tokens
from nbkit.billing.total import Sum
from nbkit.bookkeeping.budgets import describe_fit
from nbkit.bulk.answers import Pane
from nbkit.bulk.panel import Panel
from nbkit.bulk.table import ANSWER_TOKENS
from nbkit.conversation.completion import Usage


def describe_ahead(panel: Panel) -> str:
    """Say what reading the conversation again costs, as far as it is known; where nothing is answered yet, what answers
    of a usual length cost; and whether the budget has so much left."""
    panes = [pane for pane in panel.panes if not pane.muted]
    if any(pane.answers for pane in panel.panes):
        total, what = sum((_estimate(pane, 0) for pane in panes), Sum()), "reading the conversation again"
    else:
        tokens = min(ANSWER_TOKENS, panel.options.get("max_tokens") or ANSWER_TOKENS)
        total = sum((_estimate(pane, tokens) for pane in panes), Sum())
        what = f"{len(panes)} answers" if len(panes) > 1 else "an answer"
        what += f" of {tokens} tokens{' each' if len(panes) > 1 else ''}"
    costs = f"about {total} for {what}" if total.calls > total.unknown else ""
    return ", ".join(filter(None, (costs, describe_fit(total.usd if costs else None, panel.blocks))))


def _estimate(pane: Pane, output: int) -> Sum:
    usage = Usage(input=estimate_tokens(pane.conversation.text), output=output)
    usd = bill(usage, pane.adapter.endpoint.cost).total
    return Sum(1, unknown=1) if usd is None else Sum(1, Decimal(str(usd)))
