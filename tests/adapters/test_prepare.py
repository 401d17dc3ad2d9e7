"""What is checked and changed before anything is sent."""

import pytest
from test_requests import endpoint

import nbkit
from nbkit.adapters.prepare import prepare, supply_media
from nbkit.errors import ConfigError, ConversationError, UnsupportedFeatureError

ADDRESS = "https://x.example/y.png"
IMAGE = [{"role": "user", "content": ["Look", {"type": "image_url", "image_url": ADDRESS}]}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def chat(dialect=(), **row):
    return endpoint("openai-chat", dialect, **row)


def lacking(*names):
    return chat(capabilities=dict.fromkeys(names, False))


def sent(conversation, of, **options):
    prepared = prepare(conversation, options, of, False)
    return prepared.request.body, [str(change) for change in prepared.changes]


@pytest.mark.parametrize(
    ("conversation", "options", "lacks", "message"),
    [
        (IMAGE, {}, "vision", r"lab/m does not read images \(the prompt\); catalog\[catalog.vision\] lists"),
        ("Hi", {"tools": [TOOL]}, "tools", "lab/m does not call tools"),
        ("Hi", {"n": 2}, "n", "lab/m gives one answer per call, not n=2"),
        ([], {}, "user", "the conversation is empty"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_sending(conversation, options, lacks, message):
    with pytest.raises(UnsupportedFeatureError, match=message):
        prepare(conversation, options, lacking(lacks), False)


PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


@pytest.mark.parametrize(("entry", "lacks"), [(IMAGE[0]["content"][1], "vision"), (PDF, "pdf"), (AUDIO, "audio")])
def test_the_error_says_how_to_find_a_model_that_can(entry, lacks):
    with pytest.raises(UnsupportedFeatureError) as caught:
        prepare([{"role": "user", "content": [entry]}], {}, lacking(lacks), False)
    query = str(caught.value).partition("; ")[2].removesuffix(" lists models that do")
    assert query.startswith("catalog[catalog.")
    assert 0 < len(eval(query, {"catalog": nbkit.catalog})) < len(nbkit.catalog)  # noqa: S307  # our own words


def test_an_unknown_model_may_get_everything():
    assert prepare(IMAGE, {"tools": [TOOL], "temperature": 1}, chat(), False).request.body["temperature"] == 1


def test_a_dropped_option_is_listed_and_strict_raises():
    body, changes = sent("Hi", lacking("temperature"), temperature=0.5)
    assert "temperature" not in body
    assert changes == ["dropped temperature: the model takes none"]
    with pytest.raises(UnsupportedFeatureError, match="strict: dropped temperature"):
        prepare("Hi", {"temperature": 0.5, "strict": True}, lacking("temperature"), False)


def test_another_name_for_the_same_is_listed_but_strict_lets_it_be():
    renaming = chat({"max_tokens_field": "max_completion_tokens"})
    prepared = prepare("Hi", {"max_tokens": 5, "strict": True}, renaming, False)
    assert prepared.request.body["max_completion_tokens"] == 5
    assert [change.kind for change in prepared.changes] == ["renamed"]


def test_wrong_input_is_named_before_sending():
    with pytest.raises(ConfigError, match="did you mean temperature"):
        prepare("Hi", {"temprature": 1}, chat(), False)
    with pytest.raises(ConversationError, match="turn 0"):
        prepare([{"role": "robot"}], {}, chat(), False)
    with pytest.raises(ConfigError, match="tool_choice: unknown tool 'g'; the tools are f"):
        prepare("Hi", {"tools": [TOOL], "tool_choice": "g"}, chat(), False)


def test_extras_go_through_and_the_callers_objects_stay():
    conversation, options = (
        [{"role": "user", "content": "Hi"}],
        {"extra_body": {"top_a": 1}, "extra_headers": {"x-a": "b"}},
    )
    prepared = prepare(conversation, options, chat(), True)
    assert prepared.request.body["top_a"] == 1
    assert prepared.request.headers["x-a"] == "b"
    assert conversation == [{"role": "user", "content": "Hi"}]
    assert options == {"extra_body": {"top_a": 1}, "extra_headers": {"x-a": "b"}}


def test_the_deprecated_functions_are_tools():
    body, changes = sent("Hi", chat(), functions=[TOOL["function"]], function_call={"name": "f"})
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert changes == ["renamed functions: deprecated: tools", "renamed function_call: deprecated: tool_choice"]
    with pytest.raises(ConfigError, match="'functions' is deprecated, and 'tools' is given too"):
        prepare("Hi", {"functions": [TOOL["function"]], "tools": [TOOL]}, chat(), False)


def test_schemas_go_without_what_the_provider_refuses():
    schema = {"$schema": "x", "type": "object", "properties": {"$schema": {"type": "string", "$id": "y"}}}
    of = chat(schema_drop=["$schema", "$id"])
    body, changes = sent(
        "Hi",
        of,
        tools=[{"name": "f", "parameters": schema}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    plain = {"type": "object", "properties": {"$schema": {"type": "string"}}}
    assert body["tools"][0]["function"]["parameters"] == plain
    assert body["response_format"]["json_schema"]["schema"] == plain
    assert len(changes) == 2


@pytest.mark.parametrize(
    ("lacks", "stream", "wanted", "streams"),
    [
        ("json_with_tools", True, None, True),
        ("json_streaming", True, "json_object", False),
        ("vision", True, "json_object", True),
    ],
)
def test_forms_of_answers_that_exclude_something_else(lacks, stream, wanted, streams):
    options = {"tools": [TOOL], "response_format": {"type": "json_object"}}
    prepared = prepare("In JSON.", options, lacking(lacks), stream)
    assert (prepared.request.body.get("response_format") or {}).get("type") == wanted
    assert prepared.stream is streams
    assert bool(prepared.changes) == (lacks != "vision")


@pytest.mark.parametrize(
    ("row", "requested", "temperature"),
    [
        ({"temperature_max": 1.0}, 1.5, 1.0),
        ({"temperature_scale": 0.5, "temperature_max": 1.0}, 1.5, 0.75),
        ({"temperature_scale": 0.5, "temperature_max": 0.5}, 1.5, 0.5),
        ({}, 1.5, 1.5),
    ],
)
def test_temperatures_are_scaled_and_clamped(row, requested, temperature):
    body, changes = sent("Hi", chat(**row), temperature=requested)
    assert body["temperature"] == temperature
    assert bool(changes) == bool(row)


@pytest.mark.parametrize(
    ("row", "options", "spoken"),
    [
        ({"reasoning": ["effort"]}, {"reasoning_budget": 8000}, {"reasoning_effort": "medium"}),
        ({"reasoning": ["budget"]}, {"reasoning_effort": "high"}, {"budget": 16384}),
        ({"reasoning": ["budget"]}, {"reasoning_budget": 5}, {"budget": 5}),
        ({"reasoning": ["effort", "budget"]}, {"reasoning_effort": "low", "reasoning_budget": 5},
         {"reasoning_effort": "low"}),
        ({"reasoning": []}, {"reasoning_effort": "low"}, {}),
        ({"reasoning": []}, {"reasoning_budget": 5}, {}),
        ({"efforts": {"minimal": "low"}}, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ({}, {"reasoning_budget": 0}, {"reasoning_effort": "none"}),
    ],
)  # fmt: skip
def test_reasoning_is_requested_in_the_models_terms(row, options, spoken):
    body, changes = sent("Hi", chat({"rename": {"reasoning_budget": "budget"}}, **row), **options)
    assert {key: body[key] for key in ("reasoning_effort", "budget") if key in body} == spoken
    assert ("renamed reasoning_budget: the provider calls it budget" in changes) == ("budget" in spoken)


def test_a_model_that_cannot_stream_answers_in_one_piece():
    prepared = prepare("Hi", {}, lacking("streaming"), True)
    assert "stream" not in prepared.request.body
    assert [change.what for change in prepared.changes] == ["stream"]


def test_images_by_address_are_supplied_as_data_where_the_model_takes_no_addresses():
    of = lacking("image_urls")
    waiting = prepare(IMAGE, {}, of, False)
    assert waiting.wanted == (ADDRESS,)
    ready = supply_media(waiting, of, {ADDRESS: "data:image/png;base64,AAAA"})
    assert ready.wanted == ()
    assert ready.request.body["messages"][0]["content"][1]["image_url"] == {"url": "data:image/png;base64,AAAA"}
    with pytest.raises(UnsupportedFeatureError, match="fetched and sent as data"):
        prepare(IMAGE, {"strict": True}, of, False)
