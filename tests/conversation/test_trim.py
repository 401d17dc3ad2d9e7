"""Long conversations cut from the front: whole exchanges go, system turns and tool pairs stay together."""

import pytest

import nbkit
from nbkit import Conversation


def turn(role, content="x" * 40, **more):
    return {"role": role, "content": content} | more


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SYSTEM, ASK, ANSWER = turn("system", "S"), turn("user"), turn("assistant")
CALLS, OUTPUT = turn("assistant", None, tool_calls=[CALL]), turn("tool", tool_call_id="c")
LONG = [SYSTEM, *[ASK, ANSWER] * 3, ASK, CALLS, OUTPUT, ANSWER, turn("system", "Later."), ASK]


@pytest.mark.parametrize(
    ("given", "tokens", "left"),
    [
        (LONG, 10_000, LONG),
        (LONG, 102, LONG[:1] + LONG[3:]),
        (LONG, 81, LONG[:1] + LONG[5:]),
        (LONG, 60, LONG[:1] + LONG[7:]),
        (LONG, 20, [SYSTEM, turn("system", "Later."), ASK]),
        (LONG, 0, [SYSTEM, turn("system", "Later."), ASK]),
        ([ASK], 0, [ASK]),
        ([ANSWER, ASK, ANSWER], 20, [ASK, ANSWER]),
        ([ASK, ASK, ANSWER, ASK], 20, [ASK]),
        ([ASK, CALLS, ASK, OUTPUT, ANSWER, ASK], 40, [ASK]),
        ([ASK, ANSWER, ASK, CALLS, ASK, OUTPUT], 30, [ASK, CALLS, ASK, OUTPUT]),
        ([], 0, []),
    ],
)
def test_the_oldest_exchanges_go(given, tokens, left):
    conversation = Conversation(given)
    assert conversation.trimmed(tokens).to_openai() == Conversation(left).to_openai()
    assert conversation.to_openai() == Conversation(given).to_openai()


def test_a_counter_of_ones_own_and_images():
    conversation = Conversation(LONG)
    assert len(conversation.trimmed(3, count=len)) == 3
    assert conversation.trimmed(10**6, count=nbkit.count_tokens) is conversation
    picture = [turn("user", [{"type": "image_url", "image_url": "https://x.test/a.png"}]), ANSWER, ASK]
    assert len(Conversation(picture).trimmed(900)) == 1


def test_a_slice_of_a_conversation_is_one():
    """S12"""
    conversation = Conversation(LONG)
    assert isinstance(conversation[1:3], Conversation)
    assert conversation[1:3] == Conversation(LONG[1:3])
    assert conversation[::-1][0] == conversation[-1]
    assert conversation[5:5] == Conversation()
