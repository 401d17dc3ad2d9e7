"""Search the catalog in words.

Each word must occur in a row's name, id, family, provider or vendor: as a word, at a word's beginning, inside one, or,
where none of these leads anywhere, with a typo (two in a word of eight letters or more). The words are looked up among
the catalog's distinct ones, not row by row. Measured for 8,337 models: 60 ms of CPU once for a frame, 2-8 ms a search.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from nbkit.billing.money import blend_prices
from nbkit.choose.frame import catalog
from nbkit.choose.search_words import ABILITIES, Query, parts, read, tokens
from nbkit.modelsdev.records import CatalogWarning
from nbkit.providers.spelling import own_providers

_Rows = Any  # an array with one value a row

_HOST = 0.75  # what a word counts that says who made or serves a model, not what it is called
_TEXTS = {"name": 1.0, "model": 1.0, "family": _HOST, "vendor": _HOST, "provider": _HOST, "provider_name": _HOST}
"""Where words are looked for, and what they count there; what stands before a slash counts as a host's."""
_COLUMNS = frozenset(  # what it needs of the catalog
    (*_TEXTS, *chain(*ABILITIES.values()), "deprecated", "release_date", "context", "input_cost", "output_cost")
)
_BEGINS, _VERSION, _INSIDE, _TYPO = 0.8, 0.6, 0.6, 0.7  # what a word counts that is not quite there; a whole one is 1
_HINT = 0.1  # what it counts that a name says what the model can do: "kimi thinking"


def search(text: str, frame: pd.DataFrame | None = None, limit: int | None = 50) -> pd.DataFrame:
    """The rows of the catalog, or of `frame`, that fit a description, best first, with a column `score` (0 to 100).

    Words of names may be misspelled. Words that filter: vision, tools, reasoning, audio, video, pdf, json, open,
    "image generation", key (a key is set), deprecated, and free. "no" before a word of these (but free), or of names,
    rules it out. "under $2" or "output < $5" is in USD per million tokens; without "input" or "output" it is that of
    three read for one written. "200k" or "1m" is the least context, "on groq" the provider. Words that order: cheap,
    expensive, new. Deprecated models come last. For "cheap", prices of 0 come after the others, as most are those of a
    plan, and unknown ones after them.

    `attrs["why"]` says why there are no rows, as does a CatalogWarning; `attrs["read_as"]` which words were taken for
    others. Raises ValueError where `frame` has not the catalog's columns.
    """
    rows = catalog() if frame is None else frame
    if missing := sorted(_COLUMNS.difference(rows.columns)):
        raise ValueError(f"search() takes rows of the catalog; these have no column {missing[0]!r}")
    index = _index(rows)
    query = read(text, index.holds)
    found = _Search(rows, index, query)
    places = found.places()[:limit]
    result: pd.DataFrame = rows.iloc[places].assign(score=found.score()[places].round(1))
    why = "" if len(places) or limit == 0 or rows.empty else found.why()
    result.attrs |= {"why": why, "read_as": found.read_as()}
    if why:
        warnings.warn(f"search {text!r}: {why}", CatalogWarning, stacklevel=2)
    return result


class _Search:
    """One query over some rows: what each part of it says of them."""

    def __init__(self, rows: pd.DataFrame, index: _Index, query: Query) -> None:
        self.rows, self.index, self.query = rows, index, query
        self.filters = dict(_filters(rows, query)) | {f"no {word}": ~index.named(word) for word in query.unwanted}
        self.words = {word: index.fit(word, typos=False) for word in query.words}
        if query.words and not self._fits().any():  # a typo may be a word of other names
            self.words = {word: index.fit(word, typos=True) for word in query.words}
        hints = [word for word, wanted in query.abilities if wanted and query.words and not query.order]
        self.hints = sum((_HINT * index.named(word) for word in hints), start=np.zeros(len(rows)))

    def _fits(self, without: str = "") -> _Rows:
        fits = np.ones(len(self.rows), bool)
        for said, mask in self.filters.items():
            fits &= mask | (said == without)
        for said, fit in self.words.items():
            fits &= (fit > 0) | (said == without)
        return fits

    def quality(self) -> _Rows:
        """How well the words fit, 0 to 1, more with hints."""
        fits = list(self.words.values())
        return self.hints + (np.mean(fits, axis=0) if fits else 1.0)

    def score(self) -> _Rows:
        """0 to 100: 80 for the words, 12 for the vendor's own offer, 8 for a name that says no more than the words."""
        quality = self.quality()
        named = [word for word in self.words if word not in self.index.hosts]
        spare = np.maximum(self.index.length - len(named), 0)
        brief = np.where(quality >= _BEGINS, 8 / (1 + spare), 0) if named else 0
        return 80 * np.minimum(quality, 1) + 12 * self.index.own + brief

    def places(self) -> _Rows:
        """The rows that fit, in order."""
        places = np.flatnonzero(self._fits())
        rows, score, quality = self.rows, self.score()[places], self.quality()[places].round(1)
        dates = rows["release_date"].to_numpy("datetime64[s]")[places]
        age = np.where(np.isnat(dates), np.inf, -dates.astype("int64"))
        keys: tuple[_Rows, ...] = (age, -score - 100 * self.hints[places])
        if self.query.order == "newest":
            keys = (-score, age, -quality)
        elif self.query.order:
            price = _prices(rows, "blended")[places]
            unusual = np.where(np.isnan(price), 2, price == 0)
            keys = (-score, price if self.query.order == "cheapest" else -price, unusual, -quality)
        return places[np.lexsort((*keys, rows["deprecated"].to_numpy(bool)[places]))]

    def why(self) -> str:
        """Why no row fits: the word that none holds, or the part of the query that leaves none."""
        for said, fit in self.words.items():
            if not fit.any():
                return f"no name holds {said!r}, nor a word like it"
        for said, mask in self.filters.items():
            if not mask.any():
                return f"no model fits {said!r}"
        rest = {said: int(self._fits(without=said).sum()) for said in (*self.words, *self.filters)}
        most = max(rest, key=lambda said: rest[said])
        text = f"no model fits all of {', '.join(rest)}"
        return f"{text}; without {most!r} there are {rest[most]}" if rest[most] else text

    def read_as(self) -> str:
        """The words that were taken for others: "visoin: vision, sonet: sonnet"."""
        near = [*self.query.read_as, *((word, self.index.meant(word)) for word in self.words)]
        return ", ".join(f"{said}: {meant}" for said, meant in near if said != meant)


def _filters(rows: pd.DataFrame, query: Query) -> Iterator[tuple[str, _Rows]]:
    """Each filter by what was said, and the rows that pass."""
    for word, wanted in query.abilities:
        able = np.zeros(len(rows), bool)
        for column in ABILITIES[word]:
            able |= rows[column].fillna(False).to_numpy(bool)
        yield (word, able) if wanted else (f"no {word}", ~able)
    if query.free:
        yield "free", (_prices(rows, "input") == 0) & (_prices(rows, "output") == 0)
    for which, most in query.prices:
        yield f"{which} < ${most:g}".removeprefix("blended "), _prices(rows, which) <= most
    if query.context:
        size = f"{query.context / 1e6:g}m" if query.context >= 1e6 else f"{query.context / 1e3:g}k"
        yield size, rows["context"].to_numpy("float64", na_value=0) >= query.context
    for word in query.providers:
        yield f"on {word}", rows["provider"].isin(_providers(rows["provider"].unique(), word)).to_numpy(bool)


def _prices(rows: pd.DataFrame, which: str) -> _Rows:
    if which != "blended":
        return rows[f"{which}_cost"].to_numpy("float64")
    return blend_prices(_prices(rows, "input"), _prices(rows, "output"))


def _providers(ids: Any, word: str) -> list[str]:
    """The providers that are meant: that of the id, else those that have the word in it, else those with a typo."""
    if word in ids:
        return [word]
    if within := [name for name in ids if any(token.startswith(word) for token in tokens(name))]:
        return within
    return [name for name in ids if _typos(word, [name])]


class _Index:
    """The words of each row's texts, and the rows of each word."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._rows: dict[str, list[tuple[_Rows, float]]] = {}
        self._size, self.length = len(frame), np.zeros(len(frame))
        self.hosts: set[str] = set()
        for column, weight in _TEXTS.items():
            codes, texts = pd.factorize(frame[column])
            order = np.argsort(codes, kind="stable")
            groups = np.split(order, np.searchsorted(codes[order], np.arange(len(texts) + 1)))[1:-1]
            for text, rows in zip(texts, groups, strict=True):
                host, _, own = text.rpartition("/")
                words = tokens(own)
                for token in words:
                    self._rows.setdefault(token, []).append((rows, weight))
                for token in tokens(host) if host else ():
                    self._rows.setdefault(token, []).append((rows, _HOST))
                if column in ("provider", "vendor"):
                    self.hosts.add(text)
                    self._rows.setdefault(text, []).append((rows, 1.0))  # "openai", but no "gpt" of "nano-gpt"
                if column == "name":
                    self.length[rows] = len(words)
        self._words = sorted(self._rows)
        own = {made_by: own_providers(made_by) for made_by in frame["vendor"].unique()}
        hosts = zip(frame["provider"], frame["vendor"], strict=True)
        self.own = np.array([provider in own[made_by] for provider, made_by in hosts])
        self.near = lru_cache(256)(self._near)

    def holds(self, word: str) -> bool:
        """Whether names hold it, as a word or inside one, or its two parts."""
        split = parts(word)
        return bool(self.near(word)) or bool(split and all(self.near(part) for part in split))

    def meant(self, word: str) -> str:
        """The word itself where names hold it; else the one that it was taken for."""
        near = {} if self.holds(word) else self.typos(word)
        return max(near, key=lambda one: near[one]) if near else word

    def named(self, word: str) -> _Rows:
        """Whether a row's name holds the word as it is."""
        return self._spread({word: 1.0} if word in self._rows else {}) == 1

    def fit(self, word: str, *, typos: bool) -> _Rows:
        """How well each row holds a word, 0 to 1. Typos count where nothing else does, or where they are asked for."""
        near = self.near(word)
        if typos or not self.holds(word):
            near = self.typos(word) | near
        found = self._spread(near)
        if (split := parts(word)) and len(split[0]) > 2:  # "qwen3" is "Qwen 3" too
            found = np.maximum(found, np.minimum(*(self._spread(self.near(part)) for part in split)))
        return found

    def _near(self, word: str) -> dict[str, float]:
        """The words that hold it, and how well."""
        if word[:1].isdigit():  # 5 is no 50, but 5.5 is of its kind
            found = {one: _VERSION for one in self._words if one.startswith(f"{word}.")}
        else:
            within = [one for one in self._words if word in one]
            found = {one: _BEGINS if one.startswith(word) else _INSIDE for one in within}
            if len(word) < 4:  # too short to say much inside another
                found = {one: fit for one, fit in found.items() if fit == _BEGINS}
        return found | ({word: 1.0} if word in self._rows else {})

    def typos(self, word: str) -> dict[str, float]:
        """The words that differ by a typo or two; of those as near, the one of most rows is the likeliest."""
        near = _typos(word, self._words)
        often = {one: sum(len(rows) for rows, _ in self._rows[one]) for one in near}
        likeliest = max(near, key=lambda one: (near[one], often[one]), default="")
        return {one: fit if one == likeliest else fit - 0.1 for one, fit in near.items()}

    def _spread(self, words: dict[str, float]) -> _Rows:
        found = np.zeros(self._size)
        for word, fit in words.items():
            for rows, weight in self._rows[word]:
                found[rows] = np.maximum(found[rows], fit * weight)
        return found


def _typos(word: str, words: list[str]) -> dict[str, float]:
    """The words that are one or two typos away: a letter too much, too few, another, or two that changed places."""
    allowed = 0 if len(word) < 3 or word[0].isdigit() else 1 if len(word) < 8 else 2
    if not allowed:
        return {}
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    near = process.extract(word, words, scorer=OSA.distance, score_cutoff=allowed, limit=None)
    return {one: _TYPO if typos < 2 else _TYPO - 0.2 for one, typos, _ in near}


_indexes: list[tuple[weakref.ref[pd.Index], _Index]] = []  # of the frames that were searched last


def _index(frame: pd.DataFrame) -> _Index:
    """The index of a frame; its `index`, which never changes, tells whether it has been seen before."""
    _indexes[:] = [(seen, made) for seen, made in _indexes if seen() is not None][-3:]
    made = next((made for seen, made in _indexes if seen() is frame.index), None)
    if made is None:
        made = _Index(frame)
        _indexes.append((weakref.ref(frame.index), made))
    return made
