"""Access: axe-core's rules, in the light and in the dark, and the keys of a comparison."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_compare_browser import IDLE

LONG = "'echo: ' + '```python\\nx = ' + 'word + ' * 60 + '1  # no\\n```\\n\\n| a | b |\\n|--|--|\\n| 1 | 2 |\\n'"
CELLS = (
    f"import nbkit; m = nbkit.demo_models(); c = nbkit.compare({LONG}, ['demo/swift', 'demo/sage', 'demo/brittle'])",
    "p = nbkit.pick(m); p",
    "nbkit.show(m)",
    "b = nbkit.catalog.loc[nbkit.catalog.provider == 'mistral']; nbkit.plots.capabilities(b.head(9))",
    "nbkit.plots.prices(b)",
    "nbkit.plots.history(b)",
    "nbkit.plots.workload(nbkit.estimate(b, input_tokens=1000, output_tokens=500))",
    "nbkit.plots.conversation(b)",
    "g = nbkit.grid('{{text}}', ['echo: **same**', 'echo: b'], ['demo/swift', 'demo/brittle'], start=True); g",
    "chat = nbkit.Chat('demo/swift'); chat('echo: \\u05e9\\u05dc\\u05d5\\u05dd (\\u05d0)!\\n\\nHello (you)!')",
)
DRAWN = """() => document.querySelectorAll('.nbk-pane').length === 4
    && document.querySelectorAll('.js-plotly-plot .infolayer .gtitle').length >= 5
    && document.querySelector('.nbk-pick-sheet [role=row]')
    && document.querySelectorAll('.nbk-g-body .nbk-star').length === 4"""
# What axe leaves out: texts of charts, which are SVG, and signs that are drawn before a text. Their contrast.
CONTRAST = """() => {
    const parse = (color) => { const [r, g, b, a] = color.match(/[\\d.]+/g).map(Number); return [r, g, b, a ?? 1]; };
    const page = parse(getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor);
    const light = (color) => [0.2126, 0.7152, 0.0722].reduce((sum, part, place) => {
        const value = (color[place] * color[3] + page[place] * (1 - color[3])) / 255;
        return sum + part * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    }, 0.05);
    const ratio = (color) => Math.max(light(color), light(page)) / Math.min(light(color), light(page));
    const texts = [...document.querySelectorAll('.js-plotly-plot text')].filter((text) => text.textContent);
    const fill = (text) => getComputedStyle(text.querySelector('tspan[style]') ?? text).fill;
    const box = getComputedStyle(document.querySelector('.nbk-pick-tick'), '::before').color;
    return [texts.length, Math.min(...texts.map((text) => ratio(parse(fill(text))))), ratio(parse(box))];
}"""
THEMES = ("JupyterLab Light", "JupyterLab Dark")


@pytest.fixture(scope="module")
def shown(shared_lab):
    shared_lab.open(*CELLS)
    shared_lab.run()
    shared_lab.until(DRAWN)
    shared_lab.until(IDLE)
    return shared_lab


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_any_output(shown, theme):
    shown.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    dark = str(theme != THEMES[1]).lower()
    shown.until("light => document.body.dataset.jpThemeLight === light", dark)
    result = Axe().run(shown.page, {"include": [[".jp-Notebook .jp-OutputArea-output"]]}, options={}).response
    assert {"color-contrast", "aria-allowed-role", "button-name"} <= {rule["id"] for rule in result["passes"]}
    violations = result["violations"]
    assert [(rule["id"], node["html"][:200]) for rule in violations for node in rule["nodes"]] == []
    texts, charts, box = shown.page.evaluate(CONTRAST)
    assert texts > 80
    assert charts >= 4.5
    assert box >= 3


def test_charts_have_names(shown):
    figures = shown.page.get_by_role("figure")
    assert figures.count() == 5
    assert shown.page.get_by_role("figure", name="Capabilities: ● yes").count() == 1


def test_each_paragraph_has_its_own_direction(shown):
    gaps = """() => [...document.querySelectorAll('[aria-label=Chat] .nbk-answer p')].slice(-2).map((paragraph) => {
        const [text, box] = [document.createRange(), paragraph.getBoundingClientRect()];
        text.selectNodeContents(paragraph);
        const { left, right } = text.getBoundingClientRect();
        return left - box.left < box.right - right ? 'left' : 'right';
    })"""
    assert shown.page.evaluate(gaps) == ["right", "left"]


def test_code_that_scrolls_and_every_pane_is_reached_by_keys(shown):
    page = shown.page
    focused = "() => document.activeElement.closest('.nbk-pane')?.getAttribute('aria-label')"
    page.locator(".nbk-live .nbk-scroll").first.focus()
    seen = [page.evaluate(focused)]
    for key in ("n", "n", "p"):
        page.keyboard.press(key)
        seen.append(page.evaluate(focused))
    assert seen == ["demo/swift", "demo/sage", "demo/brittle", "demo/sage"]
    page.keyboard.press("?")
    keys = page.get_by_role("group", name="Keys")
    assert keys.is_visible()
    assert "next answer" in keys.inner_text()
    page.keyboard.press("Escape")
    assert not keys.is_visible()
    page.keyboard.press("f")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Follow-up"
    page.keyboard.type("n?")  # text, in a text field
    assert page.evaluate("() => document.activeElement.value") == "n?"
