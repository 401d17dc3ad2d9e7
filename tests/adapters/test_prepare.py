"""What is checked and changed before anything is sent."""

import pytest

from nbkit.adapters.prepare import prepare
from nbkit.errors import ConfigError, ConversationError, UnsupportedFeatureError
from nbkit.protocols.wire import Dialect
from nbkit.providers.endpoints import Endpoint

IMAGE = [{"role": "user", "content": ["Look", {"type": "image_url", "image_url": "https://x.example/y.png"}]}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def endpoint(**facts):
    return Endpoint("lab", "m1", "openai-chat", "https://lab.example/v1", **facts)


def test_what_the_model_cannot_do_is_refused_before_sending():
    with pytest.raises(UnsupportedFeatureError, match=r"lab/m1 reads no images \(turn 0\)"):
        prepare(IMAGE, {}, endpoint(vision=False), False)
    with pytest.raises(UnsupportedFeatureError, match="lab/m1 calls no tools"):
        prepare("Hi", {"tools": [TOOL]}, endpoint(tools=False), False)
    with pytest.raises(UnsupportedFeatureError, match="empty"):
        prepare([], {}, endpoint(), False)


def test_what_is_unknown_may_be_asked():
    assert prepare(IMAGE, {"tools": [TOOL], "temperature": 1}, endpoint(), False).request.body["temperature"] == 1


def test_a_dropped_option_is_told_and_strict_raises():
    prepared = prepare("Hi", {"temperature": 0.5}, endpoint(temperature=False), False)
    assert "temperature" not in prepared.request.body
    assert [str(change) for change in prepared.request.changes] == ["dropped temperature: the model takes none"]
    with pytest.raises(UnsupportedFeatureError, match="strict: dropped temperature"):
        prepare("Hi", {"temperature": 0.5, "strict": True}, endpoint(temperature=False), False)


def test_another_name_for_the_same_is_told_but_strict_lets_it_be():
    renaming = endpoint(dialect=Dialect(max_tokens_field="max_completion_tokens"))
    prepared = prepare("Hi", {"max_tokens": 5, "strict": True}, renaming, False)
    assert prepared.request.body["max_completion_tokens"] == 5
    assert [change.kind for change in prepared.request.changes] == ["renamed"]


def test_wrong_input_is_named_before_sending():
    with pytest.raises(ConfigError, match="did you mean temperature"):
        prepare("Hi", {"temprature": 1}, endpoint(), False)
    with pytest.raises(ConversationError, match="turn 0"):
        prepare([{"role": "robot"}], {}, endpoint(), False)


def test_extras_go_through_and_the_callers_objects_stay():
    said, options = [{"role": "user", "content": "Hi"}], {"extra_body": {"top_a": 1}, "extra_headers": {"x-a": "b"}}
    prepared = prepare(said, options, endpoint(body={"tier": "fast"}, headers={"x-c": "d"}), True)
    assert (prepared.request.body["top_a"], prepared.request.body["tier"]) == (1, "fast")
    assert (prepared.request.headers["x-a"], prepared.request.headers["x-c"]) == ("b", "d")
    assert said == [{"role": "user", "content": "Hi"}]
    assert options == {"extra_body": {"top_a": 1}, "extra_headers": {"x-a": "b"}}
