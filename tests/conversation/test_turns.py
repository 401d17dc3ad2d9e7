"""Conversations: what is accepted, what comes out again, and what an error says."""

import json
import pickle

import pytest
from pydantic import BaseModel

from nbkit import ChatCompletion, ContentTurn, Conversation, ToolOutputTurn, ToolsCallTurn, Turn
from nbkit.conversation.content import ImageEntry, Reasoning, TextEntry
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import FunctionCallTurn, FunctionOutputTurn, to_turn
from nbkit.errors import ConversationError, NbkitError

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
HARD = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "d:,"}}]},
    {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL], "reasoning_content": "I need the weather."},
    {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
    {"role": "function", "name": "now", "content": "noon"},
    {"role": "assistant", "content": ""},
    {"role": "developer", "content": "Answer in Norwegian."},
    {"role": "user", "content": "Well?", "name": "kari"},
]  # fmt: skip


def test_openai_dicts_and_json_come_back_as_they_were():
    conversation = Conversation(HARD)
    assert conversation.to_openai() == HARD
    assert Conversation.model_validate_json(conversation.model_dump_json()) == conversation
    assert Conversation.model_validate(conversation.model_dump()) == conversation
    assert json.loads(conversation.model_dump_json()) == {"turns": HARD}
    assert [type(turn) for turn in conversation] == [
        Turn, ContentTurn, ToolsCallTurn, ToolOutputTurn, FunctionCallTurn, FunctionOutputTurn, Turn, Turn, Turn,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        "Hello",
        {"role": "user", "content": "Hello"},
        Turn(role="user", content="Hello"),
        ["Hello"],
        [{"role": "user", "content": "Hello"}],
        (Turn(role="user", content="Hello"),),
        Conversation("Hello"),
        {"turns": ["Hello"]},
    ],
)
def test_everything_that_is_one_user_turn(value):
    assert Conversation(value).turns == (Turn(role="user", content="Hello"),)
    assert Conversation.model_validate(value) == Conversation("Hello")


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_plain_dict_is_read_as_validation_would(role):
    read, validated = to_turn({"role": role, "content": "Hello"}), Turn(role=role, content="Hello")
    assert read == validated
    assert read.model_copy(update={"name": "kari"}) == Turn(role=role, content="Hello", name="kari")
    assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301  # our own
    assert read.entries == (TextEntry(text="Hello"),)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [Text("Hello"), {"role": Text("user"), "content": "Hello"}, {"role": "user", "content": Text("Hello")}]
)
def test_what_is_nearly_a_plain_string_is_validated(value):
    assert to_turn(value) == Turn(role="user", content="Hello")


@pytest.mark.parametrize("turns", [HARD, HARD[:1], ["Hello"], []])
def test_a_conversation_is_made_as_validation_would(turns):
    made, validated = Conversation(turns), Conversation.model_validate({"turns": turns})
    assert made == validated
    assert made.is_text == all(type(turn) is Turn for turn in made)


def test_a_completion_is_a_turn_with_its_reasoning_and_calls():
    signed = Reasoning(text="Hm.", signature="s1")
    call = ToolCall(id="c1", name="weather", arguments="{}")
    answer = ChatCompletion(text="Wait.", tool_calls=(call,), reasoning_blocks=(signed,))
    turn = Conversation(["Weather?", answer])[1]
    assert isinstance(turn, ToolsCallTurn)
    assert (turn.content, turn.tool_calls, turn.reasoning) == ("Wait.", (call,), (signed,))
    assert Conversation([turn.model_dump()])[0] == turn  # the signature survives the OpenAI form


def test_routers_reasoning_details_come_back_unchanged():
    details = [
        {"type": "reasoning.text", "text": "A", "signature": "x", "format": "f-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "zzz", "id": "r1", "index": 1},
    ]
    value = {"role": "assistant", "content": "Hi", "reasoning": "A", "reasoning_details": details}
    turn = Conversation([value])[0]
    assert turn.model_dump()["reasoning_details"] == details
    assert turn.model_dump()["reasoning_content"] == "A"


ADD = Reasoning(text="Add.")
SIGNED = Reasoning(text="Add.", signature="s", format="anthropic-claude-v1")
W10 = {
    "W10: two names": ({"reasoning_content": "Add.", "reasoning": "Add."}, "2", (ADD,)),
    "W10: an empty one and Copilot's": ({"reasoning_content": "", "reasoning_text": "Add."}, "2", (ADD,)),
    "W10: Ollama's": ({"thinking": "Add."}, "2", (ADD,)),
    "W10: a message to continue": ({"prefix": True, "partial": False}, "2", ()),
    "W10: Mistral's part": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Add."}], "closed": True}, "2"]},
        "2",
        (ADD,),
    ),
    "W10: Cohere's part": ({"content": [{"type": "thinking", "thinking": "Add."}, "2"]}, "2", (ADD,)),
    "W10: Claude's part": (
        {"content": [{"type": "thinking", "thinking": "Add.", "signature": "s"}, "2"]},
        "2",
        (SIGNED,),
    ),
    "W10: Claude's hidden part": (
        {"content": [{"type": "redacted_thinking", "data": "d"}, "2"]},
        "2",
        (Reasoning(data="d", format="anthropic-claude-v1"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "text", "reasoning"), W10.values(), ids=W10)
def test_messages_are_read_in_their_vendors_own_forms(keys, text, reasoning):
    turn = Conversation([{"role": "assistant", "content": "2"} | keys])[0]
    assert (turn.text, turn.reasoning) == (text, reasoning)


def test_w10_marks_for_a_cache_are_kept():
    mark = {"type": "ephemeral"}
    part = {"type": "text", "text": "A", "cache_control": mark}
    assert Conversation([{"role": "user", "content": [part]}]).to_openai() == [{"role": "user", "content": [part]}]
    assert Conversation([{"role": "user", "content": "A", "cache_control": mark}])[0].entries[0].cache_control == mark


def test_s12_an_output_of_null_is_empty():
    assert Conversation([{"role": "tool", "tool_call_id": "c", "content": None}])[0].content == ""


def test_what_the_sdks_append_is_accepted():
    class Message(BaseModel):
        role: str = "assistant"
        content: str | None = None
        refusal: str | None = "I cannot."
        annotations: list[str] = []
        tool_calls: list[str] | None = None
        audio: None = None

    assert Conversation([Message()])[0] == Turn(role="assistant", content="I cannot.")
    empty = {"role": "assistant", "content": None, "tool_calls": []}
    assert Conversation([empty])[0] == Turn(role="assistant", content="")


def test_strings_among_entries_and_plain_image_urls():
    turn = Conversation([{"role": "user", "content": ["Look", {"type": "image_url", "image_url": "https://x/y.png"}]}])[
        0
    ]
    assert isinstance(turn, ContentTurn)
    assert isinstance(turn.content[0], TextEntry)
    assert isinstance(turn.content[1], ImageEntry)
    assert turn.content[1].image_url.url == "https://x/y.png"
    assert turn.text == "Look"


@pytest.mark.parametrize(
    ("value", "index", "expected"),
    [
        ([{"role": "robot"}], 0, "expected one of system, developer, user, assistant, tool, function, got 'robot'"),
        (["a", {"content": "x"}], 1, "role: missing; expected one of system, "),
        (["a", {"role": "user", "content": 3}], 1, "content: expected text or a list, got 3"),
        (["a", {"role": "user"}], 1, "content: missing"),
        (["a", "b", {"role": "tool", "content": "x"}], 2, "tool_call_id: missing"),
        (["a", 4], 1, "expected a string, a dict or a turn, got 4"),
        ([{"role": "user", "content": [{"type": "video"}]}], 0, "expected one of text, image_url, file, input_audio"),
        ([{"role": "user", "content": "x", "nmae": "y"}], 0, "nmae: unknown field; did you mean name?"),
        (["a", {"role": "assistant", "tool_calls": [{"id": "1", "function": {}}]}], 1, "tool_calls[0].function.name: "),
    ],
)  # fmt: skip
def test_an_error_names_the_turn_and_what_was_expected(value, index, expected):
    with pytest.raises(ConversationError) as caught:
        Conversation(value)
    assert f"turn {index}" in str(caught.value)
    assert expected in str(caught.value)
    assert isinstance(caught.value, ValueError | NbkitError)
    assert caught.value.__context__ is None
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_no_conversation_at_all():
    with pytest.raises(ConversationError, match="a list of them, got 3"):
        Conversation(3)


def test_conversations_are_values():
    start = Conversation("Hi")
    longer = start + {"role": "assistant", "content": "Hello"} + "Bye"
    assert (len(start), len(longer)) == (1, 3)
    assert longer.text == "Hi\nHello\nBye"
    with pytest.raises(AttributeError, match="immutable"):
        longer.turns = ()
    source = [{"role": "user", "content": ["a"]}]
    Conversation(source)
    assert source == [{"role": "user", "content": ["a"]}]


def test_tool_calls_keep_the_models_own_words():
    broken = ToolCall(id="1", name="f", arguments='{"a": ')
    assert broken.model_dump()["function"]["arguments"] == '{"a": '
    with pytest.raises(ValueError, match="Expecting value"):
        broken.parsed()
    with pytest.raises(ValueError, match="f: arguments are list"):
        ToolCall(name="f", arguments="[]").parsed()
    assert ToolCall.model_validate({"name": "f", "arguments": {"a": 1}}).parsed() == {"a": 1}
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "sig"}}}
    assert ToolCall.model_validate(signed).model_dump() == signed
