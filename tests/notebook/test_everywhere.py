"""The four calls in plain Python, inside a running loop, in threads, and in the cells of a notebook."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from engines import engines
from kernels import PATIENCE, Kernel

from nbkit import get_adapter

MODELS = ("demo/swift", "demo/sage", "demo/scholar", "demo/tortoise", "demo/brittle")
PROMPT = "echo: here"


def execute(adapter):
    return adapter.execute(PROMPT).text


def stream(adapter):
    with adapter.stream(PROMPT) as chunks:
        return "".join(chunk.text for chunk in chunks)


async def aexecute(adapter):
    return (await adapter.aexecute(PROMPT)).text


async def astream(adapter):
    async with adapter.astream(PROMPT) as chunks:
        return "".join([chunk.text async for chunk in chunks])


@engines
@pytest.mark.parametrize("model", MODELS)
def test_plain_and_inside_a_running_loop(model):
    adapter = get_adapter(model)
    assert execute(adapter) == stream(adapter) == "here"
    assert asyncio.run(aexecute(adapter)) == asyncio.run(astream(adapter)) == "here"

    async def all_four():
        return [execute(adapter), stream(adapter), *await asyncio.gather(aexecute(adapter), astream(adapter))]

    assert asyncio.run(all_four()) == ["here"] * 4


@engines
def test_from_threads():
    adapters = [get_adapter(model) for model in MODELS]
    calls = [execute, stream, lambda each: asyncio.run(aexecute(each)), lambda each: asyncio.run(astream(each))]
    with ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(call, adapter) for adapter in adapters for call in calls]
        assert [job.result(timeout=PATIENCE) for job in jobs] == ["here"] * 20


def test_in_a_cell(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("adapter = nbkit.get_adapter('demo/scholar')\ntexts = [adapter.execute('echo: here').text]")
        kernel.run("with adapter.stream('echo: here') as s: texts.append(''.join(c.text for c in s))")
        kernel.run("texts.append((await adapter.aexecute('echo: here')).text)")
        kernel.run("async with adapter.astream('echo: here') as s: texts.append(''.join([c.text async for c in s]))")
        assert kernel.value("texts") == ["here"] * 4
    finally:
        kernel.close()


def test_voila_runs_cells_for_a_person_in_front(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import os; from nbkit.notebook.outputs import person_in_front; shown = []")
        for server in ("jupyter/2.17", "voila/0.5.13"):
            kernel.run(f"os.environ['SERVER_SOFTWARE'] = '{server}'; shown.append(person_in_front())", person=False)
        assert kernel.value("shown") == [False, True]
    finally:
        kernel.close()
