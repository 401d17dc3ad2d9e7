"""Budgets: what a call may cost is reserved before it is sent, so no budget is overspent, not by one call."""

import asyncio
import contextvars
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import nbkit
from nbkit.bookkeeping.budgets import describe_budgets
from nbkit.bookkeeping.ledger import transact
from nbkit.bookkeeping.reservations import _BOOKED, _SPENT, GRACE_SECONDS
from nbkit.bulk.panel import Panel
from nbkit.errors import ArgumentError, BadRequestError, BudgetExceededError, ConfigError, LedgerError
from nbkit.settings import override, settings

SPENDER = """
import asyncio, json, sys
import nbkit

adapter = nbkit.get_adapter("demo/sage")

async def ask():
    while True:
        try:
            return (await adapter.aexecute("Hi", max_tokens=400)).bill.total
        except nbkit.errors.BudgetExceededError as refusal:
            if not refusal.reserved:  # nothing is under way any more that could give something back
                return None
            await asyncio.sleep(0.05)

async def main():
    print(json.dumps(await asyncio.gather(*(ask() for _ in range(100)))))

asyncio.run(main())
"""
SLOW = """
import nbkit

with nbkit.get_adapter("demo/sage").stream("Hi", max_tokens=400) as stream:
    for _ in stream:
        print("streams", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with override(ledger=str(path)):
        yield path


@pytest.fixture
def environment(path, tmp_path):
    return os.environ | {
        "NBKIT_LEDGER": str(path),
        "NBKIT_OFFLINE": "1",
        "NBKIT_CACHE_DIR": str(tmp_path),
        "NBKIT_DEMO_TOKENS_PER_SECOND": "0",
        "NBKIT_BUDGET": "0.10/day",
    }


def sage():
    return nbkit.get_adapter("demo/sage")


def stream(adapter, **options):
    with adapter.stream("Hi", **options) as pieces:
        for _ in pieces:
            pass
    return pieces.completion


async def astream(adapter, **options):
    async with adapter.astream("Hi", **options) as pieces:
        async for _ in pieces:
            pass
    return pieces.completion


CALLS = {
    "execute": lambda adapter, **options: adapter.execute("Hi", **options),
    "aexecute": lambda adapter, **options: asyncio.run(adapter.aexecute("Hi", **options)),
    "stream": stream,
    "astream": lambda adapter, **options: asyncio.run(astream(adapter, **options)),
}
four = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
every = pytest.mark.parametrize("per", ["call", "block", "notebook", "day", "month"])


def read(path, what="call, amount, expires"):
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {what} FROM reservations").fetchall()  # noqa: S608


# ---- one process


@four
@every
def test_a_call_passes_or_is_refused_before_it_is_sent(path, call, per):
    with nbkit.budget(0.01, per=per) as budget:
        cost = call(sage(), max_tokens=100).cost
        with pytest.raises(BudgetExceededError) as refusal:
            call(sage(), max_tokens=10_000)
    assert budget.holds
    assert budget.reserved == 0
    assert budget.spent == pytest.approx(0 if per == "call" else cost)
    error = refusal.value
    assert (error.model, error.usd, error.per, error.reserved) == ("demo/sage", 0.01, per, 0)
    assert error.most > 0.15
    assert "demo/sage: nothing was sent. It may cost up to $0.15 (" in str(error)
    assert "10,000 answer tokens" in str(error)
    assert "of the budget of $0.01 " in str(error)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)  # noqa: S301 - our own
    assert len(nbkit.ledger()) == 1


def test_blocks_nest_and_each_budget_holds():
    with nbkit.budget(1) as outer, nbkit.budget(0.01) as inner:
        cost = sage().execute("Hi", max_tokens=50).cost
        with pytest.raises(BudgetExceededError, match=r"of the budget of \$0.01 for this block, \$0.*nbkit.budget"):
            sage().execute("Hi", max_tokens=1000)
    sage().execute("Hi", max_tokens=1000)  # after the blocks
    with outer:
        cost += sage().execute("Hi", max_tokens=50).cost
    assert outer.spent == pytest.approx(cost)
    assert inner.spent < outer.spent
    assert outer.left == pytest.approx(1 - cost)
    assert str(outer).startswith("$0.00")
    assert repr(outer) == f"<budget: {outer}>"


def test_threads_tasks_and_panels_belong_to_the_block():
    with ThreadPoolExecutor(20) as pool, nbkit.budget(0.02) as budget:

        def ask(_):
            try:
                return sage().execute("Hi", max_tokens=200).cost
            except BudgetExceededError:
                return None

        started = list(pool.map(ask, range(20)))
        copied = contextvars.copy_context().run(ask, 0)
    costs = [cost for cost in [*started, copied] if cost is not None]
    assert budget.spent == pytest.approx(sum(costs))
    assert budget.spent <= 0.02
    panel = Panel(["demo/sage", "demo/swift"], max_tokens=200)
    with nbkit.budget(0.0035) as later:
        panel.ask("Hi").wait()
    assert all(isinstance(error, BudgetExceededError) for error in panel.errors.values())
    assert 0 < later.spent <= 0.0035
    panel.ask("Again").wait()
    assert not panel.errors


def test_what_was_left_settles_at_its_part_and_what_failed_at_nothing(path):
    with override(demo_tokens_per_second=200), nbkit.budget(1) as block, nbkit.budget(1, per="day") as day:
        with sage().stream("Hi", max_tokens=300) as pieces:
            next(iter(pieces))
            assert block.reserved > 0.004
            assert day.reserved == block.reserved
        assert 0 < block.spent == pytest.approx(pieces.completion.cost)
        with pytest.raises(BadRequestError):
            sage().execute("Hi", max_tokens=9, extra_body={"messages": 5})
    assert block.reserved == day.reserved == 0
    assert block.spent == day.spent == pytest.approx(pieces.completion.cost)
    assert block.holds
    assert day.holds
    assert not read(path)


def test_a_stream_belongs_to_the_block_that_it_was_made_in():
    with nbkit.budget(0.001):
        pieces = sage().stream("Hi", max_tokens=1000)
    with pytest.raises(BudgetExceededError):
        pieces.completion  # noqa: B018


def test_a_call_in_flight_at_midnight_is_reserved_on_the_next_day_too(path):
    end = "2999-01-01T00:00:00.000000+00:00"
    with nbkit.budget(1, per="day") as day, transact() as execute:
        for name, expires in (("in flight", end), ("lost", None)):
            began = "2026-01-01T23:59:59.000000+00:00"
            execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?)", (name, began, None, "x", 0.5, expires))
    assert (day.spent, day.reserved) == (0, 0.5)


def test_a_call_that_is_cancelled_while_it_waits_for_the_disk_holds_nothing(path):
    async def main():
        sage().execute("Hi")
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(sage().aexecute("Hi", max_tokens=9))
            done, _ = await asyncio.wait({task}, timeout=0.2)  # the event loop goes on meanwhile
            assert not done
            task.cancel()
            other.execute("COMMIT")
        with pytest.raises(asyncio.CancelledError):
            await task

    with nbkit.budget(1, per="day") as day, nbkit.budget(1) as block:
        asyncio.run(main())
        assert day.reserved == block.reserved == 0
        assert day.spent == block.spent
    assert len(nbkit.ledger()) == 1


def test_each_call_of_a_run_with_tools_reserves_by_itself():
    def add(a: int, b: int) -> int:
        return a + b

    with nbkit.budget(0.01) as budget:
        run = sage().run("What is 2 + 3?", tools=[add], max_tokens=200)
        assert run.completion.text
    assert budget.spent == pytest.approx(run.cost)


# ---- several kernels


def test_two_processes_with_two_hundred_calls_never_overspend(path, environment):
    spenders = [
        subprocess.Popen([sys.executable, "-c", SPENDER], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(spender.communicate()[0]) for spender in spenders]
    costs = [Decimal(str(cost)) for costs in answers for cost in costs if cost is not None]
    with sqlite3.connect(path) as connection:
        booked = [Decimal(str(cost)) for (cost,) in connection.execute("SELECT cost FROM calls")]
    assert sorted(booked) == sorted(costs)
    assert all(cost is not None for cost in costs)
    assert sum(costs) <= Decimal("0.10")
    assert sum(costs) > Decimal("0.09")  # and little is left: no room for one call more
    assert len(costs) < 200
    with nbkit.budget(0.10, per="day") as budget:
        assert (budget.spent, budget.reserved) == (pytest.approx(float(sum(costs))), 0)


def test_what_a_killed_kernel_has_reserved_ends_with_the_deadline(path, environment):
    environment |= {"NBKIT_DEMO_TOKENS_PER_SECOND": "20"}
    with subprocess.Popen([sys.executable, "-c", SLOW], env=environment, stdout=subprocess.PIPE, text=True) as slow:
        assert slow.stdout.readline() == "streams\n"
        slow.send_signal(signal.SIGKILL)
    with nbkit.budget(1, per="day") as budget:
        assert 0.005 < budget.reserved < 0.01
        ((_, amount, expires),) = read(path)
        assert amount == budget.reserved
        with sqlite3.connect(path) as connection:
            ((began,),) = connection.execute("SELECT time FROM reservations")
            held = datetime.fromisoformat(expires) - datetime.fromisoformat(began)
            assert held == timedelta(seconds=settings().http_deadline + GRACE_SECONDS)
            connection.execute("UPDATE reservations SET expires = '2026-01-01T00:00:00.000000+00:00'")
        assert budget.reserved == 0
        assert budget.spent == 0


def test_what_was_reserved_or_paid_while_the_clock_was_ahead_holds_no_budget(path):
    sage().execute("Hi", max_tokens=200)  # makes the file
    with nbkit.budget(1, per="day") as day, nbkit.budget(1, per="month") as month:
        spent = day.spent
        with transact() as execute:
            for name, days in (("tomorrow", 2), ("next year", 365), ("in a minute", 0)):
                moments = [datetime.now(UTC) + timedelta(days=days, seconds=more) for more in (1, 700)]
                times = [one.isoformat(timespec="microseconds") for one in moments]
                execute(
                    "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?)", (name, times[0], None, "x", 0.25, times[1])
                )
            execute("UPDATE calls SET call = 'a', time = ?", ("2999-01-01T00:00:00.000000+00:00",))
        assert (day.reserved, month.reserved) == (0.25, 0.25)
        assert (day.spent, month.spent) == (0, 0)
        assert spent > 0


def test_a_teams_ledger_counts_alike(database, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/a.ipynb")

    def ask(_):
        try:
            return sage().execute("Hi", max_tokens=200).cost
        except BudgetExceededError:
            return None

    with (
        nbkit.budget(0.02, per="day") as day,
        nbkit.budget(1, per="month"),
        nbkit.budget(1, per="notebook") as notebook,
    ):
        with ThreadPoolExecutor(20) as pool:
            costs = [cost for cost in pool.map(ask, range(40)) if cost is not None]
        assert 0 < sum(costs) <= 0.02
        assert day.spent == notebook.spent == pytest.approx(sum(costs))
        assert day.reserved == 0
        with transact() as execute:
            now, end = datetime.now(UTC).isoformat(timespec="microseconds"), "2999-01-01T00:00:00.000000+00:00"
            execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?)", ("x", now, None, "another", 0.02, end))
        assert day.reserved == 0.02
        assert notebook.reserved == 0
        assert ask(0) is None


def test_a_notebook_has_what_it_spent_before(path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/a.ipynb")
    cost = sage().execute("Hi").cost
    budget = nbkit.budget(1, per="notebook")
    assert budget.spent == pytest.approx(cost)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/b.ipynb")
    assert budget.spent == 0


# ---- settings, and what is wrong


def test_the_setting_holds_for_all_calls(path):
    with override(budget="0.10/call, $0.004 per day, 50/month"):
        cost = sage().execute("Hi", max_tokens=100).cost
        with pytest.raises(BudgetExceededError, match=r"Raise it with NBKIT_BUDGET"):
            sage().execute("Hi", max_tokens=300)
        call, day, month = describe_budgets()
        assert call == "budget: at most $0.10 for each call"
        assert day.endswith(" of $0.0040 today")
        assert month.endswith(" of $50.00 this month")
        assert nbkit.budget(1, per="day").spent == pytest.approx(cost)


@pytest.mark.parametrize("text", ["5", "5/week", "five/day", "5/block", "unpriced=allow", "-1/day", "5/day; 6/month"])
def test_a_setting_that_cannot_be_read_is_an_error_not_a_hole(text):
    with override(budget=text), pytest.raises(ConfigError, match="NBKIT_BUDGET: expected something like 5/day"):
        sage().execute("Hi")


def test_what_cannot_be_kept_is_refused(tmp_path):
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ArgumentError):
            nbkit.budget(wrong)
    with pytest.raises(ArgumentError, match=r"budget\(\): per: expected one of call, block, .*, got 'week'"):
        nbkit.budget(1, per="week")
    with pytest.raises(ArgumentError, match="unpriced: expected one of refuse, allow, got 'no'"):
        nbkit.budget(1, unpriced="no")
    with override(ledger="off"):
        with pytest.raises(ConfigError, match="a budget per day counts what the ledger has, and NBKIT_LEDGER is off"):
            nbkit.budget(1, per="day")
        with override(budget="1/day"), pytest.raises(ConfigError, match="NBKIT_LEDGER is off"):
            sage().execute("Hi")
        with nbkit.budget(1), nbkit.budget(1, per="call"):
            sage().execute("Hi", max_tokens=9)
    folder = tmp_path / "folder"
    folder.mkdir()
    with override(ledger=str(folder)), pytest.raises(LedgerError, match="cannot be written"):
        nbkit.budget(1, per="day")
    with override(ledger=str(folder), budget="1/day"), pytest.raises(LedgerError, match="cannot be written"):
        sage().execute("Hi", max_tokens=9)


@pytest.mark.usefixtures("path")
def test_a_budget_looks_at_no_row_of_the_ledger_that_it_does_not_count():
    with transact() as execute:
        statements = _BOOKED, _SPENT.format("time >= '2026' AND time < '2027'")
        plans = [line for sql in statements for *_, line in execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert not [line for line in plans if line.startswith("SCAN calls")]
