"""Messages about wrong data: the place as the user has written it, what is right, what was given, the nearest."""

import re
from copy import deepcopy

import pytest

from nbkit.bookkeeping.recording import read_recording
from nbkit.conversation.completion import Charges, ChatCompletion
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.problems import explain_word
from nbkit.conversation.turns import Conversation, Turn
from nbkit.conversation.values import read_as
from nbkit.errors import ConfigError, ConversationError, NbkitError

PICTURE = {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "high"}}
FILE = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "Hi"}, PICTURE, FILE, SOUND], "name": "me"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "x"},
    {
        "role": "assistant",
        "content": "x",
        "reasoning": [{"text": "Hm", "signature": "s"}],
        "native": {"protocol": "p", "parts": [{"kind": "text", "length": 1, "data": {}}], "paused": False},
    },
]
OPTIONS = {
    "temperature": 1.0,
    "max_tokens": 5,
    "top_p": 0.5,
    "stop": ["a"],
    "verbosity": "low",
    "extra_headers": {"X": "y"},
    "timeout": 3,
    "parallel_tool_calls": True,
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
}
COMPLETION = ChatCompletion("Hi", id="1").to_dict()
READERS = {
    "conversation": (Conversation, MESSAGES),
    "options": (ExecuteOptions.of, OPTIONS),
    "completion": (ChatCompletion.from_dict, COMPLETION),
}
WRONG = ("hugh", 5, -1, 1e40, True, None, [], ["x"], {}, {"x": 1}, b"x")


def list_places(data, place=()):
    """Every place in nested dicts and lists, as the steps to it."""
    yield place
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, item in items:
        yield from list_places(item, (*place, step))


def change(data, place, value):
    """A copy with another value at a place, or without it."""
    if not place:
        return value
    data = deepcopy(data)
    at = data
    for step in place[:-1]:
        at = at[step]
    if value is ...:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return data


@pytest.mark.parametrize("name", READERS)
def test_wrong_data_give_one_sentence_in_words_of_the_house(name):
    read, good = READERS[name]
    read(deepcopy(good))
    problems = set()
    for place in list_places(good):
        for value in (*WRONG, ...) if place else WRONG:
            try:
                read(change(good, place, value))
            except NbkitError as wrong:
                problems.add(str(wrong))
    foreign = re.compile(r"`|\n|Expected|[Ii]nvalid|enum|\$|Object|regex|NoneType|>=|\*|\.\.\.\]")
    assert len(problems) > 40
    assert not [text for text in problems if foreign.search(text)]
    assert not [text for text in problems if text.count("'hugh'") + text.count("got ") > 2]


IN_TURNS = [
    ((0, "content", 1, "image_url", "detail"), "hugh",
     "content[1].image_url.detail: expected one of auto, low, high, got 'hugh'; did you mean high?"),
    ((0, "content", 1, "image_url"), "", "content[1].image_url: expected non-empty text, got ''"),
    ((0, "content", 1, "type"), "image_ulr",
     "content[1].type: expected one of text, image_url, file, input_audio, got 'image_ulr'; did you mean image_url?"),
    ((0, "content", 1, "type"), ["text"],
     "content[1].type: expected one of text, image_url, file, input_audio, got a list of 1 value"),
    ((0, "content", 1, "image_url", "deatil"), "low",
     "content[1].image_url.deatil: unknown field; did you mean detail?"),
    ((0, "content", 2, "file", "file_data"), "x",
     "content[2].file.file_data: expected a data: URL, such as data:application/pdf;base64,..., got 'x'"),
    ((0, "content", 2, "x"), 1, "content[2].x: unknown field; there are type, cache_control, file"),
    ((0, "content"), {"type": "text"}, "content: expected text or a list, got a dict of 1 value"),
    ((1, "tool_calls", 0, "function", "name"), ..., "tool_calls[0].function.name: missing"),
    ((3, "native", "parts", 0, "kind"), "txt",
     "native.parts[0].kind: expected one of text, reasoning, call, other, got 'txt'; did you mean text?"),
    ((3, "reasoning_details"), [{"text": 5}], "reasoning_details[0].text: expected text, got 5"),
    ((3, "reasoning_details"), 5, "reasoning_details: expected a list of dicts, got 5"),
]  # fmt: skip
IN_OPTIONS = [
    (("temperature",), -1, "temperature: expected a number of at least 0 or None, got -1"),
    (("top_p",), 5, "top_p: expected a number from 0 to 1 or None, got 5"),
    (("timeout",), 0, "timeout: expected a number above 0 or None, got 0"),
    (("parallel_tool_calls",), "x", "parallel_tool_calls: expected True, False or None, got 'x'"),
    (("prompt_cache",), "atuo", "prompt_cache: expected 'auto', got 'atuo'; did you mean auto?"),
    (("stop",), 5, "stop: expected text, a list of texts or None, got 5"),
    (("extra_body",), {5: 1}, "extra_body: expected text for its keys"),
    (("tools", 0), "f", "tools[0]: expected a function or a dict, got 'f'"),
    (("tools", 0, "function", "parameters"), "x", "tools[0].function.parameters: expected a dict, got 'x'"),
    (("tools", 0), {"name": "f", "input_schema": 5}, "tools[0].input_schema: expected a dict, got 5"),
    (("tools", 0, "type"), "web_search",
     "tools[0].type: expected 'function', got 'web_search'; tools that a provider runs go into extra_body"),
    (("tool_choice", "function"), {}, "tool_choice: expected auto, none, required, the name of a tool or {'type': "
     "'function', 'function': {'name': ...}}"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "problem"), IN_TURNS)
def test_a_place_in_a_turn_is_written_as_the_user_has_it(place, value, problem):
    with pytest.raises(ConversationError) as caught:
        Conversation(change(MESSAGES, place, value))
    assert str(caught.value) == f"turn {place[0]} ({MESSAGES[place[0]]['role']}): {problem}"


@pytest.mark.parametrize(("place", "value", "problem"), IN_OPTIONS)
def test_a_place_in_an_option_is_written_as_the_user_has_it(place, value, problem):
    with pytest.raises(ConfigError) as caught:
        ExecuteOptions.of(change(OPTIONS, place, value))
    assert str(caught.value) == f"option {problem}"


def test_a_tool_as_responses_writes_it_is_read():
    (tool,) = ExecuteOptions.of({"tools": [{"type": "function", "name": "f", "description": "d"}]}).tools
    assert (tool.name, tool.description) == ("f", "d")


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        (Charges, {"tools": {"search": "two"}}, "tools['search']: expected a whole number, got 'two'"),
        (dict[str, dict[str, int]], {"a.b": {"c": 1, "d": "x"}}, "['a.b']['d']: expected a whole number, got 'x'"),
        (tuple[int, str], [1], "expected a list, got a list of 1 value"),
        (tuple[int, ...], [1, {2}], "[1]: expected a whole number, got a set of 1 value"),
        (list[list[int]], [{"x"}], "[0]: expected a list, got a set of 1 value"),
    ],
)
def test_the_key_of_a_dict_is_named(kind, data, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_as(kind, data)


def test_a_recording_says_what_is_wrong_with_it():
    line = b'{"completion": {"text": "x"}, "kept": "2026-11-27", "model": "m", "request": "0", "sample": 0}'
    with pytest.raises(ValueError, match=r"^kept: expected a time with its zone, such as '20.*', got '2026-11-27'$"):
        read_recording(line)
    line = line.replace(b'"2026-11-27"', b'"2026-11-27T00:00:00Z"')
    with pytest.raises(ValueError, match=r"^request: expected 64 hexadecimal digits, got '0'$"):
        read_recording(line)
    with pytest.raises(ValueError, match=r"^format: expected 1 at most \(a newer nbkit has written it\), got 2$"):
        read_recording(line.replace(b"{", b'{"format": 2, ', 1))


def test_a_word_that_must_be_there():
    assert explain_word({}, "type", ("a", "b")) == "type: missing; expected one of a, b"


def test_fields_are_given_by_their_names_and_json_is_json():
    with pytest.raises(ConversationError, match=r"^Turn: its fields are given by their names: Turn\(role=\.\.\., con"):
        Turn("user", "Hi")
    with pytest.raises(ConversationError, match=r"^Turn: not JSON: input data was truncated$"):
        Turn.model_validate_json("{")
