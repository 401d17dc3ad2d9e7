"""Gemini's protocol beyond its vectors: answers that are sent back unchanged, and the names of models."""

import json

import pytest

from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.protocols.gemini_generate import Decoder, decode, encode, error
from nbkit.protocols.wire import Dialect

CALL = {"functionCall": {"id": "c1", "name": "add", "args": {"a": 1}}}
ANSWERS = {
    "signed text": [{"text": "3", "thoughtSignature": "c2ln"}],
    "a thought, then signed text": [{"text": "Sum.", "thought": True}, {"text": "3", "thoughtSignature": "c2ln"}],
    "a signed thought": [{"text": "Sum.", "thought": True, "thoughtSignature": "c2ln"}, {"text": "3"}],
    "a thought, then signed calls": [{"text": "Sum.", "thought": True}, CALL | {"thoughtSignature": "c2ln"}, CALL],
    "text and call, both signed": [{"text": "I add.", "thoughtSignature": "YQ=="}, CALL | {"thoughtSignature": "Yg=="}],
}


def answer(parts):
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}


def split_part(part):
    """A part as a stream has it: a text letter by letter, and its signature behind it."""
    if "text" not in part:
        return [part]
    return [{**part, "text": letter, "thoughtSignature": ""} for letter in part["text"]] + [{**part, "text": ""}]


def parts_sent_back(completion):
    """The parts of the answer in the next request."""
    conversation = Conversation(["1 + 2?", completion, "Sure?"])
    return encode(conversation, ExecuteOptions(), "m", Dialect(), False).body["contents"][1]["parts"]


@pytest.mark.parametrize("parts", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_sent_back_unchanged(parts):
    assert parts_sent_back(decode(answer(parts), Dialect())) == parts
    decoder = Decoder(Dialect())
    for piece in (piece for part in parts for piece in split_part(part)):
        decoder.feed("", json.dumps(answer([piece])).encode())
    assert parts_sent_back(decoder.finish()) == parts


def test_a_piece_of_text_ends_a_thought():
    decoder = Decoder(Dialect())
    for part in ({"text": "Hm.", "thought": True}, {"text": "First."}, {"text": "And?", "thought": True}):
        decoder.feed("", json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode())
    decoder.feed("", json.dumps(answer([{"text": " Second."}])).encode())
    completion = decoder.finish()
    assert ([block.text for block in completion.reasoning_blocks], completion.text) == (
        ["Hm.", "And?"],
        "First. Second.",
    )


def test_a_list_of_events_is_an_answer_too():
    events = [answer([{"text": "Hel"}]), answer([{"text": "lo"}])]
    del events[0]["candidates"][0]["finishReason"]
    assert decode(events, Dialect()).text == "Hello"


@pytest.mark.parametrize(("delay", "seconds"), [("48s", 48.0), ("1.5s", 1.5), ("soon", None)])
def test_an_error_has_the_seconds_to_wait(delay, seconds):
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    body = {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED", "details": [info]}}
    assert error(429, json.dumps(body).encode(), Dialect()).retry_after == seconds


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3.5-flash", "/models/gemini-3.5-flash:generateContent"),
        ("models/gemini-3.5-flash", "/models/gemini-3.5-flash:generateContent"),
        ("tunedModels/mine-1", "/tunedModels/mine-1:generateContent"),
        ("gemini@001", "/models/gemini@001:generateContent"),
        ("what?#", "/models/what%3F%23:generateContent"),
    ],
)
def test_the_model_is_in_the_path(model, path):
    assert encode(Conversation("Hi"), ExecuteOptions(), model, Dialect(), False).path == path
