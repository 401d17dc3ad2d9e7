"""A conversation of a panel as text to take along: Markdown, and the Python code that asks it again."""

from __future__ import annotations

from collections.abc import Mapping
from pprint import pformat
from typing import Any

from nbkit.adapters.fallback import FallbackAdapter
from nbkit.adapters.run import ToolResult
from nbkit.bulk.answers import Pane

_LEFT_OUT = ("extra_headers", "extra_body")  # may hold a key


def write_markdown(pane: Pane) -> str:
    """Write the prompts as quotes, and below each the answer as the model wrote it."""
    parts = []
    for answer in pane.answers:
        if answer.status != "skipped":
            texts = [part for part in answer.parts if not isinstance(part, ToolResult)]
            quote = "\n".join(f"> {line}".rstrip() for line in answer.prompt.splitlines())
            parts += [quote, f"**{pane.name}** (`{pane.label}`)", *texts]
    return "\n\n".join(parts) + "\n"


def write_code(pane: Pane, options: Mapping[str, Any]) -> str:
    """Write Python that asks the model the last prompt, with all that was said before it.

    What cannot be written as text, such as functions among the tools, and what may hold a key is named in a comment.
    """
    question = pane.answers[-1].question if pane.answers else None
    turns = pformat((question or pane.conversation).to_openai(), width=110, sort_dicts=False)
    given = {name: value for name, value in {**options, **pane.options}.items() if value is not None}
    plain = {name: value for name, value in given.items() if name not in _LEFT_OUT and _is_plain(value)}
    listed = "".join(f", {name}={value!r}" for name, value in plain.items())
    missing = ", ".join(name for name in given if name not in plain)
    lines = [
        "import nbkit",
        "",
        f"adapter = nbkit.get_adapter({_name_models(pane)!r})",
        f"conversation = {turns}",
        *([f"# not written here: {missing}"] if missing else []),
        f"completion = adapter.execute(conversation{listed})",
        "print(completion.text)",
    ]
    return "\n".join(lines) + "\n"


def _name_models(pane: Pane) -> str | list[str]:
    """Name the model of a pane, or the list of models that stand in for each other."""
    adapter = pane.adapter
    return [one.model_id for one in adapter.adapters] if isinstance(adapter, FallbackAdapter) else adapter.model_id


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, str | int | float | bool)
