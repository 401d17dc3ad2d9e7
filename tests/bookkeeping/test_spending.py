"""Calls added up: what was paid, and apart what no sum of money may hold; for people, spreadsheets and programs."""

import csv
import io
import json
import re

import pandas as pd
import pytest

import nbkit
from nbkit.bookkeeping.rows import COLUMNS
from nbkit.bookkeeping.spending import GROUPS, add_up
from nbkit.bookkeeping.store import FileStore
from nbkit.cli.main import main
from nbkit.notebook import plots
from nbkit.settings import override

CALLS = [  # model, cost, source, tags, notebook, day
    ("openai/a", 0.1, "catalog", ["x"], "/n/one.ipynb", 1),
    ("openai/a", 0.2, "catalog", ["x", "=cmd|' /C calc'!A0"], "/n/one.ipynb", 1),
    ("acme/@b", 1.0, "provider", [], "/n/two.ipynb", 2),
    ("acme/c", None, "unknown", [], None, 2),
    ("acme/c", 0.0, "replay", ["x"], None, 3),
    ("demo/swift", 5.0, "catalog", ["x"], None, 3),
]


def make_row(number, call):
    model, cost, source, tags, notebook, day = call
    row = dict.fromkeys(column.name for column in COLUMNS) | {"call": str(number), "input": 10, "cache_read": 5}
    row |= {"model": model, "cost": cost, "source": source, "tags": json.dumps(tags), "notebook": notebook}
    return tuple((row | {"time": f"2026-11-{day:02}T12:00:00.000000+00:00", "output": 3}).values())


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    store = FileStore(path)
    store.write([make_row(number, call) for number, call in enumerate(CALLS)])
    store.close()
    with override(ledger=str(path)):
        yield nbkit.ledger()


def lines(rows, *columns):
    return [tuple(row) for row in rows[list(columns)].itertuples(index=False)]


def test_money_is_added_up_by_model_and_other_kinds_stay_apart(frame):
    rows = add_up(frame, "model")
    assert lines(rows, "model", "kind", "calls") == [
        ("acme/@b", "paid", 1),
        ("openai/a", "paid", 2),
        ("acme/c", "replayed", 1),
        ("demo/swift", "simulated", 1),
        ("acme/c", "unpriced", 1),
    ]
    assert rows["cost"].tolist()[:4] == [1.0, 0.3, 0.0, 5.0]  # 0.1 + 0.2 as floats is 0.30000000000000004
    assert rows["cost"].isna().tolist() == [False] * 4 + [True]
    assert rows["input_tokens"].tolist() == [15, 30, 15, 15, 15]


def test_days_stand_in_their_order_and_a_call_counts_for_each_of_its_tags(frame):
    assert lines(add_up(frame, "day").head(2), "day", "cost") == [("2026-11-01", 0.3), ("2026-11-02", 1.0)]
    tags = add_up(frame, "tag")
    assert lines(tags[tags["kind"] == "paid"], "tag", "cost") == [("none", 1.0), ("x", 0.3), (CALLS[1][3][1], 0.2)]


@pytest.mark.parametrize("by", GROUPS)
def test_an_empty_ledger_adds_up_to_nothing(frame, by):
    assert add_up(frame.head(0), by).empty
    assert plots.spend(frame.head(0), by=by).table.empty


def test_the_command_prints_lines_and_the_total_of_what_was_paid(frame, capsys):
    assert main(["ledger"]) == 0
    head, *rest = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert head == ["model", "kind", "calls", "cost", "saved", "input_tokens", "output_tokens"]
    assert [line[:4] for line in rest[:3]] == [
        ["acme/@b", "paid", "1", "1.000000"],
        ["openai/a", "paid", "2", "0.300000"],
        ["total", "paid", "3", "1.300000"],
    ]
    assert main(["ledger", "--by", "tag", "--until", "2026-11-02"]) == 0
    assert ["total", "paid", "2", "0.300000"] in [
        line.split("\t")[:4] for line in capsys.readouterr().out.splitlines()
    ]  # not 0.5: one call has two tags


def test_no_calls_and_wrong_options_are_named(frame, capsys):
    assert main(["ledger", "--since", "2100-01-01"]) == 1
    assert "no calls in the ledger" in capsys.readouterr().err
    assert main(["ledger", "--csv", "--json"]) == 1
    assert "either --csv or --json" in capsys.readouterr().err
    assert main(["ledger", "--since", "monday"]) == 1
    assert "since: expected a date" in capsys.readouterr().err


def test_csv_has_no_formulas_and_its_numbers_are_numbers(frame, capsys):
    assert main(["ledger", "--csv", "--by", "tag"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["tag"] for row in rows} == {"x", "none", "'=cmd|' /C calc'!A0"}
    assert {row["cost"] for row in rows} == {"0.3", "0.2", "1.0", "0.0", "5.0", ""}
    assert main(["ledger", "--csv", "--by", "call"]) == 0
    rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert rows.columns.tolist() == [column.name for column in COLUMNS]
    assert rows["cost"].tolist()[:3] == [0.1, 0.2, 1.0]
    assert rows["time"][0] == "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r1", " =1", "\n=1", "＝1"])
def test_no_cell_begins_like_a_formula(tmp_path, capsys, text):
    path = tmp_path / "ledger.sqlite3"
    store = FileStore(path)
    store.write([make_row(0, (text, 1.0, "catalog", [text], text, 1))])
    store.close()
    with override(ledger=str(path)):
        assert main(["ledger", "--csv"]) == 0
        ((cell, *_),) = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))[1:]
    assert cell == f"'{text}".replace("\r", "\n")


def test_json_has_every_column_and_null_where_unknown(frame, capsys):
    assert main(["ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] | {"saved": 0.0} == {
        **{"model": "acme/@b", "kind": "paid", "calls": 1, "cost": 1.0},
        **{"saved": 0.0, "input_tokens": 15, "output_tokens": 3},
    }
    assert rows[-1]["cost"] is None


def test_a_ledger_that_cannot_be_read_is_named_in_a_line(tmp_path, capsys):
    with override(ledger=str(tmp_path)):
        assert main(["ledger"]) == 1
    assert capsys.readouterr().err.startswith(f"nbkit: the ledger {tmp_path} cannot be read: ")


# The chart


def test_the_chart_draws_what_was_paid_and_counts_the_rest(frame):
    chart = plots.spend()
    assert chart.title == "Paid by model: $1.30 for 3 calls (not drawn: 1 of unknown cost, 1 replayed, 1 simulated)"
    assert [(re.sub("<[^>]*>", "", bar.name), bar.x, bar.y) for bar in chart.figure.data] == [
        ("acme/@b", ("2026-11-02 12:00",), (1.0,)),
        ("openai/a", ("2026-11-01 12:00",), (0.3,)),
    ]
    assert lines(chart.table, "model", "calls", "cost (USD)", "share") == [
        ("acme/@b", "1", "$1.00", "77%"),
        ("openai/a", "2", "$0.30", "23%"),
    ]


def test_simulated_calls_are_drawn_where_there_are_no_others_and_the_chart_says_so(frame):
    chart = plots.spend(frame[frame["model"] == "demo/swift"], by="notebook")
    assert chart.title == "Paid by notebook: $5.00 for 1 call (simulated)"
    assert len(chart.figure.data) == 1


@pytest.mark.parametrize(
    ("days", "step"), [(1 / 1440, "minute"), (1 / 24, "hour"), (1, "day"), (7, "week"), (900, "month")]
)
def test_a_bar_is_as_long_as_the_time_needs(frame, days, step):
    start = pd.Timestamp("2026-01-05T00:00Z")
    times = [start + pd.Timedelta(days=days * 15 * number) for number in range(4)]
    rows = frame.head(4).assign(time=times, cost=1.0, model="openai/a", source="catalog")
    figure = plots.spend(rows).figure
    (bars,) = figure.data
    assert len(bars.x) == 4
    begin, end = (pd.Timestamp(moment) for moment in figure.layout.xaxis.range)
    assert bars.width < pd.Timedelta(days=days).total_seconds() * 1000 <= (end - begin).total_seconds() * 1000 / 12
    assert f">{step} (UTC)<" in figure.layout.xaxis.title.text


def test_many_groups_are_others_and_hostile_names_are_text(frame):
    count = 40
    rows = pd.concat([frame.head(1)] * count, ignore_index=True)
    rows["model"] = [f"acme/<a href='x'>{number}" for number in range(count)]
    chart = plots.spend(rows, "<b>Mine")
    assert len(chart.figure.data) == 10
    assert sum(sum(bar.y) for bar in chart.figure.data) == pytest.approx(4.0)
    assert chart.table["model"].tolist()[-1] == "30 others"
    assert chart.table["cost (USD)"].tolist()[-1] == "$3.00"
    assert "<a href" not in chart.figure.to_json() + chart._repr_html_()
    with pytest.raises(ValueError, match=r"no column bad to draw: take rows of nbkit.ledger\(\)"):
        plots.spend(rows, by="bad")
