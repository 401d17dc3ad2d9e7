from __future__ import annotations

import ast
import re

import pytest
from msgspec.structs import replace

from nbkit.demo.answers import FOLLOW_UPS, TOPICS, answer
from nbkit.demo.arguments import make_arguments
from nbkit.demo.provider import PROVIDER
from nbkit.demo.reply import reply, split_tokens
from nbkit.demo.request import DemoRequest, DemoTool, DemoTurn

MODELS = list(PROVIDER["models"])
PROMPTS = {
    "recursion": "Explain recursion",
    "sorting": "Which sorting algorithm should I use?",
    "probability": "A test is positive. Explain Bayes' theorem.",
    "comparison": "Compare them in a table",
    "code": "Write some Python",
}
FOLLOWS = {"example": "Now give me an example in one line", "shorter": "Shorter, please", "why": "Why?"}


def make_request(model: str, *prompts: str, **fields) -> DemoRequest:
    turns = [turn for prompt in prompts for turn in (DemoTurn("user", prompt), DemoTurn("assistant", "..."))]
    return DemoRequest(model, tuple(turns[:-1]), **fields)


def python_in(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_every_topic_and_follow_up_has_a_prompt_below():
    assert sorted(PROMPTS) == sorted(TOPICS.values())
    assert sorted(FOLLOWS) == sorted(FOLLOW_UPS.values())


@pytest.mark.parametrize("topic", PROMPTS)
def test_each_model_answers_a_topic_in_its_own_words(topic):
    answers = {model: answer(make_request(model, PROMPTS[topic])).text for model in MODELS}
    assert len(set(answers.values())) == len(MODELS)
    assert max(answers, key=lambda model: len(answers[model])) == "scholar"
    together = "\n".join(answers.values())
    assert "simulated" not in together
    assert "$" in together
    for code in python_in(together):
        ast.parse(code)


def test_the_answers_to_explain_recursion_show_prose_code_a_table_and_maths():
    together = "\n".join(answer(make_request(model, "Explain recursion")).text for model in MODELS)
    assert "| **Base case** |" in together
    assert "$$T(n) = 2" in together
    assert len(python_in(together)) == len(MODELS)


@pytest.mark.parametrize(
    ("model", "expression", "value"),
    [
        ("swift", "total([3, 1, 4])", 8),
        ("sage", "factorial(5)", 120),
        ("scholar", "merge_sort([3, 1, 2, 1])", [1, 1, 2, 3]),
        ("tortoise", "count({'inside': {'inside': None}})", 2),
        ("brittle", "flatten([1, [2, [3, []]]])", [1, 2, 3]),
    ],
)
def test_the_code_about_recursion_does_what_the_answer_says(model, expression, value):
    names: dict[str, object] = {}
    exec("\n".join(python_in(answer(make_request(model, "Explain recursion")).text)), names)  # noqa: S102
    assert eval(expression, names) == value  # noqa: S307


@pytest.mark.parametrize("topic", PROMPTS)
@pytest.mark.parametrize("kind", FOLLOWS)
def test_a_follow_up_keeps_to_the_topic_and_is_shorter(topic, kind):
    for model in MODELS:
        first = answer(make_request(model, PROMPTS[topic])).text
        then = answer(make_request(model, PROMPTS[topic], "Thanks", FOLLOWS[kind])).text
        assert then != first
        assert 0 < len(then) < len(answer(make_request("scholar", PROMPTS[topic])).text)
        assert "simulated" not in then


def test_the_models_give_different_examples_of_recursion():
    examples = {answer(make_request(model, "Explain recursion", FOLLOWS["example"])).text for model in MODELS}
    assert len(examples) == len(MODELS)


def test_an_unknown_prompt_is_answered_honestly():
    text = answer(make_request("swift", "Compose a sonnet on the tea that nobody drank in time")).text
    assert "simulated model" in text
    assert "“Compose a sonnet on the tea that nobody …”" in text
    assert "empty" in answer(make_request("swift", "")).text
    assert "turn 2" in answer(make_request("swift", "Hello", "Why?")).text
    seen = DemoRequest("sage", (DemoTurn("user", "What is this?", media=("image", "document", "image")),))
    assert "2 images and 1 document," in answer(seen).text


def test_only_the_thinkers_reason_and_only_when_they_may():
    for model in MODELS:
        request = make_request(model, "Explain recursion")
        assert bool(answer(request).reasoning) is PROVIDER["models"][model]["reasoning"]
        assert answer(replace(request, thinks=False)).reasoning == ""


WEATHER = DemoTool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = DemoTool("localTime", {"type": "object", "properties": {}})


@pytest.mark.parametrize(
    ("prompt", "choice", "called"),
    [
        ("How is the weather in Oslo?", "auto", ["get_weather"]),
        ("The weather and the time in Oslo?", "auto", ["get_weather", "localTime"]),
        ("Explain recursion", "auto", []),
        ("How is the weather in Oslo?", "none", []),
        ("Explain recursion", "required", ["get_weather"]),
        ("How is the weather in Oslo?", "localTime", ["localTime"]),
    ],
)
def test_a_tool_is_called_when_the_prompt_mentions_it_or_the_caller_insists(prompt, choice, called):
    request = make_request("swift", prompt, tools=(WEATHER, CLOCK), tool_choice=choice)
    assert [call.name for call in answer(request).calls] == called


def test_arguments_fit_their_schema():
    schema = {
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "maximum": 7},
            "share": {"type": "number", "minimum": 0},
            "unit": {"enum": ["kelvin", "celsius"]},
            "detailed": {"type": ["boolean", "null"]},
            "tags": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            "place": {"$ref": "#/$defs/Place"},
            "mode": {"default": "fast"},
            "left out": {"type": "string"},
        },
        "required": ["city", "days", "share", "unit", "detailed", "tags", "place", "mode"],
        "$defs": {"Place": {"type": "object", "properties": {"near": {"const": "sea"}}}},
    }
    assert make_arguments(schema, "Tell me the weather in Oslo, for 12 days, in Celsius") == {
        "city": "Oslo",
        "days": 7,
        "share": 12.0,
        "unit": "celsius",
        "detailed": True,
        "tags": ["Oslo"],
        "place": {"near": "sea"},
        "mode": "fast",
    }


def test_a_schema_that_contains_itself_comes_to_an_end():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    assert "next" in make_arguments({**node, "$defs": {"Node": node}}, "")


def test_tokens_lose_nothing_and_are_about_four_characters():
    text = (
        "Grüße, 世界 👩‍👩‍👧!\n\n\t def f(x):\n    return x ** 2  # 1.5\r\n"
        + answer(make_request("sage", "recursion")).text
    )
    assert "".join(split_tokens(text)) == text
    prose = answer(make_request("tortoise", "Explain recursion", "why")).text
    assert 3 < len(prose) / len(split_tokens(prose)) < 5


def test_a_tool_call_that_does_not_fit_the_limit_is_left_out():
    request = make_request("swift", "How is the weather in Oslo?", tools=(WEATHER,), max_tokens=2)
    cut = reply(request)
    assert (cut.parts, cut.finish, cut.completion) == ((), "length", 0)
