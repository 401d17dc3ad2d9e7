"""What the views show when their kernel is gone, and what remains without one."""

RECORD = "The kernel was restarted: this is a record."
TOLD = f"""count => count === [...document.querySelectorAll(".nbk-live")]
    .filter((view) => view.textContent.includes("{RECORD}")).length"""
BUSY = "count => document.querySelectorAll('.nbk-live [aria-busy=true]').length === count"
IDLE_KERNEL = "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
SETUP = "import nbkit; from scripted_models import Scripted"


def restart(lab):
    """Restart by the menu, as a person does."""
    lab.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    lab.page.get_by_role("menuitem", name="Restart Kernel…").first.click()
    lab.page.get_by_role("button", name="Confirm Kernel Restart").click()


def test_a_restart_is_shown_at_once_in_every_view_and_a_new_comparison_lives(lab):
    lab.open(f"{SETUP}; c = nbkit.compare('Hi', [Scripted('a', ['It stands ', None]), 'demo/swift'])", "c")
    lab.run()
    lab.until("() => document.querySelectorAll('.nbk-live').length === 2")
    lab.until(BUSY, 2)
    restart(lab)
    lab.until(TOLD, 2)
    assert lab.page.locator(".nbk-live [aria-busy=true]").count() == 0
    for box in lab.page.locator(".nbk-input").all():
        assert box.is_disabled()
    assert "It stands" in lab.page.locator(".nbk-answer").first.inner_text()
    lab.run(0)  # the kernel that comes back: its views do not take themselves for records
    lab.until(TOLD, 1)
    lab.until(BUSY, 1)
    assert lab.page.locator(".nbk-input").first.is_enabled()
    lab.page.evaluate("() => { jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart() }")
    lab.until(TOLD, 2)
    lab.until(IDLE_KERNEL)  # which can be shut down then
    assert lab.errors == []
