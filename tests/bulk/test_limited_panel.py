"""Panes whose calls wait for their turn, because of a rate limit."""

import threading

from engines import engines
from scripted_models import Scripted, wait_for
from test_panel import Bell, texts

from nbkit.adapters.limits import limit
from nbkit.bulk.panel import Panel
from nbkit.settings import override


@engines
def test_a_pane_says_that_a_rate_limit_holds_it_up():
    gate = threading.Event()
    model = Scripted("a", ["one", gate], ["two"])
    with override():
        limit(model.endpoint.base_url.split("/")[2], at_once=1)
        panel, waits = Panel([model, model]), []
        bell = Bell("hold")
        bell.hold = lambda pane, seconds: (waits.append((pane.label, seconds)), bell.rung.release())
        panel.listener = bell
        panel.ask("Hi")
        wait_for(bell.rung)
        gate.set()
        assert texts(panel) == {"scripted/a": "one", "scripted/a #2": "two"}
    assert waits == [("scripted/a #2", 0.0), ("scripted/a #2", None)]
    answer = panel.panes[1].answers[-1]
    assert answer.completion.timing.waited > 0
    assert answer.tokens_per_second > answer.completion.usage.completion_tokens / answer.completion.timing.total
