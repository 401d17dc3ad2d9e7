"""The grid: what it takes, what it gives, its static twin; and live, in a real kernel, with the test as its view."""

import json

import pandas as pd
import pytest
from kernels import Kernel, displays
from scripted_models import Scripted

import nbkit
from nbkit.errors import ArgumentError, ConfigError, RateLimitError
from nbkit.notebook.sheet import compute_key
from nbkit.notebook.sheet_export import write_sheet

FRAME = pd.DataFrame({"city": ["Paris", "Rome {{n}}", "Bonn"], "n": [1, 2, 3], "other": ["a", "b", None]})
HOSTILE = (
    '<img src=x onerror="pwned()"><script>pwned()</script> [click](javascript:pwned()) '
    "![x](https://evil.example/) \x1b[31m \u202e"
)


def test_each_row_fills_the_template_and_each_model_answers_it():
    models = [Scripted("a", ["1"]), Scripted("b", ["1."])]
    grid = nbkit.grid("In {{city}}: {{ n }}", FRAME, models, system="Like {{n}}", temperature=0.5)
    for model in models:
        expected = [[("system", f"Like {n}"), ("user", f"In {city}: {n}")] for city, n in FRAME[["city", "n"]].values]
        assert sorted(model.prompts) == sorted(expected)
        assert model.requests[0]["temperature"] == 0.5
    frame = grid.to_frame()
    assert list(frame.columns[:6]) == ["city", "n", "row", "model", "status", "prompt"]
    assert frame["prompt"][2] == "In Rome {{n}}: 2"
    assert (grid.cost, grid.errors, len(grid.completions)) == (0.000066, {}, 6)
    assert repr(grid) == "<Grid of 3 prompts and 2 models: 6 answers, $0.000066>"


@pytest.mark.parametrize(
    "frame", [["Hi", "Ho"], pd.Series(["Hi", "Ho"]), [{"text": "Hi"}, {"text": "Ho"}], {"text": ["Hi", "Ho"]}]
)
def test_rows_come_in_many_forms(frame):
    assert sorted(nbkit.grid("{{text}}!", frame, Scripted("a")).to_frame()["prompt"]) == ["Hi!", "Ho!"]


@pytest.mark.parametrize(
    ("template", "frame", "error", "message"),
    [
        ("{{cty}}", FRAME, ConfigError, r"the column 'cty' is not defined; did you mean \{\{city\}\}\?"),
        ("{{other}}", FRAME, ConfigError, "row 2 has no value in the column 'other'"),
        ("Hi", [], ConfigError, "no prompt"),
        ("Hi", 5, ArgumentError, "expected a DataFrame or a list of rows, got 5"),
    ],
)
def test_a_wrong_row_is_an_error_before_anything_is_sent(template, frame, error, message):
    model = Scripted("a")
    with pytest.raises(error, match=message):
        nbkit.grid(template, frame, model)
    assert model.requests == []


def test_votes_are_pairs_for_a_ranking():
    grid = nbkit.grid(
        "{{text}}", list("pqrs"), [Scripted("a", ["1"]), Scripted("b", ["2"]), Scripted("c", [RateLimitError("no")])]
    )
    assert grid.votes.empty
    grid.vote(0, "scripted/a").vote(1, "scripted/a").vote(2, "tie").vote(3, "bad").vote(3, None)
    votes = grid.votes
    assert votes[["left", "right", "winner", "row"]].values.tolist() == [
        ["scripted/a", "scripted/b", "left", 0],
        ["scripted/a", "scripted/b", "left", 1],
        ["scripted/a", "scripted/b", "tie", 2],
    ]
    assert votes["left_cost"][0] == 0.000011
    assert nbkit.rank(votes).index[0] == "scripted/a"
    assert grid.to_frame()["vote"].tolist()[::3][:3] == ["scripted/a", "scripted/a", "tie"]
    with pytest.raises(ArgumentError, match="scripted/c has no answer in this row"):
        grid.vote(0, "scripted/c")
    with pytest.raises(ArgumentError, match="a row from 0 to 3"):
        grid.vote(4, "tie")


def test_without_a_start_nothing_is_sent_and_retry_asks_again():
    model = Scripted("a", [RateLimitError("too many")], ["better"])
    grid = nbkit.grid("{{text}}", ["p"], model, start=False)
    assert (model.requests, grid.to_frame()["status"].tolist()) == ([], ["waiting"])
    assert list(grid.start().errors) == [(0, "scripted/a")]
    assert grid.retry().completions[0, "scripted/a"].text == "better"


def test_equal_answers_have_one_key():
    assert compute_key("Yes.") == compute_key(" yes\n") != compute_key("No.")


def test_the_twin_is_a_table_of_text():
    model = Scripted("a", [HOSTILE + "x" * 900])
    grid = nbkit.grid(
        "Say {{text}}",
        ["<b>bold</b>"],
        [model, Scripted("b", [RateLimitError("<i>no</i>")]), Scripted("c", ["**It is** `so`\n\n" + "long " * 300])],
    )
    grid.vote(0, "scripted/a")
    bundle = write_sheet("Say {{text}}", grid._table, grid._ballot.choices, "$1")
    html = bundle["text/html"]
    assert html.count("<tr>") == 3
    for tag in ("<img", "<script", "<b>bold", "<i>no", 'javascript:pwned()"', "\u202e", "\x1b"):
        assert tag not in html
    assert "★ &lt;img" in html
    assert "Failed: " in html
    assert "It is so<br><br>long long" in html
    assert html.count("long …</td>") == 1
    assert "won 1 of 1" in html
    assert len(html) < 3000
    assert bundle["text/markdown"].startswith("```text\n")
    assert "\u202e" not in bundle["text/plain"]


# In a kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


class View:
    """A view of the last widget: applies messages as the script does."""

    def __init__(self, kernel):
        self.kernel, self.comm = kernel, kernel.widget()
        self.read = len(kernel.sent(self.comm))
        self.seq, self.cells, self.votes, self.foot, self.answers = -1, {}, {}, None, {}
        self.send(type="ready")

    def send(self, **content):
        self.kernel.send(self.comm, content)

    def catch_up(self):
        for message in self.kernel.sent(self.comm)[self.read :]:
            self.read += 1
            if message["type"] == "answers":
                self.answers[message["row"]] = message
                continue
            if message["type"] == "delta" and self.seq < 0:
                continue
            assert message["type"] == "snapshot" or message["seq"] == self.seq + 1
            self.seq, self.foot = message["seq"], message["foot"]
            self.head = message if message["type"] == "snapshot" else self.head
            self.cells |= {(cell["row"], cell["column"]): cell for cell in message["cells"]}
            self.votes |= {vote["row"]: vote["choice"] for vote in message["votes"]}

    def until(self, true):
        def check():
            self.catch_up()
            return self.foot is not None and true(self)

        self.kernel.until(check)
        return self

    def statuses(self):
        return {place: cell["status"] for place, cell in self.cells.items()}


def test_a_view_starts_stops_goes_on_opens_and_votes(kernel):
    messages = kernel.run("""
a, b = Scripted('a', ['**one** <b>', None], ['two']), Scripted('b', ['two'])
g = nbkit.grid('Say {{text}}', ['p', 'q'], [a, b], at_once=1, max_tokens=90)
""")
    assert "not asked: 4 calls, about $" in displays(messages, "text/html")[0]["text/html"]
    view = View(kernel).until(lambda view: view.head)
    assert view.head["columns"] == [{"name": "A", "model": "scripted/a"}, {"name": "B", "model": "scripted/b"}]
    assert (view.head["prompts"], view.head["title"], view.cells) == (["Say p", "Say q"], "Say {{text}}", {})
    assert view.foot["start"].endswith("if an answer takes 90 tokens")
    assert kernel.value("len(a.requests)") == 0
    view.send(type="start")
    view.until(lambda view: view.foot["done"] == 2 and view.statuses().get((0, 0)) in ("waiting", "streaming"))
    kernel.run("from nbkit.bulk.table import *\nwhile not g._table.cells[0][0]._text: pass")
    view.send(type="stop")
    view.until(lambda view: not view.foot["busy"])
    assert view.statuses() == {(0, 0): "stopped", (0, 1): "done", (1, 1): "done"}
    assert view.foot["start"].startswith("2 calls, about $")
    view.send(type="open", row=0)
    view.until(lambda view: 0 in view.answers)
    answers = view.answers[0]["cells"]
    assert answers[0]["html"] == "<p><strong>one</strong> &lt;b&gt;</p>\n"
    assert answers[0]["end"]["notes"] == ["stopped by you"]
    view.send(type="start")
    view.until(lambda view: view.foot["done"] == 4 and not view.foot["busy"])
    assert view.cells[1, 0]["key"] == view.cells[1, 1]["key"]
    assert (view.foot["start"], view.foot["retry"]) == ("", "")
    view.send(type="vote", row=1, choice=1)
    view.send(type="vote", row=0, choice="nonsense")
    view.send(type="vote", row=7, choice=0)
    view.until(lambda view: view.votes.get(1) == 1)
    assert [sums["won"] for sums in view.foot["columns"]] == [0, 1]
    kernel.until(lambda: "★ two" in displays(kernel.messages, "text/html", "update_display_data")[-1]["text/html"])
    assert kernel.value("g.votes['winner'].tolist()") == ["right"]
    kernel.run("g.vote(1, None)")
    view.until(lambda view: view.votes[1] is None)
    assert not json.dumps(view.answers).count("<script")


def test_a_cell_that_a_rate_limit_holds_up_says_so_and_for_how_long(kernel):
    kernel.run("""
import time
from nbkit.adapters.limits import list_lines
gate = threading.Event()
model = Scripted('a', ['one', gate], ['two', None])
nbkit.limit(model.endpoint.base_url.split('/')[2], at_once=1)
g = nbkit.grid('{{text}}', ['p', 'q'], model, start=True)
""")

    def held(view):
        return [cell["limited"] for cell in view.cells.values() if "limited" in cell]

    view = View(kernel).until(lambda view: held(view) == [0])
    kernel.run("[line.pause('a', time.monotonic(), 500) for line in list_lines()]; gate.set()")
    view.until(lambda view: 400 < sum(held(view)) <= 500)
    kernel.run("g.stop(); g.wait(120)")
    view.until(lambda view: sorted(view.statuses().values()) == ["done", "stopped"] and not held(view))


def test_freeze_leaves_the_table_alone(kernel):
    kernel.run("g = nbkit.grid('Say {{text}}', ['p'], Scripted('a', ['one']), start=True)")
    messages = kernel.run("g.freeze()")
    last = displays(messages, "text/html", "update_display_data")
    assert "one" in last[-1]["text/html"]


def test_a_grid_says_before_the_start_whether_it_fits_the_budget(kernel):
    messages = kernel.run("""
with nbkit.budget(usd=1):
    g = nbkit.grid('Say {{text}}', ['p', 'q'], ['demo/sage'], max_tokens=90)
""")
    assert "within the budget ($1.00 of $1.00 left in this block)" in displays(messages, "text/html")[0]["text/html"]
    messages = kernel.run(
        "with nbkit.budget(usd=0.001):\n    g = nbkit.grid('Say {{text}}', ['p', 'q'], ['demo/sage'])"
    )
    assert (
        "more than the budget ($0.0010 of $0.0010 left in this block)"
        in displays(messages, "text/html")[0]["text/html"]
    )
