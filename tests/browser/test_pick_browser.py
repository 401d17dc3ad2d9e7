"""The picker: its search, equal to `nbkit.search`; and picking in JupyterLab by keyboard and mouse."""

import base64
import json
import warnings

import pytest
from conftest import STATUS, Lab
from queries import QUERIES

import nbkit
from nbkit.billing.money import format_price
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
    rates = {0.0, 1e-7, 0.00125, 0.15625, 1234.5, *rows.filter(like="_cost").stack().dropna().unique()}
    written = page.evaluate("(rates) => rates.map(rows.write)", sorted(rates))
    page.close()
    assert different == {}
    assert written == [format_price(usd) for usd in sorted(rates)]


@pytest.fixture(scope="module")
def picker(browser, server):
    lab = Lab(browser, server)
    lab.open("import nbkit\npicker = nbkit.pick()\npicker", "c = nbkit.compare('Hello', picker)")
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


def test_filters_fold_in_a_narrow_window_and_have_the_names_that_people_use(picker):
    page = picker.page
    page.click("text=clear")
    filters = page.inner_text(".nbk-pick-facets")
    assert "OpenAI" in filters
    assert "openai" not in filters
    wide = page.viewport_size
    page.set_viewport_size({"width": 700, "height": 900})
    picker.until("() => !document.querySelector('.nbk-pick-side').open")
    title = page.locator(".nbk-pick-title").first
    assert title.evaluate("title => title.getBoundingClientRect().width") > 60
    page.get_by_text("Filters").press("Enter")
    assert page.is_visible("[data-facet=vision]")
    page.set_viewport_size(wide)
    picker.until("() => document.querySelector('.nbk-pick-body').clientWidth > 760")
    assert page.is_visible("[data-facet=vision]")


def test_a_list_of_few_models_is_as_high_as_these_and_stays_so(picker):
    page = picker.page
    page.click("text=clear")
    place = "() => document.querySelector('.nbk-pick-foot').offsetTop"
    before = page.evaluate(place)
    page.evaluate("() => document.querySelector('.nbk-pick').style.setProperty('--nbk-rows', 6)")
    few = page.evaluate(place)
    page.fill(".nbk-pick-search", "demo sage")
    picker.until("() => document.querySelectorAll('.nbk-pick-sheet [role=row]').length === 1")
    assert page.evaluate(place) == few < before
    page.evaluate("rows => document.querySelector('.nbk-pick').style.setProperty('--nbk-rows', rows)", 8337)
    assert page.evaluate(place) == before


def test_what_is_picked_is_compared(picker):
    page = picker.page
    while page.locator(".nbk-pick-picked button").count():
        page.locator(".nbk-pick-picked button").first.click()
    page.fill(".nbk-pick-search", "demo swift")
    page.keyboard.press("Enter")
    page.fill(".nbk-pick-search", "demo sage")
    page.keyboard.press("Enter")
    picker.until("() => document.querySelectorAll('.nbk-pick-picked li').length === 2")
    picker.run(1)
    picker.until("() => document.querySelectorAll('.nbk-strip').length === 2")
    assert page.locator(".nbk-pane .nbk-model").all_inner_texts() == ["demo/swift", "demo/sage"]


def test_a_restart_is_shown_and_the_list_stays(picker):
    page = picker.page
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    picker.until("() => document.querySelector('.nbk-pick-status').textContent.startsWith('The kernel was restarted')")
    page.fill(".nbk-pick-search", "sonet 5.5")
    picker.until("() => document.querySelector('.nbk-pick-title').textContent.includes('Sonnet')")
    picker.until(f"() => ({STATUS})() === 'idle'")
