"""Rows of the catalog, or of another frame, as a table to read: prices, context, abilities, and the providers' logos.

One table in plain HTML, for every reader: it works without a kernel and without its few styles. Logos that are not on
this machine yet are fetched meanwhile, and then the table is displayed again in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import Event
from typing import Any
from uuid import uuid4

import pandas as pd
from IPython import get_ipython
from IPython.display import display, update_display

from nbkit.arguments import check_arguments, describe
from nbkit.billing.money import format_price, format_usd
from nbkit.choose.abilities import ABILITIES, SUMMARY
from nbkit.choose.columns import COLUMNS
from nbkit.errors import ArgumentError
from nbkit.modelsdev import logos
from nbkit.modelsdev.current import current_snapshot
from nbkit.notebook.card import make_card
from nbkit.notebook.outputs import person_in_front
from nbkit.rendering.sanitize import plain_html, visible
from nbkit.rendering.svg import draw_logo

_COLUMNS = ("name", "provider", "input_cost", "output_cost", "context", "abilities", "release_date", "status")
_HEADINGS = {"name": "model", "release_date": "released"}
_CATALOG = {column.name for column in COLUMNS}
_PRICES = {name for name in _CATALOG if name.endswith("_cost")}
_MODELS = ("id", "path", None)  # names of an index that names models: it stands below the first cell
_MOST = 120  # characters of a cell
_NONE = ("status", "tiers", "modes", "experimental", "why_not")
"""Columns in which a missing value says that there is none; without a status a model is generally available."""
# Without the style, commas part the labels; with it, borders do, and the commas are for screen readers.
_STYLE = (
    "<style>.nbk-table{overflow-x:auto}"
    ".nbk-labels{display:block;min-width:112px;font-size:0;white-space:normal}"
    ".nbk-labels span{display:inline-block;font-size:11px;line-height:16px;border:1px solid #8888;border-radius:8px;"
    "padding:0 6px;margin:1px 4px 1px 0}</style>"
)
_NO_MATHS = "tex2jax_ignore mathjax_ignore"  # or two prices in a line become a formula


@check_arguments
def show(frame: pd.DataFrame | pd.Series, columns: Sequence[str] | None = None, limit: int = 50) -> None:
    """Display rows of the catalog, or of any frame, as a table in their order; outside of IPython print them.

    One row, `nbkit.show(catalog.loc["openai/gpt-6-luna"])`, is displayed as a card with all that is known of a model.

    `limit`: how many rows at most. `columns`: names of columns, and "abilities" for a summary of what each model can
    do. By default these are the columns to choose a model by, and any that the catalog does not have, such as the cost
    that `nbkit.estimate` adds. If the frame lacks columns of the catalog, all that it has are shown. Prices are USD per
    million tokens, lengths tokens; what is unknown is a dash.

    Raises ValueError for a column that the frame lacks.
    """
    if isinstance(frame, pd.Series):
        if columns is None and _CATALOG.intersection(map(str, frame.index)):
            row = frame
            provider = str(row.get("provider", ""))
            _display(lambda: make_card(row, pictures([provider])[provider] if provider else ""), [provider])
            return
        # other columns of a row, or one column of a frame
        frame = frame.to_frame() if columns is None else frame.to_frame().T.infer_objects()
    elif not isinstance(frame, pd.DataFrame):
        raise ArgumentError(f"show(): frame: expected rows of the catalog, got {describe(frame)}")
    rows, note = _move_index(frame.head(limit).rename(columns=str)), _caption(frame, limit)
    names = _choose_columns(rows, columns)
    _display(lambda: _bundle(rows, names, note), _providers(rows))


def _display(make: Callable[[], dict[str, str]], providers: Sequence[str]) -> None:
    """Display what `make` makes, and again when logos of these providers have been fetched."""
    if get_ipython() is None:
        print(make()["text/plain"])  # noqa: T201 - a plain Python shell displays nothing
        return
    place, displayed = uuid4().hex, Event()

    def renew(_: Collection[str]) -> None:
        displayed.wait()  # a logo may arrive before the table stands
        update_display(make(), raw=True, display_id=place)

    if person_in_front():
        fetch_logos(providers, renew)  # first: a logo that arrives before the table is made is in it
    display(make(), raw=True, display_id=place)
    displayed.set()


def table(frame: pd.DataFrame) -> dict[str, str]:
    """Make what `show` displays of all rows, with the logos at hand: text/html and its twin text/plain."""
    return _bundle(frame, _choose_columns(frame, None), _caption(frame, len(frame)))


def fetch_logos(providers: Iterable[str], arrived: Callable[[Collection[str]], object]) -> None:
    """Fetch logos of the providers that models.dev lists. It does not learn about a user's own providers.

    `arrived` is called as `logos.fetch_soon` says.
    """
    listed = {provider.id for provider in current_snapshot().distinct("provider")}
    logos.fetch_soon([provider for provider in providers if provider in listed], arrived)


def pictures(providers: Iterable[str]) -> dict[str, str]:
    """Make a `data:` URL of each provider's logo; a tile with its letter where none is at hand."""
    wanted = set(providers)
    held = logos.read_logos(wanted)
    return {provider: draw_logo(provider, held.get(provider)) for provider in wanted}


def _move_index(rows: pd.DataFrame) -> pd.DataFrame:
    """Make columns of an index that names something else than models, as that of a ranking or of groups."""
    kept = all(name in _MODELS for name in rows.index.names) or set(rows.index.names) & {*rows.columns}
    return rows if kept else rows.reset_index()


def _counts_rows(rows: pd.DataFrame) -> bool:
    """Whether the index only counts, which says nothing to a reader."""
    return pd.api.types.is_integer_dtype(rows.index)


def _choose_columns(frame: pd.DataFrame, columns: Sequence[str] | None) -> list[str]:
    own = [str(name) for name in frame]
    if columns is None:
        if not set(own) >= _CATALOG:  # a person has chosen some
            return own
        usual = [name for name in _COLUMNS if name != "status" or frame["status"].notna().any()]
        return usual + [name for name in own if name not in _CATALOG]
    if not columns:
        raise ArgumentError("no column to show")
    known = {*own, *(["abilities"] if set(SUMMARY) & set(own) else [])}
    if missing := [name for name in columns if name not in known]:
        raise ArgumentError(f"no column {missing[0]!r} in these rows")
    return list(columns)


def _providers(frame: pd.DataFrame) -> list[str]:
    """List the provider of each row; "" where it is unknown."""
    return frame["provider"].astype("object").fillna("").tolist() if "provider" in frame else [""] * len(frame)


def _heading(name: str) -> str:
    if name in _PRICES:
        return f"{name.removesuffix('_cost').replace('_', ' ')} $/M"
    return _line(_HEADINGS.get(name, name.replace("_", " ")))


def _caption(frame: pd.DataFrame, limit: int) -> str:
    noun = "model" if "name" in frame or frame.index.name == "id" else "row"
    count, hidden = f"{len(frame):,} {noun if len(frame) == 1 else f'{noun}s'}", len(frame) - limit
    note = f"The first {limit:,} of {count}; {hidden:,} not shown." if hidden > 0 else f"{count}."
    day = frame.attrs.get("date")
    return f"{note} Catalog of {_line(day)}." if day else note


def _text(name: str, row: Mapping[Any, Any]) -> str:
    """Format a cell as text."""
    if name == "abilities":
        return ", ".join(ABILITIES[flag].label for flag in SUMMARY if flag in row and _is_true(row[flag]))
    value = row.get("provider_name", row[name]) if name == "provider" else row[name]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "" if name in _NONE else "–"
    if name in ("before", "after"):  # of a change
        name = str(row.get("field", name))
    return _format(name, value) if pd.api.types.is_scalar(value) or value else ""


def _format(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float() if name in _PRICES:
            return format_price(value)
        case int() | float() if "cost" in name or name == "saved":
            return format_usd(value)
        case float():
            return f"{value:,{'.4g' if abs(value) < 1 else '.6g'}}"
        case int():
            return f"{value:,}"
        case pd.Timestamp():
            return value.date().isoformat()
    return _line(value)


def _is_true(value: Any) -> bool:
    return not pd.isna(value) and bool(value)


def _line(value: Any) -> str:
    line = visible(" ".join(str(value).split()))
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _bundle(rows: pd.DataFrame, names: Sequence[str], note: str) -> dict[str, str]:
    texts = [[_text(name, row) for name in names] for row in rows.to_dict("records")]
    heads = [_heading(name) for name in names]
    if any(head.endswith("$/M") for head in heads):
        note += " Prices are USD per million tokens."
    plain = pd.DataFrame(texts, columns=heads, index=[_line(model) for model in rows.index])
    return {
        "text/html": _html(rows, names, texts, note),
        "text/plain": note if plain.empty else f"{note}\n{plain.to_string(index=not _counts_rows(rows))}",
    }


def _html(rows: pd.DataFrame, names: Sequence[str], texts: Sequence[Sequence[str]], note: str) -> str:
    sides = ["right" if name in rows and pd.api.types.is_numeric_dtype(rows[name]) else "left" for name in names]
    heads = "".join(
        f'<th scope="col" style="text-align:{side}">{plain_html(_heading(name))}</th>'
        for name, side in zip(names, sides, strict=True)
    )
    providers = _providers(rows)
    images = pictures(providers)
    body = []
    for model, provider, row in zip(rows.index, providers, texts, strict=True):
        cells = [_content(name, text, images[provider]) for name, text in zip(names, row, strict=True)]
        if not _counts_rows(rows):
            cells[0] += f'<br><small style="font-weight:normal">{plain_html(_line(model))}</small>'
        # without the style too, a date or a price stays in one line
        wraps = ["" if name in ("name", "abilities") else "nowrap " for name in names]
        first, *others = (
            f'{wrap}style="text-align:{side}">{cell}' for wrap, side, cell in zip(wraps, sides, cells, strict=True)
        )
        body.append(f'<tr><th scope="row" {first}</th>{"".join(f"<td {other}</td>" for other in others)}</tr>')
    return (
        f'<div class="nbk-table {_NO_MATHS}" tabindex="0" role="group" aria-label="Table">{_STYLE}<table>'
        f'<caption style="text-align:left;padding-left:6px">{plain_html(note)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _content(name: str, text: str, image: str) -> str:
    if name == "abilities":
        labels = ", ".join(f"<span>{label}</span>" for label in text.split(", ") if label)
        return f'<span class="nbk-labels">{labels}</span>'
    html = f"<bdi>{plain_html(text)}</bdi>"
    if name == "provider":  # the name beside the picture says what it says
        html = f'<img src="{image}" alt="" width="18" height="18" style="vertical-align:-4px"> {html}'
    return html
