"""Every paid call of the process is in the running total, once, to the last digit."""

import asyncio
from decimal import Decimal

import pytest
from engines import engines
from scripted_provider import piece, sse, streamed, whole
from test_run import asks, double

from nbkit.billing.total import TOTAL
from nbkit.errors import BadRequestError, StreamError
from nbkit.notebook.compare import compare
from nbkit.notebook.magics import describe_spending

MODELS = ["demo/swift", "demo/sage", "demo/scholar", "demo/tortoise"]


@engines
def test_total_strip_and_completions_agree_to_the_last_digit(provider):
    adapter = provider.adapter("openai/gpt-6-luna", protocol="openai-chat")
    before = TOTAL.total()
    completions = []

    provider.says(whole(), whole(), whole())
    completions += [adapter.execute("Hi"), adapter.execute("Hi")]
    completions.append(asyncio.run(adapter.aexecute("Hi")))

    provider.says(streamed(), streamed())
    with adapter.stream("Hi") as stream:
        for _ in stream:
            assert stream.completion.text  # looking early books nothing
    completions.append(stream.completion)

    async def pump():
        async with adapter.astream("Hi") as stream:
            async for _ in stream:
                pass
        return stream.completion

    completions.append(asyncio.run(pump()))

    provider.says(streamed())
    with adapter.stream("Hi") as left:
        next(iter(left))
    completions.append(left.completion)

    provider.says(whole({"error": {"message": "no"}}, 400))
    with pytest.raises(BadRequestError):  # costs nothing
        adapter.execute("Hi")
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError) as broken:
        list(adapter.stream("Hi"))
    completions.append(broken.value.partial)

    provider.says(asks(("double", {"number": 1})), asks(("double", {"number": 2})), streamed())
    run = adapter.run("Do", tools=[double])
    assert run.completion.text == "Hello"
    assert len(run.completions) == 3
    completions += run.completions

    answers = compare("Explain recursion", MODELS)
    completions += answers.completions.values()

    total = TOTAL.total()
    costs = [completion.cost for completion in completions]
    assert None not in costs
    assert total.usd - before.usd == sum(Decimal(str(cost)) for cost in costs)
    assert total.calls - before.calls == len(completions) == 14
    assert answers.spent.usd == sum(Decimal(str(one.cost)) for one in answers.completions.values())
    strip = answers._display.write_bundle()["text/plain"].splitlines()[-1]
    assert strip == f"this comparison {answers.spent} · notebook {total}"
    assert f"this notebook: {total} for {total.calls:,} calls" in describe_spending()
