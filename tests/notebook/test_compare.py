"""Comparisons and chats without a person in front: they block, and their data are complete."""

import asyncio
import threading

import pytest
from engines import engines
from scripted_models import PATIENCE, Scripted
from shells import running_shell

import nbkit
from nbkit.billing.total import TOTAL
from nbkit.errors import ConfigError, ConversationError, ModelNotFoundError, RateLimitError, StreamError
from nbkit.notebook.chat import Chat
from nbkit.notebook.compare import Comparison, compare


def turns_of(conversation):
    return [(turn.role, turn.text) for turn in conversation]


@engines
def test_every_model_answers_and_nothing_is_printed(capsys):
    done = compare("Hi", [Scripted("a", ["Hel", "lo"]), Scripted("b", ["Good day"])], temperature=0.5)
    assert {label: answer.text for label, answer in done.completions.items()} == {
        "scripted/a": "Hello",
        "scripted/b": "Good day",
    }
    assert done.errors == {}
    assert done.cost == pytest.approx(12e-6 + 11e-6)
    assert capsys.readouterr().out == ""
    assert repr(done) == "<Comparison of scripted/a, scripted/b: 2 answers, $0.000023>"


@engines
def test_a_follow_up_goes_on_with_each_models_own_answers():
    models = [Scripted("a", ["one"], ["uno"]), Scripted("b", ["two"], ["due"])]
    done = compare("Count", models).ask("In Italian")
    for model, answers in zip(models, [("one", "uno"), ("two", "due")], strict=True):
        turns = [("user", "Count"), ("assistant", answers[0]), ("user", "In Italian"), ("assistant", answers[1])]
        assert model.prompts[1] == turns[:3]
        assert turns_of(done.conversations[model.model_id]) == turns


@engines
def test_options_and_whole_conversations_reach_the_models():
    model = Scripted("a")
    turns = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    compare(turns, model, temperature=0.5, max_tokens=20)
    assert model.prompts[0] == [("system", "Be brief"), ("user", "Hi")]
    (body,) = model.requests
    assert (body["temperature"], body["max_tokens"]) == (0.5, 20)


@engines
def test_one_models_failure_does_not_disturb_the_others():
    models = [
        Scripted("a", ["fine"]),
        Scripted("b", [RateLimitError("too many")], ["better"]),
        Scripted("c", ["half", StreamError("broken")]),
        Scripted("d", [ZeroDivisionError("a bug")]),
    ]
    done = compare("Hi", models)
    assert done.completions["scripted/a"].text == "fine"
    assert {label: type(error) for label, error in done.errors.items()} == {
        "scripted/b": RateLimitError,
        "scripted/c": StreamError,
        "scripted/d": ZeroDivisionError,
    }
    assert done.completions["scripted/c"].text == "half"
    assert done.spent.calls == 2  # the partial answer was paid for
    done.ask("Again")
    assert models[1].prompts[1] == [("user", "Hi"), ("user", "Again")]
    assert done.completions["scripted/b"].text == "better"


@engines
def test_a_model_may_take_part_twice():
    done = compare("Hi", [Scripted("a", ["one"]), Scripted("a", ["two"])])
    assert {label: answer.text for label, answer in done.completions.items()} == {
        "scripted/a": "one",
        "scripted/a #2": "two",
    }


@pytest.mark.parametrize(
    ("prompt", "models", "options", "error"),
    [
        ("Hi", ["demo/swift", "nobody/anything"], {}, ModelNotFoundError),
        ("Hi", [], {}, ConfigError),
        ("Hi", ["demo/swift"], {"temprature": 1}, ConfigError),
        ([], ["demo/swift"], {}, ConversationError),
        ([{"role": "assistant", "content": "Hi"}], ["demo/swift"], {}, ConversationError),
    ],
)
def test_mistakes_raise_before_anything_is_sent(prompt, models, options, error):
    model = Scripted("a")
    with pytest.raises(error):
        compare(prompt, [model, *models] if models else [], **options)
    assert model.requests == []


@engines
def test_the_frame_has_a_row_per_turn_and_model():
    models = [Scripted("a", ["Hel", "lo"], ["Bye"]), Scripted("b", [RateLimitError("no")], ["Ciao"], price=None)]
    frame = compare("Hi", models).ask("Bye").to_frame()
    assert frame[["model", "turn", "prompt", "text", "status"]].to_dict("split")["data"] == [
        ["scripted/a", 1, "Hi", "Hello", "done"],
        ["scripted/b", 1, "Hi", "", "failed"],
        ["scripted/a", 2, "Bye", "Bye", "done"],
        ["scripted/b", 2, "Bye", "Ciao", "done"],
    ]
    assert frame.output_tokens.fillna(-1).tolist() == [2, -1, 1, 1]
    assert frame.cost.isna().tolist() == [False, True, False, True]
    assert frame.error.dropna().tolist() == ["scripted/b: no (HTTP 429)"]
    assert (frame.seconds.dropna() > 0).all()


@engines
def test_an_unknown_cost_makes_the_sum_unknown():
    done = compare("Hi", [Scripted("a"), Scripted("b", price=None)])
    assert done.cost is None
    assert str(done.spent) == "$0.000011 + 1 unknown"


@engines
def test_the_notebook_total_counts_every_call():
    before = TOTAL.total()
    done = compare("Hi", [Scripted("a"), Scripted("b")]).ask("Again")
    after = TOTAL.total()
    assert (after.calls - before.calls, float(after.usd - before.usd)) == (4, 44e-6)
    assert (done.spent.usd, done.cost) == (after.usd - before.usd, 44e-6)


@engines
def test_many_models_answer_at_the_same_time():
    together = threading.Barrier(8)  # nobody passes alone
    done = compare("Hi", [Scripted(f"m{number}", ["Hi", together, "!"]) for number in range(8)]).wait(PATIENCE)
    assert {completion.text for completion in done.completions.values()} == {"Hi!"}


@engines
def test_awaiting_gives_the_comparison():
    async def cell():
        return await compare("Hi", Scripted("a"))

    assert isinstance(asyncio.run(cell()), Comparison)


@engines
def test_the_demo_models_answer_with_cost_and_times():
    done = compare("echo: **Hello**", ["demo/swift", "demo/sage"])
    frame = done.to_frame()
    assert frame.text.tolist() == ["**Hello**"] * 2
    assert (frame.cost > 0).all()
    assert (frame.first_token <= frame.seconds).all()


def test_without_a_kernel_a_shell_shows_one_static_display(tmp_path, capsys):
    with running_shell(tmp_path) as shell:
        done = compare("Hi", [Scripted("a", ["Hello <b>"])])
        shown = capsys.readouterr().out
        assert "Hello <b>" in shown
        assert "$0.000011" in shown
        done._ipython_display_()  # the value of the same cell
        assert capsys.readouterr().out == ""
        shell.execution_count += 1
        done._ipython_display_()  # the value of a later one
        assert "Hello <b>" in capsys.readouterr().out


@engines
def test_a_chat_remembers_over_calls():
    model = Scripted("a", ["Hello"], ["Fine"])
    chat = Chat(model, system="Be brief", temperature=0.2)
    assert chat.completion is None
    assert chat("Hi") is chat
    assert chat.completion.text == "Hello"
    assert chat("How are you?").completion.text == "Fine"
    assert model.prompts[1] == [
        ("system", "Be brief"),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "How are you?"),
    ]
    assert len(chat.conversation) == 5
    assert chat.cost == pytest.approx(22e-6)
    assert [body["temperature"] for body in model.requests] == [0.2] * 2


@engines
def test_a_chat_raises_the_error_of_its_call_and_can_go_on():
    chat = Chat(Scripted("a", [RateLimitError("too many")], ["Hello"]))("Hi")
    with pytest.raises(RateLimitError):
        _ = chat.completion
    assert chat("Again").completion.text == "Hello"
    assert repr(chat) == "<Chat with scripted/a: 3 turns>"


def test_a_chat_checks_its_model_and_options_first():
    with pytest.raises(ModelNotFoundError):
        Chat("nobody/anything")
    with pytest.raises(ConfigError):
        Chat("demo/swift", temprature=1)


class Picked:
    """A picker, as far as a comparison reads it."""

    def __init__(self, *value):
        self.value = list(value)


def test_a_template_is_filled_once_and_a_system_prompt_goes_ahead():
    model = Scripted("a")
    nbkit.compare(template="Explain {{topic}}", values={"topic": "{{x}}"}, models=model, system="Be short.").wait()
    assert model.prompts == [[("system", "Be short."), ("user", "Explain {{x}}")]]


def test_without_a_prompt_nothing_is_sent_until_one_comes():
    model = Scripted("a", ["Hello"])
    comparison = nbkit.compare(models=[model], system="Be short.")
    assert (model.requests, comparison.completions, comparison.cost) == ([], {}, 0)
    assert len(comparison.to_frame()) == 0
    comparison.ask("Hi")
    assert model.prompts == [[("system", "Be short."), ("user", "Hi")]]


def test_a_picker_names_the_models():
    assert list(nbkit.compare("echo: Hi", Picked("demo/swift")).completions) == ["demo/swift"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "Hi", "models": Picked()}, "no model is picked"),
        ({"prompt": "Hi"}, "no model to ask"),
        ({"prompt": "Hi", "template": "Hi", "models": "demo/swift"}, "not both"),
        ({"prompt": "Hi", "values": {"a": 1}, "models": "demo/swift"}, "pass template="),
        ({"template": "{{topi}}", "values": {"topic": 1}, "models": "demo/swift"}, "topic"),
    ],
)
def test_a_mistake_in_the_arguments_of_a_comparison_is_one_sentence(arguments, message):
    with pytest.raises(ConfigError, match=message) as raised:
        nbkit.compare(**arguments)
    assert "\n" not in str(raised.value)
