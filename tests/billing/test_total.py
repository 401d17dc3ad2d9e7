"""The running total: an observer of calls, by model and by cell."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from nbkit.billing.entry import CallFacts, Origin, at_origin, find_origin, set_running_cell
from nbkit.billing.total import RunningTotal, Sum
from nbkit.conversation.completion import Bill, ChatCompletion
from nbkit.errors import RateLimitError


def paid(usd):
    return ChatCompletion("", bill=Bill(usd, "catalog"))


def call(model="x", cell=None):
    return CallFacts("1", "a", model, "openai-chat", stream=False, cell=cell)


def test_calls_are_added_by_model_and_unknown_costs_are_counted():
    total = RunningTotal()
    assert (total.total(), str(total.total())) == (Sum(), "$0")
    total.end(call(), paid(0.25), None)
    total.end(call(), paid(0.5), None)
    assert (total.total().cost, str(total.total())) == (0.75, "$0.75")
    total.end(call("y"), paid(None), None)
    assert total.by_model() == {"a/x": Sum(2, Decimal("0.75"), 0), "a/y": Sum(1, Decimal(0), 1)}
    assert total.total().cost is None
    assert str(total.total()) == "$0.75 + 1 unknown"
    assert str(total.by_model()["a/y"]) == "unknown"


def test_a_call_that_failed_counts_where_it_has_cost_something():
    total = RunningTotal()
    total.end(call(), None, RateLimitError("slow down"))
    assert total.total() == Sum()
    total.end(call(), paid(0.1), RateLimitError("slow down"))
    assert total.total() == Sum(1, Decimal("0.1"), 0)


def test_the_sums_are_decimal():
    total = RunningTotal()
    for _ in range(3):
        total.add("a/x", paid(0.1))
    assert total.total().usd == Decimal("0.3")
    assert total.total().cost == 0.3


def test_calls_belong_to_the_cell_that_made_them():
    total = RunningTotal()
    set_running_cell("cell-1")
    try:
        total.end(call(cell=find_origin().cell), paid(1.0), None)
        with ThreadPoolExecutor(1) as pool:  # a thread of the cell's own
            assert pool.submit(find_origin).result().cell == "cell-1"
        set_running_cell("cell-2")
        with at_origin(Origin("cell-1")):
            total.end(call(cell=find_origin().cell), paid(2.0), None)
        total.end(call(cell=find_origin().cell), paid(4.0), None)
    finally:
        set_running_cell(None)
    total.end(call(cell=find_origin().cell), paid(8.0), None)
    assert {cell: one.cost for cell, one in total.by_cell().items()} == {"cell-1": 3.0, "cell-2": 4.0, None: 8.0}


def test_many_threads_lose_nothing():
    total = RunningTotal()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: total.add(f"m/{number % 3}", paid(1.0)), range(3000)))
    assert total.total() == Sum(3000, Decimal(3000), 0)
