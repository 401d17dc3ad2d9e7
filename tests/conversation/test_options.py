import pytest

from nbkit.conversation.options import ExecuteOptions
from nbkit.errors import ConfigError


def test_a_misspelled_option_is_named_with_its_neighbor():
    with pytest.raises(ConfigError, match=r"unknown option 'temprature'; did you mean temperature\?") as caught:
        ExecuteOptions.of({"temprature": 1})
    assert caught.value.__context__ is None
    with pytest.raises(ConfigError, match=r"unknown option 'zzz'; there are temperature, "):
        ExecuteOptions.of({"zzz": 1})


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", -1), ("temperature", "hot"), ("max_tokens", 0), ("top_p", 1.5), ("tools", [{"type": "function"}])],
)
def test_a_wrong_value_names_its_option(option, value):
    with pytest.raises(ConfigError, match=f"option {option}"):
        ExecuteOptions.of({option: value})


def test_openai_forms_are_read():
    named = {"type": "function", "function": {"name": "weather"}}
    tool = {"type": "function", "function": {"name": "weather", "description": None, "parameters": {"type": "object"}}}
    options = ExecuteOptions.of({"tool_choice": named, "stop": "END", "tools": [tool, {"name": "bare"}]})
    assert (options.tool_choice, options.stop) == ("weather", ("END",))
    assert options.tools is not None
    assert [tool.name for tool in options.tools] == ["weather", "bare"]
    assert options.tools[1].parameters == {"type": "object", "properties": {}}


def test_no_options_are_the_defaults():
    none = ExecuteOptions.of({})
    assert none == ExecuteOptions()
    assert (none.given, none.model_dump_json()) == (set(), ExecuteOptions().model_dump_json())


def test_options_without_a_value_are_not_given():
    options = ExecuteOptions.of(
        {"temperature": None, "max_tokens": 5, "strict": True, "response_format": "json_object"}
    )
    assert options.given == {"max_tokens", "strict", "response_format", "answer_type"}
    assert options.model_copy(update={"max_tokens": None}).given == {"strict", "response_format", "answer_type"}
