"""Connections: cancellation closes them, many calls use them, and no place among them is lost."""

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engines import engines
from fault_server import (
    ANSWER,
    CHUNKED,
    EVENTS,
    PATIENCE,
    PLAIN,
    WHOLE,
    FaultServer,
    adapter_at,
    chunk,
    execute,
    four,
    good,
    hang,
    piece,
    reset,
    respond,
    sse,
    whole,
)

from nbkit import errors
from nbkit.settings import override


def keep(call):
    """A step: the answer that a call expects, on a connection that stays open."""
    body = respond(ANSWER, connection="keep-alive") if call in WHOLE else CHUNKED + chunk(EVENTS) + b"0\r\n\r\n"
    return body, "keep"


# ---- cancellation

STAGES = {
    "before the head": hang(),
    "in the head": hang(b"HTTP/1.1 200 OK\r\nx-a: b\r\n"),
    "in a whole body": hang(PLAIN % 1000 + b'{"choices": ['),
    "in a stream": hang(CHUNKED + chunk(sse(piece("Hel")))),
}


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def sees_hang_up(server):
    """Wait while the event loop runs on, as a notebook's does."""
    return await asyncio.to_thread(server.sees_hang_up)


@pytest.mark.parametrize("form", ["aexecute", "astream"])
@pytest.mark.parametrize("stage", STAGES)
@engines
def test_cancelling_closes_the_socket_and_gives_the_place_back(server, stage, form):
    server.says(STAGES[stage], respond(ANSWER))
    adapter = server.adapter()

    async def ask():
        return await getattr(adapter, form)("Hi")

    async def main():
        task = asyncio.create_task(ask())
        while not server.requests:
            await asyncio.sleep(0.001)
        for _ in range(5):  # so that what has come is read
            await asyncio.sleep(0.001)
        await cancel(task)
        assert await sees_hang_up(server)
        return (await adapter.aexecute("Hi", timeout=PATIENCE)).text

    with override(max_connections=1):
        assert asyncio.run(main()) == "Hello"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list its open files")
@engines
def test_cancelling_while_connecting_leaves_no_socket(server, full):
    adapter = adapter_at(full)

    async def main():
        await asyncio.sleep(0)
        before = count_sockets()
        tasks = [asyncio.create_task(adapter.aexecute("Hi")) for _ in range(5)]
        while count_sockets() < before + 5:
            await asyncio.sleep(0.001)
        for task in tasks:
            await cancel(task)
        await asyncio.sleep(0)
        return count_sockets() - before

    assert asyncio.run(main()) == 0


def count_sockets():
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(path.readlink()).startswith("socket:")
    return count


@engines
def test_cancelling_in_a_handshake_closes_the_socket(server):
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.wrap_socket = lambda connection, **_: hang()(connection) or connection
    adapter = server.adapter(base_url=f"https://localhost:{server.port}/v1")

    async def main():
        task = asyncio.create_task(adapter.aexecute("Hi"))
        while not server.connections:
            await asyncio.sleep(0.001)
        await cancel(task)
        return await sees_hang_up(server)

    assert asyncio.run(main())


@engines
def test_cancelling_who_waits_for_a_place_leaves_the_place_to_others(server):
    go_on = threading.Event()
    server.says(lambda connection: (go_on.wait(PATIENCE), connection.sendall(respond(ANSWER))), respond(ANSWER))
    adapter = server.adapter()

    async def main():
        first = asyncio.create_task(adapter.aexecute("Hi"))
        while not server.requests:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(adapter.aexecute("Hi", timeout=PATIENCE)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await cancel(waiting[0])
        await cancel(waiting[2])
        go_on.set()
        return [(await first).text, (await waiting[1]).text]

    with override(max_connections=1):
        assert asyncio.run(main()) == ["Hello"] * 2
    assert len(server.requests) == 2


# ---- places

SPOILED = (
    hang(CHUNKED + chunk(sse(piece("Hel")))),
    b"",
    reset(),
    respond({"error": {"message": "no"}}, 400),
    b"SSH\r\n\r\n",
)


@engines
def test_no_place_is_lost_whatever_happened_to_calls(server):
    """A hundred calls on two places: cancelled, left, timed out, refused, reset, damaged; then all works."""
    adapter = server.adapter()
    server.script[:] = [SPOILED[number % 5] for number in range(400)]

    async def leave():
        async with adapter.astream("Hi", timeout=PATIENCE) as stream:
            async for _ in stream:
                break

    async def begin_and_cancel(number):
        task = asyncio.create_task(adapter.aexecute("Hi"))
        for _ in range(number % 7):
            await asyncio.sleep(0.001)
        task.cancel()
        await task

    async def spoil(number):
        with contextlib.suppress(errors.NbkitError, asyncio.CancelledError):
            if number % 3 == 0:
                await leave()
            elif number % 3 == 1:
                await adapter.aexecute("Hi", timeout=0.03)
            else:
                await begin_and_cancel(number)

    async def main():
        for start in range(0, 100, 10):
            await asyncio.gather(*[spoil(number) for number in range(start, start + 10)])
        server.says(*[hang(CHUNKED + chunk(EVENTS))] * 50)  # more than two: it may read requests that were cancelled
        first, second = adapter.astream("Hi", timeout=PATIENCE), adapter.astream("Hi", timeout=PATIENCE)
        async with first, second:  # both places at the same time
            return [(await anext(aiter(stream))).text for stream in (first, second)]

    with override(max_connections=2, max_retries=0):
        assert asyncio.run(main()) == ["Hel", "Hel"]


# ---- connections that are kept


@whole
def test_ten_calls_use_one_connection(server, call):
    server.says(*[keep(call)] * 10)
    adapter = server.adapter()

    async def ten():
        return [(await adapter.aexecute("Hi")).text for _ in range(10)]

    texts = [call(adapter).text for _ in range(10)] if call is execute else asyncio.run(ten())
    assert (texts, server.connections) == (["Hello"] * 10, 1)


@engines
def test_ten_streams_use_one_connection(server):
    server.says(*[keep(None)] * 10)
    adapter = server.adapter()

    async def ten():
        return [(await adapter.astream("Hi")).text for _ in range(10)]

    assert (asyncio.run(ten()), server.connections) == (["Hello"] * 10, 1)


CLOSINGS = {
    "closes it meanwhile": [],
    "closes it at the next request": [b""],
    "resets it at the next request": [reset()],
}


@pytest.mark.parametrize("how", CLOSINGS)
@whole
def test_a_kept_connection_that_the_server_closes_is_not_an_attempt(server, call, how):
    once, closing = respond(ANSWER, connection="keep-alive"), CLOSINGS[how]
    server.says((once, "keep") if closing else once, *closing, once)
    adapter = server.adapter()

    async def twice():
        first = await adapter.aexecute("Hi")
        if not closing:
            assert await sees_hang_up(server)
        return first, await adapter.aexecute("Hi")

    if call is execute:
        answers = [call(adapter)]
        assert closing or server.sees_hang_up()
        answers.append(call(adapter))
    else:
        answers = asyncio.run(twice())
    assert [(answer.text, answer.timing.attempts) for answer in answers] == [("Hello", 1)] * 2
    assert (len(server.requests), server.connections) == (2 + len(closing), 2)


WRONG = ANSWER | {"choices": [{"message": {"role": "assistant", "content": "wrong"}, "finish_reason": "stop"}]}
UNASKED = {
    "another answer": respond(WRONG, connection="keep-alive"),
    "the start of one": respond(WRONG)[:30],
    "a 408": respond(b"", 408),
}


@pytest.mark.parametrize("what", UNASKED)
@whole
def test_what_a_server_sends_unasked_is_not_the_next_answer(server, call, what):
    """A proxy says 408 on a connection on which nothing has come for a while."""
    answered, sent = threading.Event(), threading.Event()

    def say_more(connection):
        connection.sendall(respond(ANSWER, connection="keep-alive"))
        answered.wait(PATIENCE)
        connection.sendall(UNASKED[what])
        sent.set()

    server.says((say_more, "keep"), respond(ANSWER))
    adapter = server.adapter()

    async def twice():
        first = await adapter.aexecute("Hi")
        answered.set()
        await asyncio.to_thread(sent.wait, PATIENCE)
        return first, await adapter.aexecute("Hi")

    if call is execute:
        answers = [call(adapter)]
        answered.set()
        sent.wait(PATIENCE)
        answers.append(call(adapter))
    else:
        answers = asyncio.run(twice())
    assert [(answer.text, answer.timing.attempts) for answer in answers] == [("Hello", 1)] * 2
    assert (len(server.requests), server.connections) == (2, 2)


@engines
def test_a_request_that_ends_every_connection_is_sent_again_once(server):
    """F14: a server that such a request brings down gets it twice, however many connections were kept."""
    together = threading.Barrier(3)

    def answer_together(connection):
        together.wait(PATIENCE)
        connection.sendall(respond(ANSWER, connection="keep-alive"))

    server.says(*[(answer_together, "keep")] * 3, *[b""] * 5)
    adapter = server.adapter(max_retries=0)

    async def main():
        await asyncio.gather(*[adapter.aexecute("Hi") for _ in range(3)])
        with pytest.raises(errors.TransportError) as caught:
            await adapter.aexecute("Hi")
        return caught.value.attempts

    assert (asyncio.run(main()), len(server.requests)) == (1, 5)


def test_many_threads_and_loops_call_at_once(server):
    """Eight threads, each with calls of its own and with three loops one after the other; each loop with five calls."""
    server.script[:] = [(respond(ANSWER, connection="keep-alive"), "keep")] * 500
    adapter, barrier = server.adapter(), threading.Barrier(8)

    async def five():
        return [answer.text for answer in await asyncio.gather(*[adapter.aexecute("Hi") for _ in range(5)])]

    def work(number):
        barrier.wait()
        texts = [adapter.execute("Hi").text]
        for _ in range(3):
            texts += asyncio.run(five())
        return texts

    for engine in ("httpx2", "aiohttp"):
        with override(http_engine=engine), ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [["Hello"] * 16] * 8


@four
def test_addresses_of_ipv6_are_called(call):
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = FaultServer()
    server.close()
    server.socket, server.port = listening, listening.getsockname()[1]
    threading.Thread(target=server._accept, daemon=True).start()
    server.says(good(call))
    with listening:
        assert call(server.adapter(base_url=f"http://[::1]:{server.port}/v1")).text == "Hello"
    assert f"host: [::1]:{server.port}".encode() in server.requests[0].lower()
