"""How values are read and copied: by type, in Python's own types, and inside of pydantic models."""

import copy
import json
import pickle
from enum import StrEnum

import numpy as np
import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.content import Reasoning, TextEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import Conversation, Turn
from nbkit.errors import ConfigError, ConversationError


class Level(StrEnum):
    LOW = "low"


def test_numpys_values_and_enums_are_pythons():
    options = ExecuteOptions.of(
        {
            "temperature": np.float32(0.5),
            "max_tokens": np.int64(5),
            "strict": np.bool_(True),
            "reasoning_effort": Level.LOW,
            "stop": (text for text in ("a", np.str_("b"))),
        }
    )
    values = (options.temperature, options.max_tokens, options.strict, options.reasoning_effort, *options.stop)
    assert values == (0.5, 5, True, "low", "a", "b")
    assert [type(value) for value in values] == [float, int, bool, str, str, str]
    assert type(Turn(role="user", content=np.str_("Hi")).content) is str


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"temperature": True}, "option temperature: expected a number of at least 0 or None, got True"),
        ({"user": b"me"}, "option user: expected text or None, got bytes"),
        ({"verbosity": "loud"}, "option verbosity: expected one of low, medium, high, got 'loud'"),
        ({"stop": [1]}, "option stop[0]: expected text, got 1"),
        ({"extra_headers": {"X": 5}}, "option extra_headers['X']: expected text (what it is now is not shown)"),
    ],
)
def test_a_wrong_option_is_named(options, problem):
    with pytest.raises(ConfigError) as caught:
        ExecuteOptions.of(options)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "value",
    [
        Conversation(["Hi", {"role": "assistant", "content": "Hello"}]),
        ToolCall(id="1", name="f", arguments='{"a": 1}'),
        TextEntry(text="x", cache_control={"type": "ephemeral"}),
        Reasoning(text="Hm", signature="s"),
        Tool(name="f", description="d"),
        ExecuteOptions(temperature=0.5, stop="a"),
    ],
)
def test_what_is_written_is_read_again(value):
    kind = type(value)
    assert kind.model_validate(value.model_dump()) == value
    assert kind.model_validate_json(value.model_dump_json()) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own
    assert copy.deepcopy(value) == copy.copy(value) == value.model_copy() == replace(value) == value


def test_headers_stay_hidden_in_the_frames_of_an_error():
    key = "sk-" + "k" * 30
    with pytest.raises(ConfigError) as caught:
        ExecuteOptions.of({"extra_headers": {"X-Key": key}, "verbosity": "loud"})
    held = [repr(value) for entry in caught.traceback[1:] for value in entry.frame.f_locals.values()]
    assert held
    assert not [text for text in held if key in text]


def test_values_stand_in_pydantic_models():
    class Experiment(BaseModel):
        prompt: Conversation
        options: ExecuteOptions = ExecuteOptions()

    made = Experiment(prompt="Hi", options={"temperature": 0.5})
    assert (made.prompt.text, made.options.temperature) == ("Hi", 0.5)
    plain = {"prompt": {"turns": [{"role": "user", "content": "Hi"}]}, "options": {"temperature": 0.5}}
    assert json.loads(made.model_dump_json()) == plain
    assert Experiment.model_validate(plain) == made
    with pytest.raises((ValueError, ConversationError, ConfigError), match="temperature"):
        Experiment(prompt="Hi", options={"temperature": "hot"})


def test_what_a_provider_wrote_is_kept_as_json_has_it():
    plain = ChatCompletion("x", raw={"a": float("nan"), "b": {1: (2,)}}).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False))["raw"] == {"a": None, "b": {"1": [2]}}
