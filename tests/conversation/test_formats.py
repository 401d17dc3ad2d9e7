"""Formats of answers: how a type is written for a provider, and an answer read as the type."""

import pickle
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # as pydantic wants it before Python 3.12

from nbkit import ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.errors import AnswerFormatError, ConfigError


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = None


class Zoo(BaseModel):
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    best: Cat = Field(description="the dearest")


class Node(BaseModel):
    value: int
    next: "Node | None" = Field(None, description="the rest")


class Loose(BaseModel):
    tags: list[str] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


class Anything(BaseModel):
    x: Any


class Short(BaseModel):
    word: str = Field(max_length=3)


@dataclass
class Point:
    x: float
    y: float


class Film(TypedDict):
    title: str
    year: int


def form(kind):
    options = ExecuteOptions.of({"response_format": kind})
    assert options.answer_type is kind
    return options.response_format["json_schema"]


def test_a_type_is_written_as_strict_mode_wants_it():
    schema = form(Zoo)["schema"]
    assert form(Zoo)["name"] == "Zoo"
    assert form(Zoo)["strict"] is True
    assert schema["required"] == ["pets", "best"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["pets"]["items"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert schema["properties"]["best"] == {"anyOf": [{"$ref": "#/$defs/Cat"}], "description": "the dearest"}
    dog = schema["$defs"]["Dog"]
    assert dog["required"] == ["kind", "name"]  # null, where the default is meant
    assert "default" not in dog["properties"]["name"]


def test_a_type_that_holds_itself_has_an_object_at_its_top():
    schema = form(Node)["schema"]
    assert "$ref" not in schema
    assert schema["required"] == schema["$defs"]["Node"]["required"] == ["value", "next"]
    assert form(Node)["strict"] is True


@pytest.mark.parametrize("kind", [Point, Film])
def test_dataclasses_and_typed_dicts_are_taken(kind):
    assert form(kind)["strict"] is True
    assert form(kind)["name"] == kind.__name__


@pytest.mark.parametrize("kind", [Loose, Open, Anything, Short, dict[str, int]])
def test_strict_is_not_claimed_where_it_would_mean_something_else(kind):
    assert "strict" not in form(kind)
    assert form(kind)["schema"]["type"] == "object"


@pytest.mark.parametrize(
    ("given", "form", "kind"),
    [
        (None, None, None),
        ("text", None, None),
        ({"type": "text"}, {"type": "text"}, None),
        ("json_object", {"type": "json_object"}, Any),
        ({"type": "json_object"}, {"type": "json_object"}, Any),
        (
            {"type": "object", "properties": {}},
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {}}}},
            Any,
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            Any,
        ),
        ({"type": "grammar", "grammar": "x"}, {"type": "grammar", "grammar": "x"}, Any),
    ],
)
def test_words_and_dicts(given, form, kind):
    options = ExecuteOptions.of({"response_format": given})
    assert (options.response_format, options.answer_type) == (form, kind)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("yaml", "response_format: expected 'text', 'json_object', a dict or a type, got 'yaml'$"),
        ("json-object", "got 'json-object'; did you mean json_object?"),
        (
            {"type": "json_shema"},
            r"response_format\.type: expected one of text, .* got 'json_shema'; did you mean json_schema?",
        ),
        ({"json_schema": {}}, "response_format.type: missing; expected one of text, json_object, json_schema"),
        ({"type": ["text"]}, "response_format.type: expected one of text, .*, got a list of 1 value"),
        (list[int], "not an object; make it a field"),
        (int | None, "not an object"),
        (5, "expected 'text', 'json_object', a dict or a type, got 5"),
        (object(), "a dict or a type, got an object"),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "json_schema needs"),
        ({"type": "json_schema"}, "json_schema needs"),
    ],
)
def test_an_unknown_format_is_an_error(given, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        ExecuteOptions.of({"response_format": given})
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"x": 1, "y": "2"}', Point, Point(1, 2)),
        ('```json\n{"title": "M", "year": 1931}\n```', Film, {"title": "M", "year": 1931}),
        ('\n```\n{"value": 1}\n```\n', Node, Node(value=1)),
        ('{"a": [1]}', Any, {"a": [1]}),
        ("plain", None, None),
    ],
)
def test_the_answer_is_parsed_as_the_requested_type(text, kind, value):
    assert ChatCompletion(text, answer_type=kind).parsed == value


@pytest.mark.parametrize(
    ("completion", "problem"),
    [
        (ChatCompletion('{"x": 1}', answer_type=Point), r"not valid Point: y: Field required$"),
        (ChatCompletion("Well ...", answer_type=Any), "not valid JSON: Invalid JSON"),
        (ChatCompletion('{"x": 1, "y', finish_reason="length", answer_type=Point), "EOF.*cut off at max_tokens$"),
        (ChatCompletion("", refusal="I cannot.", answer_type=Point), "the model refused: I cannot.$"),
        (ChatCompletion("", finish_reason="tool_calls", answer_type=Point), "the model calls a tool instead$"),
        (ChatCompletion("[" * 100_000, answer_type=Any), "recursion limit"),
    ],
)
def test_an_answer_of_another_form_says_what_is_wrong(completion, problem):
    with pytest.raises(AnswerFormatError, match=problem) as caught:
        _ = completion.parsed
    assert isinstance(caught.value, ValueError)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(copy), copy.text) == (str(caught.value), completion.text)
    assert caught.value.__context__ is None
