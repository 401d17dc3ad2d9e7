"""A judge model from within a view: the form, what it would cost, and the verdicts. See `nbkit.notebook.deltas`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from nbkit.billing.entry import at_origin, find_origin
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.bulk.steering import ensure_adapter
from nbkit.errors import NbkitError
from nbkit.judging.ballot import Ballot
from nbkit.judging.judge import Judgement, estimate_judging, fold_prompt, judge_pairs
from nbkit.notebook.controls import STYLE, write_button, write_form
from nbkit.rendering.sanitize import plain_html

JUDGE_MESSAGES = ("judge_form", "judge_ahead", "judge", "judge_stop")
_CRITERION = "correct, complete and short"


class JudgeForm:
    """The form of one comparison. All but `receive` runs on the portal's thread; `show` is called after each change."""

    def __init__(self, panel: Panel, ballot: Ballot, show: Callable[[], object]) -> None:
        self._panel, self._ballot, self._show, self._origin = panel, ballot, show, find_origin()
        self._work: Future[None] | None = None
        self._form = self._note = self._verdicts = ""

    def clear(self) -> None:
        """Put the form away, and the verdicts: they are about another turn."""
        self._form = self._note = self._verdicts = ""

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take a message of a view.

        `judge_form` opens or closes the form, `judge_ahead` asks what it would cost, `judge` begins, `judge_stop` ends.
        """
        kind = message.get("type")
        if kind == "judge_form":
            portal.call(self._toggle)
        elif kind == "judge_ahead":
            portal.call(self._estimate, message)
        elif kind == "judge" and (self._work is None or self._work.done()):
            self._work = portal.submit(self._judge(message))
        elif kind == "judge_stop" and self._work:
            self._work.cancel()

    def write_slots(self, tools: str) -> dict[str, str]:
        """Write the button that opens the form, behind other tools; the form, a note below it, and the verdicts."""
        press = write_button("Judge", {"type": "judge_form"}, "j", pressed=bool(self._form)) if tools else ""
        style = {"style": STYLE} if self._form or self._verdicts else {}
        return style | {
            "tools": tools + press,
            "judge": self._form + (fold_prompt("(your criterion)") if self._form and not self._verdicts else ""),
            "ahead": self._note if self._form else "",
            "results": self._verdicts,
        }

    def _toggle(self) -> None:
        self._form = "" if self._form else self._write_form()
        self._show()

    def _write_form(self) -> str:
        labels = dict.fromkeys(pane.adapter.model_id for pane in self._panel.panes)
        options = "".join(f'<option value="{plain_html(label)}">' for label in labels)
        first, known = plain_html(next(iter(labels))), f"nbk-judges-{id(self)}"
        fields = (
            '<label class="nbk-wide">Which answer is better, by this criterion:'
            f'<textarea class="nbk-input" name="criterion" rows="1" autofocus>{_CRITERION}</textarea></label>'
            f'<label>judge <input class="nbk-input" name="model" list="{known}" value="{first}" size="28"></label>'
            f'<datalist id="{known}">{options}</datalist>'
            '<label><input type="checkbox" name="both" checked> read each pair in both orders</label>'
            '<button type="button" class="nbk-button nbk-primary" data-send="{&quot;type&quot;:&quot;judge&quot;}">'
            "Judge</button>"
        )
        self._note = self._describe_cost({"model": next(iter(labels)), "criterion": _CRITERION, "both": "on"})
        return write_form(fields, {"type": "judge_ahead"})

    def _estimate(self, message: Mapping[str, Any]) -> None:
        self._note = self._describe_cost(message)
        self._show()

    def _describe_cost(self, message: Mapping[str, Any]) -> str:
        pairs, both = self._ballot.list_pairs(), "both" in message
        try:
            adapter = ensure_adapter(str(message.get("model")).strip())
        except NbkitError as wrong:
            return plain_html(str(wrong))
        calls = len(pairs) * (1 + both)
        cost = estimate_judging(adapter, str(message.get("criterion")), pairs, both)
        return plain_html(
            f"{calls} call{'' if calls == 1 else 's'}, {'cost not known' if cost.unknown else f'about {cost}'}"
        )

    async def _judge(self, message: Mapping[str, Any]) -> None:
        """Judge the last turn; its votes join the others."""
        criterion, both = str(message.get("criterion", "")).strip(), "both" in message
        if not criterion:
            self._note = "Write what a good answer is: the criterion."
            self._show()
            return
        try:
            adapter = ensure_adapter(str(message.get("model")).strip())
            stop = write_button("Stop", {"type": "judge_stop"}, "s")
            self._note = f"{plain_html(adapter.model_id)} is judging ... {stop}"
            self._show()
            with at_origin(self._origin):
                judgement = await judge_pairs(adapter, criterion, self._ballot.list_pairs(), both)
        except NbkitError as wrong:
            self._note = plain_html(str(wrong))
        except BaseException:
            self._note = "Stopped: no verdict was taken."
            self._show()
            raise
        else:
            add_votes(self._ballot, judgement)
            self._note, self._verdicts = f"It cost {judgement.spent}.", judgement._repr_html_()
        self._show()


def add_votes(ballot: Ballot, judgement: Judgement) -> None:
    """Add the verdicts of a judge to the votes."""
    for verdict in judgement.verdicts:
        if verdict.winner:
            pair, why = verdict.pair, " / ".join(verdict.reasons)
            ballot.add(pair.left, pair.right, verdict.winner, pair.turn, judgement.model, why)
