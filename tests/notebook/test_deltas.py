import json
import random

import pytest
from reader import Page

from nbkit.notebook.deltas import Board
from nbkit.rendering.markdown import render

ANSWER = """# Two recipes 🎉

Some **bold** prose with `code`, then a list:

1. first 😀 *item*
2. second item

| name | value |
|---|---:|
| 🐍 | 1 |
| b | 2 |

```python
def f(x):
    return "🎉" if x else None  # café
```

See [the docs][1] and <img src=x onerror=alert(1)>. Sum: $x^2$.

[1]: https://example.org/docs
"""
END = {"text": "", "strip": [], "notes": [], "problem": None}


def cut(text, seed):
    """Pieces of a text."""
    chance = random.Random(seed)  # noqa: S311 - cuts, not secrets
    while text:
        size = chance.randint(1, 12)
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("seed", range(8))
def test_a_view_that_gets_every_delta_shows_what_render_makes(seed):
    board = Board([("A", "x/a")])
    page = Page()
    page.receive(board.snapshot())
    turn = board.add(0, "Which?")
    for number, piece in enumerate(cut(ANSWER, seed)):
        turn.feed(piece, "")
        if number % 3 == seed % 3 and (delta := board.delta()):
            assert page.receive(json.loads(json.dumps(delta)))
    turn.finish("done", END)
    page.receive(board.delta())
    assert page.html() == render(ANSWER)
    assert page.turns[0, 0]["status"] == "done"
    assert board.delta() is None


@pytest.mark.parametrize("seed", range(4))
def test_views_that_come_late_or_miss_a_message_catch_up(seed):
    chance = random.Random(seed)  # noqa: S311
    board = Board([(name, f"x/{name}") for name in "abcd"])
    views = [Page()]

    def send(message, loss=0.0):
        """To all views, of which some miss it; whether one asks for a resync."""
        results = [view.receive(message) for view in views if message and chance.random() >= loss]
        return False in results

    def greet():
        send(board.delta())
        send(board.snapshot())

    greet()
    turns = [board.add(pane, "Hi") for pane in range(4)]
    for piece in cut(ANSWER, seed):
        for turn in turns:
            turn.feed(piece, "hmm " if chance.random() < 0.1 else "")
        if send(board.delta(), loss=0.2):
            greet()
        if chance.random() < 0.1:
            views.append(Page())
            greet()
    for turn in turns:
        turn.finish("done", END)
    greet()
    for view in views:
        assert [view.html(pane) for pane in range(4)] == [render(ANSWER)] * 4
        assert view.turns == views[0].turns
    assert views[0].turns[0, 0]["think"].count("hmm") > 0


def test_what_is_sent_grows_with_the_text_not_with_its_square():
    def sent(text):
        board = Board([("A", "x/a")])
        turn, size = board.add(0, "Hi"), 0
        for start in range(0, len(text), 25):
            turn.feed(text[start : start + 25], "")
            size += len(json.dumps(board.delta()))
        return size / len(text)

    paragraph = "word " * 400  # one open block that grows
    assert sent(paragraph) < 6
    assert sent("```python\n" + "x = 1\n" * 300) < 8
    assert sent("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 150) < 12


def test_nothing_is_sent_twice_and_nothing_when_nothing_is_new():
    board = Board([("A", "x/a")])
    turn = board.add(0, "<b>Hi</b>")
    first = board.delta()
    assert first["news"] == [{"pane": 0, "turn": 0, "prompt": "&lt;b&gt;Hi&lt;/b&gt;", "status": "waiting"}]
    assert board.delta() is None
    turn.feed("", "thinking")
    assert board.delta()["news"] == [{"pane": 0, "turn": 0, "status": "streaming", "think": "thinking"}]
    board.set_foot(busy=True, totals="$1")
    assert board.delta()["foot"] == {
        "busy": True,
        "totals": "$1",
        "ahead": "",
        "spent": "",
        "closed": "",
        "context": None,
    }
    board.set_foot(busy=True, totals="$1")
    assert board.delta() is None


def test_a_crowd_is_shown_less_often_than_a_few():
    few, crowd = (Board([(str(pane), "x") for pane in range(panes)]) for panes in (2, 12))
    assert few.flush_seconds < crowd.flush_seconds <= 0.2


def test_a_retry_starts_the_answer_again():
    board = Board([("A", "x/a")])
    page = Page()
    page.receive(board.snapshot())
    turn = board.add(0, "Hi")
    turn.feed("Half an ans", "hm")
    turn.finish("failed", END | {"problem": ("broke off", "The answer is not complete.")})
    page.receive(board.delta())
    assert page.turns[0, 0]["status"] == "failed"
    turn.reset()
    turn.feed("All of it", "")
    turn.finish("done", END)
    page.receive(board.delta())
    assert (page.html(), page.turns[0, 0]["think"]) == ("<p>All of it</p>\n", "")
    assert page.turns[0, 0]["prompt"] == "Hi"
    late = Page()
    late.receive(board.snapshot())
    assert late.turns[0, 0]["end"] == END
    assert late.html() == page.html()


def test_a_call_that_a_rate_limit_holds_up_says_so_without_a_flood_of_messages():
    board = Board([("A", "x/a")])
    turn = board.add(0, "Which?")
    board.delta()

    def tell(seconds):
        turn.hold(seconds)
        delta = board.delta()
        return delta and delta["news"][0]["limited"]

    assert tell(0.0) == 0
    assert tell(0.25) is None  # nothing new: the view says that it waits, and for no time
    assert tell(8.0) == pytest.approx(8, abs=0.5)
    assert [tell(8.0 - 0.01 * step) for step in range(20)] == [None] * 20
    assert 0 < board.snapshot()["news"][0]["limited"] <= 8
    assert tell(30.0) == pytest.approx(30, abs=0.5)
    turn.hold(None)
    assert board.delta()["news"] == [{"pane": 0, "turn": 0, "limited": None}]
    turn.hold(None)
    assert board.delta() is None
    assert "limited" not in board.snapshot()["news"][0]
