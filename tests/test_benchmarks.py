"""The benchmarks: what they measure is a whole answer, in every protocol and kind of call. No times here."""

import pytest
from engines import engines

from benchmarks.comparisons import run_comparisons
from benchmarks.libraries import BARE, ON_AIOHTTP, ON_HTTPX2, SDK
from benchmarks.runner import Row, Value, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.tables import load, render_markdown, save
from benchmarks.wires import WIRES
from benchmarks.workers import Case, running_workers


@pytest.fixture(scope="module")
def root():
    with running_server() as root:
        yield root


@pytest.fixture(scope="module")
def workers():
    with running_workers() as workers:
        yield workers


@pytest.mark.parametrize("protocol", WIRES)
@pytest.mark.parametrize("library", [BARE, ON_HTTPX2, ON_AIOHTTP, SDK])
def test_every_library_reads_the_whole_answer_of_each_kind_of_call(root, workers, library, protocol):
    worker = workers.get(library, protocol)
    for kind in ("call", "stream", "acall", "astream"):
        worker.measure(Case(protocol, kind, root, chunks=20, times=2))
    sample = worker.measure(Case(protocol, "astream", root, chunks=5, per_second=1000, times=30, together=True))
    assert sample.first  # the first chunk was seen


@engines
def test_a_server_that_fails_a_third_of_the_requests_leaves_no_pane_without_an_end_and_no_call_unbooked(root):
    """The small form of `python -m benchmarks comparisons`, which looks for what is left as well."""
    counts = run_comparisons(root, 10)
    counts.check()
    assert counts.calls == 80
    assert len(counts.server) > 3  # the faults are mixed


def test_an_answer_that_is_not_the_servers_raises(root, workers):
    with pytest.raises(RuntimeError, match="404"):
        workers.get(ON_HTTPX2, "openai-chat").measure(Case("openai-chat", "call", f"{root}/400"))


def test_work_takes_turns_and_a_slow_one_takes_fewer():
    order = []
    works = {name: lambda name=name: order.append(name) for name in ("first", "second", "third")}
    take_turns(works, 2, seconds=60, warm_up=False)
    assert order == ["first", "second", "third"] * 2
    order.clear()
    samples = take_turns(works, 9, seconds=0, warm_up=False)  # all have used their time up after one
    assert order == ["first", "second", "third"]
    assert {name: len(taken) for name, taken in samples.items()} == {"first": 1, "second": 1, "third": 1}


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    row = make_row("a call", "bare", {"bare": [1.0, 2.0, 8.0], "nbkit": [2.0, 2.0, 2.0], "slow": [10.0]}, per=2)
    assert row.values == {"bare": Value(1.0, 1.0), "nbkit": Value(1.0, 1.0), "slow": Value(5.0, 10.0)}


def test_saved_figures_are_the_tables_of_a_page(tmp_path):
    rows = [
        Row("a call", "bare", {"bare": Value(0.0005, 1.0), "nbkit": Value(0.9996, 1.5)}, aim="1.25"),
        Row("sockets", "before", {"before": Value(4), "nbkit": Value(4)}, unit=""),
        Row("bytes", "text", {"text": Value(1000, 1.0), "new | old": Value(12000, 12.0)}, unit="B"),
    ]
    save(tmp_path / "figures.json", {"calls": rows})
    facts, tables = load(tmp_path / "figures.json")
    assert tables == {"calls": rows}
    assert {"httpx2", "pandas"} <= facts["packages"].keys()
    assert facts["machine"]
    assert facts["date"]
    assert render_markdown(tables["calls"]).splitlines() == [
        "|  | baseline | nbkit | new / old | aim |",
        "| --- | --- | --- | --- | --- |",
        "| a call | bare: 500 µs | 1000 ms (1.5 x) |  | 1.25 |",
        "| sockets | before: 4 | 4 |  |  |",
        "| bytes | text: 1 kB |  | 12 kB (12 x) |  |",
    ]
