"""The matrix of faults: a row in every protocol, streamed or not, sync or async, on each engine; and who judges it."""

import asyncio
import logging
import pickle
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from engines import ENGINES
from fault_player import Play
from fault_server import KEY
from protocol_bytes import Wire

import nbkit
from nbkit import errors
from nbkit.adapters.factory import get_adapter
from nbkit.protocols import PROTOCOLS
from nbkit.settings import override

WATCHDOG = 120.0
"""Seconds after which a call hangs; nothing else is timed."""
PATIENCE = 10
"""How many times longer the limits of a row are when it is tried again, for a machine that was busy."""
LOGGERS = ("nbkit", "httpx2", "httpcore2", "aiohttp", "asyncio")
PRICES = {"input": 1, "output": 2}


class Expect(NamedTuple):
    """What becomes of a call. `kind`: "answer", or names of errors with `|` between them."""

    kind: str
    words: str = ""
    """A pattern that the error's message has, or the text of the answer."""
    attempts: int = 1
    """How many requests are sent, and reach the server."""
    status: int | None = 0
    """Of the error; 0: not compared."""
    partial: Callable[[Wire], str] | None = None
    """Text that the error keeps; None: it has no partial completion, or an empty one."""
    also: Callable[[object], bool] = lambda outcome: True
    """What else must be true of the completion, or the error."""


@dataclass(frozen=True)
class Row:
    """A fault. `whole` is what calls that are not streamed give, `streamed` the others; None: not tried."""

    play: Callable[[Wire], Play]
    whole: Expect | None
    streamed: Expect | None
    limits: dict = field(default_factory=dict)
    """Settings; with some of them a call ends because time is up."""
    protocols: tuple = tuple(PROTOCOLS)
    recovers: bool = False
    """Whether a good answer to the next request is the answer of the call; then this is tried as well."""
    uncounted: bool = False
    """The time may be up before the server has read the request."""

    def expect(self, streamed):
        return self.streamed if streamed else self.whole


@dataclass(eq=False)
class Cell:
    """One call, and what came of it."""

    number: int
    row: Row
    wire: Wire
    asynchronous: bool
    engine: str
    recovers: bool
    result: object = None
    """The completion or the exception; None: it hangs."""
    texts: str = ""
    """The texts of the chunks."""

    def __str__(self):
        how = ("a" if self.asynchronous else "") + ("stream" if self.wire.streamed else "execute")
        return f"{self.wire.protocol} {how} {self.engine if self.asynchronous else ''}{' then good' * self.recovers}"

    @property
    def expected(self):
        expected = self.row.expect(self.wire.streamed)
        return Expect("answer", "Hello", attempts=2) if self.recovers else expected

    def adapter(self, player):
        plays = [self.row.play(self.wire)]
        player.script[self.number] = [*plays, Play(self.wire.good)] if self.recovers else plays
        return get_adapter(
            f"lab/m{self.number}",
            base_url=player.url(self.number),
            api_key=KEY,
            protocol=self.wire.protocol,
            cost=PRICES,
        )

    def call(self, player):
        adapter = self.adapter(player)
        try:
            if not self.wire.streamed:
                self.result = adapter.execute("Hi")
                return
            with adapter.stream("Hi") as stream:
                for chunk in stream:
                    self.texts += chunk.text
            self.result = stream.completion
        except Exception as error:  # noqa: BLE001  # it is judged
            self.result = error

    async def acall(self, player):
        adapter = self.adapter(player)
        try:
            if not self.wire.streamed:
                self.result = await adapter.aexecute("Hi")
                return
            async with adapter.astream("Hi") as stream:
                async for chunk in stream:
                    self.texts += chunk.text
            self.result = stream.completion
        except Exception as error:  # noqa: BLE001
            self.result = error


# ---- a row is played


_numbers = iter(range(1, 10**9))


def list_cells(row, engine):
    """The cells of a row that are tried together: sync ones with the first engine only."""
    for name in row.protocols:
        for streamed in (False, True):
            if row.expect(streamed) is None:
                continue
            for asynchronous in (False, True) if engine == ENGINES[0] else (True,):
                for recovers in (False, True) if row.recovers else (False,):
                    yield Cell(next(_numbers), row, Wire(name, streamed), asynchronous, engine, recovers)


def play(row, player, folder):
    """Play a row; return what is wrong, a line for each cell and problem. Those whose time was up have a second try."""
    problems = []
    for engine in ENGINES:
        cells = list(list_cells(row, engine))
        wrong = _play_together(cells, row.limits, player, folder / f"{engine}.sqlite3")
        if wrong and row.limits:
            again = [Cell(next(_numbers), row, cell.wire, cell.asynchronous, engine, cell.recovers) for cell in wrong]
            patient = {name: value * PATIENCE for name, value in row.limits.items()}
            wrong = _play_together(again, patient, player, folder / f"{engine}-again.sqlite3")
        problems += [(problem, str(cell)) for cell, several in wrong.items() for problem in several]
    return describe(problems)


def describe(problems):
    """A line for each problem, with the cells that have it: their numbers, ports and places in a text do not count."""
    cells = {}
    for problem, cell in problems:
        cells.setdefault(re.sub(r"\d+", "0", problem), (problem, []))[1].append(cell)
    return [f"{problem}\n    in {', '.join(several)}" for problem, several in cells.values()]


def _play_together(cells, limits, player, ledger):
    with override(http_engine=cells[0].engine, ledger=str(ledger), **limits), listening() as logged:
        threads = [cell for cell in cells if not cell.asynchronous]
        pool = ThreadPoolExecutor(max(len(threads), 1))
        futures = [pool.submit(cell.call, player) for cell in threads]
        asyncio.run(_gather([cell for cell in cells if cell.asynchronous], player))
        wait(futures, WATCHDOG)
        wrong = {cell: several for cell in cells if (several := [*judge(cell, player)])}
        if all(cell.result is not None for cell in cells):
            pool.shutdown()
            _wait_for_closing(cells, player)
        for cell in cells:
            if player.open[cell.number]:
                wrong.setdefault(cell, []).append("its connection is open")
        for cell, problem in [*judge_ledger(cells, nbkit.ledger()), *judge_logs(cells, logged)]:
            wrong.setdefault(cell, []).append(problem)
    return wrong


async def _gather(cells, player):
    tasks = [asyncio.create_task(cell.acall(player)) for cell in cells]
    if tasks:
        await asyncio.wait(tasks, timeout=WATCHDOG)


def _wait_for_closing(cells, player):
    end = time.monotonic() + WATCHDOG
    while any(player.open[cell.number] for cell in cells) and time.monotonic() < end:
        time.sleep(0.002)


@contextmanager
def listening():
    """All that any library logs, its debug messages included."""
    logged, handler = [], logging.Handler(logging.DEBUG)
    handler.emit = lambda record: logged.append(f"{record.getMessage()} {record.args}")
    before = [(logger, logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    for logger, *_ in before:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        yield logged
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


# ---- and judged


def judge(cell, player):
    """All that is wrong with a call."""
    result, expected = cell.result, cell.expected
    if result is None:
        yield "it hangs"
        return
    requests = player.requests[cell.number]
    attempts = getattr(result, "attempts", None) or (getattr(result, "timing", None) and result.timing.attempts)
    if attempts != expected.attempts:
        yield f"{attempts} attempts, not {expected.attempts}"
    if requests != expected.attempts and not (cell.row.uncounted and requests < expected.attempts):
        yield f"the server got {requests} requests, not {expected.attempts}"
    if isinstance(result, Exception):
        yield from judge_error(cell, result, expected)
    else:
        yield from judge_answer(cell, result, expected)
    if isinstance(result, Exception) == (expected.kind != "answer") and not expected.also(result):
        yield f"not as expected: {vars(result) if isinstance(result, Exception) else result!r}"


def judge_answer(cell, completion, expected):
    if expected.kind != "answer" or completion.text != (expected.words or "Hello"):
        yield f"an answer, {completion.text[:80]!r}, not {expected.kind} {expected.words!r}"
    if cell.wire.streamed and cell.texts != completion.text:
        yield f"its chunks say {cell.texts[:80]!r}"
    completion.text.encode()
    yield from judge_usage(completion)
    if completion.bill.source == "partial":
        yield "its bill is that of a part"


def judge_usage(completion):
    usage = completion.usage
    counts = [getattr(usage, bucket) for bucket in usage.__slots__] if usage else []
    if not all(isinstance(count, int) and 0 <= count <= 10**9 for count in counts):
        yield f"counts that cannot be: {usage}"
    if completion.usage is None and completion.bill and completion.bill.source == "catalog":
        yield f"a bill without usage: {completion.bill}"


def judge_error(cell, error, expected):
    if not isinstance(error, errors.AdapterError):
        yield f"{type(error).__name__}: {error}"
        return
    if type(error).__name__ not in expected.kind.split("|"):
        yield f"{type(error).__name__}, not {expected.kind}: {error}"
    if not re.search(expected.words, error.message):
        yield f"not the words {expected.words!r}: {error.message}"
    if (error.provider, error.model) != ("lab", f"m{cell.number}"):
        yield f"it names {error.provider}/{error.model}"
    if expected.status not in (0, error.status):
        yield f"status {error.status}, not {expected.status}"
    partial = error.partial.text if error.partial else ""
    if partial != (expected.partial(cell.wire) if expected.partial else ""):
        yield f"the partial text {partial[:80]!r}, the chunks {cell.texts[:80]!r}"
    if cell.texts != partial and cell.wire.streamed:
        yield f"its chunks say {cell.texts[:80]!r}, its partial {partial[:80]!r}"
    if error.partial and (error.partial.bill is None or error.partial.bill.source != "partial"):
        yield f"the bill of its part: {error.partial.bill}"
    if error.partial:
        yield from judge_usage(error.partial)
    yield from judge_texts(error)


def judge_texts(error):
    """No text is endless or shows the key, wherever Python keeps one."""
    if (error.__context__, error.__cause__) != (None, None):
        yield f"it holds {error.__context__ or error.__cause__!r}"
    if len(str(error)) > 1500 or len(error.body or "") > 2**16 or len(error.code or "") > 100:
        yield f"its texts are long: {str(error)[:80]}"
    if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", str(error)):
        yield f"control characters: {str(error)[:80]!r}"
    pickled = pickle.dumps(error)
    again = pickle.loads(pickled)  # noqa: S301  # our own
    if (type(again), str(again)) != (type(error), str(error)):
        yield f"pickled it is {again!r}"
    frames = traceback.walk_tb(error.__traceback__)
    local = [repr(frame.f_locals) for frame, _ in frames if "/tests/" not in frame.f_code.co_filename]
    if KEY[:12] in f"{error} {error!r} {vars(error)} {local}" or KEY[:12].encode() in pickled:
        yield "it shows the key"


def judge_ledger(cells, ledger):
    """Every call that was sent has one row, which says the same."""
    rows = Counter(ledger["model"])
    by_model = {row["model"]: row for row in ledger.to_dict("records")}
    for cell in cells:
        name, result = f"lab/m{cell.number}", cell.result
        if rows[name] != 1:
            yield cell, f"{rows[name]} rows in the ledger"
            continue
        row = by_model[name]
        broken = isinstance(result, Exception)
        status = ("partial" if getattr(result, "partial", None) else "failed") if broken else "done"
        attempts = getattr(result, "attempts", None) or (getattr(result, "timing", None) and result.timing.attempts)
        if (row["status"], row["attempts"]) != (status, attempts):
            yield cell, f"the ledger says {row['status']}, {row['attempts']} attempts, not {status}, {attempts}"


def judge_logs(cells, logged):
    if any(KEY[:12] in text for text in logged):
        yield cells[0], f"a log shows the key: {next(text for text in logged if KEY[:12] in text)[:200]}"
