from concurrent.futures import ThreadPoolExecutor

import pytest

from nbkit.billing.total import Sum, Tally, money
from nbkit.conversation.completion import Bill, ChatCompletion


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.00012, "$0.00012"),
        (0.0000004, "$0.00000040"),
        (0.0012345, "$0.0012"),
        (0.0996, "$0.100"),
        (0.5, "$0.50"),
        (1.234, "$1.23"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_never_rounds_a_cost_to_nothing(usd, text):
    assert money(usd) == text


def paid(usd):
    return ChatCompletion("", bill=Bill(usd, "catalog"))


def test_calls_are_summed_by_model_and_unknown_costs_are_said():
    tally = Tally()
    assert (tally.total(), str(tally.total())) == (Sum(), "$0")
    tally.record("a/x", paid(0.25))
    tally.record("a/x", paid(0.5))
    assert (tally.total().cost, str(tally.total())) == (0.75, "$0.75")
    tally.record("b/y", paid(None))
    assert tally.by_model() == {"a/x": Sum(2, 0.75, 0), "b/y": Sum(1, 0.0, 1)}
    assert tally.total().cost is None
    assert str(tally.total()) == "$0.75 + 1 unknown"
    assert str(tally.by_model()["b/y"]) == "unknown"


def test_calls_from_many_threads_are_all_counted():
    tally = Tally()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tally.record(f"m/{number % 3}", paid(1.0)), range(3000)))
    assert tally.total() == Sum(3000, 3000.0, 0)
