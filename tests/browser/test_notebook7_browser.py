"""The widgets in Jupyter Notebook 7, which the server of JupyterLab serves too."""

import pytest
from conftest import Lab


@pytest.fixture
def notebook(browser, server):
    url, directory = server
    notebook = Lab(browser, (url.replace("lab/workspaces/{0}/tree/", "notebooks/"), directory))
    yield notebook
    notebook.close()


def test_a_comparison_and_a_follow_up_are_answered_in_notebook_7(notebook):
    notebook.open(
        "import nbkit\nanswers = nbkit.compare('Explain recursion', ['demo/swift', 'demo/sage'])",
        "nbkit.pick()",
    )
    notebook.run()
    notebook.until_kept(2)
    box = notebook.page.get_by_placeholder("Ask all 2 models a follow-up")
    box.fill("echo: in one line")
    box.press("Enter")
    notebook.until_kept(4)
    notebook.page.locator(".nbk-pick").get_by_text("models", exact=False).first.wait_for()
    assert not notebook.abroad  # of the console nothing is said: Notebook itself writes errors to it
