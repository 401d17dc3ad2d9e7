"""What a cell shows: one output for each comparison. What no cell shows and nobody holds is not kept."""

import pytest
from kernels import Kernel, displays


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


def closed(kernel):
    """The comms of the widgets that were closed."""
    return [message["content"]["comm_id"] for message in kernel.messages if message["msg_type"] == "comm_close"]


def shown(messages):
    """What stands in each output, in the end: by its id."""
    kinds = ("display_data", "update_display_data")
    contents = [message["content"] for message in messages if message["msg_type"] in kinds]
    return {content["transient"]["display_id"]: content["data"] for content in contents}


def test_each_comparison_is_one_output_which_its_widget_finds(kernel):
    start = len(kernel.messages)
    kernel.run("c = [compare('Hi', [Scripted('a', [f'line {number}.'])]) for number in range(12)]", cell="loop")
    kernel.run("[one.wait(120) for one in c]; None")
    kernel.until(lambda: str(shown(kernel.messages[start:])).count("cost $") == 24)  # as HTML and as text
    outputs = list(shown(kernel.messages[start:]).values())
    assert [f"<p>line {number}.</p>" in outputs[number]["text/html"] for number in range(12)] == [True] * 12
    assert all(set(output) == {"text/html", "text/plain"} for output in outputs)
    opened = [m["content"]["data"]["state"] for m in kernel.messages[start:] if m["msg_type"] == "comm_open"]
    names = [state["twin"] for state in opened if state["_model_module"] == "anywidget"]
    assert [
        f'<div class="nbk-twin {name}">' in output["text/html"] for name, output in zip(names, outputs, strict=True)
    ]


def test_a_cell_that_runs_again_frees_its_answers(kernel):
    kernel.run("seen.clear()")
    for _ in range(3):
        kernel.run("for _ in range(2): show('Hello', ' you')", cell="again")
        kernel.run("c = show('Hello')", cell="held")
    assert kernel.value("count_alive()") == [0] * 6 + [3, 3, 4]  # what the cells show, and `c`
    kernel.run("1", cell="again")
    assert kernel.value("count_alive()") == [0] * 8 + [4]
    assert kernel.value("c.completions['scripted/a'].text") == "Hello"
    kernel.run("del c; show('Hello'); None", cell="deleted")
    kernel.run("1", cell="other", deleted=["deleted", "held"])
    assert kernel.value("count_alive()") == [0] * 10


def test_who_holds_a_comparison_can_show_it_again(kernel):
    kernel.run("c = show('Hello', ' you')", cell="first")
    kernel.run("1", cell="first")
    assert kernel.value("[c._display._screen._widget, c.completions['scripted/b'].text]") == [None, "Hello you"]
    messages = kernel.run("c", cell="second")
    (twin,) = displays(messages, "text/html")
    assert "Hello you" in twin["text/html"]
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
