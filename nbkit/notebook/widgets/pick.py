"""The model picker: search, filter and pick models of the catalog; `.value` is the list of their ids.

The models stay in the kernel. The view sends a query, `find` answers it, and at most `limit` rows go back as a custom
message, so the widget's state is the picked ids alone; a provider's logo goes once to a view, and again when it has
come. Measured over 8,342 models: 8-10 ms of kernel time a query, 25 ms for a single letter or where no name holds the
words and the nearest are looked for; 13 kB of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import traitlets
from anywidget import AnyWidget
from IPython.display import display, update_display
from rapidfuzz import fuzz, process

from nbkit.choose.frame import catalog, demo_models
from nbkit.notebook.outputs import beside, person_in_front
from nbkit.notebook.show import fetch_logos, pictures, table

FLAGS = ("vision", "tools", "reasoning", "structured_output", "open_weights", "has_key")
_SORTS = {  # column and direction; "relevance" is none of them
    "input_cost": ("input_cost", True),
    "output_cost": ("output_cost", True),
    "newest": ("release_date", False),
    "context": ("context", False),
}
_COLUMNS = (
    *FLAGS,
    *("name", "provider", "provider_name", "vendor", "family", "status", "deprecated"),
    *("input_cost", "output_cost", "context", "release_date"),
)
_NEAR = 75  # of 100: how alike a misspelled word must be
_OWN = 10  # of 100: what a vendor's own offer counts before those of resellers


@dataclass(frozen=True, slots=True)
class Query:
    """What the view asks for: `ceiling` is the highest output price, in USD per million tokens."""

    text: str = ""
    flags: Sequence[str] = ()
    ceiling: float | None = None
    deprecated: bool = False
    sort: str = "relevance"


class Models:
    """The rows to pick from, with the texts that are searched."""

    def __init__(self, frame: pd.DataFrame) -> None:
        if missing := [name for name in _COLUMNS if name not in frame.columns]:
            raise ValueError(f"pick() takes rows of the catalog; these have no column {missing[0]!r}")
        self.frame = frame
        parts = (frame.index, frame["name"], frame["provider_name"], frame["family"].astype("str").fillna(""))
        self._texts = [" ".join(map(str, row)).lower() for row in zip(*parts, strict=True)]
        self._own = _OWN * (frame["provider"].astype("str") == frame["vendor"].astype("str")).to_numpy(int)

    def find(self, query: Query) -> pd.DataFrame:
        """The rows that fit, in the order that is asked for; best matches first, then as the frame has them."""
        places = [int(place) for place in np.flatnonzero(self._fits(query))]
        if words := query.text.lower().split():
            places = self._search(words, places)
        found = self.frame.iloc[places]
        if query.sort in _SORTS:
            column, ascending = _SORTS[query.sort]
            found = found.sort_values(column, ascending=ascending, kind="stable", na_position="last")
        return found

    def _fits(self, query: Query) -> Any:
        fits = np.ones(len(self.frame), bool)
        for flag in FLAGS:
            if flag in query.flags:
                fits &= self.frame[flag].fillna(False).to_numpy(bool)
        if query.ceiling is not None:
            fits &= (self.frame["output_cost"] <= query.ceiling).to_numpy(bool)  # not where it is unknown
        if not query.deprecated:
            fits &= ~self.frame["deprecated"].to_numpy(bool)
        return fits

    def _search(self, words: list[str], places: list[int]) -> list[int]:
        """The places that hold every word; where none does, those where each word is nearly there. Best first."""
        texts = {place: self._texts[place] for place in places}
        held = {place: text for place, text in texts.items() if all(word in text for word in words)}
        if not held and texts:
            near = process.cdist(words, list(texts.values()), scorer=fuzz.partial_ratio).min(axis=0) >= _NEAR
            held = {place: text for (place, text), close in zip(texts.items(), near, strict=True) if close}
        likeness = process.extract(" ".join(words), held, scorer=fuzz.token_ratio, limit=None)
        return [place for _, _, place in sorted(likeness, key=lambda match: -match[1] - self._own[match[2]])]


class ModelPicker(AnyWidget):
    """Search, filter and pick models. `value`: the ids that are picked, in the order of picking; may be set.

    Setting an id that is not among the rows raises traitlets.TraitError.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    value = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, models: Models, value: Sequence[str], limit: int) -> None:
        self._models, self._limit = models, limit
        self._static_id, self._shown = uuid4().hex, False
        super().__init__(value=list(value))
        self.on_msg(self._answer)

    @traitlets.validate("value")
    def _known(self, proposal: Any) -> list[str]:
        for model in proposal["value"]:
            if model not in self._models.frame.index:
                raise traitlets.TraitError(f"no model {model!r} among those to pick from")
        return list(dict.fromkeys(proposal["value"]))

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the picked models, in the order of picking."""
        return self._models.frame.loc[self.value]

    def _ipython_display_(self) -> None:
        """Show the widget where a person can use it, and beside it, hidden meanwhile, a table for when it is gone."""
        if not person_in_front():
            display(self._table(), raw=True)
        else:
            self._shown = True
            display(beside(self._table()), raw=True, display_id=self._static_id)
            data, metadata = super()._repr_mimebundle_()
            data["text/plain"] = "model picker of nbkit; run the cell again to pick"
            display(data, metadata=metadata, raw=True)

    @traitlets.observe("value")
    def _renew(self, _: Any) -> None:
        if self._shown:
            update_display(beside(self._table()), raw=True, display_id=self._static_id)

    def _table(self) -> dict[str, str]:
        """The picked models, readable without the widget and its style."""
        if not self.value:
            return {"text/html": '<p class="nbk-static">No model is picked.</p>', "text/plain": "No model is picked."}
        bundle = table(self.frame)
        return bundle | {"text/html": f'<div class="nbk-static">{bundle["text/html"]}</div>'}

    def _send_logos(self, providers: Iterable[str]) -> None:
        self.send({"kind": "logos", "logos": pictures(providers)})

    def _logos_came(self, providers: Iterable[str]) -> None:
        self._send_logos(providers)
        self._renew(None)

    def _answer(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        if message["kind"] == "logos":
            fetch_logos(message["providers"], self._logos_came)
            self._send_logos(message["providers"])
            return
        asked = {name: message[name] for name in Query.__slots__ if name in message}
        found = self._models.find(Query(**asked))
        rows = [_row(model, row) for model, row in found[list(_COLUMNS)].head(self._limit).iterrows()]
        self.send({"kind": "rows", "view": message["view"], "seq": message["seq"], "total": len(found), "rows": rows})


def pick(frame: pd.DataFrame | None = None, *, value: Sequence[str] = (), limit: int = 60) -> ModelPicker:
    """A widget to pick models from rows of the catalog; all of them, and the simulated ones, by default.

    `value` are the ids that are picked at first; afterwards read `.value` or `.frame` in any later cell. `limit` rows
    are listed at a time. Raises traitlets.TraitError for an id that is not among the rows, ValueError for a frame that
    lacks columns of the catalog.
    """
    return ModelPicker(Models(_all() if frame is None else frame), value, limit)


def _all() -> pd.DataFrame:
    """The simulated models, then those with a key, then the newest."""
    ranked = catalog().sort_values(["has_key", "release_date"], ascending=False, kind="stable")
    return pd.concat([demo_models(), ranked])


def _row(model: Any, row: pd.Series) -> dict[str, Any]:
    """A row as the view shows it: JSON has no NaN."""

    def known(name: str, kind: Callable[[Any], Any]) -> Any:
        return None if pd.isna(row[name]) else kind(row[name])

    return {
        "id": model,
        "name": row["name"],
        "provider": row["provider_name"],
        "provider_id": row["provider"],
        "caps": [flag for flag in FLAGS if known(flag, bool)],
        "status": known("status", str),
        "input": known("input_cost", float),
        "output": known("output_cost", float),
        "context": known("context", int),
    }
