"""An answer as a line of JSON: what a provider answers comes back equal, and a file from elsewhere is not trusted."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vector_files import load

import nbkit
from nbkit.billing.entry import CallFacts, Sample
from nbkit.bookkeeping.recording import is_worth_keeping, make_recording, mark_replayed, quote_prompt, read_recording
from nbkit.bookkeeping.recordings import Database, Lines, write_copy
from nbkit.conversation.completion import Bill, BillLine, Change, ChatCompletion, Timing, Usage
from nbkit.conversation.turns import Conversation
from nbkit.protocols import PROTOCOLS, protocol
from nbkit.settings import override

BILL = Bill(0.25, "estimate", (BillLine("input", 3, 1.5, 4.5e-06),), "2026-10-01", 200_000, ("flex",), "flex", "x")
VECTORS = [(name, vector) for name in PROTOCOLS for vector in load(name).decode]


def record(completion, request="a" * 64, number=0, pieces=(), conversation=None):
    call = CallFacts("1", "demo", "swift", "openai-chat", stream=True, conversation=conversation)
    return make_recording(call, Sample(None, request, number, True, list(pieces)), completion)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}: {vector.name}" for name, vector in VECTORS])
def test_every_answer_of_every_protocol_comes_back_equal(name, vector):
    module, dialect = protocol(name), vector.make_dialect()
    decoder = module.Decoder(dialect)
    for event, data in vector.pairs():
        decoder.feed(event, data)
    for answer in (module.decode(vector.whole, dialect), decoder.finish()):
        again = read_recording(record(answer).write()).restore()
        assert again == mark_replayed(answer)
        assert again.turn == answer.turn  # what goes back to the provider: signatures, its own blocks


def test_bill_times_changes_and_pieces_are_kept_and_the_bill_is_that_of_a_replay():
    completion = ChatCompletion(
        "Hello \u2028 \x1b[0m",
        usage=Usage(3, 4),
        bill=BILL,
        timing=Timing(0.125, 1.5, 2),
        changes=(Change("clamped", "temperature", "above 1"),),
    )
    recording = record(completion, pieces=[(125, 3, 0), (1400, 4, 0)])
    line = recording.write()
    assert b"\n" not in line
    again = read_recording(line)
    assert again == recording
    restored = again.restore()
    assert restored.bill == Bill(0.0, "replay", (), "2026-10-01", 200_000, (), "flex", "x", saved=0.25)
    assert (restored.timing, restored.changes, restored.usage) == (
        completion.timing,
        completion.changes,
        completion.usage,
    )
    assert list(json.loads(line)) == sorted(json.loads(line))


@pytest.mark.parametrize(
    ("completion", "worth"),
    [
        (ChatCompletion("Hi", finish_reason="stop"), True),
        (ChatCompletion("Hi", finish_reason="length"), True),
        (ChatCompletion("", finish_reason="tool_calls"), True),
        (ChatCompletion("Hi"), True),  # whole, and the server does not say how it ended
        (ChatCompletion("Hi", finish_reason="content_filter"), False),
        (ChatCompletion("Hi", finish_reason="error"), False),
        (ChatCompletion("Hi", finish_reason="stop", bill=Bill(0.1, "partial")), False),
        (ChatCompletion("Hi", finish_reason="stop", bill=Bill(0.0, "replay")), False),
        (
            ChatCompletion(
                "Hi",
                finish_reason="stop",
                choices=tuple(ChatCompletion("", finish_reason=one) for one in ("stop", "x")),
            ),
            False,
        ),
    ],
)
def test_only_whole_answers_are_worth_keeping(completion, worth):
    assert is_worth_keeping(completion) == worth


def test_a_line_shows_the_beginning_of_the_prompt():
    call = CallFacts(
        "1", "a", "b", "c", stream=False, conversation=Conversation(["x", "Explain\n" + "recursion " * 30])
    )
    assert quote_prompt(call).startswith("Explain recursion recursion")
    assert len(quote_prompt(call)) == 120
    assert quote_prompt(CallFacts("1", "a", "b", "c", stream=False)) == ""


GOOD = json.loads(record(ChatCompletion("Hi", finish_reason="stop", bill=BILL)).write())
BAD = {
    "not JSON": b"{",
    "a list": b"[]",
    "not UTF-8": b'{"request": "\xff"}',
    "deep": b'{"completion": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a digest that is none": json.dumps(GOOD | {"request": "../../etc"}).encode(),
    "a later format": json.dumps(GOOD | {"format": 99}).encode(),
    "a number that is text": json.dumps(GOOD | {"sample": "0"}).encode(),
    "pieces back in time": json.dumps(GOOD | {"pieces": [[-1, 2, 3]]}).encode(),
    "no text": json.dumps(GOOD | {"completion": {}}).encode(),
    "usage of words": json.dumps(GOOD | {"completion": {"text": "", "usage": {"input": "many"}}}).encode(),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_line_that_is_not_an_answer_is_refused(line):
    with pytest.raises(ValueError, match=r"\w"):
        read_recording(line)


def test_broken_lines_are_skipped_with_one_warning(tmp_path, caplog):
    path, good = tmp_path / "a.replay.jsonl", record(ChatCompletion("Hi"))
    path.write_bytes(b"\n".join([*BAD.values(), b"", good.write()]))  # a writer was killed before the end of its line
    with caplog.at_level(logging.WARNING, "nbkit"):
        lines = Lines(path)
        assert lines.find(*good.key) == good
        assert lines.find("b" * 64, 0) is None
        lines.keep([record(ChatCompletion("Ho"), "b" * 64)])
    (warning,) = caplog.messages
    assert "a.replay.jsonl: line 1 (" in warning
    assert "and 9 more: not an answer of a replay, skipped" in warning
    assert [one.key[0][0] for one in Lines(path).list_all()] == ["a", "b"]


@pytest.fixture(params=[Lines, Database])
def store(request, tmp_path):
    return request.param(tmp_path / "deep" / f"x{'.jsonl' if request.param is Lines else '.sqlite3'}")


def test_what_one_keeps_another_finds_and_the_later_one_counts(store):
    first, second = record(ChatCompletion("one")), record(ChatCompletion("two"), number=1)
    store.keep([first])
    store.keep([second])
    other = type(store)(store.path)
    assert [other.find(*one.key) for one in (first, second)] == [first, second]
    store.keep([anew := record(ChatCompletion("three"))])
    other = type(store)(store.path)
    assert other.find(*first.key) == anew
    assert {one.key for one in other.list_all()} == {first.key, second.key}
    other.remove([first.key])
    assert [one.key for one in type(store)(store.path).list_all()] == [second.key]
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_what_another_kernel_appends_is_not_lost_when_a_line_is_replaced(tmp_path):
    one, other = Lines(tmp_path / "x.jsonl"), Lines(tmp_path / "x.jsonl")
    one.keep([record(ChatCompletion("one"))])
    other.keep([record(ChatCompletion("two"), "b" * 64)])
    one.keep([record(ChatCompletion("three"))])
    assert [recording.completion["text"] for recording in Lines(one.path).list_all()] == ["three", "two"]


KERNEL = """
import sys
from pathlib import Path
from nbkit.bookkeeping.recordings import open_recordings
from test_recording import record
from nbkit.conversation.completion import ChatCompletion
store = open_recordings(Path(sys.argv[1]))
for number in range(100):
    store.keep([record(ChatCompletion(sys.argv[2] * 500), sys.argv[2] * 64, number)])
"""


def test_many_kernels_keep_their_answers_in_one_place(store):
    folders = os.pathsep.join(str(Path(__file__).parents[1] / one) for one in ("bookkeeping", "protocols"))
    environment = os.environ | {"PYTHONPATH": folders}
    kernels = [
        subprocess.Popen([sys.executable, "-c", KERNEL, str(store.path), name], env=environment) for name in "ab"
    ]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    keys = {one.key for one in store.list_all()}
    assert keys == {(name * 64, number) for name in "ab" for number in range(100)}


def test_the_oldest_go_when_it_grows_too_large(store):
    with override(replay_megabytes=1):
        for number in range(30):
            store.keep([record(ChatCompletion(str(number % 10) * 100_000), number=number)])
        left = [one.sample for one in type(store)(store.path).list_all()]
    assert 29 in left
    assert 0 not in left
    assert left == sorted(left)
    assert store.path.stat().st_size < 1_500_000


def test_a_database_that_is_broken_is_put_aside(tmp_path, caplog):
    path = tmp_path / "x.sqlite3"
    path.write_bytes(b"not a database" * 1000)
    store = Database(path)
    assert store.find("a" * 64, 0) is None
    store.keep([one := record(ChatCompletion("Hi"))])
    assert store.find(*one.key) == one
    assert "cannot be read" in caplog.text
    assert list(tmp_path.glob("x.sqlite3.broken*"))


def test_a_copy_is_a_file_of_lines(store, tmp_path):
    store.keep([record(ChatCompletion("one")), record(ChatCompletion("two"), number=1)])
    target = tmp_path / "copy.jsonl"
    assert write_copy(store.list_all(), target) == store.count() == 2
    assert list(Lines(target).list_all()) == list(store.list_all())
    with pytest.raises(FileExistsError):
        write_copy(store.list_all(), target)


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
def test_a_link_beside_a_notebook_is_not_followed(tmp_path):
    """A link may have come with somebody else's notebook: nothing is written to where it leads."""
    mine, link = tmp_path / "mine", tmp_path / "demo.replay.jsonl"
    for content in (b"", b"not an answer\n", None):
        mine.unlink(missing_ok=True)
        if content is not None:
            mine.write_bytes(content)
        link.unlink(missing_ok=True)
        link.symlink_to(mine)
        with nbkit.replay(link):
            nbkit.get_adapter("demo/swift").execute("Hi")
        assert (mine.read_bytes() if mine.exists() else None) == content
        assert not link.is_symlink()
        with nbkit.replay(link, mode="only"):
            assert nbkit.get_adapter("demo/swift").execute("Hi").bill.source == "replay"
