"""`nbkit replay`: what is kept, what may go, and a copy to publish."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

import nbkit
from nbkit.bookkeeping.recordings import Lines, open_recordings
from nbkit.cli.main import main
from nbkit.settings import override


@pytest.fixture
def kept(tmp_path):
    """Three answers in the cache directory, one of them a week old."""
    with override(cache_dir=tmp_path / "cache", replay="off"):
        with nbkit.replay():
            for model in ("swift", "swift", "sage"):
                nbkit.get_adapter(f"demo/{model}").execute("Hi")
        store = open_recordings(None)
        old = next(one for one in store.list_all() if one.sample == 1)
        store.keep([replace(old, kept=datetime.now(UTC) - timedelta(days=7))])
        yield tmp_path


def test_stats_count_the_answers_of_each_model(kept, capsys):
    assert main(["replay", "stats", "--json"]) == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert {model: row["answers"] for model, row in rows.items()} == {"demo/swift": 2, "demo/sage": 1}
    assert all(row["bytes"] > 500 and row["cost"] > 0 for row in rows.values())
    assert rows["demo/swift"]["oldest"] < rows["demo/swift"]["newest"]
    assert main(["replay", "stats", "--model", "demo/scholar"]) == 1
    assert "no answers are kept there" in capsys.readouterr().err


def test_an_export_is_a_file_that_a_notebook_replays(kept, capsys):
    path = kept / "demo.replay.jsonl"
    assert main(["replay", "export", "--model", "demo/swift", "--to", str(path)]) == 0
    assert capsys.readouterr().out == f"2 answers in {path}\n"
    with nbkit.replay(path, mode="only"):
        assert nbkit.get_adapter("demo/swift").execute("Hi").bill.is_replay
    assert main(["replay", "export", "--to", str(path)]) == 1  # nothing is overwritten
    assert Lines(path).count() == 2


def test_prune_removes_what_is_old_or_of_one_model(kept, capsys):
    for options, line in (
        (["--days", "3"], "1 answer removed, 2 left\n"),
        (["--model", "demo/sage"], "1 answer removed, 1 left\n"),
        (["--days", "0"], "1 answer removed, 0 left\n"),
    ):
        assert main(["replay", "prune", *options]) == 0
        assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["prune"], "expected --days or --model"),
        (["export"], "--to FILE.jsonl says where"),
        (["stats", "--to", "x.jsonl"], "--to FILE.jsonl says where"),
        (["stats", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
    ],
)
def test_wrong_words_are_explained(words, problem, capsys):
    assert main(["replay", *words]) == 1
    assert problem in capsys.readouterr().err
