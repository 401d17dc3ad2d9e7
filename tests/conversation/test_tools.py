"""Python functions as tools: their description for a model, its arguments, and their results."""

import datetime
import enum
import functools
import json
import pickle
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from nbkit import Tool
from nbkit.conversation.functions import to_content
from nbkit.conversation.options import ExecuteOptions
from nbkit.errors import ConfigError, ConversationError


class Place(BaseModel):
    city: str
    country: str | None = None


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


def forecast(place: Place, day: datetime.date, unit: Unit = Unit.C, *, hours: Annotated[int, Field(ge=1)] = 24):
    """The weather that is
    to come.

    Not for the sea.

    Args:
        place (Place): Where; a town
            or a village.
        day: When.
        hours: For how long.

    Returns:
        unit: of temperature
    """
    return place, day, unit, hours


def numpy_style(city: str, kind: Literal["rain", "sun"] = "sun"):
    """Sums.

    Parameters
    ----------
    city : str
        Where to look,
        exactly.
    kind : {"rain", "sun"}
        What to count.
    """


async def wait(seconds: float):
    """Waits."""


class Shop:
    def price(self, item: str) -> float:
        """What it costs."""
        return len(item) / 2

    def __call__(self, item: str):
        """Sells it."""


def query(connection, sql: str, limit: int = 10):
    """Asks the database."""
    return connection, sql, limit


def tool(function):
    return Tool.model_validate(function)


def test_a_function_becomes_name_description_and_schema():
    made = tool(forecast)
    assert (made.name, made.description) == ("forecast", "The weather that is to come.")
    properties = made.parameters["properties"]
    assert made.parameters["required"] == ["place", "day"]
    assert properties["place"]["description"] == "Where; a town or a village."
    assert properties["day"] == {"type": "string", "format": "date", "description": "When."}
    assert properties["hours"] == {"type": "integer", "minimum": 1, "default": 24, "description": "For how long."}
    assert made.parameters["$defs"]["Unit"]["enum"] == ["celsius", "fahrenheit"]
    assert made.parameters["$defs"]["Place"]["required"] == ["city"]
    assert '"title": "City"' not in json.dumps(made.parameters)


def test_numpys_docstrings_are_read_too():
    properties = tool(numpy_style).parameters["properties"]
    assert properties["city"]["description"] == "Where to look, exactly."
    assert properties["kind"] == {
        "type": "string", "enum": ["rain", "sun"], "default": "sun", "description": "What to count.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("function", "name", "description", "names"),
    [
        (wait, "wait", "Waits.", ["seconds"]),
        (Shop().price, "price", "What it costs.", ["item"]),
        (Shop(), "Shop", "", ["item"]),
        (functools.partial(query, "secret"), "query", "Asks the database.", ["sql", "limit"]),
        (functools.partial(query, "secret", limit=5), "query", "Asks the database.", ["sql"]),
    ],
)
def test_whatever_can_be_called_is_a_tool(function, name, description, names):
    made = tool(function)
    assert (made.name, made.description, list(made.parameters["properties"])) == (name, description, names)


def test_what_a_partial_binds_is_not_the_models_to_choose():
    bound = tool(functools.partial(query, "secret", limit=5))
    assert bound.bind('{"sql": "select 1"}')() == ("secret", "select 1", 5)
    with pytest.raises(ConversationError, match="limit: Unexpected keyword argument"):
        bound.bind('{"sql": "select 1", "limit": 1000000}')


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f(city): ...", "parameter city has no type hint"),
        ("def f(x: int, /): ...", "parameter x: int: a model passes arguments by name only"),
        ("def f(*words: str): ...", r"parameter \*words: str: a model passes"),
        ("def f(**more): ...", r"parameter \*\*more has no type hint"),
        ("def f(x: 'Nowhere'): ...", "tool f: its signature cannot be read: name 'Nowhere'"),
        ("def f(x: Exception): ...", "tool f: Unable to generate .*Exception"),
        ("f = lambda: 3", "option tools\\[0\\].name: missing"),
    ],
)
def test_an_error_names_the_parameter_that_a_model_cannot_pass(source, problem):
    space = {}
    exec(source, space)  # noqa: S102 - functions that a linter would not let stand
    with pytest.raises(ConfigError, match=problem) as caught:
        ExecuteOptions.of({"tools": [space["f"]]})
    assert caught.value.__context__ is None


def test_dicts_and_functions_stand_side_by_side_and_fields_can_be_given():
    given = Tool(function=wait, name="pause", description="A break.")
    options = ExecuteOptions.of({"tools": [wait, given, {"name": "described"}]})
    assert [(tool.name, tool.description) for tool in options.tools] == [
        ("wait", "Waits."),
        ("pause", "A break."),
        ("described", ""),
    ]
    assert [tool.function for tool in options.tools] == [wait, wait, None]


def test_a_tool_is_pickled_with_its_function_and_dumped_without():
    made = tool(forecast)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    assert "function" not in made.model_dump()
    assert Tool.model_validate(made.model_dump()).parameters == made.parameters


def test_arguments_are_coerced_before_the_function_sees_them():
    call = tool(forecast).bind('{"place": {"city": "Oslo"}, "day": "2026-11-22", "unit": "fahrenheit", "hours": "3"}')
    assert call() == (Place(city="Oslo"), datetime.date(2026, 11, 22), Unit.F, 3)
    assert tool(forecast).bind('{"place": {"city": "Oslo"}, "day": "2026-11-22"}')()[2:] == (Unit.C, 24)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "seconds: Missing required argument"),
        ('{"seconds": "soon"}', "seconds: Input should be a valid number"),
        ('{"seconds": 1, "more": 2}', "more: Unexpected keyword argument"),
        ("[1]", "not a JSON object"),
        ('{"seconds": 1', "Expecting ',' delimiter"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_the_model_reads_what_is_wrong_with_its_arguments(arguments, problem):
    with pytest.raises(ConversationError, match=problem) as caught:
        tool(wait).bind(arguments)
    assert caught.value.__context__ is None


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


class Number:  # as numpy's
    def tolist(self):
        return 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("caf\udce9.txt", "caf?.txt"),
        (None, "null"),
        ({"day": datetime.date(2026, 1, 2), "n": Number()}, '{"day":"2026-01-02","n":7}'),
        ([Place(city="Oslo")], '[{"city":"Oslo","country":null}]'),
        (Number(), "7"),
        ([], "[]"),
    ],
)
def test_a_result_becomes_text_or_json(value, text):
    assert to_content(value) == text


def test_pictures_in_a_result_stay_pictures_and_paths_text(tmp_path):
    entries = to_content(["Look:", PNG, {"a": 1}])
    assert [entry.type for entry in entries] == ["text", "image_url", "text"]
    assert (entries[0].text, entries[2].text) == ("Look:", '{"a":1}')
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    assert to_content([secret]) == f'["{secret}"]'
    with pytest.raises(ConversationError):
        to_content(b"\x00\x01")
