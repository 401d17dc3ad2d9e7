"""The words of model names and the models that hold them: the engine of `nbkit.search`, of the picker, of the
completion of model ids, and of "did you mean" in errors.

A word is looked up among the distinct words of all names (1,543 for 8,342 models), not model by model. It counts as a
whole word, at a word's beginning, inside one, or, where none of these leads anywhere, with a typo (two in a word of
eight letters or more). Where a search begins this is imported, not before: it needs numpy, which a call does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from nbkit.providers.spelling import find_own_providers, split_name, split_number

Rows = Any  # a numpy array with one value for each model

_HOST = 0.75  # what a word counts that says who made or serves a model, not what it is called
TEXTS = {"name": 1.0, "model": 1.0, "family": _HOST, "vendor": _HOST, "provider": _HOST, "provider_name": _HOST}
"""The columns in which words are looked up, and what a word counts there; before a slash it counts as a host's."""
_BEGINS, _VERSION, _INSIDE = 0.8, 0.6, 0.6  # what a word counts that is a part of another; a whole one counts 1
_UNITS = "bmk"  # of parameters, and of tokens: people leave them out
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
        self._held = {word: (np.array(rows), np.array(fits)) for word, (rows, fits) in held.items()}
        self._hosts = {*columns["vendor"], *columns["provider"]}
        self._length = np.zeros(len(columns["name"]))
        for name, places in _group(columns["name"]).items():
            self._length[places] = len(split(name.rpartition("/")[2]))
        self.own = rate_own_offers(columns["provider"], columns["vendor"])
        self._near, self._typos = lru_cache(256)(self._match_parts), lru_cache(256)(self._match_typos)

    def holds(self, word: str) -> bool:
        """Whether names hold the word, as a word or inside one, or its two parts."""
        parts = split_number(word)
        return bool(self._near(word)) or bool(parts and all(map(self._near, parts)))

    def correct(self, word: str) -> str:
        """Return the word itself where names hold it; else the one that it is taken for."""
        near = {} if self.holds(word) else self._typos(word)
        return max(near, key=lambda one: near[one]) if near else word

    def has_word(self, word: str) -> Rows:
        """Mark the models whose own name (not their host's) has the word as it is."""
        return self._spread({word: 1.0} if word in self._held else {}) == 1

    def fit_words(self, words: Iterable[str], places: Rows, among: Rows, *, unfinished: str = "") -> dict[str, Rows]:
        """Measure how well the models at these places hold each word, 0 to 1.

        A word that names hold is corrected too if none of the mask `among` holds all words: a typo may be a word of
        other names. `unfinished` is a word that a person is still typing; words that begin with it count.
        """
        for typos in (False, True):
            fits = {word: self._fit(word, typos=typos, unfinished=word == unfinished)[places] for word in words}
            if hold_all(fits, among).any():
                break
        return fits

    def rate(self, fits: Mapping[str, Rows], places: Rows, hints: Any = 0.0) -> tuple[Rows, Rows]:
        """Rate how well the words fit the models at these places: 0 to 1 with `hints` on top, and as a score.

        The score is 0 to 100: 80 for the words, 12 for the vendor's own offer, 8 for a name that says no more than
        the words.
        """
        quality = hints + (np.mean(list(fits.values()), axis=0) if fits else np.ones(len(places)))
        named = sum(word not in self._hosts for word in fits)
        spare = np.maximum(self._length[places] - named, 0)
        brief = np.where(quality >= _BEGINS, 8 / (1 + spare), 0) if named else 0
        return quality, 80 * np.minimum(quality, 1) + 12 * (self.own[places] > 0) + brief

    def _fit(self, word: str, *, typos: bool, unfinished: bool) -> Rows:
        typos = typos or not self.holds(word)
        near = (self._typos(word) if typos else {}) | self._near(word)
        if unfinished:
            near = {one: _BEGINS for one in self._held if one.startswith(word)} | near
        fits, parts = self._spread(near), split_number(word)
        if parts and len(parts[0]) > 2:  # "qwen3" is "Qwen 3" too
            both = (self._near(part) or (self._typos(part) if typos else {}) for part in parts)
            fits = np.maximum(fits, np.minimum(*map(self._spread, both)))
        return fits

    def _match_parts(self, word: str) -> dict[str, float]:
        """Match the words that hold this one, and how well they do."""
        if word[:1].isdigit():  # 5 is not 50, but 5.5 is of its kind
            sizes = {f"{word}{unit}" for unit in _UNITS}  # but "120" is 120b
            near = {one: _VERSION for one in self._held if one.startswith(f"{word}.") or one in sizes}
        else:
            near = {one: _BEGINS if one.startswith(word) else _INSIDE for one in self._held if word in one}
            if len(word) < 4:  # too short to say much inside another
                near = {one: fit for one, fit in near.items() if fit == _BEGINS}
        return near | ({word: 1.0} if word in self._held else {})

    def _match_typos(self, word: str) -> dict[str, float]:
        """Match the words that differ by a typo or two; of those as near, the one of most models is the likeliest."""
        near = match_typos(word, list(self._held))
        likeliest = max(near, key=lambda one: (near[one], len(self._held[one][0])), default="")
        return {one: fit if one == likeliest else fit - 0.1 for one, fit in near.items()}

    def _spread(self, words: Mapping[str, float]) -> Rows:
        """Spread what words count over the models that hold them; the best word counts."""
        fits = np.zeros(len(self._length))
        for word, fit in words.items():
            rows, weights = self._held[word]
            np.maximum.at(fits, rows, fit * weights)
        return fits


def rate_own_offers(providers: Iterable[Any], vendors: Iterable[Any]) -> Rows:
    """Rate offers: 1 at the provider that is the vendor's own first choice, less at its next one, 0 at another's."""
    vendors = list(vendors)
    own = {vendor: find_own_providers(vendor) for vendor in set(vendors)}
    offers = zip(providers, vendors, strict=True)
    return np.array([1 / (1 + own[made].index(host)) if host in own[made] else 0.0 for host, made in offers])


def hold_all(fits: Mapping[str, Rows], among: Rows) -> Rows:
    """Mark the models of the mask `among` that hold every word."""
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
    """Group the places by the text that stands there."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if isinstance(text, str):
            places.setdefault(text, []).append(place)
    return places
