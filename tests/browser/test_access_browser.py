"""Access: axe-core's rules, in the light and in the dark, and the keys of a comparison."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_compare_browser import IDLE

LONG = "'echo: ' + '```python\\nx = ' + 'word + ' * 60 + '1  # no\\n```\\n\\n| a | b |\\n|--|--|\\n| 1 | 2 |\\n'"
CELLS = (
    f"import nbkit; m = nbkit.demo_models(); c = nbkit.compare({LONG}, ['demo/swift', 'demo/sage', 'demo/brittle'])",
    "p = nbkit.pick(m); p",
    "nbkit.show(m)",
    "nbkit.plots.capabilities(m)",
    "chat = nbkit.Chat('demo/swift'); chat('Hi')",
)
DRAWN = """() => document.querySelectorAll('.nbk-pane').length === 4
    && document.querySelector('.js-plotly-plot .main-svg') && document.querySelector('[role=option], [role=row]')"""
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
