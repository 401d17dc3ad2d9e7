"""One model of a comparison, in a notebook: what is done with it alone, and how it is taken along."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from nbkit.bulk.acts import PaneActs
from nbkit.bulk.answers import Pane
from nbkit.bulk.copies import write_code, write_markdown
from nbkit.bulk.panel import Panel
from nbkit.notebook.cells import find_shell

if TYPE_CHECKING:
    from nbkit import Chat


class ComparedModel(PaneActs):
    """One model of a comparison: acts on it, and forms of its conversation that can be taken along."""

    def to_markdown(self) -> str:
        """Write the conversation: prompts as quotes, answers as the model wrote them. Waits.

        An answer is not cleaned: a reader of Markdown that shows HTML shows what the model wrote.
        """
        self._panel.wait()
        return write_markdown(self._pane)

    def to_code(self) -> str:
        """Write Python that asks this model the last prompt of this conversation, without keys. Waits."""
        self._panel.wait()
        return write_code(self._pane, self._panel.options)

    def to_chat(self) -> Chat:
        """Go on with this conversation in a chat with this model, which has cost $0 so far. Waits."""
        self._panel.wait()
        return make_chat(self._panel, self._pane)


def make_chat(panel: Panel, pane: Pane) -> Chat:
    """Make a chat that begins with a conversation of a panel."""
    from nbkit import Chat  # which is made of comparisons itself

    given = {**panel.limits, **panel.options, **pane.options}
    return Chat(pane.adapter, conversation=pane.conversation, **given)


def name_chat(panel: Panel, pane: Pane) -> str:
    """Put a chat into the notebook as the first of `chat`, `chat_2` ... that is free. Return its name."""
    shell = find_shell()
    names = ("chat" if number == 1 else f"chat_{number}" for number in count(1))
    name = next(name for name in names if name not in shell.user_ns)
    shell.push({name: make_chat(panel, pane)})
    return name
