"""A comparison in a real kernel, with the test as its view."""

import pytest
from kernels import Kernel, displays
from reader import Page

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


class View:
    """A view of the last widget."""

    def __init__(self, kernel):
        self.kernel, self.comm, self.page = kernel, kernel.widget(), Page()
        self.read = len(kernel.sent(self.comm))
        self.send(type="ready")

    def send(self, **content):
        self.kernel.send(self.comm, content)

    def catch_up(self):
        for message in self.kernel.sent(self.comm)[self.read :]:
            assert self.page.receive(message)
            self.read += 1
        return self.page

    def until(self, true):
        self.kernel.until(lambda: self.catch_up().foot is not None and true(self.page))
        return self.page


def idle(page):
    return not page.foot["busy"]


def transients(messages):
    """What identifies each output that is displayed."""
    return [message["content"]["transient"] for message in messages if message["msg_type"] == "display_data"]


def prints(kernel, text):
    return any(text in str(message["content"].get("text")) for message in kernel.messages)


def statuses(page, turn=0):
    return [page.turns[key]["status"] for key in sorted(page.turns) if key[1] == turn]


def test_it_returns_at_once_streams_and_leaves_a_static_twin(kernel):
    messages = kernel.run("""
gate = threading.Event()
c = compare('Hi', [Scripted('a', [*['Hel', 'lo'] * 10, gate, *['Hel', 'lo'] * 10]), Scripted('b', ['**Hi**'])])
""")
    (twin,) = [message["content"]["data"] for message in messages if message["msg_type"] == "display_data"]
    assert "nbkit comparison of 2 models: no answer yet" in twin["text/html"]
    assert set(twin) == {"text/html", "text/plain"}
    view = View(kernel)
    half = view.until(lambda page: (0, 0) in page.turns and page.html(0) == f"<p>{'Hello' * 10}</p>\n")
    assert not idle(half)
    kernel.run("gate.set()")
    page = view.until(idle)
    assert page.html(0) == f"<p>{'Hello' * 20}</p>\n"
    assert page.html(1) == "<p><strong>Hi</strong></p>\n"
    assert (page.titles[0]["name"], page.titles[0]["model"]) == ("A", "scripted/a")
    assert page.foot["totals"] == "this comparison $0.000061 · notebook $0.000061"
    assert (
        page.foot["ahead"] == "about $0.000029 for reading the conversation again"
    )  # 103 and 9 characters, four a token, $1 a million
    kernel.until(lambda: displays(kernel.messages, "text/html", "update_display_data"))
    kernel.run("1")
    twin = displays(kernel.messages, "text/html", "update_display_data")[-1]
    assert "Hello" * 20 in twin["text/html"]
    assert not [message for message in kernel.messages if message["msg_type"] == "stream"]


def test_messages_are_batched_and_end_with_the_answer(kernel):
    kernel.run("c = compare('Hi', [Scripted('a', ['word '] * 2000)])")
    view = View(kernel)
    view.until(idle)
    deltas = [message for message in kernel.sent(view.comm) if message["type"] == "delta"]
    assert len(deltas) <= 500  # of two thousand tokens: 20 a second, so this many on a machine that takes 25 s
    messages = len(kernel.sent(view.comm))
    kernel.run("import time; time.sleep(0.3)")
    assert len(kernel.sent(view.comm)) == messages


def test_stop_from_the_view_keeps_what_arrived(kernel):
    kernel.run("c = compare('Hi', [Scripted('a', ['so far', None]), Scripted('b', ['done'])])")
    view = View(kernel)
    view.until(lambda page: statuses(page) == ["streaming", "done"])
    view.send(type="stop")
    page = view.until(idle)
    assert statuses(page) == ["stopped", "done"]
    assert page.turns[0, 0]["end"]["notes"] == ["stopped by you"]
    values = kernel.value("[c.completions['scripted/a'].text, c.completions['scripted/a'].bill.source, c.cost > 0]")
    assert values == ["so far", "partial", True]


def test_a_follow_up_from_the_view_and_one_from_a_cell_queue_up(kernel):
    kernel.run("gate = threading.Event(); c = compare('One', [Scripted('a', ['1', gate, '1'], ['2'], ['3'])])")
    view = View(kernel)
    view.send(type="ask", text="Two")
    kernel.until(lambda: kernel.value("len(c._panel._work._futures)") == 2)  # the question is in the queue
    kernel.run("c.ask('Three'); gate.set()")
    page = view.until(lambda page: (0, 2) in page.turns and idle(page))
    assert [page.turns[0, turn]["prompt"] for turn in range(3)] == ["One", "Two", "Three"]
    assert [page.html(0, turn) for turn in (1, 2)] == ["<p>2</p>\n", "<p>3</p>\n"]
    assert kernel.value("[turn.text for turn in c.conversations['scripted/a']][2:]") == ["Two", "2", "Three", "3"]


def test_stop_drops_the_questions_that_wait(kernel):
    kernel.run("c = compare('One', [Scripted('a', [None], ['2'])])")
    view = View(kernel)
    view.until(lambda page: page.turns)
    kernel.run("c.ask('Two'); c.stop(); c.ask('Three'); c.wait(120)")
    assert kernel.value("[turn.text for turn in c.conversations['scripted/a']]") == ["One", "Three", "2"]
    hold = "hold = threading.Event(); portal.call(hold.wait, 120)"  # the question waits until stop has come
    kernel.run(f"{hold}; c = compare('One', [Scripted('a')]); c.stop(); hold.set(); c.wait(120)")
    View(kernel).send(type="retry", pane=0)  # of a question that was never asked
    assert kernel.value("[c.completions, len(c.to_frame()), c.cost]") == [{}, 0, 0]


def test_retry_asks_only_the_model_that_failed(kernel):
    kernel.run(
        "a, b = Scripted('a', ['Hi']), Scripted('b', [RateLimitError('too many')], ['better'])\n"
        "c = compare('Hi', [a, b])"
    )
    view = View(kernel)
    page = view.until(lambda page: statuses(page) == ["done", "failed"] and idle(page))
    assert page.turns[1, 0]["end"]["problem"] == ["scripted/b: too many (HTTP 429)", "Wait a little."]
    for pane in (0, 1, 7, "x"):  # only what has failed is asked again
        view.send(type="retry", pane=pane)
    page = view.until(lambda page: statuses(page) == ["done", "done"] and idle(page))
    assert page.html(1) == "<p>better</p>\n"
    assert kernel.value("[len(a.requests), len(b.requests), list(c.errors), c.completions['scripted/b'].text]") == [
        1,
        2,
        [],
        "better",
    ]


def test_a_second_view_and_a_reload_get_everything(kernel):
    model = "Scripted('a', [*['word '] * 30, gate, *['word '] * 30], reasoning='hm')"
    kernel.run(f"gate = threading.Event(); c = compare('Hi', [{model}])")
    first = View(kernel)
    first.until(lambda page: (0, 0) in page.turns and page.html().count("word") == 30)
    second = View(kernel)
    second.until(lambda page: page.html().count("word") == 30)
    kernel.run("gate.set()")
    second.until(idle)
    assert second.page.turns == first.until(idle).turns
    assert second.page.turns[0, 0]["think"] == "hm"
    kernel.until(lambda: kernel.states(first.comm))
    state = kernel.states(first.comm)
    without_kernel = Page()
    without_kernel.receive(state[-1])
    assert without_kernel.html() == first.page.html()
    assert without_kernel.turns[0, 0]["end"] == first.page.turns[0, 0]["end"]
    assert len(state) == 1  # set at the end of a turn only


def test_a_view_that_waits_for_long_learns_that_the_kernel_lives(kernel):
    kernel.run("c = compare('Hi', [Scripted('a', [None])])")
    view = View(kernel)
    view.send(type="ping")
    kernel.until(lambda: {"type": "pong"} in kernel.sent(view.comm))
    view.send(type="stop")
    view.until(idle)


def test_interrupting_a_waiting_cell_stops_the_requests(kernel):
    kernel.run("c = compare('Hi', [Scripted('a', ['so far', None])])")
    for wait in ("c.wait()", "await c"):
        kernel.run("import time\nwhile c._panel.panes[0].answers[-1].status != 'streaming': time.sleep(0.02)")
        watch = "call_when_main_waits(lambda: print('waiting'))"
        kernel.begin(f"{watch}\ntry: {wait}\nexcept BaseException as error: print('ended by', type(error).__name__)")
        kernel.until(lambda: prints(kernel, "waiting"))
        kernel.manager.interrupt_kernel()
        kernel.until(lambda: prints(kernel, "ended by"))
        kernel.messages.clear()
        assert kernel.value("[c.completions['scripted/a'].text, c._panel.panes[0].answers[-1].status]") == [
            "so far",
            "stopped",
        ]
        kernel.run("c = compare('Hi', [Scripted('a', ['so far', None])])")
    kernel.run("c.stop()")


def test_freezing_leaves_only_the_static_twin(kernel):
    start = len(kernel.messages)
    kernel.run("c = compare('Hi', [Scripted('a', ['Hello'])]); c.freeze()")
    kernel.run("1")
    messages = kernel.messages[start:]
    replaced = [m["content"] for m in messages if m["msg_type"] == "update_display_data"]
    (twin,) = [m["content"] for m in messages if m["msg_type"] == "display_data"]
    assert replaced[-1]["transient"] == twin["transient"]
    assert replaced[-1]["data"]["text/html"].startswith('<div class="nbk-static')
    assert "Hello" in replaced[-1]["data"]["text/markdown"]
    assert any(m["msg_type"] == "comm_close" for m in messages)
    messages = kernel.run("c.ask('More'); None")
    assert "More" in displays(messages, "text/markdown")[0]["text/html"]


def test_without_a_person_the_call_blocks_and_leaves_one_display(kernel):
    for code, person in (
        ("c = compare('Hi', [Scripted('a', ['Hel', 'lo'])])", False),
        ("with nbkit.settings.override(live=False): compare('Hi', [Scripted('a', ['Hello'])])", True),
    ):
        messages = kernel.run(code, person=person)
        kinds = [m["msg_type"] for m in messages if m["msg_type"] not in ("status", "execute_input")]
        assert kinds == ["display_data"]
        assert "Hello" in displays(messages, "text/markdown")[0]["text/plain"]


def test_the_value_of_the_cell_is_shown_once_and_of_a_later_cell_again(kernel):
    (first,) = transients(kernel.run("c = compare('Hi', [Scripted('a')]); c"))
    assert transients(kernel.run("c.ask('More')")) == [first]


def test_a_chat_streams_into_each_cell(kernel):
    (first,) = transients(kernel.run("chat = Chat(Scripted('a', ['Hello'], ['Fine'])); chat('Hi')"))
    (second,) = transients(kernel.run("chat('How are you?')"))
    assert second != first
    assert kernel.value("[turn.text for turn in chat.conversation]") == ["Hi", "Hello", "How are you?", "Fine"]
    page = View(kernel).until(idle)
    assert [turn["prompt"] for turn in page.turns.values()] == ["How are you?"]


def test_where_outputs_stand_apart_the_widget_is_displayed_beside_its_folded_twin(kernel):
    messages = kernel.run("c = compare('Hi', [Scripted('a', ['Hello'])]); c.wait(120); None", deleted=None)
    (twin,), (widget,) = displays(messages, "text/html"), displays(messages, WIDGET)
    assert '<details class="nbk-beside"><summary>static copy' in twin["text/html"]
    assert widget["text/plain"] == "nbkit chat; re-run to interact"
    assert widget[WIDGET]["model_id"] == kernel.widget()
    copy, emptied = displays(kernel.run("c.freeze()"), "text/html", "update_display_data")[-2:]
    assert "Hello" in copy["text/markdown"]
    assert emptied == {"text/html": "", "text/plain": ""}  # a closed widget reopens as "model not found"


def test_a_follow_up_from_the_view_belongs_to_the_cell_of_the_comparison(kernel):
    kernel.run("%load_ext nbkit")
    kernel.run("c = compare('Hi', [Scripted('a')])")
    view = View(kernel)
    view.until(idle)
    kernel.run("1")
    view.send(type="ask", text="More")
    view.until(lambda page: (0, 1) in page.turns and idle(page))
    kernel.run("from nbkit.billing.total import TOTAL; cells = c._panel.running_total.by_cell()")
    assert kernel.value("[[one.calls, cell is None] for cell, one in cells.items()]") == [[2, False]]
    assert kernel.value("[TOTAL.by_cell()[cell].calls for cell in cells]") == [2]
    kernel.run("%unload_ext nbkit")


def test_a_prompt_is_edited_and_the_branches_switched_from_the_view(kernel):
    kernel.run("c = compare('One', [Scripted('a', ['1'], ['2'], ['3']), Scripted('b')])")
    view = View(kernel)
    view.until(lambda page: statuses(page) == ["done"] * 2 and idle(page))
    view.send(type="ask", text="Two")
    view.until(lambda page: statuses(page, 1) == ["done"] * 2 and idle(page))
    view.send(type="edit", pane=0, turn=0, text="<i>Uno", all=True)
    page = view.until(lambda page: page.titles[1]["branch"] == [2, 2] and statuses(page) == ["done"] * 2 and idle(page))
    assert sorted(page.turns) == [(0, 0), (1, 0)]
    assert (page.turns[0, 0]["prompt"], page.html(0)) == ("&lt;i&gt;Uno", "<p>3</p>\n")
    view.send(type="branch", pane=1, branch=0)  # of both: they were begun together
    page = view.until(lambda page: [head["branch"] for head in page.titles] == [[1, 2], [1, 2]])
    assert [page.html(0, turn) for turn in (0, 1)] == ["<p>1</p>\n", "<p>2</p>\n"]
    late = View(kernel).until(lambda page: page.turns)
    assert sorted(late.turns) == sorted(page.turns)
    assert [late.html(*place) for place in late.turns] == [page.html(*place) for place in late.turns]
    view.send(type="branch", pane=0, branch=7)
    kernel.until(lambda: "expected a number from 0 to 1" in str(kernel.sent(view.comm)[-1]))
    view.read = len(kernel.sent(view.comm))
    twin = kernel.value("c.to_markdown()")
    assert "branch 1 of 2" in twin
    assert "Uno" not in twin


def test_a_pane_is_muted_set_and_swapped_from_the_view_and_another_comes(kernel):
    kernel.run("c = compare('One', ['demo/swift', 'demo/sage'])")
    view = View(kernel)
    view.until(lambda page: statuses(page) == ["done"] * 2 and idle(page))
    view.send(type="mute", pane=0, muted=True)
    view.send(type="options", pane=1, options={"max_tokens": 5})
    view.until(lambda page: page.titles[0]["muted"] and page.titles[1]["settings"]["max_tokens"][0] == 5)
    view.send(type="options", pane=1, options={"max_tokens": -5})
    kernel.until(lambda: "max_tokens" in str(kernel.sent(view.comm)[-1].get("text")))
    view.send(type="swap", pane=1, text="demo/swfit")
    kernel.until(lambda: "did you mean demo/swift" in str(kernel.sent(view.comm)[-1].get("text")))
    view.send(type="ask", text="Two")
    page = view.until(lambda page: statuses(page, 1) == ["skipped", "done"] and idle(page))
    assert page.turns[0, 1]["end"]["notes"] == ["not asked"]
    assert kernel.value("c.completions['demo/sage'].usage.output") <= 5
    view.send(type="swap", pane=1, text="demo/scholar")
    page = view.until(lambda page: page.titles[1]["model"] == "demo/scholar" and idle(page))
    view.send(type="suggest", pane=0, text="anthropic sonet 5.5", view="v1")
    kernel.until(lambda: kernel.sent(view.comm)[-1].get("type") == "suggestions")
    best = ["anthropic/claude-sonnet-5-5", "anthropic sonet 5.5 → Claude Sonnet 5.5"]
    assert kernel.sent(view.comm)[-1]["models"][0] == best
    view.send(type="suggest", pane=0, text=" ", view="v1")
    kernel.until(lambda: len(kernel.sent(view.comm)[-1].get("models", ())) == 5)
    assert kernel.sent(view.comm)[-1]["models"][1] == ["demo/sage", "Sage (simulated)"]  # which need no key
    view.send(type="add", pane=0, text="demo/sage")
    page = view.until(lambda page: len(page.titles) == 3 and statuses(page, 1)[2:] == ["done"] and idle(page))
    assert page.turns[2, 0]["prompt"] == "One"


def test_a_call_that_a_budget_refuses_says_so_in_its_pane_and_what_is_left_stands_below(kernel):
    kernel.run("""
with nbkit.budget(usd=0.01):
    c = compare('Hi', ['demo/swift', 'demo/sage'], max_tokens=1000)
""")
    page = View(kernel).until(lambda page: idle(page) and statuses(page) == ["done", "failed"])
    message, advice = page.turns[1, 0]["end"]["problem"]
    assert message.startswith("demo/sage: nothing was sent. It may cost up to $0.015 (")
    assert "of the budget of $0.01 for this block, $0" in message
    assert advice == "Ask again when other calls have ended, or raise the budget."
    assert ", within the budget ($0.0099 of $0.01 left in this block)" in page.foot["ahead"]
    assert kernel.value("c.spent.calls") == 1


def test_a_conversation_is_taken_along_by_the_view_that_wants_it(kernel):
    kernel.run("chat = 'mine'; c = compare('One', ['demo/swift', 'demo/sage'])")
    view = View(kernel)
    view.until(lambda page: statuses(page) == ["done"] * 2 and idle(page))
    view.send(type="copy", pane=0, form="markdown", view="v1")
    kernel.until(lambda: kernel.sent(view.comm)[-1].get("view") == "v1")
    assert kernel.sent(view.comm)[-1]["text"].startswith("> One\n\n**Swift (simulated)** (`demo/swift`)")
    view.send(type="copy", pane=0, form="code", view="v2")
    kernel.until(lambda: kernel.sent(view.comm)[-1].get("view") == "v2")
    assert "get_adapter('demo/swift')" in kernel.sent(view.comm)[-1]["text"]
    view.send(type="chat", pane=1)
    kernel.until(lambda: "The variable chat_2 goes on with demo/sage" in kernel.sent(view.comm)[-1].get("text", ""))
    assert kernel.value("[chat, [turn.text for turn in chat_2.conversation][:1]]") == ["mine", ["One"]]


def test_before_the_first_prompt_the_price_of_answers_is_estimated(kernel):
    kernel.run("c = compare(models=[Scripted('a'), Scripted('b'), Scripted('c', price=None)])")
    view = View(kernel)
    page = view.until(lambda page: page.foot["ahead"])
    assert page.foot["ahead"] == "about $0.00060 + 1 unknown for 3 answers of 300 tokens each"
    view.send(type="mute", pane=1, muted=True)
    view.until(lambda page: page.foot["ahead"] == "about $0.00030 + 1 unknown for 2 answers of 300 tokens each")
    kernel.run("c = compare(models=Scripted('a'), max_tokens=50)")
    View(kernel).until(lambda page: page.foot["ahead"] == "about $0.000050 for an answer of 50 tokens")
    kernel.run("c = compare(models=Scripted('c', price=None))")
    assert View(kernel).until(lambda page: page.foot).foot["ahead"] == ""
