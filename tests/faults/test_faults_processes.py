"""Processes and loops that end, or fork, in the middle of calls: nothing is printed, no socket stays, nobody hangs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines import engines
from fault_server import CHUNKED, PATIENCE, chunk, good, hang, piece, respond, sse, stream

START = """
import asyncio, gc, os, sys, threading, warnings
from nbkit.adapters.factory import get_adapter

adapter = get_adapter("lab/m1", base_url=sys.argv[1], api_key="sk-canary-1234567890abcdef")

async def ask():
    return (await adapter.aexecute("Hi")).text

async def begin(streams):
    streams.append(adapter.astream("Hi"))
    return (await anext(aiter(streams[-1]))).text

kept = []

def case(code):
    kept.append(dict(globals()))
    exec(code, kept[-1])
"""
HALF = hang(CHUNKED + chunk(sse(piece("Hel"))))
WHOLE = (respond({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}, connection="x"), "keep")


def run(server, engine, script):
    """Run a script in a process of its own that turns warnings into errors; what it prints, and nothing else."""
    command = [sys.executable, "-W", "error", "-c", START + script, server.url]
    variables = os.environ | {"NBKIT_HTTP_ENGINE": engine, "NBKIT_OFFLINE": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=variables,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


# What a process leaves open; each case begins one stream, and reads its first piece.
LEFT = {
    "until it ends": {
        "in a thread": "chunks = iter(adapter.stream('Hi')); print(next(chunks).text)",
        "in a loop that is not closed": """
loop = asyncio.new_event_loop()
print(loop.run_until_complete(begin(streams := [])))
warnings.simplefilter("ignore", ResourceWarning)  # asyncio's own, of loops and transports that are left open""",
        "in a loop that is closed without a word": """
loop = asyncio.new_event_loop()
print(loop.run_until_complete(begin(streams := [])))
loop.close()""",
        "in a loop of a daemon thread": """
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
print(asyncio.run_coroutine_threadsafe(begin(streams := []), loop).result())""",
    },
    "in a loop that ends": {
        "in asyncio.run": "print(asyncio.run(begin(streams := [])))",
        "in a task of asyncio.run": """
async def main():
    streams = []
    task = asyncio.create_task(begin(streams))
    print(await task)
    other = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
asyncio.run(main())""",
        "dropped in a loop": """
async def main():
    print(await begin(streams := []))
    streams.clear()
    gc.collect()
asyncio.run(main())""",
    },
    "on a connection that was kept": {
        "in a loop that is closed without a word, and collected": """
warnings.simplefilter("ignore", ResourceWarning)  # asyncio's own, of its transports
loop = asyncio.new_event_loop()
loop.run_until_complete(ask())
print(loop.run_until_complete(begin(streams := [])))
loop.close()
del streams, loop
gc.collect()
asyncio.run(ask())""",
    },
}


@pytest.mark.parametrize("when", LEFT)
@engines
def test_what_is_left_in_the_middle_of_a_stream_prints_nothing_and_closes_its_socket(server, engine, when):
    cases = LEFT[when].values()
    server.says(*[WHOLE, HALF, WHOLE] if "kept" in when else [HALF] * len(cases))
    assert run(server, engine, "".join(f"case({code!r})\n" for code in cases)) == ["Hel"] * len(cases)
    for _ in cases:
        assert server.sees_hang_up()


@engines
def test_nothing_is_printed_at_exit_where_connections_are_kept(server, engine):
    server.says(*[WHOLE] * 4)
    script = """
print(adapter.execute("Hi").text)
print(asyncio.run(ask()))
loop = asyncio.new_event_loop()
print(loop.run_until_complete(ask()))
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
print(asyncio.run_coroutine_threadsafe(ask(), loop).result())
"""
    assert run(server, engine, script) == ["Hello"] * 4
    assert server.connections == 4


FORKED = """
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking with threads
loop = asyncio.new_event_loop()
answers = [adapter.execute("Hi").text, loop.run_until_complete(ask())]
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
else:
    assert [adapter.execute("Hi").text, asyncio.run(ask()), asyncio.run(ask())] == ["Hello"] * 3
    loop.close()
    sys.exit()
answers += [adapter.execute("Hi").text, loop.run_until_complete(ask())]
print(*answers)
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
"""
FORKED_IN_A_STREAM = """
warnings.simplefilter("ignore", DeprecationWarning)
async def main():
    async with adapter.astream("Hi") as stream:
        first = (await anext(aiter(stream))).text
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
        else:
            asyncio.events._set_running_loop(None)
            try:
                os._exit(0 if [adapter.execute("Hi").text, asyncio.run(ask())] == ["Hello"] * 2 else 1)
            finally:
                os._exit(2)
        print(first + "".join([chunk.text async for chunk in stream]))
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@engines
def test_a_forked_child_calls_on_connections_of_its_own(server, engine):
    server.says(*[WHOLE] * 7)
    assert run(server, engine, FORKED) == ["Hello"] * 4
    assert server.connections == 2 + 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@engines
def test_a_stream_goes_on_in_the_parent_while_a_forked_child_calls(server, engine):
    def wait_for_the_child(connection):
        connection.sendall(CHUNKED + chunk(sse(piece("Hel"))))
        while len(server.requests) < 3:
            assert not server.hung_up.acquire(timeout=0.01) or len(server.requests) > 1
        connection.sendall(good(stream)[len(CHUNKED) :].replace(b"Hel", b"l"[:0] + b"lo "))

    server.says(wait_for_the_child, WHOLE, WHOLE)
    run(server, engine, FORKED_IN_A_STREAM)
