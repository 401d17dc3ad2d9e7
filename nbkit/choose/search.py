"""Search the catalog in words. `search` is the public face, `Searcher` what the picker asks at each key press.

`search_words` reads the text, `providers/search_index` looks up the words of names, and here both become a choice of
rows and their order. Measured for 8,342 models (CPU): 0.1 s once for the index, 2-5 ms a search.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from nbkit.arguments import check_arguments
from nbkit.billing.money import blend_prices
from nbkit.choose.abilities import COLUMNS_BY_WORD
from nbkit.choose.frame import catalog, restore_dtypes
from nbkit.choose.search_words import Query, read
from nbkit.errors import ArgumentError
from nbkit.modelsdev.records import CatalogWarning
from nbkit.providers.known_models import load_known_models
from nbkit.providers.search_index import TEXTS, Rows, WordIndex, hold_all, match_typos
from nbkit.providers.spelling import split_name

_COLUMNS = frozenset(  # columns of the catalog that a search reads
    (
        *(*TEXTS, *chain(*COLUMNS_BY_WORD.values()), "deprecated", "release_date", "context"),
        *("input_cost", "output_cost", "text_in", "text_out"),
    )
)
_HINT = 0.1  # what a name counts that says what the model can do: "kimi thinking"


@check_arguments
def search(text: str, frame: pd.DataFrame | None = None, limit: int | None = 50) -> pd.DataFrame:
    """Search the rows of the catalog, or of `frame`, for a description in words.

    Returns at most `limit` rows (None: all), best first, with one more column, `score` (0 to 100).

    - Names may be misspelled: "sonet 5", "gpt5 mini"; a size needs no unit: "llama 70".
    - Abilities filter: vision, tools, reasoning, audio, video, pdf, json, open (or local), "image generation", key (a
      key is set), chinese, gdpr, nsfw, deprecated; and so does "free". "no" before an ability or a word of a name
      excludes it.
    - "under $2" and "output < $5" are USD per million tokens; without "input" or "output" it is the price of three
      tokens read for one written. "200k" or "1m" is the least context in tokens, "on groq" the provider.
    - cheap, expensive and new order the rows. For "cheap", prices of 0 come after the others, as most are those of a
      plan, unknown ones after them, and then models that do not read and write text. Deprecated models always come
      last.

    `attrs["read_as"]` says which words were taken for others. Where no row fits, `attrs["why"]` says why, and so does a
    CatalogWarning. Raises ValueError for a frame that lacks columns of the catalog.
    """
    rows = catalog() if frame is None else frame
    match = Searcher(rows).search(text)
    places = match.places[:limit]
    result: pd.DataFrame = rows.iloc[places].assign(score=match.scores[:limit].round(1))
    why = "" if len(places) or limit == 0 or rows.empty else match.why
    result.attrs |= {"why": why, "read_as": ", ".join(map(": ".join, match.corrections))}
    if why:
        warnings.warn(f"search {text!r}: {why}", CatalogWarning, stacklevel=2)
    return result


class Searcher:
    """Rows of the catalog, to be searched again and again.

    Raises ValueError where they lack columns of the catalog.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if missing := sorted(_COLUMNS.difference(frame.columns)):
            raise ArgumentError(f"search() takes rows of the catalog; these have no column {missing[0]!r}")
        self._rows = restore_dtypes(frame[list(_COLUMNS)])
        self._index, self._places = _find_index(frame)

    def search(self, text: str, among: Rows | None = None) -> Match:
        """Search the rows of the mask `among` as if these were all."""
        chosen = np.arange(len(self._rows)) if among is None else np.flatnonzero(among)
        rows = self._rows if among is None else self._rows.iloc[chosen]
        return Match(rows, read(text, self._index.holds), self._index, self._places[chosen], chosen)


class Match:
    """The result of one search: which rows fit, in which order, and why there are none."""

    def __init__(self, rows: pd.DataFrame, query: Query, index: WordIndex, at: Rows, chosen: Rows) -> None:
        """`rows` are `at` these places of the index, and those `chosen` of the searched frame."""
        self._rows, self._query, self._index = rows, query, index
        excluded = {f"no {word}": ~index.has_word(word)[at] for word in query.unwanted}
        self._filters = dict(_filter_rows(rows, query)) | excluded
        self._fits = index.fit_words(query.words, at, self._pass_filters())
        hinting = [word for word, wanted in query.abilities if wanted and query.words and not query.order]
        self._hints = sum((_HINT * index.has_word(word)[at] for word in hinting), start=np.zeros(len(rows)))
        self._quality, self._score = index.rate(self._fits, at, self._hints)
        order = self._order(np.flatnonzero(hold_all(self._fits, self._pass_filters())))
        self.places, self.scores = chosen[order], self._score[order]

    def _pass_filters(self, without: str = "") -> Rows:
        passed = np.ones(len(self._rows), bool)
        for name, mask in self._filters.items():
            passed &= mask | (name == without)
        return passed

    def _order(self, places: Rows) -> Rows:
        rows, score, quality = self._rows, self._score[places], self._quality[places].round(1)
        dates = rows["release_date"].to_numpy("datetime64[s]")[places]
        age = np.where(np.isnat(dates), np.inf, -dates.astype("int64"))
        keys: tuple[Rows, ...] = (age, -score - 100 * self._hints[places])
        if self._query.order == "newest":
            keys = (-score, age, -quality)
        elif self._query.order:
            price = _price_rows(rows, "blended")[places]
            talks = (rows["text_in"].fillna(False) & rows["text_out"].fillna(False)).to_numpy(bool)[places]
            unusual = np.where(np.isnan(price), 2, price == 0) + 3 * ~talks  # the price of a whisper is another's
            keys = (-score, price if self._query.order == "cheapest" else -price, unusual, -quality)
        return places[np.lexsort((*keys, rows["deprecated"].to_numpy(bool)[places]))]

    @cached_property
    def why(self) -> str:
        """Why no row fits: the word that no name contains, or the part of the query that leaves none."""
        for word, fit in self._fits.items():
            if not fit.any():
                return f"no name contains {word!r} or a word like it"
        for name, mask in self._filters.items():
            if not mask.any():
                return f"no model fits {name!r}"
        parts = {name: self._count(without=name) for name in (*self._fits, *self._filters)}
        most = max(parts, key=lambda name: parts[name])
        text = f"no model fits all of {', '.join(parts)}"
        return f"{text}; without {most!r} there are {parts[most]}" if parts[most] else text

    def _count(self, without: str) -> int:
        """Count the rows that fit all but one part of the query."""
        fits = {word: fit for word, fit in self._fits.items() if word != without}
        return int(hold_all(fits, self._pass_filters(without)).sum())

    @property
    def corrections(self) -> list[tuple[str, str]]:
        """The words that were taken for others, and for which: ("sonet", "sonnet")."""
        read_as = (*self._query.read_as, *((word, self._index.correct(word)) for word in self._fits))
        return [(typed, word) for typed, word in read_as if typed != word]


def _filter_rows(rows: pd.DataFrame, query: Query) -> Iterator[tuple[str, Rows]]:
    """Compute the filters of a query: the name of each, and the mask of the rows that pass."""
    for word, wanted in query.abilities:
        able = np.zeros(len(rows), bool)
        for column in COLUMNS_BY_WORD[word]:
            able |= rows[column].fillna(False).to_numpy(bool)
        yield (word, able) if wanted else (f"no {word}", ~able)
    if query.free:
        yield "free", (_price_rows(rows, "input") == 0) & (_price_rows(rows, "output") == 0)
    for which, most in query.prices:
        yield f"{which} < ${most:g}".removeprefix("blended "), _price_rows(rows, which) <= most
    if query.context:
        size = f"{query.context / 1e6:g}m" if query.context >= 1e6 else f"{query.context / 1e3:g}k"
        yield size, rows["context"].to_numpy("float64", na_value=0) >= query.context
    for word in query.providers:
        yield f"on {word}", rows["provider"].isin(_find_providers(list(rows["provider"].unique()), word)).to_numpy(bool)


def _price_rows(rows: pd.DataFrame, which: str) -> Any:
    if which != "blended":
        return rows[f"{which}_cost"].to_numpy("float64")
    return blend_prices(_price_rows(rows, "input"), _price_rows(rows, "output"))


def _find_providers(ids: list[str], word: str) -> list[str]:
    """Find the provider of that id, else those that have the word in it, else those with a typo."""
    if word in ids:
        return [word]
    if within := [name for name in ids if any(part.startswith(word) for part in split_name(name))]:
        return within
    return [name for name in ids if match_typos(word, [name])]


_indexes: list[tuple[weakref.ref[pd.Index], WordIndex]] = []  # of frames that are not rows of the catalog


def _find_index(rows: pd.DataFrame) -> tuple[WordIndex, Rows]:
    """Find the index that has the rows, and their places in it.

    All searches share one index of the catalog and the registered providers. Other rows get an index of their own; it
    is kept with their `index` object, which pandas never changes.
    """
    known = load_known_models()
    places = np.array([known.places.get(model_id, -1) for model_id in rows.index.tolist()], int)
    # a person may have changed a name, or kept an older catalog
    if (places >= 0).all() and all(
        (known.columns[name][places] == rows[name].to_numpy(object)).all() for name in ("name", "vendor")
    ):
        return known.index, places
    _indexes[:] = [(seen, index) for seen, index in _indexes if seen() is not None][-3:]
    index = next((index for seen, index in _indexes if seen() is rows.index), None)
    if index is None:
        index = WordIndex({name: rows[name].tolist() for name in TEXTS})
        _indexes.append((weakref.ref(rows.index), index))
    return index, np.arange(len(rows))
