"""The picker: its search, equal to `nbkit.search`; and picking in JupyterLab by keyboard and mouse."""

import base64
import json
import warnings

import pytest
from conftest import STATUS, Lab
from queries import QUERIES

import nbkit
from nbkit.notebook.pick_index import make_index
from nbkit.notebook.widgets.sources import read_script

TYPOS = (
    "calude sonet",
    "lama 3.3 70b",
    "gemni flash",
    "mistrl larg",
    "depseek resoning",
    "qwem3 coder",
    "grokk",
    "opsu",
)


def test_the_browser_searches_as_nbkit_does(browser):
    rows = nbkit.catalog
    header, codes = make_index(rows, list(rows.index))
    page = browser.new_page()
    script = read_script("search.js", "pick_rows.js")
    page.evaluate(
        """async ([header, codes, script]) => {
            const { Rows } = await import(URL.createObjectURL(new Blob([script], {type: "text/javascript"})));
            const bytes = Uint8Array.from(atob(codes), (char) => char.charCodeAt(0));
            window.rows = new Rows({...header, starred: [], recent: []}, new DataView(bytes.buffer));
        }""",
        [json.loads(json.dumps(header)), base64.b64encode(codes).decode(), script],
    )
    search = """(text) => {
        const found = rows.searcher.search(text, new Uint8Array(rows.count).fill(1));
        const first = found.rows.slice(0, 20).map((row) => rows.id(row));
        return [found.rows.length, first, first.length ? "" : found.why()];
    }"""
    different = {}
    for text in (*QUERIES, *TYPOS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = nbkit.search(text, limit=None)
        count, first, why = page.evaluate(search, text)
        if (count, first) != (len(wanted), list(wanted.index[:20])) or bool(why) != bool(wanted.attrs["why"]):
            different[text] = count, len(wanted), first[:3], list(wanted.index[:3]), why
    page.close()
    assert different == {}


@pytest.fixture(scope="module")
def picker(browser, server):
    lab = Lab(browser, server)
    lab.open("import nbkit\npicker = nbkit.pick()\npicker", "print(picker.value)")
    lab.run(0)
    lab.page.wait_for_selector(".nbk-pick-sheet [role=row]")
    yield lab
    lab.close()


def test_a_person_searches_picks_and_reads_details_by_keyboard(picker):
    page, keys = picker.page, picker.page.keyboard
    page.click(".nbk-pick-search")
    keys.type("claude haiku 4.5")
    first = "() => document.querySelector('.nbk-pick-sheet .nbk-pick-id').textContent"
    picker.until(f"{first}.startsWith('anthropic/claude-haiku-4-5')")
    keys.press("Enter")
    picker.until("() => document.querySelector('.nbk-pick-keys').textContent.includes('set_key(\"anthropic\")')")
    keys.press("Escape")
    keys.type("demo")
    keys.press("ArrowDown")
    keys.press("Space")
    picker.until("() => document.querySelectorAll('.nbk-pick-picked li').length === 2")
    keys.press("ArrowRight")
    picker.until("() => /a question/.test(document.querySelector('.nbk-pick-drawer').textContent)")
    keys.press("Escape")
    assert page.is_hidden(".nbk-pick-drawer")
    keys.press("End")
    keys.press("Home")
    assert page.get_attribute(".nbk-pick-active", "data-place") == "0"
    keys.press("Escape")
    assert page.evaluate("() => document.activeElement.type") == "search"


def test_a_person_filters_sorts_and_opens_offers_by_mouse(picker):
    page = picker.page
    page.click("text=clear")
    everything = page.inner_text(".nbk-pick-status")
    page.check("[data-facet=vision]")
    assert page.evaluate("() => document.activeElement.dataset.facet") == "vision"
    assert page.inner_text(".nbk-pick-status") != everything
    page.click("[data-sort=input]")
    assert page.get_attribute("[role=columnheader]:has([data-sort=input])", "aria-sort") == "ascending"
    page.click("text=clear")
    assert page.inner_text(".nbk-pick-status") == everything
    page.fill(".nbk-pick-search", "gpt-6 luna")
    page.click("[data-act=offers] >> nth=0")
    assert page.locator(".nbk-pick-offer").count() > 5
    page.click(".nbk-pick-sheet [role=row] .nbk-pick-tick >> nth=0")
    picker.until("() => document.querySelectorAll('.nbk-pick-picked li').length === 3")
    assert [text for text in picker.errors if "nbk" in text] == picker.abroad == []


def test_a_restart_is_shown_and_the_list_stays(picker):
    page = picker.page
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    picker.until("() => document.querySelector('.nbk-pick-status').textContent.startsWith('The kernel was restarted')")
    page.fill(".nbk-pick-search", "sonet 5.5")
    picker.until("() => document.querySelector('.nbk-pick-title').textContent.includes('Sonnet')")
    picker.until(f"() => ({STATUS})() === 'idle'")
