"""Votes on answers by clicks and by keys, and the ranking that stays without the kernel."""

MODELS = "['demo/swift', 'demo/sage', 'demo/tortoise']"
READY = """turns => document.querySelectorAll('.nbk-strip').length === 3 * turns
    && !document.querySelector('.nbk-votes').hidden"""
PRESSED = "name => document.querySelector('.nbk-vote[aria-pressed=true]')?.innerText.includes(name)"


def test_votes_by_click_and_key_lead_to_a_ranking_that_stays(lab):
    lab.open(
        f"import nbkit; c = nbkit.compare('echo: one', {MODELS})", "print(nbkit.rank(c.votes)[['wins', 'unclear']])"
    )
    lab.run(0)
    lab.until(READY, 1)
    votes, box = lab.page.locator(".nbk-votes"), lab.page.get_by_label("Follow-up")
    assert "100% of the words agree" in votes.inner_text()
    votes.get_by_role("button", name="Sage").click()
    lab.until(PRESSED, "Sage")
    assert lab.page.locator(".nbk-tally").all_inner_texts() == ["won 0 of 1", "won 2 of 2", "won 0 of 1"]
    votes.get_by_role("button", name="Sage").press("1")
    lab.until(PRESSED, "Swift")
    lab.page.keyboard.press("1")
    lab.until("() => !document.querySelector('.nbk-vote[aria-pressed=true]')")
    lab.page.keyboard.press("2")
    lab.until(PRESSED, "Sage")
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
    lab.until(
        "() => document.querySelector('.nbk-static')?.parentElement.textContent.includes('votes on pairs: 5 by people')"
    )
    lab.save()
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.reload()
    lab.until(
        "() => document.querySelector('.nbk-static')?.parentElement.innerText.includes('votes on pairs: 5 by people')"
    )
    assert lab.errors == []
