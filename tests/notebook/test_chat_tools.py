"""Chats whose models use tools: calls and results stand between the texts, live and in what is left of it."""

import re
from html.parser import HTMLParser

import pytest
from engines import engines
from kernels import Kernel, displays
from reader import Page

from nbkit import ChatCompletion
from nbkit.adapters.run import ToolResult
from nbkit.billing.total import TOTAL
from nbkit.bulk.answers import Answer, Pane, sum_completions
from nbkit.conversation.completion import Bill, Timing, Usage
from nbkit.conversation.content import Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import Conversation
from nbkit.errors import ToolLoopError
from nbkit.notebook.chat import Chat
from nbkit.notebook.compare import compare
from nbkit.notebook.deltas import Board
from nbkit.notebook.export import write_bundle, write_tool
from nbkit.rendering.markdown import render

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e```\n</pre><script>alert(2)</script>"


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 °C in {city}"


def broken_clock(city: str) -> str:
    """The time in a city."""
    raise ZeroDivisionError("no time")


def result(content="21 °C", arguments='{"city":"Paris"}', name="get_weather", error=None):
    return ToolResult(ToolCall(id="c1", name=name, arguments=arguments), content, error)


@engines
def test_a_chat_calls_the_functions_and_adds_up_all_turns():
    before = TOTAL.total()
    chat = Chat("demo/swift", tools=[get_weather, broken_clock])
    chat("What is the weather, and the clock, in Paris?")
    assert "> 21 °C in Paris\n\n> Error: ZeroDivisionError: no time" in chat.completion.text
    assert [turn.role for turn in chat.conversation] == ["user", "assistant", "tool", "tool", "assistant"]
    spent = TOTAL.total()
    assert spent.calls - before.calls == 2
    assert chat.cost == chat.completion.cost == float(spent.usd - before.usd)
    assert chat.completion.usage.output > 40
    chat("Thanks")
    assert [turn.role for turn in chat.conversation][-2:] == ["user", "assistant"]
    frame = chat._latest.to_frame()
    assert frame.status.tolist() == ["done"]


@engines
def test_a_comparison_calls_them_for_each_model_and_counts_all():
    done = compare("The weather in Rome?", ["demo/swift", "demo/sage"], tools=[get_weather])
    assert all("21 °C in Rome" in completion.text for completion in done.completions.values())
    assert done.spent.calls == 4
    assert done.to_frame().cost.sum() == pytest.approx(done.cost)


@engines
def test_a_limit_is_shown_in_the_pane_and_the_chat_goes_on():
    chat = Chat("demo/swift", tools=[get_weather], max_turns=1)("The weather in Rome?")
    with pytest.raises(ToolLoopError, match="not done after 1 answers"):
        _ = chat.completion
    assert "Failed: demo/swift: not done after 1 answers" in chat._latest._display.write_bundle()["text/plain"]
    assert chat.cost > 0
    assert chat("Never mind").completion.text
    assert [turn.role for turn in chat.conversation] == ["user", "user", "assistant"]  # the open call is left out


@engines
def test_retry_goes_on_with_the_calls_that_were_not_made():
    chat = Chat("demo/swift", tools=[get_weather], max_turns=1)("The weather in Rome?")
    chat._latest._display._handle({"type": "retry", "pane": 0})
    assert "> 21 °C in Rome" in chat.completion.text
    assert chat._latest._display.write_bundle()["text/html"].count("<details>") == 1
    assert chat._latest.spent.calls == 2


@engines
def test_tools_given_as_dicts_are_not_called():
    chat = Chat("demo/swift", tools=[{"name": "get_weather", "parameters": {"type": "object", "properties": {}}}])
    (call,) = chat("The weather?").completion.tool_calls
    assert call.name == "get_weather"
    output = {"role": "tool", "content": "21 °C", "tool_call_id": call.id}
    assert chat([output, "Well?"]).completion.text
    assert [turn.role for turn in chat.conversation] == ["user", "assistant", "tool", "user", "assistant"]


def test_calls_and_results_stand_between_the_texts_in_every_form():
    steps = ["Let me *see*.", result(), result("x" * 9000, '{"city"', error=ValueError("bad"))]
    answer = Answer("Weather?", "done", ChatCompletion("It is **21 °C**."), steps=steps)
    forms = write_bundle(
        [Pane("x/a", type("Named", (), {"name": "A", "model_id": "x/a"}), Conversation(), [answer])], ""
    )
    for form, text in forms.items():
        order = [text.index(part) for part in ("Let me", "get_weather", "get_weather({", "It is")]
        assert order == sorted(order), form
    assert 'get_weather(city="Paris") → 21 °C' in forms["text/markdown"]
    assert "… (9,000 characters)" in forms["text/plain"]
    assert len(forms["text/html"]) < 6000
    assert "<em>see</em>" in forms["text/html"]
    assert "</code> <b>failed</b></summary>" in forms["text/html"]


def test_an_answer_left_among_its_calls_is_not_shown_twice():
    calling = ChatCompletion("Let me see.", tool_calls=(result().call,))
    assert Answer("?", "stopped", calling, steps=["Let me see.", result()]).parts == ["Let me see.", result()]
    assert Answer("?", "failed", calling).parts == ["Let me see."]


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes


def test_nothing_of_a_call_becomes_html():
    for evil in (result(HOSTILE, name=HOSTILE), result(HOSTILE, HOSTILE), result("", f'{{"{"<b>"}": "<script>"}}')):
        html = Tags(write_tool(evil))
        assert html.tags <= {"details", "summary", "code", "b", "pre"}
        assert html.attributes == []
        assert not re.search("[\x1b\u202e]", write_tool(evil))
    answer = Answer("?", "done", ChatCompletion("fine"), steps=[result(HOSTILE, name=HOSTILE)])
    twin = write_bundle(
        [Pane("x/a", type("Named", (), {"name": "A", "model_id": "x/a"}), Conversation(), [answer])], ""
    )
    assert "````" in twin["text/markdown"]  # a fence that the result cannot close
    assert not re.search("[\x1b\u202e]", twin["text/plain"])


def test_the_live_view_has_them_in_order_and_late_views_too():
    board, page, late = Board([("A", "x/a")]), Page(), Page()
    page.receive(board.snapshot())
    turn = board.add(0, "Weather?")
    texts = ["Let me *se", "e*.\n\n```py\nopen = 1\n", "# It is\n\n21 ", "°C"]
    turn.feed(texts[0], "")
    page.receive(board.delta())
    turn.feed(texts[1], "")
    turn.insert(write_tool(result()))
    turn.insert(write_tool(result("🎉 again")))
    turn.feed(texts[2], "")
    page.receive(board.delta())
    late.receive(board.snapshot())
    turn.feed(texts[3], "")
    turn.finish("done", {"text": "", "strip": [], "notes": [], "problem": None})
    delta = board.delta()
    assert "final" not in delta["news"][0]
    page.receive(delta)
    late.receive(delta)
    before = "<p>Let me <em>see</em>.</p>\n<pre><code>open = 1\n</code></pre>\n"
    both = write_tool(result()) + write_tool(result("🎉 again"))
    assert page.html() == late.html() == before + both + render(texts[2] + texts[3])


def test_the_completions_of_a_run_are_added_up():
    first = ChatCompletion(
        "", usage=Usage(input=5, output=2), bill=Bill(0.1, "catalog", saved=0.01), timing=Timing(0.5, 1.0),
        reasoning_blocks=(Reasoning(text="Hm. "),),
    )  # fmt: skip
    last = ChatCompletion(
        "Done", usage=Usage(input=9, cache_read=5), bill=Bill(0.2, "estimate", notes=("a guess",), saved=0.02),
        timing=Timing(0.1, 2.0, 2),
    )  # fmt: skip
    both = sum_completions([first, last])
    assert (both.text, both.reasoning, both.cost, both.bill.source) == ("Done", "Hm. ", 0.3, "estimate")
    assert (both.bill.notes, both.bill.saved) == (("a guess",), 0.03)
    assert both.usage == Usage(input=14, output=2, cache_read=5)
    assert both.timing == Timing(0.5, 3.0, 3)
    unknown = sum_completions([first, ChatCompletion("?")])
    assert (unknown.usage, unknown.cost) == (None, None)
    assert sum_completions([]) is None


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    kernel.run("""
import threading, asyncio
go_on, searching = threading.Event(), threading.Event()
def get_weather(city: str) -> str:
    'The weather.'
    return f'21 °C in {city}'
async def get_time(city: str) -> str:
    'The time.'
    await asyncio.sleep(0.01)
    return 'noon'
def slow_search(words: str) -> str:
    'Searches.'
    searching.set()
    go_on.wait(120)
""")
    yield kernel
    kernel.run("go_on.set()")
    kernel.close()


def test_a_cell_shows_the_loop_and_leaves_it_readable(kernel):
    kernel.run("chat = Chat('demo/swift', tools=[get_weather, get_time]); chat('Weather and time in Paris?')")
    assert kernel.value("[chat.completion.finish_reason, chat.cost > 0, len(chat.conversation)]") == ["stop", True, 5]
    kernel.until(lambda: displays(kernel.messages, "text/html", "update_display_data"))
    page = Page()
    kernel.until(lambda: kernel.states(kernel.widget()))
    page.receive(kernel.states(kernel.widget())[-1])
    assert page.html().startswith("<details><summary><code>get_")
    assert "<pre>21 °C in Paris</pre>" in page.html()
    twin = displays(kernel.messages, "text/html", "update_display_data")[-1]
    assert "<pre>noon</pre>" in twin["text/html"]


def test_stop_ends_a_tool_that_takes_long(kernel):
    kernel.run("chat = Chat('demo/swift', tools=[slow_search]); chat('Search for x')")
    kernel.run("searching.wait(120); chat.stop(); chat._latest.wait(120)")
    status = (
        "[chat._latest._panel.panes[0].answers[-1].status, chat.completion.finish_reason, chat._latest.spent.calls]"
    )
    assert kernel.value(status) == ["stopped", "tool_calls", 1]
    kernel.run("chat('Hi'); chat._latest.wait(120)")
    assert kernel.value("[turn.role for turn in chat.conversation]") == ["user", "user", "assistant"]


def test_stop_in_the_middle_of_a_text_keeps_what_arrived(kernel):
    kernel.run("chat = Chat(Scripted('a', ['so far', None]), tools=[get_weather]); chat('Hi')")
    kernel.run("import time\nwhile chat._latest._panel.panes[0].answers[-1].status != 'streaming': time.sleep(0.02)")
    kernel.run("chat.stop(); chat._latest.wait(120)")
    assert kernel.value("[[turn.text for turn in chat.conversation], chat.completion.bill.source]") == [
        ["Hi", "so far"],
        "partial",
    ]
