"""The static twin: a comparison for readers without a kernel, as HTML, Markdown and plain text.

The HTML is plain: headings, quotes, paragraphs. The few inline styles survive JupyterLab's sanitizer (custom properties
and `var()` do not) and only set the answers side by side; on GitHub, which drops them, they stand one below the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from nbkit.notebook.answers import Answer, Pane
from nbkit.notebook.markdown import render_static, to_text
from nbkit.notebook.sanitize import plain_html

_GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(360px,1fr));gap:0 24px;text-align:left"
_NO_MATHS = "tex2jax_ignore mathjax_ignore"  # or JupyterLab's MathJax takes two prices in a line for a formula
_UNANSWERED = "(no answer yet)"


def bundle(panes: Sequence[Pane], totals: str, since: int = 0) -> dict[str, str]:
    """The three forms of a comparison, from turn `since` on."""
    turns = range(since, max((len(pane.answers) for pane in panes), default=0))
    return {
        "text/html": _html(panes, turns, totals),
        "text/markdown": _markdown(panes, turns, totals),
        "text/plain": _plain(panes, turns, totals),
    }


def _facts(answer: Answer) -> str:
    """The strip under an answer in one line."""
    return " · ".join(f"{label} {value}" for label, value, _ in answer.strip())


def _remarks(answer: Answer) -> list[str]:
    problem = answer.problem()
    return [*([f"Failed: {problem[0]}"] if problem else []), *answer.notes()]


def _answers(panes: Sequence[Pane], turn: int) -> list[tuple[Pane, Answer]]:
    return [(pane, pane.answers[turn]) for pane in panes if turn < len(pane.answers)]


def _html(panes: Sequence[Pane], turns: range, totals: str) -> str:
    parts = [f'<div class="nbk-static {_NO_MATHS}">']
    for turn in turns:
        answers = _answers(panes, turn)
        parts.append(f"<blockquote>{_lines(answers[0][1].prompt)}</blockquote>")
        parts.append(f'<div style="{_GRID}">')
        parts += [_html_answer(pane, answer) for pane, answer in answers]
        parts.append("</div>")
    parts.append(f"<p><small>{escape(totals)}</small></p></div>")
    return "\n".join(parts)


def _html_answer(pane: Pane, answer: Answer) -> str:
    name, model = plain_html(pane.name), plain_html(pane.label)
    parts = [f'<div style="min-width:0"><h4>{name} <code>{model}</code></h4>']
    if answer.completion and answer.completion.reasoning:
        thought = _lines(answer.completion.reasoning)
        parts.append(f"<details><summary>Reasoning</summary><p>{thought}</p></details>")
    if answer.text:
        parts.append(_left(render_static(answer.text)))
    elif not answer.error:
        parts.append(f"<p>{_UNANSWERED}</p>")
    parts += [f"<p><i>{_lines(remark)}</i></p>" for remark in _remarks(answer)]
    if answer.completion:
        parts.append(f"<p><small>{escape(_facts(answer))}</small></p>")
    return "\n".join([*parts, "</div>"])


def _left(html: str) -> str:
    """Cells without an alignment of their own at the left: JupyterLab would set them right."""
    return re.sub("<(t[hd])>", r'<\1 style="text-align:left">', html)


def _lines(text: str) -> str:
    return plain_html(text).replace("\n", "<br>")


def _fenced(text: str) -> str:
    """Text as a code block. Answers stand in fences longer than any run of backticks in them: JupyterLab shows trusted
    Markdown without sanitizing it, and in a fence no reader of Markdown sees HTML, links or images."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{to_text(text)}\n{fence}"


def _markdown(panes: Sequence[Pane], turns: range, totals: str) -> str:
    parts = []
    for turn in turns:
        answers = _answers(panes, turn)
        parts.append(_fenced(answers[0][1].prompt))
        for pane, answer in answers:
            said = [answer.text or ("" if answer.error else _UNANSWERED), *_remarks(answer), _facts(answer)]
            parts += [f"**{_name(pane)}**", _fenced("\n\n".join(filter(None, said)))]
    return "\n\n".join([*parts, escape(totals)])


def _name(pane: Pane) -> str:
    """A model's name for Markdown: nothing but letters, digits and what means nothing there."""
    return re.sub(r"[^\w .:/#()-]", "?", f"{pane.name} ({pane.label})")


def _plain(panes: Sequence[Pane], turns: range, totals: str) -> str:
    parts = []
    for turn in turns:
        answers = _answers(panes, turn)
        parts.append("\n".join(f"> {line}" for line in answers[0][1].prompt.splitlines()))
        for pane, answer in answers:
            said = [answer.text or ("" if answer.error else _UNANSWERED), *_remarks(answer), _facts(answer)]
            parts += [f"--- {pane.name} ({pane.label}) ---", *filter(None, said)]
    return to_text("\n\n".join([*parts, totals]))
