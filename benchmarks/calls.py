"""One call: a whole answer, and each chunk of a streamed one, against a bare loop on httpx2."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2

import nbkit
from benchmarks.runner import Row, compare
from benchmarks.server import CHUNKS, TEXT, running_server

_BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
_CALLS = 50
_EXPECTED = "".join(TEXT)


def measure() -> Iterator[Row]:
    """Measure calls to a server in another process."""
    with running_server() as base_url, httpx2.Client() as client, asyncio.Runner() as runner:
        adapter = nbkit.get_adapter("openai/gpt-4o-mini", base_url=base_url, protocol="openai-chat", api_key="none")
        url = f"{base_url}/chat/completions"
        yield from _measure_sync(adapter, client, url)
        yield from _measure_async(adapter, runner, url)


def _measure_sync(adapter: Any, client: httpx2.Client, url: str) -> Iterator[Row]:
    def call() -> None:
        for _ in range(_CALLS):
            _check(adapter.execute("Hi").text, whole=False)

    def post() -> None:
        for _ in range(_CALLS):
            _check(client.post(url, json=_BODY).json()["choices"][0]["message"]["content"], whole=False)

    def stream() -> None:
        with adapter.stream("Hi") as chunks:
            _check("".join(chunk.text for chunk in chunks))

    def read_lines() -> None:
        with client.stream("POST", url, json=_BODY | {"stream": True}) as response:
            _check("".join(filter(None, map(_read_line, response.iter_lines()))))

    yield compare("execute", call, "post and .json()", post, per=_CALLS, aim="1.25")
    yield compare("stream, a chunk", stream, "iter_lines and json.loads", read_lines, per=CHUNKS, aim="1.0")


def _measure_async(adapter: Any, runner: asyncio.Runner, url: str) -> Iterator[Row]:
    client = httpx2.AsyncClient()

    async def call() -> None:
        for _ in range(_CALLS):
            _check((await adapter.aexecute("Hi")).text, whole=False)

    async def post() -> None:
        for _ in range(_CALLS):
            response = await client.post(url, json=_BODY)
            _check(response.json()["choices"][0]["message"]["content"], whole=False)

    async def stream() -> None:
        async with adapter.astream("Hi") as chunks:
            _check("".join([chunk.text async for chunk in chunks]))

    async def read_lines() -> None:
        async with client.stream("POST", url, json=_BODY | {"stream": True}) as response:
            _check("".join(filter(None, [_read_line(line) async for line in response.aiter_lines()])))

    def run(function: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        return lambda: runner.run(function())  # type: ignore[arg-type]

    yield compare("aexecute", run(call), "post and .json()", run(post), per=_CALLS, aim="1.25")
    yield compare("astream, a chunk", run(stream), "aiter_lines and json.loads", run(read_lines), per=CHUNKS,
                  aim="1.0")  # fmt: skip
    runner.run(client.aclose())


def _read_line(line: str) -> str:
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    choices = json.loads(line[6:])["choices"]
    return str(choices[0]["delta"].get("content") or "") if choices else ""


def _check(text: str, *, whole: bool = True) -> None:
    """Raise RuntimeError where an answer is not the one that the server has."""
    if text != (_EXPECTED if whole else "".join(TEXT[:50])):
        raise RuntimeError(f"unexpected answer: {text[:80]!r}")
