"""The ranking by votes, as it stands in a cell and in the static twin."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from nbkit.billing.money import format_usd
from nbkit.judging.ballot import HUMAN
from nbkit.rendering.sanitize import plain_html, visible

if TYPE_CHECKING:
    import pandas as pd

_HEADS = (
    "model",
    "won",
    "win rate",
    "strength",
    "95 % interval",
    "0 to 1",
    "cost per win",
    "too few votes to tell from",
)
_CELLS = 20  # of the drawn interval
_START = 'style="text-align:left"'


class Ranking(NamedTuple):
    """A ranking in words: clean HTML and plain text."""

    html: str
    text: str


def write_ranking(votes: pd.DataFrame) -> Ranking:
    """Write who won, how often, and how sure that is."""
    from nbkit.judging.ranking import rank

    frame = rank(votes).reset_index().to_dict("records")
    people, blind = votes["voter"] == HUMAN, votes["blind"].eq(True)
    title = f"votes on pairs: {people.sum()} by people, {(~people).sum()} by judge models"
    title += f"; {blind.sum()} blind" if blind.any() else ""
    verdict = _write_verdict(frame[0])
    rows = [_write_row(row) for row in frame]
    text = visible("\n".join([title, verdict, *(" | ".join(row) for row in (_HEADS, *rows))]))
    head = "".join(f'<th scope="col" {_START}>{escape(name)}</th>' for name in _HEADS)
    body = "".join(f"<tr>{''.join(f'<td {_START}>{_write_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return Ranking(f"<p><b>{plain_html(verdict)}</b><br>{title}</p>{table}", text)


def _write_verdict(first: Mapping[Any, Any]) -> str:
    """Say what the ranking means."""
    if first["unclear"]:
        return f"{first['model']} leads, but there are too few votes to tell it from {first['unclear']}."
    return f"{first['model']} leads: no other model's interval reaches its own."


def _write_row(row: Mapping[Any, Any]) -> tuple[str, ...]:
    cost = row["cost_per_win"]
    return (
        str(row["model"]),
        f"{row['wins'] + row['ties'] / 2:g} of {row['votes']}",
        f"{row['win_rate']:.0%}",
        f"{row['strength']:.2f}",
        f"({row['low']:.2f} to {row['high']:.2f})",
        draw_interval(row["low"], row["strength"], row["high"]),
        format_usd(None if isnan(cost) else cost),
        row["unclear"],
    )


def _write_cell(text: str) -> str:
    return f'<code aria-hidden="true">{text}</code>' if text.startswith(("·", "─", "●")) else plain_html(text)


def draw_interval(low: float, middle: float, high: float) -> str:
    """Draw an interval between 0 and 1 in characters, which every reader of a notebook shows."""
    places = [min(int(value * _CELLS), _CELLS - 1) for value in (low, middle, high)]
    return "".join(
        "●" if cell == places[1] else "─" if places[0] <= cell <= places[2] else "·" for cell in range(_CELLS)
    )
