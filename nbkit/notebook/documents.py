"""A comparison, or a chat, as a document of its own: a page, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from msgspec.structs import asdict

from nbkit.adapters.run import ToolResult
from nbkit.billing.total import Sum
from nbkit.bulk.answers import Answer, Pane
from nbkit.conversation.summary import list_extras
from nbkit.conversation.turns import Conversation
from nbkit.notebook.conversation import write_turn
from nbkit.notebook.export import read_output, write_fence

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 80rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
body { overflow-wrap: anywhere; }
blockquote { margin: 1.5rem 0 0.5rem; padding-inline-start: 0.8rem; border-inline-start: 3px solid #8888; }
blockquote { font-weight: 600; }
pre { padding: 0.5rem 0.7rem; overflow-x: auto; background: #8882; }
code, pre { font: 0.9em/1.4 ui-monospace, Menlo, Consolas, monospace; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 0.6rem; border: 1px solid #8886; vertical-align: top; }
small, h4 code { color: light-dark(#59636e, #a3a9b0); font-weight: 400; }
a { color: light-dark(#1666c5, #6cb0ff); }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_page(html: str, title: str) -> str:
    """Write a whole page around the HTML of a static twin: without scripts, and it loads nothing."""
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    head += '<meta name="viewport" content="width=device-width">'
    head += f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{html}\n</body></html>\n'


def write_json(panes: Sequence[Pane]) -> str:
    """Write `{"models": [{"model", "name", "branch", "branches", "turns": [...]}]}`: the turns of the current branch.

    A turn has the columns of `to_frame()` (`prompt`, `text`, tokens, `cost` in USD, times in seconds ...; null where it
    is unknown), and `sent` (what went with the prompt, in words), `reasoning`, and `tools`: `name`, `arguments`,
    `output` (text) and whether it `failed`.
    """
    models = [
        {
            "model": pane.label,
            "name": pane.name,
            "branch": pane.branch + 1,
            "branches": len(pane.branches) or 1,
            "turns": [_describe(answer) for answer in pane.answers],
        }
        for pane in panes
    ]
    return json.dumps({"models": models}, indent=2)


def write_chat_page(model: str, conversation: Conversation, spent: Sum) -> str:
    """Write all turns of a chat as a page: without scripts, and it loads nothing."""
    turns = [*map(write_turn, conversation), f"<p><small>{escape(_describe_cost(spent))}</small></p>"]
    return write_page("\n".join(turns), f"Chat with {model}")


def write_chat_markdown(conversation: Conversation, spent: Sum) -> str:
    """Write all turns of a chat as Markdown; each stands in a fence, where no reader of it runs or loads anything."""
    parts = []
    for turn in conversation:
        parts += [f"**{turn.role}**", write_fence("\n\n".join(filter(None, [turn.text, *list_extras(turn)])))]
    return "\n\n".join([*parts, _describe_cost(spent)])


def write_chat_json(model: str, conversation: Conversation, spent: Sum) -> str:
    """Write a chat as JSON: `{"model", "turns": [OpenAI-style messages], "calls", "cost" (USD), "usage" (tokens)}`."""
    facts = {"calls": spent.calls, "cost": spent.cost, "usage": asdict(spent.usage)}
    return json.dumps({"model": model, "turns": conversation.to_openai(), **facts}, indent=2)


def _describe_cost(spent: Sum) -> str:
    return f"this chat {spent} for {spent.calls:,} call{'' if spent.calls == 1 else 's'}"


def _describe(answer: Answer) -> dict[str, Any]:
    tools = [
        {
            "name": step.call.name,
            "arguments": step.call.arguments,
            "output": read_output(step),
            "failed": bool(step.error),
        }
        for step in answer.steps
        if isinstance(step, ToolResult)
    ]
    reasoning = answer.completion.reasoning if answer.completion else ""
    return answer.row() | {"sent": answer.sent, "reasoning": reasoning or "", "tools": tools}
