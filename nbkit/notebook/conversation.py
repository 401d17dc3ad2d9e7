"""A conversation as the value of a cell: its turns rendered, or a line each where HTML is not shown."""

from __future__ import annotations

from nbkit.conversation.summary import list_extras, summarize_turn
from nbkit.conversation.turns import AnyTurn, Conversation
from nbkit.notebook.export import style_html
from nbkit.notebook.pictures import write_pictures
from nbkit.rendering.markdown import render_static, to_text
from nbkit.rendering.sanitize import plain_html

_MOST = 40
"""Turns that are shown: the last ones."""
_LONGEST = 8000
"""Characters of a turn that are shown."""


def write_conversation(conversation: Conversation) -> dict[str, str]:
    """Write the forms of a conversation. Models, tools and people wrote it: all is rendered clean, or escaped."""
    left = len(conversation) - _MOST
    parts = [f"<p><i>{left:,} earlier turns are not shown.</i></p>"] if left > 0 else []
    parts += [write_turn(turn, _LONGEST) for turn in conversation.turns[-_MOST:]]
    # without these classes JupyterLab's MathJax takes two prices in a line for a formula
    html = ['<div class="tex2jax_ignore mathjax_ignore" style="text-align:left;padding-left:8px">', *parts, "</div>"]
    return {"text/html": "\n".join(html), "text/plain": to_text(repr(conversation))}


def write_turn(turn: AnyTurn, longest: int | None = None) -> str:
    """Write a turn as HTML, its text up to a number of characters."""
    text = turn.text[:longest]
    if len(turn.text) > len(text):
        text += f" … ({len(turn.text):,} characters)"
    if turn.role in ("tool", "function"):
        line = plain_html(summarize_turn(turn))
        return f"<details><summary><code>{line}</code></summary><pre>{plain_html(text)}</pre></details>"
    if turn.role == "assistant":
        body = style_html(render_static(text))
    else:
        body = '<blockquote dir="auto">{}</blockquote>'.format(plain_html(text).replace("\n", "<br>"))
    pictures = write_pictures(turn)
    extras = [extra for extra in list_extras(turn) if not (pictures and extra == "[image]")]
    lines = [f"<p><code>{plain_html(extra)}</code></p>" for extra in extras]
    return "".join([f"<p><b>{turn.role}</b></p>\n", body if text else "", pictures, *lines])
