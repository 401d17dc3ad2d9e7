"""The models that have a name in this process, and the one index of their words that every search shares.

`nbkit.search` and the picker search frames, whose rows are found here by id; the completion of model ids and "did you
mean" in errors need no more than a name (`KnownModels.rank`). Measured for 8,342 models (CPU): 0.1 s for the index,
once; 1 ms to rank a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from rapidfuzz import process
from rapidfuzz.distance import OSA

from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.snapshot import Meta, Snapshot, build
from nbkit.providers.registered import RegisteredProvider, find_registered, list_registered
from nbkit.providers.search_index import FAR, TEXTS, Rows, WordIndex, hold_all
from nbkit.providers.spelling import count_allowed_typos, join_letters, list_digits, normalize, split_words
from nbkit.providers.tables import table, user_rows
from nbkit.providers.vendors import vendor

_SUGGESTIONS = 3


class KnownModels(Struct, frozen=True, eq=False):
    """The models of the registered providers, then those of the snapshot in force: one value for each."""

    ids: Sequence[str]
    registered: int
    """How many are of registered providers; these come first."""
    models: Sequence[str]
    """Vendor and name, the same for the same model at every provider."""
    deprecated: Rows
    age: Rows
    columns: Mapping[str, Rows]
    """The texts of the index."""
    index: WordIndex
    places: Mapping[str, int]
    """By id."""

    def rank(self, text: str, *, unfinished: bool = False) -> list[int]:
        """List the places of the models whose names hold all words of `text`, in the order of `nbkit.search`.

        `unfinished`: the last word is still being typed.
        """
        return self._rank(text, np.arange(len(self.ids)), unfinished=unfinished)

    def suggest(self, name: str, provider: str | None = None) -> tuple[str, ...]:
        """Suggest ids for a name that no model has, each model at its vendor's own provider.

        The first models of a search, for which a name that holds half of the words is enough. Where none holds all of
        them, names come first that differ by a typo or two, or by separators that were left out. `provider`: suggest
        only models that were registered for it.
        """
        places = np.arange(len(self.ids))
        if provider is not None:
            places = np.flatnonzero(self.columns["provider"][: self.registered] == provider)
        offers: dict[str, int] = {}
        last = name.rpartition("/")[2]
        like = [] if self._rank(last, places) else self._match_letters(last, places)
        for place in (*like, *self._rank(last, places, half=True)):
            best = offers.setdefault(self.models[place], place)
            if self.index.own[place] > self.index.own[best]:
                offers[self.models[place]] = place
        return tuple(self.ids[place] for place in offers.values())[:_SUGGESTIONS]

    def _match_letters(self, name: str, places: Rows) -> list[int]:
        """Match the names of the same digits whose letters differ by a typo or two at most; the nearest come first."""
        letters: dict[str, list[int]] = {}
        for place in places:
            letters.setdefault(join_letters(self.columns["model"][place].rpartition("/")[2]), []).append(int(place))
        wanted = join_letters(name)
        allowed = count_allowed_typos(wanted)
        near = process.extract(wanted, list(letters), scorer=OSA.distance, score_cutoff=allowed, limit=None)
        matches = [
            (distance, bool(self.deprecated[place]), -self.index.own[place], self.age[place], place)
            for one, distance, _ in near
            if list_digits(one) == list_digits(wanted)
            for place in letters[one]
        ]
        return [place for *_, place in sorted(matches)]

    def _rank(self, text: str, places: Rows, *, unfinished: bool = False, half: bool = False) -> list[int]:
        words, every = split_words(text), np.ones(len(places), bool)
        fits = self.index.fit_words(words, places, every, unfinished=words[-1] if unfinished and words else "")
        quality, score = self.index.rate(fits, places)
        held = hold_all(fits, every)
        order = np.lexsort((self.age[places], -score, self.deprecated[places], ~held))
        if half:  # and one word that is near: no suggestion is better than one that is far from the name
            held = (quality >= 0.5) & (np.max([*fits.values(), 0 * quality], axis=0) > FAR)
        return [int(place) for place in places[order[held[order]]]]


_known: list[tuple[Snapshot, dict[str, RegisteredProvider], Any, KnownModels]] = []  # at most one: what it is made of


def load_known_models() -> KnownModels:
    """Return the models that have a name now; collect them if the catalog or the registered providers have changed."""
    for provider, row in table("provider_defaults").items():
        if "module" in row:
            find_registered(provider)  # one that comes with nbkit is loaded on demand
    made_of = current_snapshot(), list_registered(), user_rows("vendors")
    if not _known or _known[0][0] is not made_of[0] or _known[0][1:3] != made_of[1:]:
        _known[:] = [(*made_of, _collect(*made_of[:2]))]
    return _known[0][3]


def _collect(snapshot: Snapshot, registered: Mapping[str, RegisteredProvider]) -> KnownModels:
    own = build([record for provider in registered.values() for record in provider.records], Meta(url="", date=""))
    replaced = {*own.ids}
    rows = [*_read_rows(own), *(row for row in _read_rows(snapshot) if row[0] not in replaced)]
    ids, models, deprecated, released, *texts = zip(*rows, strict=True)
    columns = dict(zip(TEXTS, texts, strict=True))
    days = np.array(released, "datetime64[D]")
    return KnownModels(
        ids=ids,
        registered=len(own),
        models=models,
        deprecated=np.array(deprecated),
        age=np.where(np.isnat(days), np.inf, -days.astype(int)),
        columns={name: np.array(values, object) for name, values in columns.items()},
        index=WordIndex(columns),
        places={model_id: place for place, model_id in enumerate(ids)},
    )


def _read_rows(snapshot: Snapshot) -> Iterator[tuple[Any, ...]]:
    """Read of each model its id, vendor and name, whether it is deprecated, its day of release, and TEXTS."""
    names = ("name", "model", "family", "canonical", "provider", "status", "release_date")
    columns = zip(snapshot.ids, *map(snapshot.values, names), strict=True)
    for model_id, name, model, family, canonical, provider, status, released in columns:
        made_by = vendor(canonical, model, provider)
        same = normalize(canonical or f"{made_by}/{model.rpartition('/')[2]}")
        yield (
            *(model_id, same, status == "deprecated", released),
            *(name, model, family, made_by, provider.id, provider.name),
        )
