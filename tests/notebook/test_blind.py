"""Blind comparisons: what is hidden before the vote, what is shown after it, and the ranking at the end."""

import json

import pytest
from kernels import Kernel
from reader import Page
from scripted_models import Scripted

import nbkit
from nbkit.errors import ConfigError, RateLimitError
from nbkit.notebook.blind import list_prompts

TELLING = ("alpha", "beta", "gamma", "scripted", "$", "tok/s", "0.0000", "first token")


def make_models():
    return [Scripted(name, [f"{letter} one"], [f"{letter} two"]) for name, letter in zip(TELLING, "pqr", strict=False)]


def compare(prompts, models=None, **options):
    return nbkit.compare(prompts, models or make_models(), blind=True, **options)


def test_before_the_vote_the_twin_has_letters_in_the_place_of_names():
    answers = compare(["Hi", "Ho"])
    for text in (
        answers.to_markdown(),
        answers.to_html().partition("<body>")[2],
        answers._display.write_bundle()["text/plain"],
    ):
        assert not [word for word in TELLING if word in text]
        assert text.count("Answer A") == text.count("Answer C") == 2
        assert "prompt 2 of 2" in text


def test_a_vote_by_letter_is_blind_keeps_the_places_and_shows_the_models():
    answers = compare(["Hi", "Ho"], seed=5)
    order = [pane.label for pane in answers._rounds._orders[0]]
    assert order != [pane.label for pane in answers._panel.panes]
    answers.vote("B", turn=0)
    votes = answers.votes
    assert votes["blind"].all()
    assert votes[["left", "right", "winner", "left_place", "right_place", "turn"]].to_numpy().tolist() == [
        [order[0], order[1], "right", 1, 2, 1],
        [order[1], order[2], "left", 2, 3, 1],
    ]
    text = answers.to_markdown()
    assert f"blind vote: {order[1]}" in text
    assert "beta" in text.partition("prompt 1 of 2")[0]
    assert "Answer A" not in text.partition("prompt 1 of 2")[0]
    assert "Answer A" in text.partition("prompt 1 of 2")[2]
    answers.vote(order[0])
    assert answers.votes["blind"].tolist() == [True, True, False, False]
    assert "leads, but there are too few votes to tell it from" in answers.to_markdown()


def test_a_seed_makes_the_order_the_same_again_and_is_not_sent():
    models = make_models()
    orders = [
        [[pane.label for pane in order] for order in compare(list("abcdef"), models, seed=3)._rounds._orders]
        for _ in "12"
    ]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders[0]}) > 1
    assert "seed" not in models[0].requests[0]


def test_each_prompt_continues_no_other():
    models = make_models()
    compare(["Hi", "Ho"], models, system="Be brief").ask("He")
    assert models[0].prompts == [[("system", "Be brief"), ("user", text)] for text in ("Hi", "Ho", "He")]


def test_what_would_tell_a_model_or_has_no_conversation_is_refused():
    answers = compare("One")
    for act in (lambda: answers.add("demo/scholar"), lambda: answers.edit(0, "Uno"), answers.fork):
        with pytest.raises(ConfigError, match="a blind comparison"):
            act()


def test_a_blind_comparison_needs_two_models():
    with pytest.raises(ConfigError, match="two models"):
        nbkit.compare("Hi", "demo/swift", blind=True)


def test_a_list_of_texts_is_several_prompts_and_one_with_an_image_is_one():
    assert list_prompts("Hi") == ["Hi"]
    assert list_prompts(["Hi", "Ho"]) == ["Hi", "Ho"]
    assert list_prompts(["Hi", {"type": "image_url"}]) == [["Hi", {"type": "image_url"}]]


def test_an_error_tells_its_model_after_the_vote():
    answers = compare("Hi", [*make_models(), Scripted("delta", [RateLimitError("delta is busy")])])
    assert "delta" not in answers.to_markdown()
    assert "This answer failed" in answers.to_markdown()
    answers.vote("tie")
    assert "delta is busy" in answers.to_markdown()


# In a kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


class View:
    """A view of the last widget, and all that it was sent."""

    def __init__(self, kernel):
        self.kernel, self.comm, self.page = kernel, kernel.widget(), Page()
        self.read = 0
        self.send(type="ready")

    def send(self, **content):
        self.kernel.send(self.comm, content)

    def until(self, true):
        def check():
            for message in self.kernel.sent(self.comm)[self.read :]:
                assert self.page.receive(message)
                self.read += 1
            return self.page.foot is not None and true(self.page)

        self.kernel.until(check)
        return self.page

    @property
    def seen(self):
        return json.dumps([*self.kernel.sent(self.comm), *self.kernel.states(self.comm)])


def test_a_view_hears_no_name_before_the_vote_while_the_next_prompt_is_answered(kernel):
    kernel.run("""
gate = threading.Event()
models = [Scripted('alpha', ['p one'], ['p two']), Scripted('beta', ['q one'], ['q two'], [gate, 'q three'])]
c = compare(['Hi', 'Ho', 'He'], models, blind=True)
""")
    view = View(kernel)
    page = view.until(lambda page: page.foot.get("votes", {}).get("ready"))
    assert {turn["status"] for turn in page.turns.values()} == {"done"}
    assert [title["name"] for title in page.titles] == ["Answer A", "Answer B"]
    assert not [word for word in TELLING if word in view.seen]
    kernel.until(lambda: kernel.value("models[1].requests.__len__()") == 2)
    acts = ({"type": "regenerate", "pane": 0}, {"type": "swap", "pane": 0}, {"type": "judge_form"})
    for unknown in (*acts, {"type": "vote", "choice": 7}):
        view.send(**unknown)
    view.send(type="vote", choice=1)
    page = view.until(lambda page: page.foot["blind"] == "named")
    assert sorted(title["name"] for title in page.titles) == ["Alpha", "Beta"]
    assert page.turns[0, 0]["end"]["figures"]["cost"]
    assert not page.slots["judge"]
    assert "judge_form" in page.slots["tools"]
    view.send(type="judge_form")
    view.until(lambda page: "criterion" in page.slots["judge"])
    view.send(type="judge", criterion="short", model="demo/sage", both="on")
    page = view.until(lambda page: page.slots["results"])
    assert page.slots["results"].count("The judge's prompt") + page.slots["judge"].count("The judge's prompt") == 1
    view.send(type="vote", choice=0)  # too late
    view.send(type="next")
    page = view.until(lambda page: page.foot["blind"] == "hidden" and page.foot.get("votes", {}).get("ready"))
    assert " two" in page.html(0)
    assert page.slots["judge"] == page.slots["results"] == ""
    kernel.until(lambda: kernel.value("models[1].requests.__len__()") == 3)
    view.send(type="vote", choice="tie")
    view.until(lambda page: page.foot["blind"] == "named")
    view.send(type="next")
    page = view.until(lambda page: page.foot["busy"])
    assert [turn["status"] for turn in page.turns.values()] == ["waiting", "waiting"]
    kernel.run("gate.set()")
    view.until(lambda page: page.foot.get("votes", {}).get("ready"))
    view.send(type="next")
    page = view.until(lambda page: page.slots["results"])
    assert "leads" in page.slots["results"]
    own = "c.votes.loc[c.votes.voter.eq('human'), ['blind', 'winner']]"
    assert kernel.value(f"{own}.values.tolist()") == [[True, "right"], [True, "tie"]]
    view.send(type="ask", text="Hu")
    view.until(lambda page: page.foot["blind"] == "hidden" and page.foot.get("votes", {}).get("ready"))
    assert kernel.value("models[0].requests.__len__()") == 4


def test_a_stop_asks_no_more_until_the_next_prompt(kernel):
    kernel.run("""
models = [Scripted('alpha', ['half', None], ['whole']), Scripted('beta')]
c = compare(['Hi', 'Ho'], models, blind=True)
models[0].requested.acquire()
""")
    view = View(kernel)
    view.until(lambda page: page.foot["busy"])
    view.send(type="stop")
    view.until(lambda page: not page.foot["busy"])
    assert kernel.value("models[0].requests.__len__()") == 1
    view.send(type="next")
    view.until(lambda page: page.turns[0, 0]["prompt"] == "Ho" and page.foot.get("votes", {}).get("ready"))
    assert kernel.value("models[0].requests.__len__()") == 2
