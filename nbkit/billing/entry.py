"""Facts of a call, and the observers that are told of its begin and its end.

Where a call comes from is among the facts: the notebook cell that makes it, and the tags of the blocks around it. A
notebook says which cell runs (`set_running_cell`); work that goes on after its cell has ended carries its origin with
it (`at_origin`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from nbkit.billing.ceiling import Ceiling
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConfigError, NbkitError
from nbkit.secret import hide_fields

Piece = tuple[int, int, int]
"""A piece of a stream: milliseconds since the call began, characters of text, characters of reasoning."""


class Sample(Struct):
    """An answer that a call asks for, among those to equal requests, where answers are kept to be replayed."""

    keeper: Any
    """Who keeps them."""
    request: str
    """The digest of the request."""
    number: int
    """0 for the first of equal requests in a run, 1 for the second ..."""
    paced: bool
    """Whether a stream that is replayed takes its time."""
    pieces: list[Piece] = field(default_factory=list)
    """The pieces of the stream: noted while they arrive, or those to be replayed."""


class CallFacts(Struct, frozen=True):
    """A call as it is known before anything is sent."""

    id: str
    """Unique, made for this call."""
    provider: str
    model: str
    """The model's name on the wire."""
    protocol: str
    stream: bool
    """The answer was requested in pieces."""
    cell: str | None = None
    """The notebook cell that made the call; None outside of notebooks."""
    tags: tuple[str, ...] = ()
    """What `tag` says about the call, the outermost block first."""
    blocks: tuple[object, ...] = ()
    """What `open_block` says about the call, the outermost block first."""
    url: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    """What is sent, and where to: never a header, so never a key. A provider that moves with each run is named instead
    of its address; where images are fetched first, the body has the conversation and the options."""
    conversation: Conversation | None = None
    """What is asked, fitted to the model."""
    sample: Sample | None = None
    """None where no answers are kept."""
    list_options: Callable[[], dict[str, Any]] | None = None
    """Lists the options that were given and are in the body, by their names in `ExecuteOptions`."""
    started: float = 0.0
    """When it began, by `time.monotonic`."""
    find_ceiling: Callable[[], Ceiling] | None = None
    """Works out the most that the call may cost."""

    __repr__ = hide_fields("body", "conversation", "sample", "list_options", "find_ceiling")

    @property
    def model_id(self) -> str:
        """The model id, `provider/model`."""
        return f"{self.provider}/{self.model}"


class Observer(Protocol):
    """Is told of every call of the process: `begin` in the order of the observers, `end` once, whatever happened."""

    def begin(self, call: CallFacts) -> ChatCompletion | None:
        """Look at a call before it is sent.

        May raise an NbkitError (a budget): nothing is sent, and the caller gets the error. May return the completion
        (a replay): nothing is sent, and the observers after this one are not asked.
        """

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """Take note of what came of a call.

        `completion` is whole, or what came until the answer broke off or was left; None where nothing came. Anything
        raised here is logged and never costs the answer.
        """


class Origin(Struct, frozen=True):
    """Where calls come from."""

    cell: str | None = None
    tags: tuple[str, ...] = ()
    blocks: tuple[object, ...] = ()
    """What else the blocks around them say (`open_block`)."""
    watched: bool = False
    """Whether a person sees the pieces of their answers arrive."""

    def join(self, blocks: tuple[object, ...]) -> Origin:
        """Return it with further blocks around the calls."""
        return replace(self, blocks=(*self.blocks, *(block for block in blocks if block not in self.blocks)))


_UNKNOWN = Origin()
_running = ""  # the cell that the kernel runs now
_inherited: ContextVar[Origin | None] = ContextVar("nbkit_origin", default=None)
_open: list[Origin] = []  # of the blocks of `open_block`, for threads that are started in them: they inherit no context


def set_running_cell(cell: str | None) -> None:
    """Say which cell the kernel runs from now on; None: none."""
    global _running  # noqa: PLW0603 - one kernel runs one cell at a time
    _running = cell or ""


def find_origin() -> Origin:
    """Find where a call made here comes from: that of `at_origin`, else the running cell and the open blocks."""
    origin = _inherited.get() or (_open[-1] if _open else _UNKNOWN)
    return origin if origin.cell or not _running else replace(origin, cell=_running)


def running_cell() -> str | None:
    """Find the notebook cell to which a call made here belongs."""
    return find_origin().cell


@contextmanager
def at_origin(origin: Origin) -> Iterator[None]:
    """Make the calls of a block come from there, also those of the tasks that are started in it."""
    token = _inherited.set(origin)
    try:
        yield
    finally:
        _inherited.reset(token)


@contextmanager
def open_block(*blocks: object, tags: tuple[str, ...] = ()) -> Iterator[None]:
    """Say something about all calls of a block: they have `blocks` and `tags`, after those of the blocks around it.

    The tasks and the threads that are started in the block belong to it, and so do the follow-ups of a comparison that
    began in it.
    """
    around = _inherited.get() or (_open[-1] if _open else _UNKNOWN)
    all_tags = tuple(dict.fromkeys((*around.tags, *tags)))
    origin = replace(around, tags=all_tags, blocks=(*around.blocks, *blocks))
    _open.append(origin)
    try:
        with at_origin(origin):
            yield
    finally:
        _open.remove(origin)


@contextmanager
def tag(*names: str) -> Iterator[None]:
    """Mark all calls of a block: `with nbkit.tag("experiment-3"): ...`; `nbkit.ledger(tag="experiment-3")` has them.

    Blocks may be nested: a call has the tags of all of them. The tasks and the threads that are started in the block
    belong to it, and so do the follow-ups of a comparison that began in it. Raises ConfigError for what is not a name.
    """
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError("tag(): expected a name, as in tag('experiment-3')")
    with open_block(tags=names):
        yield
