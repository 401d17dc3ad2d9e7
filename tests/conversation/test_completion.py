"""Completions as plain data, and back."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from nbkit.conversation.completion import (
    Bill,
    BillLine,
    Change,
    Charges,
    ChatCompletion,
    ChatCompletionChunk,
    Timing,
    Usage,
)
from nbkit.conversation.content import Reasoning
from nbkit.conversation.tools import ToolCall
from nbkit.errors import ConversationError

FULL = ChatCompletion(
    "Hi \N{GRINNING FACE}",
    model="m1",
    id="c1",
    created=1_790_000_000,
    finish_reason="tool_calls",
    tool_calls=(ToolCall(id="t1", name="add", arguments='{"a":1}'),),
    reasoning_blocks=(Reasoning(text="hm", signature="s", format="anthropic-claude-v1"), Reasoning(data="x")),
    refusal="no",
    usage=Usage(input=5, cache_write_1h=7, reasoning=1),
    reported_cost=0.1,
    service_tier="priority",
    charges=Charges({"web_search": 3}, "us", (("m2", Usage(1, 2)),), 7, ("code x 1",)),
    bill=Bill(None, "estimate", (BillLine("input", 5, 0.1, None),), "2026-09-30", 128_000, ("why",)),
    changes=(Change("dropped", "seed", "refused"),),
    timing=Timing(None, 1.5, 2),
    raw={"a": [1, None, {"b": 1.5}]},
)
CASES = [ChatCompletion(""), FULL, replace(FULL, choices=(FULL, replace(FULL, text="Ho"))), replace(FULL, raw=[])]


@pytest.mark.parametrize("completion", CASES)
def test_a_completion_is_read_back_from_its_plain_form_and_from_json(completion):
    plain = completion.to_dict()
    assert ChatCompletion.from_dict(plain) == completion
    assert ChatCompletion.from_dict(json.loads(json.dumps(plain))) == completion
    assert ChatCompletion.from_dict(plain).turn == completion.turn


def test_every_field_is_kept():
    assert set(FULL.to_dict()) == set(ChatCompletion.__slots__)


@pytest.mark.parametrize("kind", [int, Any, list[int]])
def test_an_answer_that_was_parsed_is_json_afterwards(kind):
    completion = replace(FULL, text="5", answer_type=kind, choices=(replace(FULL, text="[6]", answer_type=kind),))
    read = ChatCompletion.from_dict(json.loads(json.dumps(completion.to_dict())))
    assert (read.parsed, read.choices[0].parsed) == (5, [6])
    assert ChatCompletion.from_dict(FULL.to_dict()).parsed is None


def test_what_a_newer_version_adds_is_left_out_and_what_an_older_one_lacks_is_empty():
    assert ChatCompletion.from_dict({"text": "Hi", "mood": "good"}) == ChatCompletion("Hi")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (None, "expected the dict that to_dict\\(\\) returns"),
        ("Hi", "expected the dict"),
        ([], "expected the dict"),
        ({}, "text: missing"),
        ({"text": 5}, "text: expected text, got 5"),
        ({"text": "", "usage": {"input": "many"}}, "usage.input: expected a whole number, got 'many'"),
    ],
)
def test_what_is_not_a_completion_is_refused_in_one_sentence(wrong, problem):
    with pytest.raises(ConversationError, match=f"not a completion: {problem}") as caught:
        ChatCompletion.from_dict(wrong)
    assert caught.value.__context__ is None
    assert "\n" not in str(caught.value)


def test_chunks_are_equal_by_what_they_hold():
    chunk = ChatCompletionChunk("Hi", id="c1", model="m1")
    assert (chunk, chunk.id, chunk.model, chunk.index) == (ChatCompletionChunk("Hi"), "c1", "m1", 0)
