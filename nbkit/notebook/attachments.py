"""Files that people paste, drop or choose at the box of a comparison. Its messages are described in `deltas`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from nbkit.adapters.fit_options import check_capabilities
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.conversation.content import AudioEntry, FileEntry, ImageEntry, TextEntry
from nbkit.conversation.fit_media import check_media
from nbkit.conversation.media import inspect, make_entry, read_text, turn_upright
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConversationError, UnsupportedFeatureError
from nbkit.notebook.export import make_marks
from nbkit.notebook.pictures import write_pictures
from nbkit.providers.capabilities import Tolerance
from nbkit.providers.endpoints import Endpoint
from nbkit.rendering.sanitize import visible

_MAX_BYTES = 8 * 2**20
"""Bytes of a file: JupyterLab's server closes the connection at a message of 10 MiB."""
_MOST = 20
"""Files that wait; the oldest go, since a page that is reloaded forgets its own."""
_MOST_TEXT = 200_000
"""Characters of a text file, about 50,000 tokens: each view shows them, and the notebook keeps them."""
_LONGEST = 40
"""Characters of a name, as the box shows it."""

Entry = ImageEntry | FileEntry | AudioEntry | TextEntry


class Attachments:
    """Files that wait to be sent with the next prompt, by the ids that the views gave them.

    `send`: sends all views a message; it is called on the portal's thread.
    """

    def __init__(self, panel: Panel, send: Callable[[dict[str, Any]], None]) -> None:
        self._panel, self._send = panel, send
        self._entries: dict[str, Entry] = {}

    def receive(self, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        """Take a message of a view: `attach` a file, which is checked in a thread of its own, or `detach` it."""
        key, name = content.get("id"), content.get("name")
        if content["type"] == "detach":
            self._entries.pop(str(key), None)
        elif isinstance(key, str) and isinstance(name, str) and buffers:
            portal.submit(self._answer(key, name, buffers[0]))

    def join(self, text: str, keys: Any) -> Any:
        """Make a prompt of a text and the files with these ids, which wait no longer; "" where there is nothing."""
        wanted = keys if isinstance(keys, list) else []
        entries = [entry for key in wanted if (entry := self._entries.pop(str(key), None))]
        texts = [entry.text for entry in entries if isinstance(entry, TextEntry)]
        media = [entry for entry in entries if not isinstance(entry, TextEntry)]
        whole = "\n\n".join(filter(None, [text, *texts]))
        return [*filter(None, [whole]), *media] if media else whole

    async def _answer(self, key: str, name: str, data: Any) -> None:
        self._send({"type": "attached", "id": key} | await asyncio.to_thread(self._check, key, name, data))

    def _check(self, key: str, name: str, data: Any) -> dict[str, str]:
        shown = _cut(visible(name).replace("\n", " "))
        try:
            if len(data) > _MAX_BYTES:
                raise ConversationError(f"{shown}: longer than 8 MiB: pass it in Python, by nbkit.attach()")
            entry = _make_entry(bytes(data), name, shown)
        except ConversationError as wrong:
            return {"problem": str(wrong).replace("; pass text as a string", ", or text")}
        prompt = Conversation([entry])
        write_pictures(prompt[0])  # they are kept, and take a while
        for old in list(self._entries)[: 1 - _MOST]:
            self._entries.pop(old, None)
        self._entries[key] = entry
        return {"label": f"{shown} · {_write_size(len(data))}", "note": self._list_refusals(prompt, shown)}

    def _list_refusals(self, prompt: Conversation, name: str) -> str:
        """Say which models do not read the file with a name; "" where all do."""
        names = [visible(pane.name) for pane in self._panel.panes if not _reads(pane.adapter.endpoint, prompt)]
        return f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not read {name}" if names else ""


def _make_entry(data: bytes, name: str, shown: str) -> Entry:
    """Make what is sent of a file: what models read of its kind, or its text, with the name above it."""
    try:
        upright = turn_upright(data)
        return make_entry(inspect(upright, shown), upright, name=name)
    except ConversationError:
        text = None if name.lower().endswith(".svg") else read_text(data)
        if text is None:
            raise
    if len(text) > _MOST_TEXT:
        raise ConversationError(f"{shown}: {len(text):,} characters, more than {_MOST_TEXT:,}: pass its text in Python")
    marks = make_marks(text)
    return TextEntry(text=f"{shown}:\n\n{marks}\n{text.rstrip()}\n{marks}")


def _reads(endpoint: Endpoint, prompt: Conversation) -> bool:
    return any(_takes(one.tolerance, prompt) for one in (endpoint, *endpoint.others))


def _takes(tolerance: Tolerance, prompt: Conversation) -> bool:
    try:
        check_capabilities(prompt, ExecuteOptions(), tolerance.capabilities, "")
        check_media(prompt, tolerance.media_types, "")
    except UnsupportedFeatureError:
        return False
    return True


def _cut(name: str) -> str:
    """Shorten a long name in its middle: its end says what it is."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[-half:]}"


def _write_size(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{max(1, count // 1024)} kB"
