"""Replay: answers that are kept and given again, so that a notebook that is run again pays nothing.

    nbkit.replay("demo.replay.jsonl")              # from here on, in this kernel
    with nbkit.replay(mode="refresh"): ...         # for a block, with the answers in the cache directory

An answer is found by the digest of its request, and by how many equal requests came before it in the run: a repeat is
asked anew, and a notebook that is run from its top gets all its answers in their order. An observer does it: its begin
answers a call, its end notes an answer, and `settle` writes what was noted before the call returns.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from msgspec.structs import replace

from nbkit.arguments import check_arguments, explain_choice
from nbkit.billing.digest import digest_request
from nbkit.billing.entry import CallFacts, Origin, Sample, open_block
from nbkit.billing.money import format_usd
from nbkit.conversation.completion import ChatCompletion
from nbkit.errors import ArgumentError, ConfigError, NbkitError, ReplayMissError
from nbkit.files import is_path
from nbkit.settings import Scoped, sealed, settings

if TYPE_CHECKING:
    from nbkit.bookkeeping.recording import Recording
    from nbkit.bookkeeping.recordings import Recordings

Mode = Literal["auto", "only", "refresh", "off"]
Pace = Literal["first", "none"]
_FILES = (".jsonl", ".sqlite3", ".db")
_log = logging.getLogger("nbkit")


class Keeper:
    """Keeps the answers of a run and gives them again; what `nbkit.replay` returns. A `with` block limits it."""

    def __init__(self, path: Path | None, mode: Mode, pace: Pace | None) -> None:
        self.path, self.mode, self._pace = path, mode, pace
        self.known = 0
        """How many answers there were at the beginning."""
        self.replayed = 0
        """How many calls were answered."""
        self.kept = 0
        """How many answers were asked for and kept."""
        self.saved = Decimal(0)
        """USD that the replayed answers cost when they were asked for, as far as it is known."""
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._store: Recordings | None = None
        self._warned = False
        self._before: Keeper | None = None
        self._block = ExitStack()

    @property
    def is_sealed(self) -> bool:
        """Whether nothing is sent."""
        return self.mode == "only"

    @property
    def place(self) -> str:
        """Where answers are kept: the name of the file, not where it is, for the notebook may be published."""
        return self.path.name if self.path else "the cache"

    def __str__(self) -> str:
        if self.mode == "off":
            return "replay: off"
        facts = f"{self.known} {'answer' if self.known == 1 else 'answers'}"
        if self.replayed or self.kept:
            facts = f"{self.replayed} replayed, saved {format_usd(self.saved)}, {self.kept} asked for and kept"
        return f"replay: {self.place}, {self.mode}: {facts}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def count(self) -> None:
        """Read what is there, and count the answers."""
        import sqlite3

        with self._lock:
            try:
                self.known = self._open().count()
            except (sqlite3.Error, OSError) as error:
                self._warn("read", error)

    def _open(self) -> Recordings:
        from nbkit.bookkeeping.recordings import open_recordings

        if self._store is None:
            self._store = open_recordings(self.path)
        return self._store

    def claim(self, call: CallFacts, *, watched: bool) -> Sample:
        """Count a request among its equals."""
        request = digest_request(call)
        with self._lock:
            number = self._counts[request]
            self._counts[request] += 1
        return Sample(self, request, number, self._pace == "first" or (self._pace is None and watched))

    def find(self, call: CallFacts, sample: Sample) -> ChatCompletion | None:
        """Find the answer to a call. Raises ReplayMissError where there is none, and none may be asked for."""
        recording = None if self.mode == "refresh" else self._look_up(sample)
        if recording is not None:
            sample.pieces = list(recording.pieces)
            completion = recording.restore()
            with self._lock:
                self.replayed += 1
                self.saved += Decimal(str(completion.bill.saved or 0)) if completion.bill else 0
            return completion
        if self.is_sealed:
            from nbkit.bookkeeping.recording import quote_prompt

            raise ReplayMissError(call.model_id, self.place, sample.request, sample.number, quote_prompt(call))
        return None

    def find_first(self, calls: Sequence[CallFacts]) -> int:
        """Find the first of several calls, each made where the one before fails, whose answer is kept; 0: of none.

        Those before it count among their equals, as in the run in which they failed. Waits for a disk.
        """
        if self.mode == "refresh":
            return 0
        requests = [digest_request(call) for call in calls]
        samples = [Sample(self, request, self._counts[request], paced=False) for request in requests]
        first = next((number for number, sample in enumerate(samples) if self._look_up(sample)), 0)
        with self._lock:
            self._counts.update(requests[:first])
        return first

    def _look_up(self, sample: Sample) -> Recording | None:
        import sqlite3

        with self._lock:
            try:
                return self._open().find(sample.request, sample.number)
            except (sqlite3.Error, OSError) as error:
                self._warn("read", error)
        return None

    def keep(self, recordings: list[Recording]) -> None:
        """Write answers. A failure is said once, and costs no answer: it is asked for again in the next run."""
        import sqlite3

        with self._lock:
            try:
                self._open().keep(recordings)
                self.kept += len(recordings)
            except (sqlite3.Error, OSError) as error:
                self._warn("written", error)

    def _warn(self, what: str, error: Exception) -> None:
        if not self._warned:
            _log.warning("the kept answers in %s cannot be %s: %s. Calls go on.", self.place, what, error)
            self._warned = True

    # In a block, or from here on

    def start(self) -> Self:
        """Replay from here on, in all threads, instead of what did so before."""
        self._before = _state().use(self)
        return self

    def __enter__(self) -> Self:
        if _state().keeper is self and self._before is not None:
            _state().use(self._before)
        self._block.enter_context(open_block(self))
        if self.is_sealed:
            self._block.enter_context(sealed())
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._block.close()


class _State:
    """The keeper that replays outside of blocks."""

    def __init__(self) -> None:
        self.keeper = _read_setting(settings().replay)
        self._seal = ExitStack()
        self.use(self.keeper)

    def use(self, keeper: Keeper) -> Keeper:
        """Let a keeper replay; return the one that did so before."""
        before, self.keeper = self.keeper, keeper
        self._seal.close()
        if keeper.is_sealed:
            self._seal.enter_context(sealed())
        return before


_state: Scoped[_State] = Scoped(_State, "replay", "cache_dir")
_noted: deque[tuple[CallFacts, Sample, ChatCompletion]] = deque()


def _read_setting(text: str) -> Keeper:
    mode, colon, path = text.partition(":")
    if mode not in get_args(Mode):
        mode, path = "auto" if text else "off", text
    elif colon and not path:
        raise ConfigError(f"NBKIT_REPLAY: expected a file behind {text!r}")
    return Keeper(_read_path(path, "NBKIT_REPLAY"), cast(Mode, mode), None)


def _read_path(path: str | Path | None, name: str) -> Path | None:
    if not path:
        return None
    if not str(path).endswith(_FILES) or not is_path(str(path)):
        raise ConfigError(f"{name}: expected a file that ends with {' or '.join(_FILES)}, got {str(path)!r}")
    return Path(path).expanduser().absolute()


@check_arguments
def replay(path: str | Path | None = None, *, mode: Mode = "auto", pace: Pace | None = None) -> Keeper:
    """Keep the answers of all calls, and give them again when the notebook is run again: no request, $0.

    `path`: a file beside the notebook, `demo.replay.jsonl`, a line for each answer; without it they are kept in the
    cache directory. It holds from here on, until another `replay` or a restart; `with nbkit.replay(...):` for a block.

    `mode`: `auto` answers what is there, and asks and keeps the rest; `only` sends nothing and needs no key: what is
    not there raises ReplayMissError; `refresh` asks for everything again; `off` neither answers nor keeps. Errors,
    answers that broke off, and those that a content filter has cut are never kept.

    The how manieth equal request of the run a call is counts: a prompt that is repeated, or regenerated, gets an answer
    of its own. `replay()` begins a run. The text of prompts, the bytes of images and the addresses of those that are
    fetched are part of the request, keys are not.

    `pace`: `first`: streams take as long as they did; `none`: they come at once; by default they take their time where
    answers are watched in a widget. Timings are those of the first run, `bill.source` is `replay`, `bill.saved` what
    was paid then (USD). Raises ConfigError for another mode or kind of file, and for `only` where the file is missing.
    """
    for name, value, kinds in (("mode", mode, get_args(Mode)), ("pace", pace, (*get_args(Pace), None))):
        if value not in kinds:
            raise ArgumentError(f"replay(): {name}: {explain_choice(value, kinds)}")
    keeper = Keeper(_read_path(path, "replay()"), mode, pace)
    if keeper.path and keeper.is_sealed and not keeper.path.exists():
        raise ConfigError(f"replay(): {str(keeper.path)!r} is missing; mode='auto' makes it")
    if mode in ("auto", "only"):
        keeper.count()
    return keeper.start()


def switch_replay(*words: str) -> Keeper:
    """Do what the words of a line say, a mode and a file in any order; return who replays from here on.

    Raises ConfigError for other words.
    """
    if words:
        mode = next((word for word in get_args(Mode) if word in words), "auto")
        files = [word for word in words if word not in get_args(Mode)]
        if len(files) > 1 or len(words) - len(files) > 1:
            raise ConfigError(f"replay: expected one of {', '.join(get_args(Mode))}, and a file; got {' '.join(words)}")
        replay(*files, mode=cast(Mode, mode))
    return _state().keeper


def find_replay(origin: Origin) -> Keeper | None:
    """Find who answers the calls that come from there; None: nobody."""
    inner = next((one for one in reversed(origin.blocks) if isinstance(one, Keeper)), None) if origin.blocks else None
    keeper = inner or _state().keeper
    return None if keeper.mode == "off" else keeper


def claim_sample(call: CallFacts, origin: Origin) -> CallFacts:
    """Say in the facts of a call which answer it gets, where answers are kept."""
    keeper = find_replay(origin)
    return call if keeper is None else replace(call, sample=keeper.claim(call, watched=origin.watched))


class Replay:
    """An observer that answers calls with what was kept, and keeps what was answered."""

    def begin(self, call: CallFacts) -> ChatCompletion | None:
        """Answer a call, let it pass, or refuse it. Waits for a disk."""
        sample = call.sample
        return None if sample is None else sample.keeper.find(call, sample)

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Note an answer; `settle` writes it."""
        sample = call.sample
        if sample is None or completion is None or error is not None or sample.keeper.is_sealed:
            return
        from nbkit.bookkeeping.recording import is_worth_keeping

        if is_worth_keeping(completion):
            _noted.append((call, sample, completion))

    @property
    def pending(self) -> bool:
        """Whether answers wait to be written."""
        return bool(_noted)

    def settle(self) -> None:
        """Write what waits."""
        from nbkit.bookkeeping.recording import make_recording

        groups: dict[Keeper, list[Recording]] = {}
        while _noted:
            try:
                call, sample, completion = _noted.popleft()
            except IndexError:  # another thread has taken it
                break
            groups.setdefault(sample.keeper, []).append(make_recording(call, sample, completion))
        for keeper, recordings in groups.items():
            keeper.keep(recordings)


REPLAY = Replay()
