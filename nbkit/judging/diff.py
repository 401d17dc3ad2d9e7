"""Differences between answers, by words, and how far several answers agree. Pure arithmetic on texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import Literal, NamedTuple

from msgspec import Struct

from nbkit.rendering.sanitize import plain_html

_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Han: written without spaces, so one by one
_WORD = rf"[{_WIDE}]|[^\W{_WIDE}]+(?:['’][^\W{_WIDE}]+)*"
_TOKENS = re.compile(rf"(?:{_WORD}|[^\w\s])\s*|\s+")
_WORDS = re.compile(_WORD)
_STYLES = {
    "gone": ("del", "background:rgba(208,64,48,0.18)"),
    "added": ("ins", "background:rgba(46,160,87,0.22)"),
}
_PLAIN = {"equal": "{}", "gone": "[-{}-]", "added": "{{+{}+}}"}

Kind = Literal["equal", "added", "gone", "folded"]


class Segment(NamedTuple):
    """Text that both answers have (`equal`; `folded`: whole paragraphs of it), only the other one (`added`), or only
    the base (`gone`)."""

    kind: Kind
    text: str


class Diff(Struct, frozen=True):
    """Two answers, word by word; `segments` are in the order of the text.

    The `equal` and the `added` ones join to the other answer. White space alone makes no difference.
    """

    base: str
    """Whose answer is the base: a model's label."""
    other: str
    segments: tuple[Segment, ...]

    @property
    def changed(self) -> int:
        """How many words are added or gone."""
        return sum(len(_WORDS.findall(text)) for kind, text in self.segments if kind != "equal")

    def __repr__(self) -> str:
        """Write it as wdiff does: [-gone-]{+added+}."""
        return "".join(_PLAIN[kind].format(text) for kind, text in self.segments)

    def _repr_html_(self) -> str:
        parts = [plain_html(text) if kind == "equal" else _mark(kind, text) for kind, text in self.segments]
        head = f"{plain_html(self.other)} against {plain_html(self.base)}: {self.changed:,} words differ"
        body = f'<p><small>{head}</small></p><div style="white-space:pre-wrap">{"".join(parts)}</div>'
        return f'<div style="padding-left:8px">{body}</div>'


def _mark(kind: Kind, text: str) -> str:
    tag, style = _STYLES[kind]
    return f'<{tag} style="{style}">{plain_html(text)}</{tag}>'


def diff_words(base: str, other: str) -> tuple[Segment, ...]:
    """Compare two texts by words and marks (difflib): what both have, what is added, what is gone."""
    old, new = _TOKENS.findall(base), _TOKENS.findall(other)
    matcher = SequenceMatcher(None, [token.strip() for token in old], [token.strip() for token in new], autojunk=False)
    segments = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        kinds: tuple[tuple[Kind, list[str]], ...] = (("gone", old[i1:i2]), ("added", new[j1:j2]))
        if tag == "equal":
            kinds = (("equal", new[j1:j2]),)
        segments += [Segment(kind, "".join(tokens)) for kind, tokens in kinds if tokens]
    return tuple(segments)


def fold_equal(segments: Sequence[Segment]) -> list[Segment]:
    """Part whole paragraphs that are equal, as `folded`, from those in which something differs."""
    folded: list[Segment] = []
    for place, (kind, text) in enumerate(segments):
        if kind != "equal":
            folded.append(Segment(kind, text))
            continue
        pieces = re.split(r"(?<=\n\n)", text)
        start, end = min(place, 1), len(pieces) - (place < len(segments) - 1)
        parts = ("".join(pieces[:start]), "".join(pieces[start:end]), "".join(pieces[max(start, end) :]))
        kinds: tuple[Kind, ...] = ("equal", "folded", "equal")
        folded += [Segment(kind, part) for kind, part in zip(kinds, parts, strict=True) if part]
    return folded


def measure_agreement(texts: Sequence[str]) -> float | None:
    """Measure how far texts agree: 1 where all have the same words, 0 where no two share one; None for fewer than two.

    The mean over all pairs of Dice's coefficient: twice the words that both have, divided by the words of the two. A
    word counts as often as it stands there, whatever its case and place; two texts without a word agree.
    """
    bags = [Counter(_WORDS.findall(text.lower())) for text in texts]
    shares = [_compare_bags(one, other) for one, other in combinations(bags, 2)]
    return sum(shares) / len(shares) if shares else None


def _compare_bags(one: Counter[str], other: Counter[str]) -> float:
    words = one.total() + other.total()
    return 2 * sum(min(count, other[word]) for word, count in one.items()) / words if words else 1.0
