"""Requests of the views that are about one pane: a row for each type of message. See `nbkit.notebook.deltas`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbkit.bulk.answers import Pane
from nbkit.bulk.copies import write_code, write_markdown
from nbkit.bulk.panel import Panel
from nbkit.choose.frame import catalog, demo_models
from nbkit.choose.kinds import can_chat
from nbkit.choose.search import Searcher
from nbkit.notebook.compared import name_chat
from nbkit.rendering.sanitize import visible

Message = dict[str, Any]
_BEST = 40  # by the search, best first
_SUGGESTIONS = 8


def read_text(message: Message) -> str:
    """Read the text of a message; "" where it has none."""
    text = message.get("text")
    return text if isinstance(text, str) and text.strip() else ""


def _edit(panel: Panel, pane: Pane, message: Message) -> None:
    turn, text = message.get("turn"), read_text(message)
    if isinstance(turn, int) and text and not panel.busy:
        panel.edit(turn, text, () if message.get("all") else [pane])


def _show_branch(panel: Panel, pane: Pane, message: Message) -> None:
    """Branches that were begun together are shown together."""
    places = {(len(other.branches), other.branch) for other in panel.panes}
    if isinstance(branch := message.get("branch"), int):
        panel.show_branch(branch, () if len(places) == 1 else [pane])


def _swap(panel: Panel, pane: Pane, message: Message) -> None:
    if text := read_text(message):
        panel.regenerate(pane, text.strip())


def _add(panel: Panel, pane: Pane, message: Message) -> None:
    if text := read_text(message):
        panel.add(text.strip())


def _suggest(panel: Panel, pane: Pane, message: Message) -> Message:
    """Find models by what is typed, the simulated ones and those with a key first; before that, the simulated ones. A
    browser shows only those whose id or label holds what is typed."""
    text, rows = read_text(message).strip(), catalog()
    fit = rows.iloc[Searcher(rows).search(text, can_chat(rows)).places[:_BEST]] if text else rows.iloc[:0]
    fit, demo = fit.sort_values("has_key", ascending=False, kind="stable"), demo_models()
    simulated = zip(demo.index.tolist(), demo["name"].tolist(), strict=True)
    names = [names for names in simulated if _holds(*names, text)]
    names += zip(fit.index.tolist(), fit["name"].tolist(), strict=True)
    models = [
        [visible(model_id), visible(name if _holds(model_id, name, text) else f"{text} → {name}")]
        for model_id, name in names[:_SUGGESTIONS]
    ]
    return {"type": "suggestions", "view": message.get("view"), "models": models}


def _holds(model_id: str, name: str, text: str) -> bool:
    return text.lower() in f"{model_id}\n{name}".lower()


def _set_options(panel: Panel, pane: Pane, message: Message) -> None:
    if isinstance(options := message.get("options"), dict):
        panel.set_options(pane, options)


def _set_api_key(panel: Panel, pane: Pane, message: Message) -> None:
    if text := read_text(message):
        panel.set_api_key(pane, text)


def _copy(panel: Panel, pane: Pane, message: Message) -> Message:
    text = write_code(pane, panel.options) if message.get("form") == "code" else write_markdown(pane)
    return {"type": "copy", "view": message.get("view"), "text": text}


def _continue(panel: Panel, pane: Pane, _: Message) -> Message | None:
    if panel.busy:
        return None
    name = name_chat(panel, pane)
    return {"type": "notice", "text": f'The variable {name} goes on with {pane.label}: {name}("...") in a cell.'}


_REQUESTS: dict[str, Callable[[Panel, Pane, Message], object]] = {
    "stop_one": lambda panel, pane, _: panel.stop_one(pane),
    "retry": lambda panel, pane, _: panel.retry(pane),
    "regenerate": lambda panel, pane, _: panel.regenerate(pane),
    "edit": _edit,
    "branch": _show_branch,
    "mute": lambda panel, pane, message: panel.mute(pane, bool(message.get("muted"))),
    "swap": _swap,
    "add": _add,
    "suggest": _suggest,
    "options": _set_options,
    "key": _set_api_key,
    "copy": _copy,
    "chat": _continue,
}


def fulfill(panel: Panel, message: Message) -> Message | None:
    """Do what a view asks for about the pane with the index `pane`; nothing where the message is not one of these.

    Returns the answer for the views, where there is one.

    Raises NbkitError: a model, an option or a branch that there is not.
    """
    index, request = message.get("pane"), _REQUESTS.get(str(message.get("type")))
    if request and isinstance(index, int) and 0 <= index < len(panel.panes):
        answer = request(panel, panel.panes[index], message)
        return answer if isinstance(answer, dict) else None
    return None
