"""A panel in plain Python: every call goes to a real server on 127.0.0.1."""

import asyncio
import threading

import pytest
from engines import engines
from interrupts import call_when_main_waits, interrupt_when_main_waits
from scripted_models import PATIENCE, Scripted, wait_for

from nbkit.adapters.run import ToolResult
from nbkit.billing.entry import Origin, at_origin
from nbkit.billing.total import TOTAL, Sum
from nbkit.bulk.panel import Panel
from nbkit.errors import ConfigError, ConversationError, ModelNotFoundError, RateLimitError, StreamError, ToolLoopError


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 °C in {city}"


class Log:
    """A listener that writes down what it is called with."""

    def __init__(self):
        self.entries, self.threads = [], set()

    def begin(self, pane, retry):
        self._add("retry" if retry else "begin", pane.label, pane.answers[-1].prompt)

    def receive(self, pane, event):
        self._add("tool" if isinstance(event, ToolResult) else "chunk", pane.label, getattr(event, "text", event))

    def end(self, pane):
        self._add("end", pane.label, pane.answers[-1].status)

    def rest(self):
        self._add("rest")

    def _add(self, *entry):
        self.entries.append(entry)
        self.threads.add(threading.current_thread().name)

    def of(self, label):
        return [entry for entry in self.entries if entry[1:2] == (label,)]


class Bell:
    """A listener that releases a semaphore at one kind of event."""

    def __init__(self, name):
        self.name, self.rung = name, threading.Semaphore(0)

    def __getattr__(self, name):
        return lambda *args: self.rung.release() if name == self.name else None


def texts(panel):
    return {label: completion and completion.text for label, completion in panel.completions.items()}


def turns_of(conversation):
    return [(turn.role, turn.text) for turn in conversation]


@engines
def test_all_models_get_the_prompt_and_the_options():
    models = [Scripted("a", ["Hel", "lo"]), Scripted("b", ["Good day"])]
    panel = Panel(models, temperature=0.5)
    assert panel.completions == {}
    assert panel.ask("Hi") is panel
    assert texts(panel) == {"scripted/a": "Hello", "scripted/b": "Good day"}
    for model in models:
        assert (model.prompts, model.requests[0]["temperature"]) == ([[("user", "Hi")]], 0.5)
    assert (panel.errors, panel.busy) == ({}, False)
    assert repr(panel) == "<Panel of scripted/a, scripted/b: 2 answers, $0.000023>"


@engines
def test_the_demo_models_answer_by_their_ids():
    panel = Panel(["demo/swift", "demo/sage"]).ask("echo: **Hello**")
    assert texts(panel) == {"demo/swift": "**Hello**", "demo/sage": "**Hello**"}
    assert panel.cost > 0


@engines
def test_one_model_needs_no_list_and_may_take_part_twice():
    assert texts(Panel("demo/swift").ask("echo: Hi")) == {"demo/swift": "Hi"}
    panel = Panel([Scripted("a", ["one"]), Scripted("a", ["two"]), Scripted("a", ["three"])]).ask("Hi")
    assert texts(panel) == {"scripted/a": "one", "scripted/a #2": "two", "scripted/a #3": "three"}
    assert [pane.name for pane in panel.panes] == ["A", "A #2", "A #3"]


@engines
def test_asking_returns_at_once_and_a_later_question_waits_for_its_turn():
    gate = threading.Event()
    slow, fast = Scripted("slow", [gate, "1"], ["2"]), Scripted("fast", ["one"], ["two"])
    panel = Panel([slow, fast]).ask("First").ask("Second")
    wait_for(slow.requested)
    wait_for(fast.requested)
    with pytest.raises(TimeoutError, match=r"not finished after 0\.05 s"):
        panel.wait(timeout=0.05)
    assert (len(slow.requests), len(fast.requests), panel.busy) == (1, 1, True)
    gate.set()
    panel.wait(PATIENCE)
    expected = [("user", "First"), ("assistant", "one"), ("user", "Second")]
    assert fast.prompts[1] == expected
    assert turns_of(panel.conversations["scripted/fast"]) == [*expected, ("assistant", "two")]
    assert turns_of(panel.conversations["scripted/slow"])[1::2] == [("assistant", "1"), ("assistant", "2")]


@engines
def test_all_models_answer_at_the_same_time():
    together = threading.Barrier(8)  # nobody passes alone
    panel = Panel([Scripted(f"m{number}", [together, "Hi"]) for number in range(8)]).ask("Hi").wait(PATIENCE)
    assert set(texts(panel).values()) == {"Hi"}


@pytest.mark.parametrize(
    ("models", "options", "error"),
    [
        (["demo/swift", "nobody/anything"], {}, ModelNotFoundError),
        ([], {}, ConfigError),
        (["demo/swift"], {"temprature": 1}, ConfigError),
    ],
)
def test_mistakes_raise_when_the_panel_is_made(models, options, error):
    with pytest.raises(error):
        Panel(models, **options)


@engines
@pytest.mark.parametrize("prompt", [[], [{"role": "assistant", "content": "Hi"}]])
def test_a_prompt_ends_with_the_users_turn(prompt):
    model = Scripted("a")
    panel = Panel(model)
    with pytest.raises(ConversationError):
        panel.ask(prompt)
    assert (panel.rows(), model.requests) == ([], [])


@engines
def test_the_listener_is_called_in_order_on_the_portal():
    models = [Scripted("a", ["Hel", "lo"]), Scripted("b", ["Bye"])]
    log = Log()
    Panel(models, listener=log).ask("Hi").ask("Again").wait(PATIENCE)
    half = len(log.entries) // 2
    for entries, prompt in ((log.entries[:half], "Hi"), (log.entries[half:], "Again")):
        assert entries[:2] == [("begin", "scripted/a", prompt), ("begin", "scripted/b", prompt)]
        assert entries[-1] == ("rest",)
        of_a = [entry for entry in entries if entry[1:2] == ("scripted/a",)]
        assert [entry[0] for entry in of_a] == ["begin", "chunk", "chunk", "chunk", "end"]
        assert "".join(text for kind, _, text in of_a if kind == "chunk") == "Hello"
        assert of_a[-1][2] == "done"
    assert log.threads == {"nbkit-portal"}


@engines
def test_a_broken_listener_costs_no_answer():
    class Broken(Log):
        def receive(self, pane, event):
            raise ZeroDivisionError("a bug of the listener")

    model, log = Scripted("a", ["Hello"]), Broken()
    panel = Panel(model, listener=log).ask("Hi")
    with pytest.raises(ZeroDivisionError, match="of the listener"):
        panel.wait(PATIENCE)
    (pane,) = panel.panes
    assert (pane.answers[-1].status, pane.answers[-1].text) == ("done", "Hello")
    assert log.entries[-2:] == [("end", "scripted/a", "done"), ("rest",)]
    assert panel.running_total.total().calls == 1


@engines
def test_stop_keeps_what_arrived_closes_the_sockets_and_drops_what_waits():
    bell = Bell("receive")
    models = [Scripted("a", ["so far", None], ["next"]), Scripted("b", [None], ["next"])]
    panel = Panel(models, listener=bell).ask("One").ask("Two")
    wait_for(bell.rung)
    wait_for(models[1].requested)
    panel.stop()
    panel.wait(PATIENCE)
    for model in models:
        wait_for(model.hung_up)
    assert [pane.answers[-1].status for pane in panel.panes] == ["stopped", "stopped"]
    assert texts(panel)["scripted/a"] == "so far"
    assert panel.completions["scripted/a"].bill.source == "partial"
    assert panel.cost > 0
    assert [len(pane.answers) for pane in panel.panes] == [1, 1]  # "Two" is never asked
    panel.ask("Three").wait(PATIENCE)
    assert models[0].prompts[1] == [("user", "One"), ("assistant", "so far"), ("user", "Three")]
    assert models[1].prompts[1] == [("user", "One"), ("user", "Three")]


@engines
def test_a_stop_before_anything_was_sent_costs_nothing():
    model = Scripted("a")
    panel = Panel(model)
    panel.listener = Stopper(panel)
    panel.ask("Hi").wait(PATIENCE)
    assert [pane.answers[-1].status for pane in panel.panes] == ["stopped"]
    assert (panel.spent, panel.completions, model.requests) == (Sum(), {"scripted/a": None}, [])


class Stopper(Log):
    """Stops the panel when a turn begins."""

    def __init__(self, panel):
        super().__init__()
        self.panel = panel

    def begin(self, pane, retry):
        self.panel.stop()


@engines
def test_a_failure_stays_in_its_pane():
    models = [
        Scripted("a", ["fine"]),
        Scripted("b", [RateLimitError("too many")]),
        Scripted("c", ["half", StreamError("broken")]),
        Scripted("d", [ZeroDivisionError("a bug")]),
    ]
    panel = Panel(models).ask("Hi")
    errors = {label: type(error) for label, error in panel.errors.items()}
    assert errors == {"scripted/b": RateLimitError, "scripted/c": StreamError, "scripted/d": ZeroDivisionError}
    assert texts(panel) == {"scripted/a": "fine", "scripted/b": None, "scripted/c": "half", "scripted/d": None}
    assert panel.spent.calls == 2  # the partial answer was paid for
    assert turns_of(panel.conversations["scripted/c"]) == [("user", "Hi")]


@engines
def test_retry_asks_a_model_that_failed_and_no_other():
    log = Log()
    models = [
        Scripted("a", ["fine"]),
        Scripted("b", [RateLimitError("too many")], ["half", StreamError("")], ["better"]),
    ]
    panel = Panel(models, listener=log).ask("Hi").wait(PATIENCE)
    for _ in range(3):  # the third finds nothing to do
        for pane in panel.panes:
            panel.retry(pane)
        panel.wait(PATIENCE)
    assert (len(models[0].requests), len(models[1].requests)) == (1, 3)
    assert models[1].prompts == [[("user", "Hi")]] * 3
    assert (texts(panel)["scripted/b"], panel.errors) == ("better", {})
    assert turns_of(panel.conversations["scripted/b"]) == [("user", "Hi"), ("assistant", "better")]
    assert panel.spent.calls == 3  # with the half answer
    of_b = [f"{kind} {detail}" for kind, _, detail in log.of("scripted/b") if kind != "chunk"]
    assert of_b == ["begin Hi", "end failed", "retry Hi", "end failed", "retry Hi", "end done"]
    with pytest.raises(ValueError, match="another panel"):
        panel.retry(Panel(models).panes[0])


@engines
def test_a_question_waits_for_a_retry_too():
    gate = threading.Event()
    model = Scripted("a", [RateLimitError("too many")], [gate, "one"], ["two"])
    panel = Panel(model).ask("First").wait(PATIENCE)
    panel.retry(panel.panes[0])
    wait_for(model.requested)
    wait_for(model.requested)
    panel.ask("Second")
    gate.set()
    panel.wait(PATIENCE)
    assert model.prompts[2] == [("user", "First"), ("assistant", "one"), ("user", "Second")]


@engines
def test_tools_are_called_and_stand_in_the_answer():
    log = Log()
    panel = Panel(["demo/swift", "demo/sage"], listener=log, tools=[get_weather]).ask("The weather in Rome?")
    for label, text in texts(panel).items():
        assert "21 °C in Rome" in text
        kinds = [entry[0] for entry in log.of(label)]
        assert kinds.count("tool") == 1
        assert kinds.index("tool") < len(kinds) - 2  # the answer follows
        assert [turn.role for turn in panel.conversations[label]] == ["user", "assistant", "tool", "assistant"]
    (result,) = [part for part in panel.panes[0].answers[-1].parts if isinstance(part, ToolResult)]
    assert result.content == "21 °C in Rome"
    assert panel.spent.calls == 4


@engines
def test_a_retry_does_not_do_again_what_the_tools_did():
    calls = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        calls.append(city)
        return f"21 °C in {city}"

    panel = Panel("demo/swift", tools=[get_weather], max_turns=1).ask("The weather in Rome?")
    assert [type(error) for error in panel.errors.values()] == [ToolLoopError]
    assert calls == []
    panel.retry(panel.panes[0])
    assert "21 °C in Rome" in texts(panel)["demo/swift"]
    assert (calls, panel.spent.calls) == (["Rome"], 2)


@engines
def test_rows_are_plain_dicts():
    models = [Scripted("a", ["Hel", "lo"], ["Bye"]), Scripted("b", [RateLimitError("no")], ["Ciao"], price=None)]
    rows = Panel(models).ask("Hi").ask("Bye").rows()
    keys = ("model", "turn", "prompt", "text", "status", "output_tokens", "cost", "error")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("scripted/a", 1, "Hi", "Hello", "done", 2, 12e-6, None),
        ("scripted/b", 1, "Hi", "", "failed", None, None, "scripted/b: no (HTTP 429)"),
        ("scripted/a", 2, "Bye", "Bye", "done", 1, 11e-6, None),
        ("scripted/b", 2, "Bye", "Ciao", "done", 1, None, None),
    ]
    assert all(type(row) is dict for row in rows)


@engines
def test_the_sum_agrees_with_the_total_of_the_process(engine):
    broken = [Scripted("b", ["half", StreamError("")], ["whole"]), Scripted("c", price=None)]
    before = TOTAL.total()
    with at_origin(Origin(cell := f"cell 1 on {engine}")):
        panel = Panel(["demo/swift", Scripted("a"), *broken], tools=[get_weather])
    panel.ask("The weather in Rome?").wait(PATIENCE)
    panel.retry(panel.panes[2])
    spent, after = panel.spent, TOTAL.total()
    assert (spent.calls, spent.unknown, panel.cost) == (6, 1, None)
    assert (spent.calls, spent.usd) == (after.calls - before.calls, after.usd - before.usd)
    assert panel.running_total.by_cell() == {cell: spent}
    assert TOTAL.by_cell()[cell] == spent  # a retry, too, belongs to the cell that made the panel


@engines
def test_awaiting_in_a_running_loop_does_not_block_it():
    async def cell():
        gate = threading.Event()
        panel = Panel(Scripted("a", [gate, "Hi"])).ask("Hi")
        waiting = asyncio.ensure_future(_await(panel))
        for _ in range(5):  # the loop turns while the panel waits
            await asyncio.sleep(0.001)
            assert not waiting.done()
        gate.set()
        assert await waiting is panel
        return texts(panel)

    assert asyncio.run(cell()) == {"scripted/a": "Hi"}


async def _await(panel):
    return await panel


@engines
def test_cancelling_the_await_stops_the_requests():
    model, bell = Scripted("a", ["so far", None], ["next"]), Bell("receive")

    async def cell():
        panel = Panel(model, listener=bell).ask("Hi").ask("Next")
        waiting = asyncio.ensure_future(_await(panel))
        await asyncio.to_thread(wait_for, bell.rung)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return panel

    panel = asyncio.run(cell())
    wait_for(model.hung_up)
    assert (texts(panel), len(model.requests)) == ({"scripted/a": "so far"}, 1)
    assert [answer.status for answer in panel.panes[0].answers] == ["stopped"]


@engines
def test_an_interrupt_while_waiting_stops_the_requests():
    model, bell = Scripted("a", ["so far", None], ["next"]), Bell("receive")
    panel = Panel(model, listener=bell).ask("Hi").ask("Next")
    wait_for(bell.rung)
    interrupt_when_main_waits()
    with pytest.raises(KeyboardInterrupt):
        panel.wait(PATIENCE)
    wait_for(model.hung_up)
    assert (texts(panel), len(model.requests)) == ({"scripted/a": "so far"}, 1)
    assert [answer.status for answer in panel.panes[0].answers] == ["stopped"]


@engines
def test_stopping_in_another_thread_ends_the_wait():
    panel = Panel(Scripted("a", [None])).ask("Hi")
    call_when_main_waits(panel.stop)
    panel.wait(PATIENCE)
    assert [answer.status for answer in panel.panes[0].answers] == ["stopped"]
