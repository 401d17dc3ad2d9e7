"""What is done with one model of a panel, while and after it answers."""

from time import sleep

import pytest
from scripted_models import Scripted

import nbkit
from nbkit.bulk.panel import Panel
from nbkit.errors import ArgumentError, ModelNotFoundError, RateLimitError


def test_one_model_answers_again_and_its_first_answer_stays_paid():
    answers = nbkit.compare("Explain recursion", ["demo/swift", "demo/sage"])
    first, other = answers.completions["demo/swift"], answers.completions["demo/sage"]
    answers["demo/swift"].regenerate()
    again = answers["demo/swift"].completion
    assert again is not first
    assert again.text == first.text
    assert answers.completions["demo/sage"] is other
    assert answers.spent.calls == 3
    assert [turn.role for turn in answers["demo/swift"].conversation] == ["user", "assistant"]


def test_another_model_takes_over_a_pane_and_its_conversation():
    answers = nbkit.compare("Explain recursion", ["demo/swift", "demo/sage"])
    answers.ask("In one sentence")
    answers["demo/swift"].swap("demo/scholar")
    assert list(answers.completions) == ["demo/scholar", "demo/sage"]
    assert answers["demo/scholar"].completion.model == "scholar"
    assert [turn.role for turn in answers.conversations["demo/scholar"]] == ["user", "assistant"] * 2
    answers.ask("More")
    assert len(answers.to_frame()) == 6
    answers["demo/scholar"].swap("demo/sage")
    assert list(answers.completions) == ["demo/sage #2", "demo/sage"]
    with pytest.raises(ModelNotFoundError):
        answers["demo/sage"].swap("demo/nosuch")


def test_one_answer_is_stopped_and_the_others_go_on():
    from nbkit.bulk.panel import Panel
    from nbkit.settings import override

    with override(demo_tokens_per_second=150):
        panel = Panel(["demo/swift", "demo/sage"]).ask("Explain recursion")
        pane = panel.panes[0]
        while not (pane.answers and pane.answers[0].status == "streaming"):
            sleep(0.001)
        panel.stop_one(pane)
        panel.wait()
    assert [pane.answers[0].status for pane in panel.panes] == ["stopped", "done"]
    panel.regenerate(pane).wait()
    assert pane.answers[0].status == "done"


def test_a_streaming_answer_is_requested_again():
    from nbkit.bulk.panel import Panel
    from nbkit.settings import override

    with override(demo_tokens_per_second=150):
        panel = Panel("demo/swift").ask("Hi")
        pane = panel.panes[0]
        while not (pane.answers and pane.answers[0].status == "streaming"):
            sleep(0.001)
        panel.regenerate(pane, "demo/sage")
        panel.wait()
    assert (pane.label, pane.answers[0].status, len(pane.answers)) == ("demo/sage", "done", 1)
    assert panel.completions["demo/sage"].model == "sage"


def test_an_unknown_label_says_what_is_near():
    answers = nbkit.compare("Hi", ["demo/swift"])
    with pytest.raises(ArgumentError, match="did you mean demo/swift"):
        answers["demo/swfit"]
    with pytest.raises(ArgumentError, match="there are demo/swift"):
        answers["xyz"]


def test_a_list_in_the_list_is_one_pane_whose_next_model_answers_where_the_first_cannot():
    busy, other = Scripted("a", [RateLimitError("too many")]), Scripted("b", ["fine"])
    panel = Panel([[busy, other], Scripted("c", ["here"])]).ask("Hi")
    assert {label: done.text for label, done in panel.completions.items()} == {
        "scripted/a": "fine",
        "scripted/c": "here",
    }
    (change,) = panel.completions["scripted/a"].changes
    assert str(change) == "answered by scripted/b: scripted/a failed: too many (HTTP 429)"
    assert panel.spent.calls == 2
    pane = panel.add([Scripted("d", [RateLimitError("no")]), other])
    assert panel.completions[pane.label].text == "fine"
    panel.regenerate(pane, [busy, other])
    assert panel.completions["scripted/a #2"].text == "fine"
