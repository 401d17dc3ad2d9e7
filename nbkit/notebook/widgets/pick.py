"""The model picker: search, filter and pick models of the catalog; `.value` is the list of their ids.

The view gets all rows once, as `notebook/pick_index.py` describes, and searches, filters, groups and sorts by itself.
So its state is the picked ids alone. Messages, each with a `type`:

    to the kernel    ready; details {id}; star {id, on}; logos {providers}
    from the kernel  index {..., starred, recent}, its buffer, and the deflated script that searches it; after ready
                     details {id, facts: [[name, text]]}
                     keys {missing: {provider: its name}}: of the picked models, which lack a key; after ready and picks
                     note {text}: what could not be done
                     logos {logos: {provider: data URL}}; again when they have been fetched

Names are sent as `visible` spells them, and so are ids: `value` is translated on its way.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pandas as pd
import traitlets
from anywidget import AnyWidget
from IPython.display import display, update_display

from nbkit.arguments import check_arguments
from nbkit.billing.money import format_usd
from nbkit.choose.abilities import ABILITIES
from nbkit.choose.estimate import estimate
from nbkit.choose.frame import catalog, demo_models, restore_dtypes
from nbkit.errors import ArgumentError
from nbkit.modelsdev.current import current_snapshot
from nbkit.notebook.card import list_facts
from nbkit.notebook.cells import name_twin, write_twin
from nbkit.notebook.favorites import keep_favorites, read_favorites
from nbkit.notebook.outputs import person_in_front
from nbkit.notebook.pick_index import make_index
from nbkit.notebook.show import fetch_logos, pictures, table
from nbkit.notebook.widgets.sources import pack_script, read_script, read_style
from nbkit.providers.keyed import find_keyed_providers
from nbkit.providers.search_index import TEXTS, rate_own_offers
from nbkit.rendering.sanitize import visible

_COLUMNS = (
    *(*TEXTS, *ABILITIES, "text_in", "text_out", "status", "canonical", "env"),
    *("input_cost", "output_cost", "cache_read_cost", "context", "release_date"),
)
_SEARCH = zlib.compress(read_script("search.js", "pick_rows.js").encode(), 9)  # a module that exports `Rows`
_WORKLOADS = {  # what a call costs: tokens of prompt and of answer
    "a question (500 in, 300 out)": (500, 300),
    "a document (50,000 in, 1,000 out)": (50_000, 1_000),
}


class ModelPicker(AnyWidget):
    """A widget to search, filter and pick models.

    `value` is the list of the picked ids, in the order of picking. It may be set; an id that is not among the rows
    raises traitlets.TraitError.
    """

    _esm = pack_script("shared.js", "cover.js", "pick_facets.js", "pick.js")
    _css = read_style("shared.css", "pick.css")
    value = traitlets.List(traitlets.Unicode()).tag(
        sync=True,
        to_json=lambda ids, _: [visible(one) for one in ids],
        from_json=lambda ids, picker: [picker._ids.get(one, one) for one in ids],
    )
    multiple = traitlets.Bool(True, read_only=True).tag(sync=True)
    rows = traitlets.Int(read_only=True).tag(sync=True)  # how many there are to pick from
    twin = traitlets.Unicode().tag(sync=True)  # the class of the table that the views cover; "": they stand beside it

    def __init__(self, frame: pd.DataFrame, value: Sequence[str], multiple: bool) -> None:
        if missing := [name for name in _COLUMNS if name not in frame.columns]:
            raise ArgumentError(f"pick() takes rows of the catalog; these have no column {missing[0]!r}")
        self._rows = restore_dtypes(frame)
        self._ids = {visible(str(one)): one for one in self._rows.index}  # a frame may have lost its index
        self._static_id, self._shown = uuid4().hex, False
        self._live = person_in_front()
        self.set_trait("multiple", multiple)
        self.set_trait("rows", len(self._rows))
        super().__init__(value=list(value), twin=name_twin() if self._live else "")
        self.on_msg(self._answer)

    @traitlets.validate("value")
    def _check_ids(self, proposal: Any) -> list[str]:
        for model in proposal["value"]:
            if model not in self._rows.index:
                raise traitlets.TraitError(f"no model {model!r} among those to pick from")
        ids = list(dict.fromkeys(proposal["value"]))
        if len(ids) > 1 and not self.multiple:
            raise traitlets.TraitError(f"this picker takes one model, got {len(ids)}")
        return ids

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the picked models, in the order of picking."""
        return self._rows.loc[self.value]

    def _ipython_display_(self) -> None:
        """Show the widget where a person can use it, over a table for when it is gone."""
        if not self._live:
            display(self._table(), raw=True)
            return
        self._shown = True
        display(write_twin(self._table(), self.twin), raw=True, display_id=self._static_id)
        if not self.twin:
            data, metadata = super()._repr_mimebundle_()
            data["text/plain"] = "model picker of nbkit; run the cell again to pick"
            display(data, metadata=metadata, raw=True)

    @traitlets.observe("value")
    def _renew(self, _: Any) -> None:
        if self._shown:
            update_display(write_twin(self._table(), self.twin), raw=True, display_id=self._static_id)
            self._send_missing_keys()

    def _table(self) -> dict[str, str]:
        """The picked models, readable without the widget and its style."""
        if not self.value:
            return {"text/html": '<p class="nbk-static">No model is picked.</p>', "text/plain": "No model is picked."}
        bundle = table(self.frame)
        return bundle | {"text/html": f'<div class="nbk-static">{bundle["text/html"]}</div>'}

    def _answer(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        match message:
            case {"type": "ready"}:
                header, codes = make_index(self._rows, list(self._ids))
                self.send({"type": "index", **header, **read_favorites()}, buffers=[codes, _SEARCH])
                self._send_missing_keys()
            case {"type": "details", "id": shown} if shown in self._ids:
                facts = list(_list_facts(self._rows.loc[[self._ids[shown]]]))
                self.send({"type": "details", "id": shown, "facts": facts})
            case {"type": "star", "id": shown, "on": on}:
                kept = read_favorites()
                starred = [one for one in kept["starred"] if one != shown]
                self._keep([shown, *starred] if on else starred, kept["recent"])
            case {"type": "picked", "id": shown}:
                kept = read_favorites()
                self._keep(kept["starred"], [shown, *kept["recent"]])
            case {"type": "logos", "providers": providers}:
                fetch_logos(providers, self._send_logos)
                self._send_logos(providers)

    def _send_logos(self, providers: Iterable[str]) -> None:
        self.send({"type": "logos", "logos": pictures(providers)})

    def _send_missing_keys(self) -> None:
        keyed = find_keyed_providers(current_snapshot())  # as it is now: a key may have been set since
        rows = self.frame[["provider", "provider_name", "env", "has_key"]].itertuples(index=False)
        missing = {
            at: visible(name) for at, name, env, key in rows if not (key or at in keyed or pd.isna(env) or not env)
        }
        self.send({"type": "keys", "missing": missing})

    def _keep(self, starred: Sequence[str], recent: Sequence[str]) -> None:
        if problem := keep_favorites(starred, recent):
            self.send({"type": "note", "text": problem})


@check_arguments
def pick(frame: pd.DataFrame | None = None, *, multiple: bool = True, value: Sequence[str] = ()) -> ModelPicker:
    """Show a widget to search, filter and pick models; return it. Read `.value` or `.frame` of it in any later cell.

    `frame`: rows of the catalog to pick from, in their order; by default all of them: the simulated models first, then
    those with a key, and vendors' own offers before resellers'. `multiple`: whether more than one may be picked.
    `value`: the ids that are picked at first. The search box understands what `nbkit.search` does, and names the same
    models. Offers of one model are one row, which opens. `nbkit.compare(prompt, picker)` asks what is picked.

    Raises traitlets.TraitError for an id that is not among the rows, ArgumentError for a frame that lacks columns of
    the catalog.
    """
    return ModelPicker(_offer_all() if frame is None else frame, value, multiple)


def _offer_all() -> pd.DataFrame:
    """List the simulated models, those of registered providers and this machine, with a key, vendors' own, new."""
    rows = catalog()
    registered = rows["provider"].isin(list(rows.attrs.get("registered", ())))
    own = rate_own_offers(rows["provider"].tolist(), rows["vendor"].tolist()) > 0
    ranked = rows.assign(_registered=registered, _own=own)
    order = ["_registered", "has_key", "_own", "release_date"]
    ranked = ranked.sort_values(order, ascending=False, kind="stable").drop(columns=["_registered", "_own"])
    return pd.concat([demo_models(), ranked])


def _list_facts(row: pd.DataFrame) -> Iterable[tuple[str, str]]:
    """List all that is known of one model, and what a call of it costs."""
    yield from list_facts(row.iloc[0])
    for name, (prompt, answer) in _WORKLOADS.items():
        priced = estimate(row, input_tokens=prompt, output_tokens=answer).iloc[0]
        cost = format_usd(None if pd.isna(priced["cost"]) else float(priced["cost"]))
        yield name, f"{cost}, {priced['note']}" if priced["note"] and cost != "unknown" else cost
