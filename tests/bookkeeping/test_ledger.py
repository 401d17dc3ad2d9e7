"""The ledger: a row for each paid call, kept when the call returns, by many kernels at once; no answer is ever lost."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nbkit
from nbkit.bookkeeping import database_file
from nbkit.bookkeeping.ledger import transact
from nbkit.bookkeeping.store import FileStore
from nbkit.errors import ConfigError, NbkitError
from nbkit.settings import override


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data" / "ledger.sqlite3"
    with override(ledger=str(path)):
        yield path


def swift():
    return nbkit.get_adapter("demo/swift")


def stream(adapter):
    with adapter.stream("Hi") as pieces:
        for _ in pieces:
            pass
    return pieces.completion


async def astream(adapter):
    async with adapter.astream("Hi") as pieces:
        async for _ in pieces:
            pass
    return pieces.completion


CALLS = {
    "execute": lambda adapter: adapter.execute("Hi"),
    "aexecute": lambda adapter: asyncio.run(adapter.aexecute("Hi")),
    "stream": stream,
    "astream": lambda adapter: asyncio.run(astream(adapter)),
}


def read(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT model, cost, status FROM calls ORDER BY time").fetchall()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_row_is_in_the_file_when_the_call_returns(path, call):
    completion = call(swift())
    assert read(path) == [("demo/swift", completion.cost, "done")]
    row = nbkit.ledger().iloc[0]
    usage = completion.usage
    assert (row["input"], row["output"], row["cost"]) == (usage.input, usage.output, completion.cost)
    assert (row["answered_by"], row["source"], row["attempts"]) == ("swift", "catalog", 1)
    assert row["seconds"] == completion.timing.total
    assert row.isna()[["prompt", "answer", "error"]].all()


def test_what_was_left_is_partial_and_what_failed_costs_nothing(path):
    with swift().stream("Hi") as pieces:
        next(iter(pieces))
    with pytest.raises(NbkitError):
        nbkit.get_adapter("demo/brittle", max_retries=1).execute("please fail")
    with pytest.raises(NbkitError):
        swift().execute("Hi", tools=5)  # nothing is sent
    frame = nbkit.ledger()
    assert frame["status"].tolist() == ["partial", "failed"]
    assert frame["attempts"].tolist() == [1, 2]
    assert frame["cost"].tolist() == [pieces.completion.cost, 0.0]
    assert frame["error"].tolist()[1] == "ProviderError"


def test_calls_without_a_price_are_a_total_of_their_own(path):
    with nbkit.tag("free?"):
        nbkit.get_adapter("demo/swift", cost=None).execute("Hi")
    swift().execute("Hi")
    frame = nbkit.ledger()
    assert frame.attrs["unpriced"] == int(frame["cost"].isna().sum())
    assert frame["cost"].sum() == pytest.approx(frame["cost"].dropna().sum())


def test_rows_are_chosen_by_time_model_tag_and_notebook(path, monkeypatch):
    swift().execute("Hi")
    with nbkit.tag("odd_%"):
        nbkit.get_adapter("demo/sage").execute("Hi")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/costs.ipynb")
    swift().execute("Hi")
    frame = nbkit.ledger()
    assert frame["time"].is_monotonic_increasing
    assert len(nbkit.ledger(model="demo/swift")) == 2
    assert nbkit.ledger(tag="odd_%")["model"].tolist() == ["demo/sage"]
    assert nbkit.ledger(tag="oddx%").empty
    assert len(nbkit.ledger(notebook="costs.ipynb")) == 1
    assert nbkit.ledger(since="2100-01-01").empty
    assert len(nbkit.ledger(since=frame["time"].iloc[1], until=frame["time"].iloc[2])) == 1
    assert len(nbkit.ledger(since=np.datetime64("2020-01-01"))) == len(frame)
    for text in ("notebook", "model", "user"):
        assert nbkit.ledger(**{text: "half\ud800"}).empty
    for wrong in ("yesterday", 5, pd.NaT, "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-12:00"):
        with pytest.raises(ConfigError, match="since: expected a date like"):
            nbkit.ledger(since=wrong)


def test_tags_reach_threads_tasks_and_panels(path):
    adapter = swift()
    with nbkit.tag("outer"):
        with nbkit.tag("inner"), ThreadPoolExecutor(2) as pool:
            list(pool.map(adapter.execute, ["Hi", "Hi"]))
        asyncio.run(adapter.aexecute("Hi"))
        answers = nbkit.compare("Hi", ["demo/swift", "demo/sage"])
    answers.ask("More")
    adapter.execute("Hi")
    tags = nbkit.ledger()["tags"].tolist()
    assert sorted(tags) == sorted([("outer", "inner")] * 2 + [("outer",)] * 5 + [()])
    with pytest.raises(ConfigError, match="expected a name"), nbkit.tag(""):
        pass


def test_content_is_kept_on_demand_only_and_no_key_ever(path):
    adapter = nbkit.get_adapter("demo/swift", api_key="sk-canary-123456789")
    with override(ledger_content=True):
        completion = adapter.execute("a secret plan")
    adapter.execute("another plan")
    frame = nbkit.ledger()
    assert "a secret plan" in frame["prompt"][0]
    assert frame["answer"][0] == completion.text
    assert frame["request"][0] != frame["request"][1]
    whole = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"another plan" not in whole
    assert b"canary" not in whole


def test_the_file_is_the_users_own(path):
    swift().execute("Hi")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_an_older_file_gets_the_new_columns(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE calls ("call" TEXT PRIMARY KEY, "time" TEXT, "cost" REAL, "tags" TEXT)')
        connection.execute("INSERT INTO calls VALUES ('old', '2020-01-01T00:00:00.000000+00:00', 1.5, '[]')")
    completion = swift().execute("Hi")
    frame = nbkit.ledger()
    assert frame["cost"].tolist() == [1.5, completion.cost]
    assert frame["model"].isna().tolist() == [True, False]


def test_a_broken_file_is_kept_aside(path, caplog):
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    completion = swift().execute("Hi")
    assert read(path) == [("demo/swift", completion.cost, "done")]
    (aside,) = path.parent.glob("*.broken-*")
    assert aside.read_bytes().startswith(b"not a database")
    assert caplog.text.count("it is kept as") == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_disk_that_cannot_be_written_costs_no_answer_and_the_rows_wait(path, caplog, call):
    path.parent.mkdir()
    path.mkdir()  # which no user can open as a file, root neither
    assert call(swift()).text
    assert call(swift()).text
    assert caplog.text.count("cannot be written") == 1
    path.rmdir()
    call(swift())
    assert len(read(path)) == 3


FULL = """
import logging, os, resource, sys
import nbkit

logging.basicConfig(format="%(message)s")
adapter = nbkit.get_adapter("demo/swift")
adapter.execute("Hi")
largest = os.stat(os.environ["NBKIT_LEDGER"] + "-wal").st_size  # the system refuses to make any file larger
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
for _ in range(3):
    print(len(adapter.execute("Hi").text) > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
adapter.execute("Hi")
print(len(nbkit.ledger()))
"""


def test_a_full_disk_costs_no_answer_and_no_row(path, tmp_path):
    environment = os.environ | {"NBKIT_LEDGER": str(path), "NBKIT_OFFLINE": "1", "NBKIT_CACHE_DIR": str(tmp_path)}
    environment |= {"NBKIT_DEMO_TOKENS_PER_SECOND": "0"}
    done = subprocess.run([sys.executable, "-c", FULL], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3 + ["5"]
    assert done.stderr.count("cannot be written") == 1


@pytest.mark.parametrize("files", [("",), ("", "-wal", "-shm")], ids=["the file", "all of it"])
@pytest.mark.parametrize("act", [Path.unlink, lambda file: file.rename(f"{file}.old")], ids=["removed", "renamed"])
def test_where_the_file_was_removed_a_new_one_begins(path, act, files, monkeypatch):
    monkeypatch.setattr(FileStore, "look_seconds", 0.0)
    swift().execute("Hi")
    for ending in files:
        act(Path(f"{path}{ending}"))
    swift().execute("Hi")
    swift().execute("Hi")
    assert len(nbkit.ledger()) == 2
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM calls").fetchone() == (2,)


def test_off_is_off(path):
    with override(ledger="off"):
        swift().execute("Hi")
        with pytest.raises(ConfigError, match="switched off"):
            nbkit.ledger()
    assert not path.exists()


def test_no_write_ahead_log_on_a_network_file_system(path, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(database_file, "_MOUNTS", mounts)
    swift().execute("Hi")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])  # NORMAL, FULL
def test_a_row_outlives_a_power_failure_where_that_is_wanted(path, durable, level):
    with override(ledger_durable=durable):
        swift().execute("Hi")
        with transact() as execute:
            assert execute("PRAGMA synchronous") == [(level,)]


WRITERS = """
import os, random, signal, time
from nbkit.billing.entry import CallFacts
from nbkit.bookkeeping.ledger import LEDGER
from nbkit.conversation.completion import ChatCompletion, Timing

def begin():
    if child := os.fork():
        return child
    while os.getppid() == main:
        call = CallFacts(os.urandom(16).hex(), "demo", "swift", "openai-chat", stream=False)
        LEDGER.end(call, ChatCompletion([], timing=Timing(None, 0.1)), None)
        LEDGER.settle()
        if not LEDGER.pending:
            os.write(1, f"{call.id}\\n".encode())
        time.sleep(0.01)

main = os.getpid()
writers = [begin() for _ in range(10)]
while os.lseek(1, 0, os.SEEK_END) < 2000 * 33:
    time.sleep(0.5)
    killed = writers.pop(random.randrange(10))
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    writers.append(begin())
for writer in writers:
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
"""


@pytest.mark.parametrize("place", ["file", "database"])
def test_what_ten_kernels_have_written_is_there_once_though_one_is_killed_every_half_second(place, tmp_path, request):
    path = tmp_path / "ledger.sqlite3"
    ledger = str(path) if place == "file" else request.getfixturevalue("server").make_database()
    with (tmp_path / "written.txt").open("a+") as written:
        command = [sys.executable, "-c", WRITERS]
        environment = os.environ | {"NBKIT_LEDGER": ledger}
        done = subprocess.run(command, env=environment, stdout=written, stderr=subprocess.PIPE, text=True, check=True)
        written.seek(0)
        calls = written.read().split()
    assert done.stderr == ""  # a writer that waits for longer than ten seconds says so
    with override(ledger=ledger):
        rows = nbkit.ledger()["call"].tolist()
    assert len(set(rows)) == len(rows)
    assert set(calls) <= set(rows)
    assert len(calls) >= 2000
    if place == "file":
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
