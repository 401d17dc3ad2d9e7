"""Budgets and what a provider may do: no price, no usage, an attempt that may have been paid without an answer."""

import sqlite3

import pytest
from scripted_provider import WHOLE, Answer, whole
from test_calls import four

import nbkit
from nbkit.errors import BudgetExceededError, ProviderError, TransportError
from nbkit.settings import override

COST = {"input": 1, "output": 1}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with override(ledger=str(path)):
        yield path


def list_kept(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT call FROM reservations WHERE expires IS NULL").fetchall()


# ---- what has no price, and what costs nothing


def test_free_and_local_models_pass_and_unpriced_ones_are_refused(provider, caplog):
    with nbkit.budget(0) as budget:
        for cost in ({"input": 0, "output": 0}, None):
            provider.says(whole())
            provider.adapter(cost=cost).execute("Hi")
        with pytest.raises(
            BudgetExceededError, match="nothing was sent, because it may cost anything: the price of the"
        ):
            provider.adapter(cost={"input": 1}).execute("Hi", max_tokens=9)
        with pytest.raises(BudgetExceededError, match=r"its price is not known\..*unpriced='allow'"):
            nbkit.get_adapter("lab/m1", base_url="https://lab.example/v1", api_key="k" * 9).execute("Hi", max_tokens=9)
        with pytest.raises(BudgetExceededError, match="the length of the answer has no known limit: pass max_tokens="):
            provider.adapter(cost=COST).execute("Hi")
    assert budget.holds
    assert len(provider.requests) == 1
    with nbkit.budget(0, unpriced="allow") as budget:
        provider.says(whole())
        provider.adapter(cost={"input": 1}).execute("Hi", max_tokens=9)
    assert not budget.holds
    assert "the budget of $0 for this block no longer holds: what lab/m1 has cost is not known" in caplog.text
    assert "the cap no longer holds" in repr(budget)


def test_an_answer_without_a_cost_counts_at_its_reserved_amount(provider, path, caplog):
    priced = provider.adapter(cost=COST)
    with nbkit.budget(1) as block, nbkit.budget(1, per="day") as day:
        provider.says(whole({**WHOLE, "usage": None}))
        assert priced.execute("Hi", max_tokens=1000).cost is None
        assert block.spent == day.spent > 0.001
    assert not block.holds
    assert not day.holds
    assert caplog.text.count("no longer holds") == 2
    assert len(list_kept(path)) == 1


def test_an_answer_that_costs_more_than_its_price_list_says_is_counted_whole(provider, path, caplog):
    with nbkit.budget(0.001) as block, nbkit.budget(1, per="day") as day:
        provider.says(whole())  # 1,000 prompt tokens for one word
        cost = provider.adapter(cost=COST).execute("Hi", max_tokens=50).cost
        assert block.spent == day.spent == pytest.approx(cost)
    assert not block.holds
    assert not day.holds
    assert block.left == 0
    assert "no longer holds: lab/m1 has cost more than its price list says" in caplog.text


# ---- attempts that may have been paid


@four
def test_an_attempt_that_may_have_been_paid_is_counted(provider, path, call, good):
    priced = provider.adapter(cost=COST, max_retries=1)
    with nbkit.budget(1) as block, nbkit.budget(1, per="day") as day:
        provider.says(Answer(0), good())
        cost = call(priced, "Hi", max_tokens=5000).cost
        assert len(provider.requests) == 2
        assert block.spent == pytest.approx(day.spent)
        assert cost + 0.005 < block.spent < cost + 0.0052
        assert block.reserved == day.reserved == 0
    priced = provider.adapter(cost=COST, max_retries=1, api_key="sk-other-1234567890")  # no connection is kept
    with nbkit.budget(0.008), nbkit.budget(1, per="day"):
        provider.says(Answer(0), good())
        with pytest.raises(
            BudgetExceededError, match="it was not sent again, for the attempt before may have been paid"
        ):
            call(priced, "Hi", max_tokens=5000)
        assert len(provider.requests) == 1
    assert len(list_kept(path)) == 2


def test_a_call_that_was_refused_by_the_provider_costs_nothing_and_one_that_was_lost_counts(provider, path):
    priced = provider.adapter(cost=COST, max_retries=0)
    with nbkit.budget(1) as block, nbkit.budget(1, per="day") as day:
        provider.says(whole({"error": {"message": "no"}}, 500))
        with pytest.raises(ProviderError):
            priced.execute("Hi", max_tokens=1000)
        assert block.spent == day.spent == 0
        provider.says(Answer(0))
        with pytest.raises(TransportError):
            priced.execute("Hi", max_tokens=1000)
        assert block.spent == day.spent > 0.001
        assert block.holds
