"""The static twin: a comparison for readers without a kernel, as HTML, Markdown and plain text.

The HTML is plain: headings, quotes, paragraphs. The few inline styles survive JupyterLab's sanitizer (custom properties
and `var()` do not) and only set the answers side by side; on GitHub, which drops them, they stand one below the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from pydantic_core import to_json

from nbkit.adapters.run import ToolResult
from nbkit.conversation.content import TextEntry
from nbkit.notebook.facts import Answer, Pane
from nbkit.rendering.markdown import render_static, to_text
from nbkit.rendering.sanitize import plain_html

_GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(360px,1fr));gap:0 24px;text-align:left"
_NO_MATHS = "tex2jax_ignore mathjax_ignore"  # or JupyterLab's MathJax takes two prices in a line for a formula
_UNANSWERED = "(no answer yet)"
_LINE = 160  # characters of a call, and of its result, that are shown in one line
_RESULT = 4000  # of a result, where it is unfolded


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


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters)"


def _told(result: ToolResult) -> str:
    if isinstance(result.content, str):
        return result.content
    return "\n".join(entry.text if isinstance(entry, TextEntry) else f"[{entry.type}]" for entry in result.content)


def _call(result: ToolResult) -> str:
    """The call as Python would write it: `get_weather(city="Paris")`."""
    try:
        given = result.call.parsed()
    except ValueError:
        return f"{result.call.name}({_short(result.call.arguments, _LINE)})"
    written = ", ".join(f"{name}={to_json(value).decode()}" for name, value in given.items())
    return f"{result.call.name}({_short(written, _LINE)})"


def _called(result: ToolResult) -> str:
    """A call and its result in one line."""
    return f"{_call(result)} → {_short(' '.join(_told(result).split()), _LINE)}"


def tool_html(result: ToolResult) -> str:
    """A call, and its result folded up. All of it is text, no HTML: a model and a tool wrote it."""
    failed = " <b>failed</b>" if result.error else ""
    told = plain_html(_short(_told(result), _RESULT))
    return f"<details><summary><code>{plain_html(_call(result))}</code>{failed}</summary><pre>{told}</pre></details>\n"


def _said(answer: Answer) -> list[str]:
    """An answer's parts as text."""
    parts = [_called(part) if isinstance(part, ToolResult) else part for part in answer.parts]
    return parts or ([] if answer.error else [_UNANSWERED])


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
    for part in answer.parts:
        parts.append(tool_html(part) if isinstance(part, ToolResult) else _left(render_static(part)))
    if not answer.parts and not answer.error:
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
            said = [*_said(answer), *_remarks(answer), _facts(answer)]
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
            said = [*_said(answer), *_remarks(answer), _facts(answer)]
            parts += [f"--- {pane.name} ({pane.label}) ---", *filter(None, said)]
    return to_text("\n\n".join([*parts, totals]))
