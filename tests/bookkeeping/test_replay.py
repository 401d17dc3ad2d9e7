"""Replay: an answer that was kept comes again, equal, for $0, without a request and without a key."""

import asyncio
import json
import logging
import socket
import threading

import pytest
from test_ledger import CALLS

import nbkit
from nbkit.adapters import stream as streams
from nbkit.billing.digest import digest_request
from nbkit.billing.money import format_usd
from nbkit.billing.total import TOTAL
from nbkit.bookkeeping import recordings
from nbkit.bulk.panel import Panel
from nbkit.demo import server
from nbkit.errors import ApiKeyNotFoundError, ConfigError, NbkitError, ReplayMissError
from nbkit.settings import is_offline, override, settings

all_calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def path(tmp_path):
    with override(ledger=str(tmp_path / "ledger.sqlite3"), cache_dir=tmp_path / "cache"):
        yield tmp_path / "demo.replay.jsonl"


@pytest.fixture
def sent_bodies(monkeypatch):
    """The bodies of the requests that the simulated provider gets."""
    bodies, read = [], server._DemoHandler._read_body

    def note(handler):
        bodies.append(read(handler))
        return bodies[-1]

    monkeypatch.setattr(server._DemoHandler, "_read_body", note)
    return bodies


def swift(**options):
    return nbkit.get_adapter("demo/swift", **options)


@all_calls
def test_a_second_run_asks_nothing_and_costs_nothing(path, sent_bodies, call):
    with nbkit.replay(path):
        first = call(swift())
    spent = TOTAL.total()
    with nbkit.replay(path) as keeper:
        second = call(swift())
    assert len(sent_bodies) == 1
    assert (second.text, second.usage, second.timing, second.raw) == (
        first.text,
        first.usage,
        first.timing,
        first.raw,
    )
    assert (second.cost, second.bill.source, second.bill.saved) == (0, "replay", first.cost)
    assert (keeper.replayed, keeper.kept, float(keeper.saved)) == (1, 0, first.cost)
    saved = format_usd(first.cost)
    assert str(keeper) == f"replay: demo.replay.jsonl, auto: 1 replayed, saved {saved}, 0 asked for and kept"
    assert repr(nbkit.replay(path)) == "<replay: demo.replay.jsonl, auto: 1 answer>"
    nbkit.replay(mode="off")
    after = TOTAL.total()
    assert (after.usd, after.replayed - spent.replayed) == (spent.usd, 1)
    assert float(after.saved - spent.saved) == first.cost
    assert "replayed, saved $" in str(after)
    paid, free = (row for _, row in nbkit.ledger().iterrows())
    assert (paid["cost"], paid["source"], paid["attempts"]) == (first.cost, "catalog", 1)
    assert (free["cost"], free["source"], free["attempts"], free["saved"]) == (0, "replay", 0, first.cost)
    assert paid["request"] == free["request"]


def test_a_stream_comes_in_the_pieces_and_at_the_pace_of_the_first_run(path, monkeypatch):
    waits = []
    sage = nbkit.get_adapter("demo/sage")
    with override(demo_tokens_per_second=500), nbkit.replay(path), sage.stream("Explain recursion") as first:
        chunks = list(first)
    monkeypatch.setattr(streams.time, "sleep", waits.append)
    for pace in ("first", "none", None):
        with nbkit.replay(path, pace=pace), sage.stream("Explain recursion") as again:
            pieces = list(again)
        for part in ("text", "reasoning"):
            assert "".join(getattr(piece, part) for piece in pieces) == "".join(getattr(one, part) for one in chunks)
        assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["stop"]
        if pace == "first":
            assert len(pieces) > 3
            assert any(piece.reasoning for piece in pieces)
            assert 0 < max(waits) <= first.completion.timing.total  # nobody slept: the waits add up from the start
            waits.clear()
        else:
            assert len(pieces) == 1
            assert not any(waits)


def test_tool_calls_are_in_the_last_piece(path):
    def get_weather(city: str) -> str:
        """Tell the weather."""
        return "sunny"

    for _ in range(2):
        with nbkit.replay(path) as keeper:
            run = swift().run("What is the weather in Paris?", tools=[get_weather])
            answer = run.completion.text
            results = [result.call.arguments for result in run.results]
    assert keeper.replayed == len(run.completions) == 2
    assert "sunny" in answer
    assert "Paris" in results[0]
    with nbkit.replay(path), swift().stream("What is the weather in Paris?", tools=[get_weather]) as stream:
        (chunk,) = stream
    assert [call.name for call in chunk.tool_calls] == ["get_weather"]


def test_repeats_are_kept_apart_and_come_in_their_order(path, sent_bodies):
    ids = []
    for _ in range(2):
        with nbkit.replay(path):
            ids.append([swift().execute("Hi").id for _ in range(3)])
    assert len(sent_bodies) == 3
    assert len(set(ids[0])) == 3
    assert ids[0] == ids[1]


def test_equal_panes_of_a_panel_get_their_own_answers_again(path, sent_bodies):
    ids = []
    for _ in range(2):
        with nbkit.replay(path):
            panel = Panel(["demo/swift"] * 8)
        panel.ask("Hi").ask("And then?").wait()  # after the block, to which they belong
        ids.append([answer.completion.id for pane in panel.panes for answer in pane.answers])
        rows = panel.rows()
    assert len(sent_bodies) == 16
    assert ids[0] == ids[1]
    assert all(row["replayed"] and row["cost"] == 0 and row["saved"] > 0 for row in rows)
    assert "16 replayed, saved $" in str(panel.spent)


def test_what_a_person_watches_takes_its_time_and_the_rest_comes_at_once(path):
    class Screen:
        def __init__(self):
            self.pieces = []

        def receive(self, pane, event):
            self.pieces.append(event)

        begin = end = rest = lambda *_: None

    with override(demo_tokens_per_second=1000), nbkit.replay(path):
        Panel(["demo/swift"]).ask("Explain recursion").wait()
    for watched in (True, False):
        with nbkit.replay(path):
            panel, screen = Panel(["demo/swift"]), Screen()
        panel.listener, panel._turns.watched = screen, watched
        panel.ask("Explain recursion").wait()
        assert (len(screen.pieces) > 2) == watched
        assert "".join(piece.text for piece in screen.pieces) == panel.panes[0].answers[0].text


def test_other_requests_are_other_answers(path, sent_bodies):
    with nbkit.replay(path) as keeper:
        for options in ({}, {"temperature": 0.5}, {"max_tokens": 5}, {"system": "Be brief"}):
            system = [{"role": "system", "content": options.pop("system")}] if "system" in options else []
            swift().execute([*system, "Hi"], **options)
        nbkit.get_adapter("demo/sage").execute("Hi")
    assert (keeper.kept, len({json.loads(line)["request"] for line in path.read_text().splitlines()})) == (5, 5)


def test_only_sends_nothing_and_says_what_is_missing(path, sent_bodies):
    with nbkit.replay(path):
        swift().execute("Hi")
    with nbkit.replay(path, mode="only"):
        assert is_offline()
        assert swift().execute("Hi").cost == 0
        with pytest.raises(ReplayMissError) as miss:
            swift().execute("Hi")
        assert "demo/swift: demo.replay.jsonl has no answer 2 to this request: 'Hi'" in str(miss.value)
        assert "Run the notebook once with mode='auto'" in str(miss.value)
        with pytest.raises(ReplayMissError, match="has no answer to this request: 'Ho'"):
            asyncio.run(swift().aexecute("Ho"))
    assert not is_offline() or settings().offline
    assert len(sent_bodies) == 1
    with pytest.raises(ConfigError, match=r"nothing\.jsonl' is missing; mode='auto' makes it"):
        nbkit.replay(path.with_name("nothing.jsonl"), mode="only")


def test_a_published_notebook_runs_without_a_key_and_without_a_connection(path, json_server, monkeypatch):
    answer = {"id": "1", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": None}
    site = json_server({"/v1/chat/completions": answer})
    options = {"base_url": f"{site.url}/v1", "protocol": "openai-chat"}
    with nbkit.replay(path):
        nbkit.get_adapter("openai/gpt-5-mini", api_key="sk-canary-1234567890", **options).execute("Hi")
    assert "canary" not in path.read_text()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for mode in ("auto", "only"):
        with nbkit.replay(path, mode=mode):
            assert nbkit.get_adapter("openai/gpt-5-mini", **options).execute("Hi").text == "Hello"
    with nbkit.replay(path), pytest.raises(ApiKeyNotFoundError):  # what is not there needs a key
        nbkit.get_adapter("openai/gpt-5-mini", **options).execute("Ho")
    assert len(site.requests) == 1


def test_the_simulated_provider_is_not_started_while_nothing_can_be_sent(path):
    with nbkit.replay(path):
        first = swift().execute("Hi")
    server.stop()
    with nbkit.replay(path, mode="only"):
        adapter = swift()
        assert adapter.execute("Hi").text == first.text
        with pytest.raises(ReplayMissError):
            adapter.execute("Ho")
    assert not server._running
    assert adapter.execute("Ho").cost > 0  # the same adapter, when it may send again


def test_refresh_asks_again_and_off_does_neither(path, sent_bodies):
    ids = {}
    for mode in ("auto", "refresh", "auto", "off"):
        with nbkit.replay(path, mode=mode):
            ids.setdefault(mode, []).append(swift().execute("Hi").id)
    assert len(sent_bodies) == 3
    assert ids["auto"][1] == ids["refresh"][0]
    assert len(path.read_text().splitlines()) == 1
    with nbkit.replay(path), nbkit.replay(mode="off"):
        swift().execute("Hi")
    assert len(sent_bodies) == 4


def test_what_is_not_whole_is_never_kept(path):
    with nbkit.replay(path):
        with swift().stream("Hi") as stream:
            next(iter(stream))
        for prompt in ("please fail", "cut"):
            with pytest.raises(NbkitError):
                nbkit.get_adapter("demo/brittle", max_retries=0).execute(prompt)
        assert swift().execute("Explain recursion", max_tokens=3).finish_reason == "length"
    assert [json.loads(line)["completion"]["finish_reason"] for line in path.read_text().splitlines()] == ["length"]


def test_it_holds_from_a_call_on_and_a_block_ends(path, sent_bodies):
    with override(replay="off"):
        outer = nbkit.replay(path)
        with nbkit.replay(path.with_name("inner.jsonl")) as inner:
            swift().execute("Hi")
        swift().execute("Hi")
        threads = [threading.Thread(target=swift().execute, args=("Ho",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        nbkit.replay(mode="off")
        swift().execute("Hi")
    assert (inner.kept, outer.kept, len(sent_bodies)) == (1, 3, 5)
    assert repr(nbkit.replay(mode="off")) == "<replay: off>"


def test_a_variable_switches_it_on(path):
    swift_ids = []
    for text in ("auto", f"only:{settings().cache_dir / 'replay.sqlite3'}", str(path), f"auto:{path}"):
        with override(replay=text):
            swift_ids.append(swift().execute("Hi").id)
    assert swift_ids[0] == swift_ids[1]
    assert swift_ids[2] == swift_ids[3] != swift_ids[0]
    for text, problem in (("onyl", "ends with .jsonl"), ("only:", "expected a file behind 'only:'")):
        with override(replay=text), pytest.raises(ConfigError, match=f"NBKIT_REPLAY: .*{problem}"):
            swift().execute("Hi")


def test_wrong_arguments_are_explained(path):
    for wrong in ("answers.pickle", "nul\0.jsonl", "half\ud800.jsonl"):
        with pytest.raises(ConfigError, match=r"replay\(\): expected a file that ends with \.jsonl"):
            nbkit.replay(wrong)
    with pytest.raises(ConfigError, match="mode"):
        nbkit.replay(path, mode="always")


def test_the_answer_has_the_type_that_was_requested(path):
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    with nbkit.replay(path):
        swift().execute("Name a city", response_format={"type": "json_object"})
    for _ in range(2):
        with nbkit.replay(path):
            completion = nbkit.get_adapter("demo/scholar").execute("Name a city", response_format=City)
    assert completion.bill.is_replay
    assert completion.answer_type is City


def test_images_are_part_of_the_request_also_those_that_are_fetched_first(path):
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    calls = []

    class Notes:
        def begin(self, call):
            calls.append(call)
            raise ConfigError("enough")

        def end(self, *_):
            pass

    from nbkit.adapters import observers

    before, observers.OBSERVERS = observers.OBSERVERS, (Notes(),)
    try:
        for model in ("anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"):
            for url in (pixel, pixel.replace("A", "B", 1), "https://x.test/a.png", "https://x.test/b.png"):
                content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
                with pytest.raises(ConfigError, match="enough"):
                    nbkit.get_adapter(model, api_key="k").execute(
                        [{"role": "user", "content": content}], extra_headers={"x-secret": "canary"}
                    )
    finally:
        observers.OBSERVERS = before
    assert len({digest_request(call) for call in calls}) == 8
    assert "canary" not in repr([call.body for call in calls])


def test_a_disk_that_fails_costs_no_answer(path, monkeypatch, caplog):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(recordings.Lines, "keep", fail)
    with caplog.at_level(logging.WARNING, "nbkit"), nbkit.replay(path):
        assert swift().execute("Hi").text
        assert swift().execute("Ho").text
    (warning,) = caplog.messages
    assert "cannot be written: no space left. Calls go on." in warning


def test_a_slow_disk_stops_no_event_loop(path, monkeypatch):
    free, find, keep = threading.Event(), recordings.Lines.find, recordings.Lines.keep
    monkeypatch.setattr(recordings.Lines, "find", lambda *args: free.wait(60) and find(*args))
    monkeypatch.setattr(recordings.Lines, "keep", lambda *args: free.wait(60) and keep(*args))

    async def main():
        call = asyncio.create_task(swift().aexecute("Hi"))
        await asyncio.sleep(0)
        free.set()  # reached only where the loop goes on
        return await call

    with nbkit.replay(path) as keeper:
        assert asyncio.run(main()).text
    assert keeper.kept == 1


def test_the_digest_does_not_have_the_port_of_the_simulated_provider(path, sent_bodies):
    with nbkit.replay(path):
        swift().execute("Hi")
    server.stop()
    with nbkit.replay(path) as keeper:
        swift().execute("Hi")
    assert keeper.replayed == 1
