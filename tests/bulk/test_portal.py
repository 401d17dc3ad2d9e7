import asyncio
import os
import subprocess
import sys
import threading

import pytest
from interrupts import interrupt_when_main_waits
from scripted_models import PATIENCE

from nbkit.bulk import portal


class Work:
    """A coroutine that never ends by itself, with events for its begin and its end."""

    def __init__(self):
        self.began, self.ended = threading.Event(), threading.Event()
        self.thread = None

    async def run(self):
        self.thread = threading.current_thread().name
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.set()
            raise


async def give(value):
    return value


def test_work_runs_on_one_thread_and_gives_its_result():
    assert portal.wait(portal.submit(give(3))) == 3
    names = {portal.wait(portal.submit(_thread_name())) for _ in range(3)}
    assert len(names) == 1
    assert names != {threading.current_thread().name}


async def _thread_name():
    return threading.current_thread().ident


def test_waiting_too_long_raises_and_lets_the_work_go_on():
    work = Work()
    future = portal.submit(work.run())
    with pytest.raises(TimeoutError):
        portal.wait(future, timeout=0.05)
    assert not work.ended.is_set()
    future.cancel()
    assert work.ended.wait(PATIENCE)


def test_interrupting_the_waiter_cancels_the_work():
    work = Work()
    future = portal.submit(work.run())
    assert work.began.wait(PATIENCE)
    interrupt_when_main_waits()
    with pytest.raises(KeyboardInterrupt):
        portal.wait(future, PATIENCE)
    assert work.ended.wait(PATIENCE)


def test_an_async_cell_awaits_without_blocking_its_loop():
    async def cell():
        gate = threading.Event()
        waiting = asyncio.create_task(portal.until(portal.submit(asyncio.to_thread(gate.wait, PATIENCE))))
        for _ in range(5):  # the loop turns meanwhile
            await asyncio.sleep(0.001)
            assert not waiting.done()
        gate.set()
        return await waiting

    assert asyncio.run(cell()) is True


def test_cancelling_an_async_cell_cancels_the_work():
    async def cell(work):
        waiting = asyncio.create_task(portal.until(portal.submit(work.run())))
        await asyncio.to_thread(work.began.wait, PATIENCE)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    work = Work()
    asyncio.run(cell(work))
    assert work.ended.wait(PATIENCE)


def test_an_error_reaches_whoever_waits():
    async def fail():
        raise LookupError("no")

    with pytest.raises(LookupError):
        portal.wait(portal.submit(fail()))


def test_waiting_on_the_portal_itself_is_an_error_not_a_deadlock():
    async def inner():
        portal.wait(portal.submit(asyncio.sleep(0)))

    with pytest.raises(RuntimeError, match="never end"):
        portal.wait(portal.submit(inner()), PATIENCE)


def test_stop_cancels_what_runs_and_the_next_submit_starts_anew():
    work = Work()
    future = portal.submit(work.run())
    assert work.began.wait(PATIENCE)
    portal.stop()
    assert work.ended.is_set()
    assert future.cancelled()
    assert portal.wait(portal.submit(give(4))) == 4


def python(code):
    """Run code in a fresh interpreter with warnings as errors; its output."""
    command, environment = [sys.executable, "-W", "error", "-c", code], os.environ | {"NBKIT_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=True)
    return done.stdout + done.stderr


def test_leaving_python_does_not_wait_for_work():
    code = """
import asyncio
from nbkit.bulk import portal
portal.submit(asyncio.sleep(3600))
print("left")
"""
    assert python(code) == "left\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_gets_a_portal_of_its_own():
    code = """
import asyncio, os, warnings
from nbkit.bulk import portal
async def pid(): return os.getpid()
assert portal.wait(portal.submit(pid())) == os.getpid()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking with threads
    child = os.fork()
if child == 0:
    same = portal.wait(portal.submit(pid()), timeout=60) == os.getpid()
    os._exit(0 if same else 1)
print(os.waitpid(child, 0)[1])
"""
    assert python(code) == "0\n"


def test_a_backlog_is_waited_for_as_a_whole_and_keeps_what_failed():
    async def fail():
        raise LookupError("no")

    gate, backlog = threading.Event(), portal.Backlog(stop=pytest.fail)
    first = backlog.submit(_pass(gate))
    with pytest.raises(TimeoutError):
        backlog.wait(timeout=0.01)
    gate.set()
    backlog.wait(PATIENCE)
    assert first.done()
    asyncio.run(backlog.until())
    backlog.submit(fail())
    for _ in range(2):
        with pytest.raises(LookupError):
            backlog.wait(PATIENCE)
    with pytest.raises(LookupError):
        asyncio.run(backlog.until())


async def _pass(gate):
    await asyncio.to_thread(gate.wait, PATIENCE)


def test_an_interrupted_waiter_stops_the_backlog_before_its_work_is_cancelled():
    work = Work()
    states = []
    backlog = portal.Backlog(stop=lambda: states.append(work.ended.is_set()))
    backlog.submit(work.run())
    assert work.began.wait(PATIENCE)
    interrupt_when_main_waits()
    with pytest.raises(KeyboardInterrupt):
        backlog.wait(PATIENCE)
    assert work.ended.wait(PATIENCE)
    assert states == [False]


def test_a_panel_loads_no_jupyter():
    code = """
import sys
from nbkit.bulk.panel import Panel
panel = Panel(["demo/swift", "demo/swift"]).ask("echo: Hi")
print(list(panel.completions), {"IPython", "ipywidgets", "anywidget", "pandas"} & set(sys.modules))
"""
    assert python(code) == "['demo/swift', 'demo/swift #2'] set()\n"
