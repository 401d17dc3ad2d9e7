"""The delta protocol between a comparison and its views. No Jupyter here: messages are plain dicts.

A view sends `ready` (each view, after each reload) and gets a snapshot; from then on it gets deltas, whose `seq` counts
by one; a view that sees a gap sends `resync` and gets a snapshot again. A view that waits for long without a message
sends `ping` and gets a `pong`; one that is cleared, while its notebook stays, sends `left`. Its other messages: `stop`,
`ask` (with `text`), `stop_one`, `retry` and `regenerate` (with `pane`), `key` (with `pane`, and in `text` an API key
for its provider), `edit` (`pane`, `turn` from 0, the new prompt as `text`, and whether it goes to `all` models),
`branch` (`pane`, `branch` from 0), `mute` (`pane`, `muted`), `swap` and `add` (`pane`, and in `text` a model id),
`options` (`pane`, `options`: name -> value, null to unset), `vote` (`choice`: a pane, "tie", "bad", or null to take it
back),
`attach` (with an `id` of its own, a file's `name`, and its bytes as a buffer) and `detach` (with `id`); `ask` sends the
`files` with these ids. What cannot be done is answered with a `notice` in `text`; `chat` (`pane`) likewise, with the
name of the chat that goes on; `copy` (`pane`, `form`: "markdown" or "code", `view`: an id of its own) with `copy`, the
`text` and the `view`; `suggest` (`pane`, `text`: words about a model, `view`) with `suggestions`, the `view` and the
`models` ([id, label]); a file, to all views, when it has been checked:

    {"type": "attached", "id", "label", "note"}       note: which models do not read it, "" where all do
    {"type": "attached", "id", "problem"}             it is not taken

    {"type": "snapshot", "seq", "panes", "news", "foot"}
    {"type": "delta", "seq", "panes", "news", "foot"}          panes and foot, where they have changed

`panes`: for each pane its `facts.describe_pane`, at least {"name", "model"}. A view that has fewer or more panes
sends `resync`.

`foot`: {"busy", "totals", "ahead", "spent", "closed", "context"}: whether answers stream; texts about money; why no
more questions are taken (else ""); for a chat how full the context is, as (text, whether it is nearly full).

A foot has `votes` (`judged.describe_votes`) once there are answers to vote on, and in a blind comparison `blind`:
"hidden" or "named"; the view's message `next` goes on to the next prompt there.

`slots`: {name: HTML}: places of the view that the kernel fills, where they have changed: `results` above the answers,
`tools` below them, `differences0` and so on in the place of a pane's last answer, and the `style` of all that. The HTML
is nbkit's; what a model or a provider wrote is escaped in it. A button with `data-send` posts that message, a form with
the values of its fields; `data-key` is the key that presses a button, `data-focus` takes a focus that would be lost. So
come `next`, `differences` (with `on`, or with the place of the `base`, and `only` where equal text is folded),
and what `judge_form.JudgeForm` takes.

`news` has the same form in both, so a view applies them alike; each item is about one turn of one pane:

    pane, turn  their indices; a new turn begins with its `prompt` (HTML), and with what goes with it, where there is
                something: the `pictures` (HTML), what else was `sent` (texts), and at first the `system` prompt (HTML)
    elapsed     seconds since it began, in a snapshot while it streams
    drop        this turn and those after it are gone: another branch is shown
    reset       the turn starts again (a retry)
    status      waiting | streaming | done | stopped | failed
    limited     seconds that its call waits at least, because of a rate limit: the view counts them down; 0 where that
                depends on other calls, null when it waits no more
    think       HTML to append to the reasoning
    keep, cut, tail  the open blocks' HTML is now its first `keep` UTF-16 units + `tail` + its last `cut` units
                (where there is no `cut`: none of them)
    closed      so many units of it, from the start, are blocks that will not change again
    final       the whole answer's HTML, where it differs from what was shown
    end         what stands under the answer: `facts.describe_end`

All HTML is made by `nbkit.rendering.markdown` and `sanitize`, so it is clean; everything else is text. A delta holds
only what is new, and there is none when nothing is. Not thread-safe: all calls come from the portal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from nbkit.rendering.markdown import Incremental
from nbkit.rendering.sanitize import plain_html, visible

Message = dict[str, Any]

_FLUSH_SECONDS = (0.05, 0.02, 0.2)
"""Deltas are batched for so long: at least, for each pane, and at most. The eye does not see it, the kernel does: a
message has an envelope of about 440 bytes, and each pane's open block is rendered for it."""


def _compare_ends(old: str, new: str) -> tuple[int, int]:
    """Count the characters that both begin with, and those of the rest that both end with."""
    most = min(len(old), len(new))
    keep = _bisect(most, lambda length: old[:length] == new[:length])
    most -= keep
    return keep, _bisect(most, lambda length: old[len(old) - length :] == new[len(new) - length :])


def _bisect(most: int, same: Callable[[int], bool]) -> int:
    """Find the largest length that is still the `same`: a handful of memcmps instead of a loop over characters."""
    low = 0
    while low < most:
        middle = (low + most + 1) // 2
        low, most = (middle, most) if same(middle) else (low, middle - 1)
    return low


def _count_units(text: str) -> int:
    """Count the UTF-16 units of a text: its length in JavaScript."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


class _Text:
    """Markdown that grows, with finished HTML between: what stands before that is never read again."""

    def __init__(self) -> None:
        self._markdown = Incremental()
        self._done = ""
        self._new: list[str] = []

    def feed(self, text: str) -> None:
        self._markdown.feed(text)

    def insert(self, html: str) -> None:
        update = self._markdown.flush()
        self._new += [*update.closed, update.tail, html]
        self._done += self._markdown.finish() + html
        self._markdown = Incremental()

    def flush(self) -> tuple[str, str]:
        """Render what closed since the last flush, and the open tail."""
        update = self._markdown.flush()
        closed, self._new = "".join([*self._new, *update.closed]), []
        return closed, update.tail

    def finish(self) -> str:
        """Render the whole text."""
        return self._done + self._markdown.finish()


def find_deadline(former: float | None, seconds: float | None) -> float | None:
    """Find until when a call waits, on the clock of `time.monotonic`: 0 where nobody knows, None where it does not.

    What differs by less than a second from the `former` one is that.
    """
    until = seconds if seconds is None else time.monotonic() + seconds if seconds >= 1 else 0.0
    return former if until and former and abs(until - former) < 1 else until


class LiveTurn:
    """One answer as the views show it."""

    def __init__(self, prompt: str, more: Message | None = None) -> None:
        self._prompt: Message = {"prompt": plain_html(prompt)} | (more or {})
        self._clear()
        self._news: Message = self._prompt | {"status": self.status}

    def _clear(self) -> None:
        self.status = "waiting"
        self._began = time.monotonic()
        self._limited_until: float | None = None  # 0: nobody knows
        self._markdown = _Text()
        self._fed = False
        self._html = self._tail = self._think = ""
        self._end: Message | None = None

    def reset(self) -> None:
        """Start the answer again, for a retry."""
        self._clear()
        self._news = {"reset": True, "status": self.status}

    def hold(self, seconds: float | None) -> None:
        """Say that the call waits for its turn."""
        until = find_deadline(self._limited_until, seconds)
        if until != self._limited_until:
            self._limited_until, self._news["limited"] = until, until and until - time.monotonic()

    def feed(self, text: str, reasoning: str) -> None:
        """Add a piece of the answer."""
        if self.status == "waiting":
            self.status = self._news["status"] = "streaming"
        if text:
            self._markdown.feed(text)
            self._fed = True
        if reasoning:
            piece = plain_html(reasoning)
            self._think += piece
            self._news["think"] = self._news.get("think", "") + piece

    def insert(self, html: str) -> None:
        """Put clean HTML after the text so far; what is fed next is a text of its own."""
        self._markdown.insert(html)
        self._fed = True

    def finish(self, status: str, end: Message) -> None:
        """The answer is complete, or will never be. `end` is what stands under it."""
        self._flush()
        final = self._markdown.finish()
        if final != self._html + self._tail:
            self._news["final"] = final
        self._html, self._tail = final, ""
        del self._markdown  # it holds the text many times over
        self.status = self._news["status"] = status
        self._end = self._news["end"] = end

    def _flush(self) -> None:
        if not self._fed:
            return
        self._fed = False
        closed, tail = self._markdown.flush()
        shown, now = self._tail, closed + tail
        if now != shown:
            keep, cut = _compare_ends(shown, now)
            self._news |= {
                "keep": _count_units(now[:keep]),
                "tail": now[keep : len(now) - cut],
            }
            if cut:
                self._news["cut"] = _count_units(now[len(now) - cut :])
        if closed:
            self._news["closed"] = _count_units(closed)
        self._html += closed
        self._tail = tail

    def delta(self) -> Message:
        """Take what is new since the last delta; empty where nothing is."""
        if self._end is None:
            self._flush()
        news, self._news = self._news, {}
        return news

    def snapshot(self) -> Message:
        """Write what the deltas so far amount to, in their form."""
        whole: Message = self._prompt | {"status": self.status}
        if self._think:
            whole["think"] = self._think
        if self._html or self._tail:
            whole |= {"keep": 0, "tail": self._html + self._tail, "closed": _count_units(self._html)}
        if self._end is not None:
            return whole | {"end": self._end}
        now = time.monotonic()
        if self._limited_until is not None:
            whole["limited"] = max(0.0, self._limited_until - now)
        return whole | {"elapsed": now - self._began}


class Board:
    """The panes of one comparison: `titles` are (name, model id) pairs."""

    def __init__(self, titles: list[tuple[str, str]], seq: int = 0) -> None:
        self._heads: list[Message] = []
        self._heads_are_new = False
        self._cuts: dict[int, int] = {}  # pane -> the first turn that the views must drop
        self._panes: list[list[LiveTurn]] = []
        self._seq = seq
        self._slots: dict[str, str] = {}
        self._new_slots: dict[str, str] = {}
        self._foot: Message = {"busy": False, "totals": "", "ahead": "", "spent": "", "closed": "", "context": None}
        self._foot_is_new = False
        for pane, (name, model) in enumerate(titles):
            self.set_head(pane, name, model)
        self._heads_are_new = False  # a view begins with a snapshot

    def add(self, pane: int, prompt: str, more: Message | None = None) -> LiveTurn:
        """Begin a turn in a pane; `more`: what goes with the prompt, `pictures.describe_prompt`."""
        turn = LiveTurn(prompt, more)
        self._panes[pane].append(turn)
        return turn

    def set_head(self, pane: int, name: str, model: str, **head: Any) -> None:
        """Set what stands above a pane, or begin the next pane."""
        if pane == len(self._panes):
            self._panes.append([])
            self._heads.append({})
        self._heads[pane] = {"name": visible(name), "model": visible(model)} | head
        self._heads_are_new = True

    def cut(self, pane: int, turn: int) -> None:
        """Take a turn of a pane, and those after it, from the views."""
        del self._panes[pane][turn:]
        self._cuts[pane] = min(turn, self._cuts.get(pane, turn))

    def last(self, pane: int) -> LiveTurn:
        """Return a pane's last turn."""
        return self._panes[pane][-1]

    def set_foot(self, **foot: Any) -> None:
        """Set `busy` (whether anything streams), or a text about money."""
        changed = self._foot | foot
        self._foot_is_new |= changed != self._foot
        self._foot = changed

    def set_slots(self, **slots: str) -> None:
        """Fill places of the view with clean HTML: "results" above the answers, "tools" below them."""
        self._new_slots |= {name: html for name, html in slots.items() if html != self._slots.get(name, "")}
        self._slots |= slots

    @property
    def seq(self) -> int:
        """The number of the last message."""
        return self._seq

    @property
    def flush_seconds(self) -> float:
        """How long deltas are batched."""
        least, each, most = _FLUSH_SECONDS
        return min(most, max(least, each * len(self._panes)))

    def delta(self) -> Message | None:
        """Make the next message for all views, or None where nothing is new."""
        news: list[Message] = [{"pane": pane, "turn": turn, "drop": True} for pane, turn in self._cuts.items()]
        news += [{"pane": pane, "turn": number} | new for pane, number, turn in self._turns() if (new := turn.delta())]
        self._cuts = {}
        if not (news or self._foot_is_new or self._heads_are_new or self._new_slots):
            return None
        self._seq += 1
        message: Message = {"type": "delta", "seq": self._seq, "news": news}
        if self._heads_are_new:
            message["panes"], self._heads_are_new = list(self._heads), False
        if self._foot_is_new:
            message["foot"], self._foot_is_new = self._foot, False
        if self._new_slots:
            message["slots"], self._new_slots = self._new_slots, {}
        return message

    def _turns(self) -> Iterator[tuple[int, int, LiveTurn]]:
        for pane, turns in enumerate(self._panes):
            yield from ((pane, number, turn) for number, turn in enumerate(turns))

    def snapshot(self) -> Message:
        """Write everything. Only right after `delta()`, or the next delta would repeat a part of it."""
        news = [{"pane": pane, "turn": number} | turn.snapshot() for pane, number, turn in self._turns()]
        return {
            "type": "snapshot",
            "seq": self._seq,
            "panes": self._heads,
            "news": news,
            "foot": self._foot,
            "slots": self._slots,
        }
