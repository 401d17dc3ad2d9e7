"""The static twin: a comparison for readers without a kernel, as HTML, Markdown and plain text.

The HTML is plain: headings, quotes, paragraphs. The few inline styles survive JupyterLab's sanitizer (custom properties
and `var()` do not) and only set the answers side by side; on GitHub, which drops them, they stand one below the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from nbkit.adapters.run import ToolResult
from nbkit.bulk.answers import Answer, Pane
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.content import TextEntry
from nbkit.conversation.tools import ToolCall
from nbkit.json_text import write_json
from nbkit.notebook.facts import explain_error, list_facts, list_notes
from nbkit.notebook.pictures import list_unseen, write_pictures
from nbkit.rendering.markdown import render_static, to_text
from nbkit.rendering.sanitize import plain_html

_GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(360px,1fr));gap:0 24px;text-align:start"
_NO_MATHS = "tex2jax_ignore mathjax_ignore"  # or JupyterLab's MathJax takes two prices in a line for a formula
OPEN_TWIN = f'<div class="nbk-static {_NO_MATHS}" style="padding-left:8px">'
"""The start of a static twin: it stands below the code, as printed text and cells of Markdown do."""
_CODE = "background:rgba(128,128,128,.12);padding:8px 10px;overflow-x:auto;white-space:pre;word-break:normal"
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_UNANSWERED = "(no answer yet)"
_LINE = 160  # characters of a call, and of its output, in one line
_OUTPUT = 4000  # characters of an output, unfolded


def write_bundle(panes: Sequence[Pane], totals: str, since: int = 0) -> dict[str, str]:
    """Write the three forms of a comparison, from turn `since` on."""
    last = max((len(pane.answers) for pane in panes), default=0)
    turns = [turn for turn in range(since, last) if _pair_answers(panes, turn)]
    return {
        "text/html": _write_html(panes, turns, totals),
        "text/markdown": _write_markdown(panes, turns, totals),
        "text/plain": _write_plain(panes, turns, totals),
    }


def write_completion(completion: ChatCompletion) -> dict[str, str]:
    """Write the three forms of one completion, as a cell shows it whose value it is."""
    answer = Answer("", "done", completion)
    calls = [_write_call(call) for call in completion.tool_calls]
    lines = [*calls, *_list_remarks(answer), _join_facts(answer)]
    html = [
        OPEN_TWIN,
        *_write_reasoning(completion),
        style_html(render_static(completion.text)),
        *(f"<p><code>{_break_lines(call)}</code></p>" for call in calls),
        *(f"<p><i>{_break_lines(remark)}</i></p>" for remark in _list_remarks(answer)),
        f"<p><small>{escape(_join_facts(answer))}</small></p></div>",
    ]
    plain = "\n\n".join(filter(None, [completion.text, *lines]))
    return {"text/html": "\n".join(html), "text/markdown": write_fence(plain), "text/plain": to_text(plain)}


def _write_reasoning(completion: ChatCompletion) -> list[str]:
    if not completion.reasoning:
        return []
    return [f"<details><summary>Reasoning</summary><p>{_break_lines(completion.reasoning)}</p></details>"]


def _join_facts(answer: Answer) -> str:
    """Write tokens, cost and speed in one line."""
    return " · ".join(f"{label} {value}" for label, value, _ in list_facts(answer))


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters)"


def read_output(result: ToolResult) -> str:
    """Read a tool's output as text; what is not text, as the name of its kind."""
    if isinstance(result.content, str):
        return result.content
    return "\n".join(entry.text if isinstance(entry, TextEntry) else f"[{entry.type}]" for entry in result.content)


def _write_call(call: ToolCall) -> str:
    """Write a call as Python would: `get_weather(city="Paris")`."""
    try:
        arguments = call.parsed()
    except ValueError:
        return f"{call.name}({_shorten(call.arguments, _LINE)})"
    listed = ", ".join(f"{name}={write_json(value).decode()}" for name, value in arguments.items())
    return f"{call.name}({_shorten(listed, _LINE)})"


def _write_tool_line(result: ToolResult) -> str:
    """Write a call and its output in one line."""
    return f"{_write_call(result.call)} → {_shorten(' '.join(read_output(result).split()), _LINE)}"


def write_tool(result: ToolResult) -> str:
    """Write a call, and its output folded up. A model and a tool wrote these: both are escaped, as text."""
    failed = " <b>failed</b>" if result.error else ""
    call, output = plain_html(_write_call(result.call)), plain_html(_shorten(read_output(result), _OUTPUT))
    return f"<details><summary><code>{call}</code>{failed}</summary><pre>{output}</pre></details>\n"


def _list_texts(answer: Answer) -> list[str]:
    """Write the parts of an answer as text."""
    parts = [_write_tool_line(part) if isinstance(part, ToolResult) else part for part in answer.parts]
    return parts or ([] if answer.error else [_UNANSWERED])


def _list_remarks(answer: Answer) -> list[str]:
    problem = explain_error(answer)
    return [*([f"Failed: {problem[0]}"] if problem else []), *list_notes(answer)]


def _pair_answers(panes: Sequence[Pane], turn: int) -> list[tuple[Pane, Answer]]:
    """List the answers of a turn; a model that was not asked has none."""
    pairs = [(pane, pane.answers[turn]) for pane in panes if turn < len(pane.answers)]
    return [(pane, answer) for pane, answer in pairs if answer.status != "skipped"]


def _list_own(answer: Answer, prompt: str) -> list[str]:
    """List the prompt of an answer, where the other models got another one."""
    return [] if answer.prompt == prompt else [answer.prompt]


def _name_branch(pane: Pane) -> str:
    return f" · branch {pane.branch + 1} of {len(pane.branches)}" if pane.branches else ""


def _write_html(panes: Sequence[Pane], turns: Sequence[int], totals: str) -> str:
    parts = [OPEN_TWIN, *_write_system(panes)]
    for turn in turns:
        answers = _pair_answers(panes, turn)
        first = answers[0][1]
        parts += [_write_prompt(first), f'<div style="{_GRID}">']
        parts += [_write_answer(pane, answer, first) for pane, answer in answers]
        parts.append("</div>")
    parts.append(f"<p><small>{escape(totals)}</small></p></div>")
    return "\n".join(parts)


def _write_prompt(answer: Answer) -> str:
    pictures = write_pictures(answer.question[-1]) if answer.question else ""
    sent = " · ".join(list_unseen(answer, pictures))
    lines = filter(None, [_break_lines(answer.prompt), pictures, _break_lines(sent)])
    return f'<blockquote dir="auto">{"<br>".join(lines)}</blockquote>'


def _join_prompt(answer: Answer) -> str:
    """Write a prompt as text, and in a line of its own what goes with it."""
    sent = ", ".join(list_unseen(answer, ""))
    return f"{answer.prompt}\n[{sent}]".lstrip() if sent else answer.prompt


def _write_system(panes: Sequence[Pane]) -> list[str]:
    """Write the system prompt, folded; none where there is none."""
    turns = panes[0].conversation if panes else ()
    texts = [turn.text for turn in turns if turn.role in ("system", "developer")]
    return [
        f'<details><summary>System prompt</summary><p dir="auto">{_break_lines(text)}</p></details>' for text in texts
    ]


def _write_answer(pane: Pane, answer: Answer, first: Answer) -> str:
    name, model = plain_html(pane.name), plain_html(pane.label)
    parts = [f'<div style="min-width:0"><h4>{name} <code>{model}</code>{_name_branch(pane)}</h4>']
    if answer.prompt != first.prompt:
        parts.append(_write_prompt(answer))
    parts += _write_reasoning(answer.completion) if answer.completion else []
    for part in answer.parts:
        parts.append(write_tool(part) if isinstance(part, ToolResult) else style_html(render_static(part)))
    if not answer.parts and not answer.error:
        parts.append(f"<p>{_UNANSWERED}</p>")
    parts += [f"<p><i>{_break_lines(remark)}</i></p>" for remark in _list_remarks(answer)]
    if answer.completion:
        parts.append(f"<p><small>{escape(_join_facts(answer))}</small></p>")
    return "\n".join([*parts, "</div>"])


def style_html(html: str) -> str:
    """Set in rendered Markdown what JupyterLab's style would do otherwise: code has the page's ground and breaks within
    words, cells stand right, and right-to-left text stands left."""
    html = re.sub("<(t[hd])>", r'<\1 style="text-align:start">', html)
    html = html.replace("<pre><code>", '<pre><code style="background:none">').replace("<pre>", f'<pre style="{_CODE}">')
    if _RIGHT_TO_LEFT.search(html):
        html = re.sub("<(p|li|h[56])>", r'<\1 style="text-align:start">', html)
    return html


def _break_lines(text: str) -> str:
    return plain_html(text).replace("\n", "<br>")


def write_fence(text: str) -> str:
    """Write text as a code block: JupyterLab shows trusted Markdown without sanitizing it, and in a code block no
    reader of Markdown sees HTML, links or images."""
    marks = make_marks(text)
    return f"{marks}text\n{to_text(text)}\n{marks}"


def make_marks(text: str) -> str:
    """Make the marks of a code block that no run of backticks in its text can close."""
    return "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))


def _write_markdown(panes: Sequence[Pane], turns: Sequence[int], totals: str) -> str:
    parts = []
    for turn in turns:
        answers = _pair_answers(panes, turn)
        parts.append(write_fence(_join_prompt(answers[0][1])))
        for pane, answer in answers:
            own = [f"> {prompt}" for prompt in _list_own(answer, answers[0][1].prompt)]
            texts = [*own, *_list_texts(answer), *_list_remarks(answer), _join_facts(answer)]
            parts += [f"**{_write_name(pane)}**", write_fence("\n\n".join(filter(None, texts)))]
    return "\n\n".join([*parts, escape(totals)])


def _write_name(pane: Pane) -> str:
    """Write a model's name for Markdown: letters, digits and signs without a meaning there."""
    return re.sub(r"[^\w .:/#()·-]", "?", f"{pane.name} ({pane.label}){_name_branch(pane)}")


def _write_plain(panes: Sequence[Pane], turns: Sequence[int], totals: str) -> str:
    parts = []
    for turn in turns:
        answers = _pair_answers(panes, turn)
        parts.append("\n".join(f"> {line}" for line in _join_prompt(answers[0][1]).splitlines()))
        for pane, answer in answers:
            own = [f"> {prompt}" for prompt in _list_own(answer, answers[0][1].prompt)]
            texts = [*own, *_list_texts(answer), *_list_remarks(answer), _join_facts(answer)]
            parts += [f"--- {pane.name} ({pane.label}){_name_branch(pane)} ---", *filter(None, texts)]
    return to_text("\n\n".join([*parts, totals]))
