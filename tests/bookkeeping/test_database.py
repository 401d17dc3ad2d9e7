"""The ledger of a team, on a real PostgreSQL server: equal to a file's, in no answer's way, and no password shown."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pandas as pd
import psycopg
import pytest

import nbkit
from nbkit.billing.entry import CallFacts
from nbkit.bookkeeping.database import DatabaseStore
from nbkit.bookkeeping.ledger import LEDGER
from nbkit.bookkeeping.rows import COLUMNS, Entry, write_row
from nbkit.bookkeeping.store import FileStore, open_store
from nbkit.conversation.completion import ChatCompletion, Usage
from nbkit.errors import ConfigError, LedgerError, NbkitError, StreamError
from nbkit.notebook.magics import describe_ledger, describe_settings
from nbkit.settings import override


def swift(**options):
    return nbkit.get_adapter("demo/swift", **options)


def make_rows(count):
    """Rows of no call: `call` is set, the other texts, too, numbers are small."""
    values = {"text": "x", "real": 0.5, "integer": 3}
    row = {column.name: values[column.kind] for column in COLUMNS} | {"tags": "[]"}
    for number in range(count):
        yield tuple((row | {"call": f"call-{number}", "time": f"2026-01-01T00:00:{number:02}+00:00"}).values())


def make_facts(model="swift"):
    return CallFacts("id-1", "demo", model, "openai-chat", stream=False)


def make_calls():
    swift().execute("Hi")
    with nbkit.tag("odd_%", "Größe"):
        nbkit.get_adapter("demo/sage").execute("Hi")
    with swift().stream("Hi") as pieces:
        next(iter(pieces))
    url = swift().endpoint.base_url
    unpriced = nbkit.get_adapter("openai/swift", base_url=url, api_key="sk-canary", protocol="openai-chat")
    asyncio.run(unpriced.aexecute("Hi"))
    with pytest.raises(NbkitError):
        nbkit.get_adapter("demo/brittle", max_retries=1).execute("please fail")


CHOICES = (
    {"model": "demo/swift"},
    {"user": "nobody else"},
    {"tag": "odd_%"},
    {"tag": "ODD_%"},
    {"tag": "Größe"},
    {"since": "2100-01-01"},
    {},
)


def test_two_ledgers_give_equal_frames_for_the_same_calls(database, tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite3"
    own, write = FileStore(path), DatabaseStore.write
    monkeypatch.setattr(DatabaseStore, "write", lambda team, rows: (write(team, rows), own.write(rows)))
    with override(ledger_content=True):
        make_calls()
    frames = [nbkit.ledger(**choice) for choice in CHOICES]
    with override(ledger=str(path)):
        for choice, frame in zip(CHOICES, frames, strict=True):
            pd.testing.assert_frame_equal(nbkit.ledger(**choice), frame)
    assert [len(frame) for frame in frames] == [2, 0, 1, 0, 1, 0, 5]
    assert frames[-1]["status"].tolist() == ["done", "done", "partial", "done", "failed"]
    assert frames[-1].attrs["unpriced"] == 1
    assert len(nbkit.ledger(user=frames[-1]["user"][0])) == 5
    assert describe_ledger().startswith("all notebooks of the team: today unknown for 1 call, ")


@pytest.fixture(params=["file", "database"])
def stores(request, tmp_path):
    """Makes further stores of one place, a new one for each test."""
    address = request.getfixturevalue("server").make_database() if request.param == "database" else ""
    made = []

    def make():
        made.append(DatabaseStore(address) if address else FileStore(tmp_path / "ledger.sqlite3"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def test_many_kernels_begin_one_ledger_at_once_and_a_row_is_there_once(stores):
    rows, barrier = list(make_rows(5)), Barrier(8)

    def write(store):
        barrier.wait()
        store.write(rows)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [stores() for _ in range(8)]))
    assert stores().read("1 = 1", ()) == rows


def test_a_transaction_excludes_the_others_and_is_undone_where_it_fails(stores):
    with stores().transact() as execute:
        execute("CREATE TABLE counts (name TEXT, number INTEGER)")
        execute("INSERT INTO counts VALUES (?, ?)", ("100 %", 0))

    def count_up(store):
        for _ in range(10):
            with store.transact() as execute:
                ((number,),) = execute("SELECT number FROM counts WHERE name LIKE '100 %'")
                execute("UPDATE counts SET number = ? WHERE name = ?", (number + 1, "100 %"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, [stores() for _ in range(4)]))
    store = stores()
    with pytest.raises(ZeroDivisionError), store.transact() as execute:
        execute("UPDATE counts SET number = ?", (1 / len(execute("UPDATE counts SET number = 0")),))
    with pytest.raises((OSError, sqlite3.Error)), store.transact() as execute:
        execute("SELECT nothing FROM counts")
    with store.transact() as execute:
        assert execute("SELECT number FROM counts") == [(40,)]


def test_columns_of_newer_and_older_versions_do_no_harm(stores):
    with stores().transact() as execute:
        execute("DELETE FROM calls")
        execute("ALTER TABLE calls ADD COLUMN invented TEXT")
        execute("ALTER TABLE calls DROP COLUMN tags")
        execute("""INSERT INTO calls (call, time, invented) VALUES ('old', '2020', 'x')""")
    store, rows = stores(), list(make_rows(1))
    store.write(rows)
    assert store.read("time > ?", ("2021",)) == rows
    assert dict(zip([column.name for column in COLUMNS], store.read("1 = 1", ())[0], strict=True))["call"] == "old"


def test_texts_and_numbers_that_a_database_refuses_are_mended(stores):
    facts = make_facts("nul\0half\ud800")
    answer = ChatCompletion([], usage=Usage(input=10**30))
    entry = Entry(facts, answer, None, 1, 0, None, "session", with_content=False)
    stores().write([write_row(entry)])
    (row,) = stores().read("1 = 1", ())
    assert {"demo/nul\ufffdhalf?", 2**63 - 1, "1970-01-01T00:00:00.000000+00:00"} <= set(row)


def test_a_server_that_is_down_costs_no_answer_is_named_once_and_the_rows_wait(server, database, caplog, monkeypatch):
    monkeypatch.setattr(DatabaseStore, "pause", 0.0)
    swift().execute("Hi")
    server.stop()
    try:
        assert swift().execute("Hi").text
        assert asyncio.run(swift().aexecute("Hi")).text
        with pytest.raises(
            LedgerError, match=f"the ledger postgresql://127.0.0.1:{server.port}/.*cannot be read"
        ) as info:
            nbkit.ledger()
    finally:
        server.start()
    assert caplog.text.count("cannot be written") == 1
    swift().execute("Hi")
    assert len(nbkit.ledger()) == 4
    server.stop()
    server.start()  # the connection has ended, and nobody needs to know
    swift().execute("Hi")
    assert len(nbkit.ledger()) == 5
    assert caplog.text.count("cannot be written") == 1
    assert "canary" not in caplog.text + "".join(traceback.format_exception(info.value))


def test_after_a_failure_calls_leave_the_server_alone_for_a_while(caplog):
    with override(ledger="postgresql://nbkit@127.0.0.1:1/team"):
        for _ in range(3):
            swift().execute("Hi")
        assert not LEDGER.pending
    assert caplog.text.count("cannot be written") == 1


def test_calls_that_end_together_wait_for_one_attempt_only(monkeypatch):
    attempts = []

    def connect(where):
        attempts.append(where)
        together.wait()  # all others are behind this one by now, or come after it
        raise psycopg.OperationalError("timed out")

    together, settle = Barrier(2, timeout=120), LEDGER.settle
    monkeypatch.setattr("nbkit.bookkeeping.database._connect", connect)
    with override(ledger="postgresql://127.0.0.1/team"), ThreadPoolExecutor(5) as pool:
        LEDGER.end(make_facts(), ChatCompletion([]), StreamError("broken", attempts=1))
        others = [pool.submit(settle) for _ in range(5)]
        together.wait()
        for other in others:
            other.result()
    assert len(attempts) == 1


WRONG = "postgresql://me:canary/x@host/team", "postgresql://me:12/canary@host/team", "postgres://me:c@canary@host/team"


@pytest.mark.parametrize("address", WRONG)
def test_an_address_of_the_wrong_form_is_not_repeated(address, caplog):
    with override(ledger=address):
        assert swift().execute("Hi").text
        with pytest.raises(ConfigError, match="expected an address like postgresql://") as info:
            nbkit.ledger()
    assert "canary" not in caplog.text + "".join(traceback.format_exception(info.value))
    assert caplog.text.count("expected an address") == 1


def test_no_password_in_what_is_shown(server, caplog):
    address = server.make_database().replace("canary", "wrong-canary")
    with override(ledger=address) as now:
        swift().execute("Hi")
        assert "password authentication failed" in caplog.text
        shown = [caplog.text, repr(now), str(open_store(now)), repr(open_store(now)), describe_settings()]
    assert not [text for text in shown if "canary" in text]


def test_without_psycopg_the_answer_comes_and_the_extra_is_named(caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbkit.bookkeeping.database", None)
    with override(ledger="postgresql://127.0.0.1/team"):
        assert swift().execute("Hi").text
    assert "psycopg, for PostgreSQL, is not installed: pip install 'nbkit-llm[postgres]'" in caplog.text


LATE = """
import nbkit
nbkit.get_adapter("demo/swift").execute("Hi")
"""


def test_what_is_lost_at_the_end_of_a_process_is_counted(tmp_path):
    environment = os.environ | {"NBKIT_LEDGER": "postgresql://127.0.0.1:1/team", "NBKIT_OFFLINE": "1"}
    environment |= {"NBKIT_CACHE_DIR": str(tmp_path), "NBKIT_DEMO_TOKENS_PER_SECOND": "0"}
    done = subprocess.run([sys.executable, "-c", LATE], env=environment, capture_output=True, text=True, check=True)
    assert "1 call was paid and is not in the ledger" in done.stderr
