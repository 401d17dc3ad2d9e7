"""Differences between the answers of a turn, as the views show them: each against a base, word by word."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from nbkit.judging.diff import Diff, Segment, diff_words, fold_equal, measure_agreement
from nbkit.notebook.controls import STYLE, write_button, write_form
from nbkit.rendering.sanitize import plain_html
from nbkit.rendering.words import write_words


@lru_cache(maxsize=64)  # the views are told anew at every vote
def _compare(base: str, other: str) -> tuple[Segment, ...]:
    return diff_words(write_words(base), write_words(other))


class Differences(Struct):
    """Settings of the views: whether differences are shown, against whose answer, and whether equal paragraphs are."""

    on: bool = False
    base: str = ""
    """The label of a model; "": the first that has answered."""
    only: bool = False

    def set(self, message: Mapping[str, Any], labels: Sequence[str]) -> None:
        """Take what a view sends: `on`, or `base` (a place among the labels, as text) and `only`."""
        if "on" in message:
            self.on = bool(message["on"])
            return
        place = str(message.get("base"))
        if place.isdecimal() and int(place) < len(labels):
            self.base = labels[int(place)]
        self.only = "only" in message

    async def change(self, message: Mapping[str, Any], answers: Mapping[str, str], names: Mapping[str, str]) -> None:
        """Take what a view sends, and compare the texts beside the portal's thread: long ones take a while."""
        self.set(message, list(names))
        await asyncio.to_thread(self.write_slots, answers, names)

    def find_base(self, answers: Mapping[str, str]) -> str:
        """Find the label of the base among answers by label."""
        return self.base if self.base in answers else next(iter(answers), "")

    def write_tools(self, answers: Mapping[str, str], names: Mapping[str, str]) -> str:
        """Write the button, and when it is on, what is chosen; nothing for fewer than two answers."""
        if len(answers) < 2:
            return ""
        press = write_button("Differences", {"type": "differences", "on": not self.on}, "d", pressed=self.on)
        if not self.on:
            return press
        base = self.find_base(answers)
        options = "".join(
            f'<option value="{place}"{" selected" * (label == base)}>{plain_html(name)}</option>'
            for place, (label, name) in enumerate(names.items())
            if label in answers
        )
        only = f'<label><input type="checkbox" name="only"{" checked" * self.only}> only differences</label>'
        form = f'<label>against <select name="base">{options}</select></label>{only}'
        return press + write_form(form, {"type": "differences"})

    def write_slots(self, answers: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
        """Write what stands in the place of each answer: its differences from the base."""
        base, slots = self.find_base(answers), {"style": STYLE} if self.on else {}
        for place, label in enumerate(names):
            shown = self.on and len(answers) > 1 and label in answers and label != base
            slots[f"differences{place}"] = self._write(answers, names, base, label) if shown else ""
        return slots

    def _write(self, answers: Mapping[str, str], names: Mapping[str, str], base: str, label: str) -> str:
        diff = Diff(base, label, _compare(answers[base], answers[label]))
        count = f"{diff.changed:,} word{' differs' if diff.changed == 1 else 's differ'}"
        head = f'<p class="nbk-label">{count} from {plain_html(names[base])}</p>'
        segments = fold_equal(diff.segments) if self.only else diff.segments
        return f'{head}<div class="nbk-diff" dir="auto">{"".join(_mark(*segment) for segment in segments)}</div>'

    def list_shares(self, answers: Mapping[str, str], labels: Sequence[str]) -> list[tuple[float, str] | None]:
        """List how far each answer agrees with the base, as (0 to 1, text); None without an answer."""
        base = self.find_base(answers)
        shares: list[tuple[float, str] | None] = []
        for label in labels:
            share = measure_agreement([answers[base], answers[label]]) if label in answers else None
            shares.append(None if share is None else (share, "base" if label == base else f"{share:.0%}"))
        return shares


def _mark(kind: str, text: str) -> str:
    if kind == "folded":
        count = len(text.strip().split("\n\n"))
        head = f"{count} equal paragraph{'' if count == 1 else 's'}"
        return f"<details><summary>{head}</summary>{plain_html(text.strip())}</details>"
    tag = {"gone": "del", "added": "ins"}.get(kind)
    return f"<{tag}>{plain_html(text)}</{tag}>" if tag else plain_html(text)
