"""Controls that the kernel writes into a view: buttons and forms that send a message. See `nbkit.notebook.deltas`."""

from __future__ import annotations

import json
from typing import Any

from nbkit.notebook.widgets.sources import read_style
from nbkit.rendering.sanitize import plain_html

STYLE = f"<style>{read_style('slots.css')}</style>"
"""The style of what the kernel writes, for the slot `style`: most views never need it."""


def write_button(
    label: str,
    message: dict[str, Any],
    key: str,
    *,
    primary: bool = False,
    pressed: bool | None = None,
    takes_focus: bool = False,
) -> str:
    """Write a button that sends a message, also by a key. `pressed`: whether it is on, where it can be.

    `takes_focus`: it gets the focus of what goes away.
    """
    kind = "nbk-button nbk-vote" + " nbk-primary" * primary
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    focus = " data-focus" * takes_focus
    return (
        f'<button type="button" class="{kind}" title="{plain_html(label)} ({key})" data-key="{key}"{state}{focus} '
        f'data-send="{_write_message(message)}"><kbd class="nbk-kbd">{key}</kbd>{plain_html(label)}</button>'
    )


def write_form(content: str, message: dict[str, Any]) -> str:
    """Write a form of clean HTML, which sends a message with its values whenever one of them changes."""
    return f'<form class="nbk-form" data-send="{_write_message(message)}">{content}</form>'


def _write_message(message: dict[str, Any]) -> str:
    return plain_html(json.dumps(message))
