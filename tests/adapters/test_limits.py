"""Calls that wait for their turn: a real server that limits them, threads, event loops, both engines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from engines import ENGINES
from scripted_provider import HELLO, WHOLE, streamed, whole
from test_calls import four

from nbkit import errors
from nbkit.adapters.factory import get_adapter
from nbkit.adapters.limits import describe_lines, limit, list_lines
from nbkit.adapters.place import asking_for
from nbkit.settings import override


def find_host(server):
    """The name that a server has in limits."""
    return server.url.split("/")[2]


class LimitingServer(ThreadingHTTPServer):
    """Answers so many requests at once, or within so many seconds; refuses the others."""

    daemon_threads = True
    request_queue_size = 300

    def __init__(self, at_once=1000, rate=(1000, 1.0)):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.at_once, self.rate = at_once, rate
        self.lock = threading.Lock()
        self.taken: list[float] = []
        self.in_flight = self.most = self.answered = self.refused = 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def begin(self):
        """Return the seconds after which to come again; 0 where the request is taken."""
        with self.lock:
            now, (count, seconds) = time.monotonic(), self.rate
            self.taken = [moment for moment in self.taken if moment > now - seconds]
            wait = self.taken[0] + seconds - now if len(self.taken) >= count else 0
            if self.in_flight >= self.at_once or wait:
                self.refused += 1
                return wait or 0.01
            self.taken.append(now)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            return 0

    def end(self):
        with self.lock:
            self.in_flight -= 1
            self.answered += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LimitingServer

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with suppress(OSError):
            if wait := self.server.begin():
                self.answer(429, b'{"error": {"message": "slow down"}}', retry_after_ms=1000 * wait)
                return
            time.sleep(0.005)
            self.server.end()
            self.answer(200, HELLO if body.get("stream") else json.dumps(WHOLE).encode(), stream=body.get("stream"))

    def answer(self, status, body, *, stream=False, retry_after_ms=None):
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        if retry_after_ms:
            self.send_header("retry-after-ms", f"{retry_after_ms:.0f}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def no_line_yet():
    with override():
        yield


@pytest.fixture
def serve():
    servers = []

    def start(**limits):
        servers.append(LimitingServer(**limits))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def make(server, **more):
    return get_adapter("lab/m1", base_url=server.url, api_key="sk-canary-1234567890", **more)


def ask_from_everywhere(adapter, calls):
    """Ask from threads and from two event loops, whole and streamed; on one engine after the other."""

    async def ask(number):
        if number % 2:
            return await adapter.aexecute("Hi")
        async with adapter.astream("Hi") as stream:
            return await stream

    async def ask_all(count):
        return await asyncio.gather(*map(ask, range(count)))

    def ask_sync(number):
        if number % 2:
            return adapter.execute("Hi")
        with adapter.stream("Hi") as stream:
            return stream.completion

    answers = []
    for engine in ENGINES:
        with override(http_engine=engine), ThreadPoolExecutor(24) as pool:
            loops = [pool.submit(asyncio.run, ask_all(calls // 8)) for _ in range(2)]
            answers += pool.map(ask_sync, range(calls // 4))
            answers += [answer for loop in loops for answer in loop.result()]
    return answers


@pytest.mark.parametrize("source", ["limit", "NBKIT_LIMITS"])
def test_a_set_limit_holds_for_threads_loops_and_engines(serve, source):
    server = serve()
    host = find_host(server)
    with override(limits=f"{host}=3" if source == "NBKIT_LIMITS" else ""):
        if source == "limit":
            limit(host, at_once=3)
        answers = ask_from_everywhere(make(server), 80)
    assert [answer.text for answer in answers] == ["Hello"] * 80
    assert (server.most, server.refused, server.answered) == (3, 0, 80)
    assert any(answer.timing.waited for answer in answers)


def test_a_server_that_takes_few_at_once_answers_all(serve):
    server = serve(at_once=5)
    with override(retry_wait=0.02):
        answers = ask_from_everywhere(make(server), 200)
    assert [answer.text for answer in answers] == ["Hello"] * 200
    assert server.answered == 200
    assert server.refused < 100  # ten episodes at most for each engine: from 20 down to 5


def test_a_server_that_takes_few_in_a_time_answers_all(serve):
    server = serve(rate=(25, 0.2))
    with override(retry_wait=0.02):
        answers = ask_from_everywhere(make(server), 80)
    assert [answer.text for answer in answers] == ["Hello"] * 80
    assert server.answered == 80


def test_without_the_throttle_nothing_waits(serve):
    server = serve()
    host = find_host(server)
    with override(throttle=False, limits=f"{host}=1"):
        answers = ask_from_everywhere(make(server), 16)
    assert not any(answer.timing.waited for answer in answers)
    assert list_lines() == []


@four
def test_a_refused_call_waits_as_long_as_the_server_says(provider, call, good):
    provider.says(whole({"error": {"message": "slow down"}}, 429, retry_after="0.05"), good())
    completion = call(provider.adapter(), "Hi")
    assert (completion.text, completion.timing.attempts) == ("Hello", 2)
    assert completion.timing.waited > 0


@four
def test_what_is_used_up_is_waited_for(provider, call, good):
    used_up = good()
    used_up.headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "500ms"}
    provider.says(used_up, good())
    waited = [call(provider.adapter(), "Hi").timing.waited for _ in range(2)]
    assert waited[0] == 0 < waited[1]


@four
@pytest.mark.parametrize("paused", [True, False])
def test_a_wait_never_passes_the_deadline(provider, call, good, paused):
    used_up = good()
    used_up.headers |= {"ratelimit-remaining": "0", "ratelimit-reset": "50"} if paused else {}
    provider.says(used_up)
    with override(http_deadline=20.0 if paused else 0.3):
        assert call(provider.adapter(), "Hi").text == "Hello"
        (line,) = list_lines()
        slots = [] if paused else [line.enter("m1", time.monotonic()) for _ in range(line.limit)]
        with pytest.raises(errors.RateLimitError) as caught:
            call(provider.adapter(), "Hi")
        error = caught.value
        assert (error.provider, error.model, error.status, error.attempts) == ("lab", "m1", None, 0)
        assert "s for its turn: rate limited by lab (" in str(error)
        assert ("(nothing is sent for " if paused else "(20 of 20 under way, 0 more waiting; ") in str(error)
        assert (error.retry_after is not None) == paused
        assert (line.waiting, line.in_flight, len(provider.requests)) == (0, len(slots), 1)


def test_a_stream_holds_its_slot_until_it_is_read_or_left(provider):
    provider.says(streamed(), streamed(), whole())
    limit(find_host(provider), at_once=1)
    adapter = provider.adapter()
    for leave in (True, False):
        with adapter.stream("Hi") as stream:
            for _ in stream:
                (line,) = list_lines()
                assert line.in_flight == 1
                if leave:
                    break
        assert line.in_flight == 0
    adapter.execute("Hi")
    assert line.in_flight == 0


def test_a_call_inside_of_a_stream_that_holds_the_only_slot_says_so(provider):
    provider.says(streamed())
    with override(http_deadline=2):
        limit(find_host(provider), at_once=1)
        with provider.adapter().stream("Hi") as stream:
            next(iter(stream))
            with pytest.raises(errors.RateLimitError, match="a stream is under way until it is read or closed"):
                provider.adapter().execute("Hi")


async def see(condition):
    while not condition():
        await asyncio.sleep(0.005)


def test_a_cancelled_task_leaves_the_line_at_once(provider):
    provider.says(whole(), whole())
    limit(find_host(provider), at_once=1)
    adapter = provider.adapter()
    adapter.execute("Hi")
    (line,) = list_lines()
    slot = line.enter("m1", time.monotonic())

    async def work():
        tasks = [asyncio.create_task(adapter.aexecute("Hi")) for _ in range(2)]
        await see(lambda: line.waiting == 2)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert line.waiting == 1
        slot.__del__()  # comes back, and goes to the other
        return await tasks[1]

    assert asyncio.run(work()).text == "Hello"
    assert (line.in_flight, line.waiting) == (0, 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to itself")
@pytest.mark.parametrize("streams", [False, True])
def test_an_interrupt_leaves_the_line_at_once(provider, streams):
    provider.says(whole())
    limit(find_host(provider), at_once=1)
    adapter = provider.adapter()
    adapter.execute("Hi")
    (line,) = list_lines()
    slot = line.enter("m1", time.monotonic())

    def interrupt():
        while not line.waiting:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(adapter.stream("Hi")) if streams else adapter.execute("Hi")
    assert (line.in_flight, line.waiting) == (1, 0)
    assert slot


def test_a_call_that_is_left_in_line_costs_nothing(provider):
    provider.says(streamed())
    limit(find_host(provider), at_once=1)
    adapter = provider.adapter("openrouter/openai/gpt-6-luna")
    adapter.stream("Hi").completion  # noqa: B018  # reads it
    (line,) = list_lines()
    slot = line.enter("openai/gpt-6-luna", time.monotonic())

    async def leave():
        async with adapter.astream("Hi") as stream:
            task = asyncio.ensure_future(anext(aiter(stream)))
            await see(lambda: line.waiting)
            task.cancel()
            await asyncio.wait([task])
        return stream

    assert slot
    assert asyncio.run(leave()).booked is None


def test_askers_take_turns_and_hear_that_they_wait(provider):
    provider.says(*[whole()] * 7)
    limit(find_host(provider), at_once=1)
    adapter, notes, order = provider.adapter(), {"map": [], "chat": []}, []
    adapter.execute("Hi")
    (line,) = list_lines()
    slot = line.enter("m1", time.monotonic())

    async def ask(asker):
        with asking_for(asker, notes[asker].append):
            await adapter.aexecute("Hi")
        order.append(asker)

    async def work():
        tasks = [asyncio.create_task(ask(asker)) for asker in ("map", "map", "map", "map", "chat")]
        await see(lambda: line.waiting == 5)
        line.pause("m1", time.monotonic(), 0.1)
        slot.__del__()
        await asyncio.gather(*tasks)

    asyncio.run(work())
    assert order == ["map", "chat", "map", "map", "map"]
    assert notes["chat"][0] == 0  # another call must end before
    assert notes["chat"][-1] is None


def test_a_key_that_is_limited_lets_the_next_one_go(provider):
    used_up = whole()
    used_up.headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "50s"}
    provider.says(used_up, whole(), whole())
    adapter = provider.adapter(api_key=["sk-first-canary-000001", "sk-second-canary-00002"])
    for _ in range(3):
        adapter.execute("Hi")
    carried = [headers["Authorization"][-1] for _, headers, _ in provider.requests]
    assert carried == ["1", "2", "2"]
    (text,) = describe_lines()
    assert text.startswith(f"lab ({find_host(provider)}, key 1): 0 of 20 under way, m1 paused for ")
