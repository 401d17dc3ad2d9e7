"""The model picker: search, filter and pick models of the catalog; `.value` is the list of their ids.

The models stay in the kernel. The view sends a query, `Models.find` answers it with the engine of `nbkit.search`, and
at most `limit` rows go back as a custom message, so the widget's state is the picked ids and the labels of the buttons.
A provider's logo is sent once to a view, and again when it has been fetched. Measured over 8,342 models (CPU): 4-7 ms
of kernel time from a query to 13 kB of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import traitlets
from anywidget import AnyWidget
from IPython.display import display, update_display

from nbkit.arguments import check_arguments
from nbkit.choose.abilities import ABILITIES, SUMMARY
from nbkit.choose.frame import catalog, demo_models, restore_dtypes
from nbkit.choose.search import Searcher
from nbkit.notebook.outputs import fold_twin, person_in_front
from nbkit.notebook.show import fetch_logos, pictures, table

_SORTS = {  # column and direction; "relevance" is not among them
    "input_cost": ("input_cost", True),
    "output_cost": ("output_cost", True),
    "newest": ("release_date", False),
    "context": ("context", False),
}
_COLUMNS = (
    *SUMMARY,
    *("name", "provider", "provider_name", "status", "deprecated"),
    *("input_cost", "output_cost", "context", "release_date"),
)


@dataclass(frozen=True, slots=True)
class Query:
    """The query of a view: words, and what the buttons and boxes let pass."""

    text: str = ""
    flags: Sequence[str] = ()
    """Columns that must be true."""
    ceiling: float | None = None
    """The highest output price, in USD per million tokens."""
    deprecated: bool = False
    """Whether deprecated models are listed too."""
    sort: str = "relevance"
    """A key of _SORTS; else the order of `nbkit.search` or, without words, of the frame."""


class Models:
    """The rows to pick from, ready to be searched. Raises ValueError where they lack columns of the catalog."""

    def __init__(self, frame: pd.DataFrame) -> None:
        if missing := [name for name in _COLUMNS if name not in frame.columns]:
            raise ValueError(f"pick() takes rows of the catalog; these have no column {missing[0]!r}")
        self.frame = restore_dtypes(frame)
        self._searcher = Searcher(self.frame)

    def find(self, query: Query) -> tuple[Any, str]:
        """Find the places of the rows that fit, in order, and a note for people: what was corrected, or why none fits.

        With words these are the rows of `nbkit.search` among those that the boxes let pass.
        """
        passed, note = self._pass_boxes(query), ""
        places = np.flatnonzero(passed)
        if len(places) and query.text.strip():
            match = self._searcher.search(query.text, passed)
            places = match.places
            note = (
                ", ".join(f"{typed} read as {word}" for typed, word in match.corrections) if len(places) else match.why
            )
        if query.sort in _SORTS:
            column, ascending = _SORTS[query.sort]
            values = self.frame[column].iloc[places].reset_index(drop=True)
            places = places[values.sort_values(ascending=ascending, kind="stable", na_position="last").index]
        return places, note

    def _pass_boxes(self, query: Query) -> Any:
        passed = np.ones(len(self.frame), bool)
        for flag in set(SUMMARY).intersection(query.flags):
            passed &= self.frame[flag].fillna(False).to_numpy(bool)
        if query.ceiling is not None:
            passed &= (self.frame["output_cost"] <= query.ceiling).to_numpy(bool)  # not where it is unknown
        if not query.deprecated:
            passed &= ~self.frame["deprecated"].to_numpy(bool)
        return passed


class ModelPicker(AnyWidget):
    """A widget to search, filter and pick models.

    `value` is the list of the picked ids, in the order of picking. It may be set; an id that is not among the rows
    raises traitlets.TraitError.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    value = traitlets.List(traitlets.Unicode()).tag(sync=True)
    abilities = traitlets.List(
        [(flag, ABILITIES[flag].label, ABILITIES[flag].explanation) for flag in SUMMARY], read_only=True
    ).tag(sync=True)

    def __init__(self, models: Models, value: Sequence[str], limit: int) -> None:
        self._models, self._limit = models, limit
        self._static_id, self._shown = uuid4().hex, False
        super().__init__(value=list(value))
        self.on_msg(self._answer)

    @traitlets.validate("value")
    def _check_ids(self, proposal: Any) -> list[str]:
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
            display(fold_twin(self._table()), raw=True, display_id=self._static_id)
            data, metadata = super()._repr_mimebundle_()
            data["text/plain"] = "model picker of nbkit; run the cell again to pick"
            display(data, metadata=metadata, raw=True)

    @traitlets.observe("value")
    def _renew(self, _: Any) -> None:
        if self._shown:
            update_display(fold_twin(self._table()), raw=True, display_id=self._static_id)

    def _table(self) -> dict[str, str]:
        """The picked models, readable without the widget and its style."""
        if not self.value:
            return {"text/html": '<p class="nbk-static">No model is picked.</p>', "text/plain": "No model is picked."}
        bundle = table(self.frame)
        return bundle | {"text/html": f'<div class="nbk-static">{bundle["text/html"]}</div>'}

    def _send_logos(self, providers: Iterable[str]) -> None:
        self.send({"kind": "logos", "logos": pictures(providers)})

    def _add_logos(self, providers: Iterable[str]) -> None:
        self._send_logos(providers)
        self._renew(None)

    def _answer(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        if message["kind"] == "logos":
            fetch_logos(message["providers"], self._add_logos)
            self._send_logos(message["providers"])
            return
        places, note = self._models.find(Query(**{name: message[name] for name in Query.__slots__ if name in message}))
        records = self._models.frame.iloc[places[: self._limit]][list(_COLUMNS)]
        rows = [_describe(*record) for record in zip(records.index, records.to_dict("records"), strict=True)]
        answer = {"kind": "rows", "view": message["view"], "seq": message["seq"]}
        self.send(answer | {"total": len(places), "note": note, "rows": rows})


@check_arguments
def pick(frame: pd.DataFrame | None = None, *, value: Sequence[str] = (), limit: int = 60) -> ModelPicker:
    """Show a widget to search, filter and pick models; return it. Read `.value` or `.frame` of it in any later cell.

    `frame`: rows of the catalog to pick from; by default all of them, after the simulated models. `value`: the ids that
    are picked at first. `limit`: how many rows are listed at a time. The search box understands what `nbkit.search`
    does, and names the same models.

    Raises traitlets.TraitError for an id that is not among the rows, ValueError for a frame that lacks columns of the
    catalog.
    """
    return ModelPicker(Models(_offer_all() if frame is None else frame), value, limit)


def _offer_all() -> pd.DataFrame:
    """List the simulated models, then those of registered providers and this machine, those with a key, the newest."""
    rows = catalog()
    own = rows["provider"].isin(list(rows.attrs.get("registered", ())))
    ranked = rows.assign(own=own).sort_values(["own", "has_key", "release_date"], ascending=False, kind="stable")
    return pd.concat([demo_models(), ranked.drop(columns="own")])


def _describe(model: str, record: Mapping[Any, Any]) -> dict[str, Any]:
    """Describe a row to the view: JSON has no NaN."""
    known = {name: None if pd.isna(value) else value for name, value in record.items()}
    return {
        "id": model,
        "name": known["name"],
        "provider": known["provider_name"],
        "provider_id": known["provider"],
        "abilities": [flag for flag in SUMMARY if known[flag]],
        "status": known["status"],
        "input": known["input_cost"],
        "output": known["output_cost"],
        "context": known["context"],
    }
