"""Conversations that branch off, models that are muted or come later: what is done with the panes of a comparison."""

import asyncio
import threading

import pytest
from scripted_models import Scripted

import nbkit
from nbkit.bulk import portal
from nbkit.bulk.panel import Panel
from nbkit.errors import ArgumentError, ConfigError, ConversationError, ModelNotFoundError

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def texts(conversation):
    return [turn.text for turn in conversation]


def test_an_edited_prompt_begins_a_branch_and_the_former_one_stays():
    one, other = Scripted("a", ["1"], ["2"], ["3"], ["4"]), Scripted("b", ["x"])
    answers = nbkit.compare("One", [one, other], system="Be brief")
    answers.ask("Two").edit(0, "Uno")
    a = answers["scripted/a"]
    assert texts(a.conversation) == ["Be brief", "Uno", "3"]
    assert [texts(branch) for branch in a.branches] == [["Be brief", "One", "1", "Two", "2"], ["Be brief", "Uno", "3"]]
    assert answers.spent.calls == 6
    answers.show_branch(0).ask("Three")
    assert texts(a.conversation) == ["Be brief", "One", "1", "Two", "2", "Three", "4"]
    roles = ["system", *["user", "assistant"] * 2, "user"]
    assert one.prompts[-1] == list(zip(roles, texts(a.conversation)[:-1], strict=True))
    assert (a.branch, texts(a.branches[1])) == (0, ["Be brief", "Uno", "3"])
    answers.edit(-1, "Four")
    assert [len(branch) for branch in a.branches] == [7, 3, 7]
    frame = answers.to_frame()
    assert list(frame[frame.model == "scripted/a"].prompt) == ["One", "Two", "Four"]
    assert set(frame.branches) == {3}


def test_one_conversation_branches_off_alone_and_the_next_prompt_goes_to_all():
    one, other = Scripted("a"), Scripted("b")
    answers = nbkit.compare("One", [one, other]).ask("Two")
    answers["scripted/a"].edit(0, "Uno")
    answers.ask("Three")
    assert texts(answers.conversations["scripted/a"]) == ["Uno", "Hi", "Three", "Hi"]
    assert texts(answers.conversations["scripted/b"])[::2] == ["One", "Two", "Three"]
    rows = answers.to_frame()
    assert list(zip(rows.turn, rows.model, rows.prompt, strict=True)) == [
        (1, "scripted/a", "Uno"),
        (1, "scripted/b", "One"),
        (2, "scripted/b", "Two"),
        (3, "scripted/a", "Three"),
        (3, "scripted/b", "Three"),
    ]
    written = answers.to_markdown()
    assert "> One" in written  # the first model's prompt stands above both
    assert "branch 2 of 2" in written


def test_images_stay_with_a_prompt_whose_text_is_edited():
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answers = nbkit.compare([{"role": "user", "content": content}], ["demo/sage"]).edit(0, "Why?")
    turn = answers.conversations["demo/sage"][0]
    assert (turn.text, len(turn.media)) == ("Why?", 1)


def test_a_wrong_turn_or_prompt_is_an_error_before_anything_is_sent():
    model = Scripted("a")
    answers = nbkit.compare("Hi", [model])
    for turn in (1, -2):
        with pytest.raises(ArgumentError, match="one of the 1 turns"):
            answers.edit(turn, "Ho")
    with pytest.raises(ConversationError):
        answers.edit(0, {"role": "assistant", "content": "Ho"})
    with pytest.raises(ArgumentError, match="from 0 to 0"):
        answers["scripted/a"].show_branch(1)
    assert len(model.requests) == 1


def test_a_muted_model_gets_no_prompt_until_it_is_unmuted():
    one, other = Scripted("a"), Scripted("b")
    answers = nbkit.compare("One", [one, other])
    answers["scripted/a"].mute()
    answers.ask("Two")
    assert (len(one.requests), len(other.requests)) == (1, 2)
    assert answers.completions["scripted/a"] is None
    assert list(answers.to_frame().prompt) == ["One", "One", "Two"]
    answers["scripted/a"].unmute()
    answers.ask("Three")
    assert texts(answers.conversations["scripted/a"]) == ["One", "Hi", "Three", "Hi"]
    for label in answers.conversations:
        answers[label].mute()
    with pytest.raises(ConfigError, match="all models are muted"):
        answers.ask("Four")
    answers["scripted/b"].regenerate()
    assert texts(answers.conversations["scripted/b"])[-2:] == ["Three", "Hi"]


def test_a_skipped_prompt_can_be_put_to_a_muted_model_all_the_same():
    answers = nbkit.compare("One", [Scripted("a"), Scripted("b")])
    answers["scripted/a"].mute()
    answers.ask("Two")
    answers["scripted/a"].regenerate()
    assert texts(answers.conversations["scripted/a"]) == ["One", "Hi", "Two", "Hi"]


def test_a_model_that_comes_later_gets_all_prompts_so_far():
    first, late = Scripted("a"), Scripted("b", ["1"], ["2"])
    answers = nbkit.compare("One", [first], system="Be brief").ask("Two")
    added = answers.add(late)
    assert texts(added.conversation) == ["Be brief", "One", "1", "Two", "2"]
    assert list(answers.completions) == ["scripted/a", "scripted/b"]
    assert answers.add(first).completion.text == "Hi"
    assert list(answers.completions) == ["scripted/a", "scripted/b", "scripted/a #2"]
    with pytest.raises(ModelNotFoundError):
        answers.add("demo/nosuch")


def test_a_model_that_fails_does_not_get_the_later_prompts():
    answers = nbkit.compare("One", [Scripted("a")]).ask("Two")
    added = answers.add(Scripted("b", [ValueError("no")]))
    assert isinstance(added.error, ValueError)
    assert texts(added.conversation) == ["One"]
    answers.ask("Three")
    assert [row["turn"] for row in answers.to_frame().to_dict("records") if row["model"] == "scripted/b"] == [1, 3]


def test_a_fork_goes_on_alone_and_has_cost_nothing():
    answers = nbkit.compare("One", [Scripted("a"), Scripted("b")])
    answers["scripted/a"].set_options(temperature=0)
    other = answers.fork()
    assert (other.spent.calls, list(other.to_frame().prompt)) == (0, ["One", "One"])
    other.ask("Two")
    assert texts(other.conversations["scripted/a"]) == ["One", "Hi", "Two", "Hi"]
    assert texts(answers.conversations["scripted/a"]) == ["One", "Hi"]
    assert (other.spent.calls, answers.spent.calls) == (2, 2)


def test_one_model_has_options_of_its_own():
    one, other = Scripted("a"), Scripted("b")
    answers = nbkit.compare("One", [one, other], temperature=1, max_tokens=50)
    with pytest.raises(ConfigError, match="temperature"):
        answers["scripted/a"].set_options(temperature=-1)
    answers["scripted/a"].set_options(temperature=0.5, max_tokens=9)
    answers["scripted/a"].set_options(max_tokens=None)
    answers.ask("Two").fork().ask("Three").wait()
    sent = [(body["temperature"], body["max_tokens"]) for body in one.requests]
    assert sent == [(1, 50), (0.5, 50), (0.5, 50)]
    assert [body["temperature"] for body in other.requests] == [1, 1, 1]


def test_what_was_requested_before_goes_first():
    gate = threading.Event()
    model = Scripted("a", [gate, "1"], ["2"], ["3"], ["4"])
    panel = Panel([model]).ask("One").ask("Two")
    added = panel.add(Scripted("b"))
    gate.set()

    async def go_on():
        await panel
        await panel.edit(0, "Uno").ask("Three")

    asyncio.run(go_on())
    assert texts(panel.panes[0].conversation) == ["Uno", "3", "Three", "4"]
    assert texts(added.conversation) == ["Uno", "Hi", "Three", "Hi"]
    assert [texts(branch.conversation) for branch in added.branches[:1]] == [["One", "Hi", "Two", "Hi"]]


def test_after_a_stop_no_branch_begins():
    hold, panel = threading.Event(), Panel([Scripted("a")]).ask("One").wait()
    portal.call(hold.wait, 120)
    panel.edit(0, "Uno").stop()
    hold.set()
    panel.wait()
    assert texts(panel.panes[0].conversation) == ["One", "Hi"]
