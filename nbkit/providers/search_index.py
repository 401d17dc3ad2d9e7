"""The words of model names and the models that hold them: the engine of `nbkit.search`, of the picker, of the
completion of model ids, and of "did you mean" in errors.

A word is looked up among the distinct words of all names (1,543 for 8,342 models), not model by model. It counts as a
whole word, at a word's beginning, inside one, or, where none of these leads anywhere, with a typo (two in a word of
eight letters or more). Where a search begins this is imported, not before: it needs numpy, which a call does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from nbkit.providers.spelling import find_own_providers, split_name, split_number

Rows = Any  # a numpy array with one value for each model

_HOST = 0.75  # what a word counts that says who made or serves a model, not what it is called
TEXTS = {"name": 1.0, "model": 1.0, "family": _HOST, "vendor": _HOST, "provider": _HOST, "provider_name": _HOST}
"""The columns in which words are looked up, and what a word counts there; what stands before a slash counts as a
host's."""
BEGINS = 0.8
"""What a word counts that begins another; a whole word counts 1."""
_VERSION, _INSIDE = 0.6, 0.6
_TYPO, FAR = 0.7, 0.5
"""What a word counts with a typo, and with two or with one in a word of four letters or less."""


class WordIndex:
    """The words of the names of some models, and which models hold each of them.

    `columns` has for each of TEXTS one text a model; what is not a string is unknown.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        held: dict[str, tuple[list[int], list[float]]] = {}
        split = cache(split_name)  # many providers call a model the same
        for column, weight in TEXTS.items():
            for text, places in _group(columns[column]).items():
                host, _, name = text.rpartition("/")
                weights = dict.fromkeys(split(host), _HOST) | dict.fromkeys(split(name), weight)
                if column in ("provider", "vendor"):
                    weights[text] = 1.0  # "openai", but not the "gpt" of "nano-gpt"
                for word, counts in weights.items():
                    rows, fits = held.setdefault(word, ([], []))
                    rows += places
                    fits += [counts] * len(places)
        self.words = sorted(held)
        self.number = {word: number for number, word in enumerate(self.words)}
        self.starts = np.cumsum([0, *(len(held[word][0]) for word in self.words)])
        self.rows = np.fromiter(chain.from_iterable(held[word][0] for word in self.words), np.int32)
        self.weights = np.fromiter(chain.from_iterable(held[word][1] for word in self.words), float)
        self.hosts = {*columns["vendor"], *columns["provider"]}
        self.length = np.zeros(len(columns["name"]))
        for name, rows in _group(columns["name"]).items():
            self.length[rows] = len(split_name(name.rpartition("/")[2]))
        own = {made_by: find_own_providers(made_by) for made_by in set(columns["vendor"])}
        self.own = np.array([host in own[by] for host, by in zip(columns["provider"], columns["vendor"], strict=True)])
        self.near, self.typos = lru_cache(256)(self._near), lru_cache(256)(self._typos)

    def _near(self, word: str) -> dict[str, float]:
        """The words that hold this one, and how well."""
        if word[:1].isdigit():  # 5 is not 50, but 5.5 is of its kind
            near = {one: _VERSION for one in self.words if one.startswith(f"{word}.")}
        else:
            near = {one: BEGINS if one.startswith(word) else _INSIDE for one in self.words if word in one}
            if len(word) < 4:  # too short to say much inside another
                near = {one: fit for one, fit in near.items() if fit == BEGINS}
        return near | ({word: 1.0} if word in self.number else {})

    def _typos(self, word: str) -> dict[str, float]:
        return match_typos(word, self.words)

    def spread(self, words: Mapping[str, float]) -> Rows:
        """How well each model holds one of these words, 0 to 1."""
        fits = np.zeros(len(self.length))
        for word, fit in words.items():
            part = slice(*self.starts[self.number[word] :][:2])
            np.maximum.at(fits, self.rows[part], fit * self.weights[part])
        return fits


class Scope:
    """The models that a search runs over, at these places of an index (default: all), and the words that they hold."""

    def __init__(self, index: WordIndex, places: Rows | None = None) -> None:
        self._index = index
        self._places = np.arange(len(index.length)) if places is None else places
        self.length, self.own = index.length[self._places], index.own[self._places]
        inside = np.zeros(len(index.length), np.int32)
        inside[self._places] = 1
        self._counts = np.add.reduceat(inside[index.rows], index.starts[:-1])

    def holds(self, word: str) -> bool:
        """Whether names hold the word, as a word or inside one, or its two parts."""
        split = split_number(word)
        return bool(self._near(word)) or bool(split and all(self._near(part) for part in split))

    def correct(self, word: str) -> str:
        """The word itself where names hold it; else the one that it is taken for."""
        near = {} if self.holds(word) else self._typos(word)
        return max(near, key=lambda one: near[one]) if near else word

    def has_word(self, word: str) -> Rows:
        """For each model, whether its own name (not its host's) has the word as it is."""
        return self._spread({word: 1.0} if word in self._index.number else {}) == 1

    def fit_words(self, words: Iterable[str], among: Rows, *, unfinished: str = "") -> dict[str, Rows]:
        """For each word, how well each model holds it, 0 to 1.

        If no model of the mask `among` holds all of them, a typo may be a word of other names, and all are corrected.
        `unfinished` is a word that a person is still typing: whatever it begins will do.
        """
        for typos in (False, True):
            fits = {word: self._fit(word, typos=typos, unfinished=word == unfinished) for word in words}
            if hold_all(fits, among).any():
                return fits
        return fits

    def rate(self, fits: Mapping[str, Rows], hints: Any = 0.0) -> tuple[Rows, Rows]:
        """How well the words fit each model (0 to 1, and its hints on top), and its score.

        The score is 0 to 100: 80 for the words, 12 for the vendor's own offer, 8 for a name that says no more than
        the words.
        """
        size = len(self.length)
        quality = hints + (np.mean(list(fits.values()), axis=0) if fits else np.ones(size))
        named = sum(word not in self._index.hosts for word in fits)
        spare = np.maximum(self.length - named, 0)
        brief = np.where(quality >= BEGINS, 8 / (1 + spare), 0) if named else 0
        return quality, 80 * np.minimum(quality, 1) + 12 * self.own + brief

    def _fit(self, word: str, *, typos: bool, unfinished: bool) -> Rows:
        near = self._near(word)
        if unfinished:
            near = self._present({one: BEGINS for one in self._index.words if one.startswith(word)}) | near
        typos = typos or not (near or self.holds(word))
        if typos:
            near = self._typos(word) | near
        fits = self._spread(near)
        split = split_number(word)
        if split and len(split[0]) > 2:  # "qwen3" is "Qwen 3" too
            parts = (self._near(part) or (self._typos(part) if typos else {}) for part in split)
            fits = np.maximum(fits, np.minimum(*map(self._spread, parts)))
        return fits

    def _near(self, word: str) -> dict[str, float]:
        return self._present(self._index.near(word))

    def _typos(self, word: str) -> dict[str, float]:
        """The words that differ by a typo or two; of those as near, the one of most names is the likeliest."""
        near = self._present(self._index.typos(word))
        often = {one: self._counts[self._index.number[one]] for one in near}
        likeliest = max(near, key=lambda one: (near[one], often[one]), default="")
        return {one: fit if one == likeliest else fit - 0.1 for one, fit in near.items()}

    def _present(self, words: Mapping[str, float]) -> dict[str, float]:
        return {word: fit for word, fit in words.items() if self._counts[self._index.number[word]]}

    def _spread(self, words: Mapping[str, float]) -> Rows:
        return self._index.spread(words)[self._places]


def hold_all(fits: Mapping[str, Rows], among: Rows) -> Rows:
    """The models of the mask `among` that hold every word."""
    held = among.copy()
    for fit in fits.values():
        held &= fit > 0
    return held


def match_typos(word: str, words: Sequence[str]) -> dict[str, float]:
    """Match words that are one or two typos away: a letter too much, too few, another, or two that changed places."""
    allowed = 0 if len(word) < 3 or word[0].isdigit() else 1 if len(word) < 8 else 2
    if not allowed:
        return {}
    near = process.extract(word, words, scorer=OSA.distance, score_cutoff=allowed, limit=None)
    return {one: _TYPO if typos < 2 and len(word) > 4 else FAR for one, typos, _ in near}


def _group(texts: Sequence[Any]) -> dict[str, list[int]]:
    """By distinct text, the places where it stands."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if isinstance(text, str):
            places.setdefault(text, []).append(place)
    return places
