"""The static twin of a grid: a table for readers without a kernel, as HTML, Markdown and plain text.

The answers are cut: a notebook with a long table has to open on GitHub too. `Grid.to_frame()` has them whole.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape

from nbkit.bulk.answers import Answer, Pane
from nbkit.bulk.table import Table
from nbkit.notebook.export import OPEN_TWIN, write_fence
from nbkit.notebook.facts import explain_error
from nbkit.notebook.sheet import Choices, sum_columns
from nbkit.rendering.markdown import to_text
from nbkit.rendering.sanitize import plain_html
from nbkit.rendering.words import write_words

_TOP = 'style="text-align:left;vertical-align:top"'
_MOST, _LEAST, _ALL = 500, 80, 150_000
"""Characters of one answer, at most and at least, and of all together, about."""


def write_sheet(title: str, table: Table, choices: Choices, totals: str) -> dict[str, str]:
    """Write the three forms of a grid."""
    most = max(_LEAST, min(_MOST, _ALL // len(table.places)))
    foot = [_describe_column(sums) for sums in sum_columns(table, choices)]
    plain = to_text(_write_plain(title, table, choices, foot, most) + f"\n\n{totals}")
    html = _write_html(title, table, choices, foot, most, totals)
    return {"text/html": html, "text/markdown": write_fence(plain), "text/plain": plain}


def _describe_column(sums: dict[str, object]) -> str:
    cost = sums["cost"]
    parts = [str(cost[1]) if isinstance(cost, tuple) else ""]
    parts += [f"{sums['seconds']:.1f} s on average"] if sums["seconds"] is not None else []
    parts += [f"{sums['failed']} failed"] if sums["failed"] else []
    parts += [f"won {sums['won']:g} of {sums['votes']}"] if sums["votes"] else []
    return " · ".join(parts)


_read_words = lru_cache(maxsize=4096)(write_words)  # all cells are written anew at every vote


def _cut(text: str, most: int) -> str:
    text = text.strip()
    return text if len(text) <= most else f"{text[:most].rstrip()} …"


def _read_cell(cell: Pane, most: int) -> str:
    """Read what a cell says: its answer, cut, or why there is none."""
    if not cell.answers:
        return ""
    answer: Answer = cell.answers[-1]
    if problem := explain_error(answer):
        return _cut(f"Failed: {problem[0]}", most)
    words = _read_words(answer.text[: 2 * most])
    shown = _cut(words, most) if len(answer.text) <= 2 * most else f"{words[:most].rstrip()} …"
    return shown + (" (stopped)" if answer.status == "stopped" else "")


def _mark(choice: str | None, label: str) -> str:
    """Mark the winner of a row."""
    return "★ " if choice == label else ""


def _describe_choice(choice: str | None) -> str:
    """Say how a vote without a winner went."""
    return {"tie": "a tie", "bad": "none is good"}.get(choice or "", "")


def _write_html(title: str, table: Table, choices: Choices, foot: list[str], most: int, totals: str) -> str:
    heads = "".join(
        f"<th {_TOP}>{plain_html(column.name)}<br><code>{plain_html(column.label)}</code></th>"
        for column in table.columns
    )
    parts = [
        f"{OPEN_TWIN}<p><b>{_break_lines(_cut(title, most))}</b></p>",
        f"<table><thead><tr><th {_TOP}>prompt</th>{heads}</tr></thead><tbody>",
    ]
    for row, line in enumerate(table.cells):
        choice = choices.get(row)
        vote = f"<br><i>{text}</i>" if (text := _describe_choice(choice)) else ""
        cells = "".join(
            f'<td {_TOP} dir="auto">{_mark(choice, cell.label)}{_break_lines(_read_cell(cell, most))}</td>'
            for cell in line
        )
        prompt = _break_lines(_cut(table.prompts[row][-1].text, most))
        parts.append(f'<tr><th {_TOP} dir="auto">{prompt}{vote}</th>{cells}</tr>')
    sums = "".join(f"<td {_TOP}><small>{escape(text)}</small></td>" for text in foot)
    parts.append(f"</tbody><tfoot><tr><th {_TOP}>all</th>{sums}</tr></tfoot></table>")
    return "\n".join([*parts, f"<p><small>{escape(totals)}</small></p></div>"])


def _break_lines(text: str) -> str:
    return plain_html(text).replace("\n", "<br>")


def _write_plain(title: str, table: Table, choices: Choices, foot: list[str], most: int) -> str:
    parts = [_cut(title, most)]
    for row, line in enumerate(table.cells):
        choice = choices.get(row)
        prompt = "\n".join(f"> {text}" for text in _cut(table.prompts[row][-1].text, most).splitlines())
        parts.append("\n".join(filter(None, [prompt, _describe_choice(choice)])))
        parts += [f"{_mark(choice, cell.label)}{cell.label}: {_read_cell(cell, most)}" for cell in line]
    return "\n\n".join([*parts, *(f"{column.label}: {text}" for column, text in zip(table.columns, foot, strict=True))])
