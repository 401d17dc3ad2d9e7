"""Tables of prompts and models, over real HTTP: who is asked what, in which order, for how much, and what is left."""

import asyncio
import threading
from decimal import Decimal

import pytest
from engines import engines
from scripted_models import PATIENCE, Scripted, wait_for

from nbkit.bulk.table import Table, get_status
from nbkit.errors import ConfigError, ModelNotFoundError, RateLimitError


def texts(table):
    return [[cell.answers[-1].text if cell.answers else None for cell in line] for line in table.cells]


def statuses(table):
    return [[get_status(cell) for cell in line] for line in table.cells]


@engines
def test_every_model_gets_every_prompt_and_the_options_once():
    models = [Scripted("a", ["1"]), Scripted("b", ["2", "2"])]
    table = Table(
        ["One", "Two", [{"role": "system", "content": "S"}, {"role": "user", "content": "Three"}]], models, seed=7
    )
    assert (statuses(table), table.busy, models[0].requests) == ([["waiting"] * 2] * 3, False, [])
    assert table.start().wait(PATIENCE) is table
    assert texts(table) == [["1", "22"]] * 3
    for model in models:
        received = sorted(tuple(prompt) for prompt in model.prompts)
        assert received == [(("system", "S"), ("user", "Three")), (("user", "One"),), (("user", "Two"),)]
        assert {body["seed"] for body in model.requests} == {7}
    assert table.spent.usd == Decimal("0.000069")
    assert [total.total().usd for total in table.totals] == [Decimal("0.000033"), Decimal("0.000036")]
    assert [(row["row"], row["model"], row["text"]) for row in table.rows()][:3] == [
        (0, "scripted/a", "1"),
        (0, "scripted/b", "22"),
        (1, "scripted/a", "1"),
    ]
    table.start().wait(PATIENCE)
    assert len(models[0].requests) == 3  # all answers are there


@engines
def test_each_model_gets_so_many_prompts_at_once_from_the_first_row_on():
    gate = threading.Event()
    slow, fast = Scripted("slow", [gate, "s"]), Scripted("fast", ["f"])
    table = Table([str(number) for number in range(6)], [slow, fast], at_once=2).start()
    for _ in range(6):
        wait_for(fast.requested)  # it does not wait for the slow one
    for _ in range(2):
        wait_for(slow.requested)
    assert sorted(prompt[0][1] for prompt in slow.prompts) == ["0", "1"]
    with pytest.raises(TimeoutError):
        table.wait(0.05)
    assert table.busy
    gate.set()
    table.wait(PATIENCE)
    assert (texts(table), table.busy) == ([["s", "f"]] * 6, False)


@engines
def test_a_stop_leaves_the_rest_and_start_goes_on():
    model = Scripted("a", ["so far", None], ["whole"])
    table = Table(["One", "Two", "Three"], model, at_once=1).start()
    wait_for(model.requested)
    while not table.cells[0][0]._text:
        assert table.busy
    table.stop()
    table.wait(PATIENCE)
    assert (statuses(table), texts(table)) == ([["stopped"], ["waiting"], ["waiting"]], [["so far"], [None], [None]])
    assert table.rows().__next__()["text"] == "so far"
    table.start().wait(PATIENCE)
    assert (statuses(table), texts(table)) == ([["done"]] * 3, [["whole"]] * 3)
    assert model.prompts[1] == [("user", "One")]  # not after its partial answer
    assert table.spent.calls == 4


@engines
def test_retry_asks_the_failed_ones_only():
    model = Scripted("a", [RateLimitError("too many")], ["better"])
    table = Table(["One", "Two"], [model, Scripted("b", ["fine"])], at_once=1).start().wait(PATIENCE)
    assert statuses(table) == [["failed", "done"], ["done", "done"]]
    table.retry().wait(PATIENCE)
    assert texts(table) == [["better", "fine"]] * 2
    assert len(model.requests) == 3


@engines
def test_awaiting_waits_and_an_error_of_a_follower_costs_no_answer():
    class Broken:
        def change(self, cell):
            raise ValueError("broken")

        def rest(self):
            self.rests = getattr(self, "rests", 0) + 1

    table = Table(["One", "Two", "Three"], Scripted("a", ["1"]), at_once=1)
    table.follower = Broken()

    async def join():
        return await table.start()

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(join())
    assert (texts(table), table.follower.rests) == ([["1"]] * 3, 1)


def test_an_estimate_is_by_tokens_first_and_by_the_answers_then():
    known, unknown = Scripted("a", ["1"]), Scripted("b", ["2"], price=None)
    table = Table(["word " * 100] * 3, [known, unknown], max_tokens=50)
    first = table.estimate(table.places)
    assert (first.calls, first.unknown) == (6, 3)
    assert Decimal("0.0004") < first.usd < Decimal("0.0006")  # three times about 100 tokens and 50, $1 a million
    table.start().wait(PATIENCE)
    assert table.estimate(table.places).usd == Decimal("0.000033")  # what the three answers cost


def test_a_wrong_argument_is_an_error_at_once():
    with pytest.raises(ConfigError, match="no prompt"):
        Table([], "demo/swift")
    with pytest.raises(ConfigError, match="at_once"):
        Table(["Hi"], "demo/swift", at_once=0)
    with pytest.raises(ConfigError, match="did you mean temperature"):
        Table(["Hi"], "demo/swift", temprature=1)
    with pytest.raises(ModelNotFoundError):
        Table(["Hi"], ["demo/swfit"])
