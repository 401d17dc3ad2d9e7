"""Votes on answers by clicks and by keys, blind ones too, and the ranking that stays without the kernel."""

import time

from axe_playwright_python.sync_playwright import Axe

MODELS = "['demo/swift', 'demo/sage', 'demo/tortoise']"
READY = """turns => document.querySelectorAll('.nbk-strip').length === 3 * turns
    && !document.querySelector('.nbk-votes').hidden"""
PRESSED = "name => document.querySelector('.nbk-vote[aria-pressed=true]')?.innerText.includes(name)"
BLIND = """prompt => document.querySelector('.nbk-blind .nbk-asked')?.innerText === prompt
    && !document.querySelector('.nbk-votes').hidden"""
NAMED = "() => document.querySelector('.nbk-rounds:not(.nbk-blind)')"
KEPT = "text => document.querySelector('.nbk-static')?.parentElement.textContent.includes(text)"
STAYS = "text => document.querySelector('.nbk-static')?.parentElement.innerText.includes(text)"


def test_votes_by_click_and_key_lead_to_a_ranking_that_stays(lab):
    lab.open(
        f"import nbkit; c = nbkit.compare('echo: one', {MODELS})", "print(nbkit.rank(c.votes)[['wins', 'unclear']])"
    )
    lab.run(0)
    lab.until(READY, 1)
    votes, box = lab.page.locator(".nbk-votes"), lab.page.get_by_label("Follow-up")
    assert "100% of the words agree" in votes.text_content()
    row = lab.page.locator(".nbk-vote, .nbk-tools button")
    assert row.evaluate_all("all => new Set(all.map((one) => one.offsetTop)).size") == 1
    assert votes.locator("bdi").all_inner_texts() == ["Swift", "Sage", "Tortoise", "tie", "none"]
    votes.get_by_role("button", name="Sage").click()
    lab.until(PRESSED, "Sage")
    won = lab.page.locator(".nbk-score td:nth-child(8)")
    assert won.all_inner_texts() == ["0 of 1", "2 of 2", "0 of 1"]
    assert lab.page.locator(".nbk-score td:nth-child(7)").all_inner_texts() == ["base", "100%", "100%"]
    votes.get_by_role("button", name="Sage").press("1")
    lab.until(PRESSED, "Swift")
    lab.page.keyboard.press("1")
    lab.until("() => !document.querySelector('.nbk-vote[aria-pressed=true]')")
    lab.page.keyboard.press("2")
    lab.until(PRESSED, "Sage")
    lab.page.keyboard.press("d")
    lab.until("() => document.querySelectorAll('.nbk-diff').length === 2")
    assert lab.page.locator(".nbk-answer").evaluate_all("all => all.map((one) => one.offsetHeight > 0)") == [
        True,
        False,
        False,
    ]
    lab.page.get_by_label("only differences").press("Space")
    lab.until(
        "() => document.activeElement.name === 'only' && document.querySelectorAll('.nbk-diff details').length === 2"
    )
    lab.page.get_by_label("against").select_option("2")
    lab.until("() => document.querySelectorAll('.nbk-compared')[2].hidden")
    lab.page.get_by_role("button", name="Differences").press("d")
    lab.until("() => !document.querySelector('.nbk-diff')")
    assert lab.page.evaluate("() => document.activeElement.innerText.includes('Differences')")
    lab.page.keyboard.press("j")
    lab.until("() => document.activeElement.name === 'criterion'")
    lab.page.get_by_label("judge", exact=True).fill("demo/sage")
    lab.page.get_by_label("read each pair").press("Space")
    lab.until("() => document.querySelector('[data-slot=ahead]').innerText.startsWith('3 calls, about $')")
    lab.page.get_by_role("button", name="Judge", exact=True).press("Enter")
    lab.until("() => document.querySelectorAll('.nbk-results tbody tr').length === 3")
    assert lab.page.locator(".nbk-score td:nth-child(9)").all_inner_texts() == ["1 of 2"] * 3
    lab.page.locator(".nbk-scroll").first.press("d")
    lab.until("() => document.querySelector('.nbk-diff')")
    assert Axe().run(lab.page, {"include": [[".nbk-live"]]}, options={}).response["violations"] == []
    lab.page.keyboard.press("d")
    lab.page.keyboard.press("j")
    lab.until("() => !document.querySelector('[name=criterion]')")
    box.fill("2 or x?")
    box.press("0")
    assert box.input_value() == "2 or x?0"
    lab.page.wait_for_function(PRESSED, arg="Sage")
    box.fill("echo: two")
    box.press("Enter")
    lab.until(READY, 2)
    lab.page.locator(".nbk-scroll").first.press("x")
    lab.until(PRESSED, "none")
    lab.run(1)
    lab.until("() => [...document.querySelectorAll('pre')].some((out) => out.innerText.includes('unclear'))")
    lab.until(KEPT, "votes on pairs: 5 by people, 3 by judge models")
    lab.save()
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.reload()
    lab.until(STAYS, "votes on pairs: 5 by people, 3 by judge models")
    assert lab.errors == []


def test_a_blind_vote_of_60_pairs_leads_to_a_ranking_with_intervals(lab):
    prompts = [f"echo: prompt {number}" for number in range(25)]
    fast = "import os; os.environ['NBKIT_DEMO_TOKENS_PER_SECOND'] = '0'; import nbkit"
    lab.open(f"{fast}; c = nbkit.compare({prompts}, {MODELS}, blind=True, seed=1)", "print(c.votes['blind'].sum())")
    lab.run(0)
    lab.until(BLIND, prompts[0])
    lab.page.locator(".nbk-scroll").first.focus()
    begin, names = time.monotonic(), ("Swift", "Sage", "Tortoise")
    for number, prompt in enumerate(prompts):
        lab.until(BLIND, prompt)
        shown = lab.page.locator(".nbk-live").inner_text()
        assert not [name for name in (*names, "$") if name in shown]
        if number % 5 == 0:
            lab.page.locator(".nbk-vote", has_text="Answer B").click()
        else:  # a winner is a vote on two pairs, a tie on all three
            lab.page.keyboard.press("1" if number % 5 < 3 else "0")
        lab.until(NAMED)
        assert all(name in lab.page.locator(".nbk-score").inner_text() for name in names)
        lab.page.keyboard.press("n")  # the focus is in the comparison, wherever it was
    lab.until("() => document.querySelectorAll('.nbk-results tbody tr').length === 3")
    print(f"60 pairs in {time.monotonic() - begin:.1f} s")
    results = lab.page.locator(".nbk-results").inner_text()
    assert "60 by people" in results
    assert "95 % interval" in results
    assert lab.page.evaluate("() => document.querySelector('.nbk-live').contains(document.activeElement)")
    lab.run(1)
    lab.until("() => [...document.querySelectorAll('pre')].some((out) => out.innerText.trim() === '60')")
    lab.until(KEPT, "60 by people")
    lab.save()
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.reload()
    lab.until(STAYS, "60 by people")
    assert lab.errors == []
