"""What a cell shows: one static twin for several comparisons. What no cell shows and nobody holds is not kept."""

import pytest
from kernels import Kernel, displays

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    kernel.run("""
import gc, time, weakref
seen = []
def show(*answers):
    comparison = compare("Hi", [Scripted("a", list(answers)), Scripted("b", list(answers))])
    parts = comparison, comparison._panel, comparison._display, comparison._display._screen._widget
    seen.append([weakref.ref(part) for part in parts])
    return comparison.wait(120)
def count_alive():
    gc.collect()
    return [sum(ref() is not None for ref in refs) for refs in seen]
""")
    yield kernel
    kernel.close()


def twins(messages):
    """The text of each twin, as it is in the end."""
    shown = {}
    for message in messages:
        if message["msg_type"] in ("display_data", "update_display_data") and WIDGET not in message["content"]["data"]:
            shown[message["content"]["transient"]["display_id"]] = message["content"]["data"]
    return list(shown.values())


def closed(kernel):
    """The comms of the widgets that were closed."""
    return [message["content"]["comm_id"] for message in kernel.messages if message["msg_type"] == "comm_close"]


def test_the_comparisons_of_a_cell_have_one_twin(kernel):
    start = len(kernel.messages)
    kernel.run("for number in range(12): compare('Hi', [Scripted('a', [f'line {number}.'])])", cell="loop")
    assert len(displays(kernel.messages[start:], WIDGET)) == 12
    assert len(displays(kernel.messages[start:], "text/html")) == 2  # ten comparisons in one
    kernel.until(lambda: sum(twin["text/plain"].count("line") for twin in twins(kernel.messages[start:])) == 12)
    first, second = twins(kernel.messages[start:])
    assert [f"<p>line {number}.</p>" in first["text/html"] for number in range(12)] == [True] * 10 + [False] * 2
    assert set(second) == {"text/html", "text/plain"}
    kernel.run("1", cell="other")
    (twin,) = displays(kernel.run("compare('Hi', [Scripted('a')])", cell="other"), "text/html")
    assert "line" not in twin["text/html"]  # another cell has a twin of its own


def test_a_cell_that_runs_again_frees_its_answers(kernel):
    kernel.run("seen.clear()")
    for _ in range(3):
        kernel.run("for _ in range(2): show('Hello', ' you')", cell="again")
        kernel.run("c = show('Hello')", cell="held")
    assert kernel.value("count_alive()") == [0] * 6 + [3, 3, 4]  # what the cells show, and `c`
    kernel.run("1", cell="again")
    assert kernel.value("count_alive()") == [0] * 8 + [4]
    assert kernel.value("c.completions['scripted/a'].text") == "Hello"


def test_who_holds_a_comparison_can_show_it_again(kernel):
    kernel.run("c = show('Hello', ' you')", cell="first")
    kernel.run("1", cell="first")
    assert kernel.value("[c._display._screen._widget, c.completions['scripted/b'].text]") == [None, "Hello you"]
    messages = kernel.run("c", cell="second")
    assert len(displays(messages, WIDGET)) == 1
    assert "Hello you" in displays(messages, "text/html")[0]["text/html"]
    comm = kernel.widget()
    kernel.send(comm, {"type": "ready"})
    kernel.until(lambda: any(message["type"] == "snapshot" for message in kernel.sent(comm)))
    assert "Hello you" in str(kernel.sent(comm))


def test_what_is_cleared_is_let_go_unless_another_view_comes(kernel):
    kernel.run("from nbkit.notebook import outputs; outputs._GRACE = 0.1; seen.clear()")
    comms = []
    for cell in ("moved", "cleared"):
        kernel.run("show('Hello'); None", cell=cell)
        comms.append(kernel.widget())
        for kind in ("ready", "ready", "left") if cell == "moved" else ("ready", "left"):
            kernel.send(comms[-1], {"type": kind})
    kernel.until(lambda: closed(kernel)[-1:] == comms[1:])
    assert kernel.value("count_alive()") == [3, 0]
    kernel.send(comms[0], {"type": "left"})
    kernel.until(lambda: closed(kernel)[-1:] == comms[:1])
    assert kernel.value("count_alive()") == [0, 0]
