"""Requests that providers would refuse, made acceptable before they are sent; each row is one report of a user."""

import json
import math
from importlib import import_module

import pytest
from pydantic_core import to_json
from scripted_provider import whole
from test_requests import endpoint
from vector_files import load

import nbkit
from nbkit import Chat, Conversation, Tool, get_adapter
from nbkit.adapters.prepare import prepare
from nbkit.errors import ConfigError, ConversationError, UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS
from nbkit.providers.tables import provider_defaults


def model(name, **row):
    return endpoint(name, **provider_defaults(load(name).official_provider) | row)


def send(prompt, of, **options):
    prepared = prepare(prompt, options, of, False)
    return prepared.request.body, [str(change) for change in prepared.changes]


CALLING = [name for name in PROTOCOLS if name != "openai-completions"]


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


# Texts, numbers, headers


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a18_every_text_can_be_encoded(name, stream):
    half, whole = "a \ud83d b", "\ud83d\ude00"
    options = {
        "user": half,
        "stop": [half],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object", "title": half}},
        },
        "extra_body": {half: [half]},
    }
    if name in CALLING:
        options["tools"] = [{"name": "f", "description": half}]
    to = model(name)
    turns = [{"role": "system", "content": half}, {"role": "user", "content": [half, whole]}]
    prepared = prepare(turns, options, to, stream)
    text = to_json(prepared.request.body).decode()
    assert "a \ufffd b" in text
    assert "😀" in text
    assert any(change.what == "text" for change in prepared.changes)
    prepared.request.path.encode()


def test_a19_every_number_is_finite():
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "number", "default": math.nan}}}}
    body, changes = send("Go.", model("openai-chat"), tools=[tool], extra_body={"x": [math.inf, 1]})
    assert body["x"] == [None, 1]
    assert body["tools"][0]["function"]["parameters"]["properties"]["x"]["default"] is None
    assert changes == ["transformed text: half of a character, NaN or infinity cannot be sent: U+FFFD or null is"]
    for option in ("temperature", "presence_penalty", "frequency_penalty", "top_p"):
        with pytest.raises(ConfigError, match=f"option {option}"):
            send("Go.", model("openai-chat"), **{option: math.nan})


def test_a19_a_call_may_wait_for_ever():
    prepared = prepare("Go.", {"timeout": math.inf}, model("openai-chat"), False)
    assert (prepared.options.timeout, prepared.changes) == (math.inf, ())


def test_a19_a_body_that_is_not_json_is_named():
    loop = {}
    loop["again"] = loop
    for extra, problem in (({"x": {"y": {1}}}, "x.y: set"), ({"x": [object()]}, "x.0: object"), (loop, "too deeply")):
        with pytest.raises(ConfigError, match=problem):
            send("Go.", model("openai-chat"), extra_body=extra)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"X-Title": "Ü"}, "header 'X-Title': its value may hold printable ASCII"),
        ({"X-Title": "a\nb"}, "header 'X-Title': its value"),
        ({"X-Title": "a\0"}, "header 'X-Title': its value"),
        ({"X Title": "a"}, "header 'X Title': its name"),
        ({"X-Ü": "a"}, "header 'X-Ü': its name"),
        ({"": "a"}, "header '': its name"),
        ({"X:": "a"}, "header 'X:': its name"),
        ({"Content-Length": "3"}, "header 'Content-Length': it belongs to the connection"),
        ({"X-Title": None}, r"option extra_headers\['X-Title'\]: expected text"),
    ],
)
def test_a26_an_illegal_header_is_named(headers, problem):
    with pytest.raises(ConfigError, match=problem):
        send("Go.", model("openai-chat"), extra_headers=headers)


def test_a26_white_space_around_a_header_goes():
    prepared = prepare("Go.", {"extra_headers": {"X-Title": " a b\n"}}, model("openai-chat"), False)
    assert prepared.request.headers["X-Title"] == "a b"


# Options

A21 = {
    "A21: white space at Anthropic": ("anthropic-messages", ["\n"], None, ["dropped stop"]),
    "A21: white space at Bedrock": ("bedrock-converse", ["\n\n", " "], None, ["dropped stop"]),
    "A21: white space beside others": ("anthropic-messages", ["\n", "END"], ["END"], ["dropped stop '\\n'"]),
    "A21: OpenAI takes white space": ("openai-chat", ["\n"], ["\n"], []),
    "A21: nobody takes nothing": ("gemini-generate", [""], None, ["dropped stop"]),
    "A21: too many at OpenAI": ("openai-chat", list("abcdef"), list("abcd"), ["clamped stop"]),
    "A21: too many at Gemini": ("gemini-generate", list("abcdef"), list("abcde"), ["clamped stop"]),
    "A21: too many at Cohere": ("cohere-v2", list("abcdef"), list("abcde"), ["clamped stop"]),
    "A21: twice the same": ("openai-chat", ["a", "a"], ["a"], []),
}  # fmt: skip


@pytest.mark.parametrize(("name", "stop", "sent", "changed"), A21.values(), ids=A21)
def test_stop_sequences_keep_to_the_providers_rules(name, stop, sent, changed):
    body, changes = send("Go.", model(name), stop=stop)
    places = [body, body.get("inferenceConfig", {}), body.get("generationConfig", {})]
    keys = ("stop", "stop_sequences", "stopSequences")
    assert next((place[key] for place in places for key in keys if key in place), None) == sent
    assert [change.partition(":")[0] for change in changes] == changed


A37 = {
    "A37: Claude": ("anthropic-messages", {}, 2000, 1500, 1125),
    "A37: Claude, a budget just below": ("anthropic-messages", {}, 1499, 1500, 1125),
    "A37: Claude, too little": ("anthropic-messages", {}, 2000, 1200, None),
    "A37: Claude, enough": ("anthropic-messages", {}, 2000, 4000, 2000),
    "A37: Claude, the model's own limit": ("anthropic-messages", {"max_output": 8000}, 9000, None, 6000),
    "A37: Gemini": ("gemini-generate", {}, 2000, 1500, 1125),
    "A37: Cohere": ("cohere-v2", {}, 2000, 1500, 1125),
}  # fmt: skip


@pytest.mark.parametrize(("name", "row", "budget", "limit", "sent"), A37.values(), ids=A37)
def test_a_budget_of_reasoning_leaves_room_for_the_answer(name, row, budget, limit, sent):
    options = {"reasoning_budget": budget} | ({"max_tokens": limit} if limit else {})
    body, changes = send("Go.", model(name, **row), **options)
    thinking = body.get("thinking") or body.get("generationConfig", {}).get("thinkingConfig") or {}
    keys = ("budget_tokens", "token_budget", "thinkingBudget")
    assert next((thinking[key] for key in keys if key in thinking), None) == sent
    assert bool(changes) == (sent != budget)


def test_a37_an_effort_that_becomes_a_budget_leaves_room_too():
    body, _ = send("Go.", model("anthropic-messages", reasoning=["budget"]), reasoning_effort="high", max_tokens=2000)
    assert body["thinking"]["budget_tokens"] == 1500


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(
    "prompt", ["", " \n", [], [{"role": "system", "content": ""}], [{"role": "user", "content": []}]]
)
def test_a38_nothing_is_not_sent(name, prompt):
    with pytest.raises(UnsupportedFeatureError, match="the conversation is empty"):
        send(prompt, model(name))


def test_a28_frames_and_the_like_are_not_conversations():
    frame = nbkit.catalog.head(2)
    for value in (frame, frame.input_cost, frame.to_numpy(), {"a"}, {"a": 1}.items(), object(), None):
        with pytest.raises(ConversationError):
            send(value, model("openai-chat"))
    assert len(Conversation(iter(["a", "b"]))) == 2


def test_a29_one_tool_is_a_list_of_one():
    for tool in (add, Tool(function=add), {"name": "add"}):
        body, _ = send("Go.", model("openai-chat"), tools=tool)
        assert [tool["function"]["name"] for tool in body["tools"]] == ["add"]
    with pytest.raises(ConfigError, match="option tools: expected a function, a dict or a list of them, got 5"):
        send("Go.", model("openai-chat"), tools=5)


W12 = {"service_tier": "flex", "verbosity": "low", "logprobs": True, "prompt_cache_key": "k"}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_w12_lanes_and_the_like_are_sent_or_listed(name):
    to = model(name)
    body, changes = send("Go.", to, **W12)
    dropped = {change.split()[1].rstrip(":") for change in changes if change.startswith("dropped")}
    text = json.dumps(body).lower()
    keys = {
        "service_tier": ("service_tier", "servicetier"),
        "verbosity": ("verbosity",),
        "logprobs": ("logprobs",),
        "prompt_cache_key": ("prompt_cache_key",),
    }
    assert {option for option, words in keys.items() if not any(word in text for word in words)} == dropped
    if name != "openai-chat":  # whose types have a word for each of the lanes, but not this one at others
        import_module(f"official_{PROTOCOLS[name].module}").validate(
            json.loads(to_json({key: value for key, value in body.items() if key != "service_tier"})),
            prepare("Go.", W12, to, False).request.path,
        )
    with pytest.raises(ConfigError, match="option verbosity"):
        send("Go.", to, verbosity="much")


# The model's endpoint


@pytest.mark.parametrize(
    ("options", "protocol", "lost"),
    [
        ({"stop": "END"}, "openai-chat", []),
        ({"seed": 7}, "openai-chat", []),
        ({"n": 2}, "openai-chat", []),
        ({"presence_penalty": 0.5, "frequency_penalty": 0.5}, "openai-chat", []),
        ({"max_tokens": 50}, "openai-responses", []),
        ({"top_k": 4}, "openai-responses", ["top_k"]),
        ({"stop": "END", "tools": [add]}, "openai-chat", []),
    ],
)
def test_s2_an_option_chooses_the_protocol_that_has_it(options, protocol, lost):
    adapter = get_adapter("openai/gpt-4.1-mini", api_key="k")
    prepared = prepare("Go.", options, adapter.endpoint, False)
    assert (adapter.endpoint.protocol, prepared.endpoint.protocol) == ("openai-responses", protocol)
    assert [change.what for change in prepared.changes if change.kind == "dropped"] == lost
    rerouted = [str(change) for change in prepared.changes if change.what == "protocol"]
    assert bool(rerouted) == (protocol == "openai-chat")
    assert not rerouted or f"sent as {protocol}" in rerouted[0]


def test_s2_a_model_of_one_protocol_and_a_protocol_that_was_chosen_stay():
    assert get_adapter("openai/gpt-5-pro", api_key="k").endpoint.others == ()
    assert get_adapter("openai/gpt-4o", api_key="k", protocol="openai-responses").endpoint.others == ()
    assert get_adapter("groq/llama-3.3-70b-versatile", api_key="k").endpoint.others == ()
    effort = {"tools": [add], "reasoning_effort": "low", "seed": 7}
    adapter = get_adapter("openai/gpt-6-luna", api_key="k")
    assert prepare("Go.", effort, adapter.endpoint, False).endpoint is adapter.endpoint


def test_s2_is_called_by_the_other_protocol(provider):
    provider.says(whole(), whole())
    adapter = provider.adapter("openai/gpt-4.1-mini")
    completion = adapter.execute("Go.", stop="END")
    assert (completion.text, provider.requests[0][0]) == ("Hello", "/v1/chat/completions")
    assert completion.cost is not None


def test_s1_an_unknown_model_gets_nothing_that_it_may_refuse():
    for name in ("openai/ft:gpt-4.1-mini:acme::abc", "azure/my-deployment"):
        adapter = get_adapter(name, api_key="k", base_url="https://x.test/v1")
        assert set(prepare("Go.", {}, adapter.endpoint, False).request.body) <= {"model", "input", "store", "messages"}
    known = get_adapter("openai/gpt-6-luna", api_key="k")
    assert prepare("Go.", {}, known.endpoint, False).request.body["include"] == ["reasoning.encrypted_content"]
    plain = get_adapter("openai/gpt-4.1-mini", api_key="k")
    assert "include" not in prepare("Go.", {}, plain.endpoint, False).request.body


def test_r7_an_unknown_server_gets_no_null(provider):
    turns = ["Go.", {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
             {"role": "tool", "tool_call_id": "c", "content": None}]  # fmt: skip
    for name, content in (("lab/m1", ""), ("groq/llama-3.3-70b-versatile", None)):
        provider.says(whole())
        provider.adapter(name).execute(turns)
        assert provider.requests[0][2]["messages"][1]["content"] == content


def test_an_unknown_server_may_be_a_gateway_that_names_the_price_in_a_header(provider):
    for name, header, cost in (("lab/m1", "0.00125", 0.00125), ("lab/m1", "0.0", None), ("lab/m1", "x", None)):
        provider.says(whole(x_litellm_response_cost=header))
        assert provider.adapter(name).execute("Go.").cost == cost
    provider.says(whole(x_litellm_response_cost="0.5"))
    assert provider.adapter("groq/llama-3.3-70b-versatile").execute("Go.").bill.source == "catalog"


def test_r5_an_unknown_server_gets_the_schema_in_the_prompt(provider, unregistered):
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    provider.says(whole())
    completion = provider.adapter().execute("Go.", response_format=schema)
    body = provider.requests[0][2]
    assert body["response_format"] == {"type": "json_object"}
    assert '"x"' in body["messages"][0]["content"]
    assert [change.what for change in completion.changes] == ["response_format"]
    facts = {"id": "llamacpp", "name": "llama.cpp", "npm": "@ai-sdk/openai-compatible", "env": [],
             "models": {"m": {"id": "m", "name": "M"}}}  # fmt: skip
    nbkit.AdapterFactory.register_provider(facts, provider.url)
    provider.says(whole())
    get_adapter("llamacpp/m").execute("Go.", response_format=schema)
    assert provider.requests[0][2]["response_format"] == {"type": "json_object", "schema": schema}


def test_r4_fewer_answers_than_requested_are_listed(provider):
    provider.says(whole())
    completion = provider.adapter().execute("Go.", n=2)
    assert [str(change) for change in completion.changes] == ["dropped n: the provider gave 1 of 2 answers"]


def test_w9_bedrock_gets_a_schema_in_the_prompt_unless_it_is_known_to_take_one():
    schema = {"type": "object", "properties": {}}
    options = {"response_format": schema}
    body, changes = send("Go.", model("bedrock-converse"), **options)
    assert "outputConfig" not in body
    assert "JSON schema" in body["system"][0]["text"]
    assert [change.split()[1] for change in changes] == ["response_format:"]


@pytest.mark.parametrize(
    ("turns", "sent"),
    [
        (["Go.", {"role": "assistant", "content": "Gone."}, "Again.", {"role": "system", "content": "Be brief."}],
         ["user", "assistant", "system", "user"]),
        ([{"role": "system", "content": "Say hello."}], ["user"]),
        ([{"role": "system", "content": "A"}, {"role": "user", "content": ""}], ["user"]),
    ],
)  # fmt: skip
def test_w8_mistral_gets_a_last_turn_of_the_user(turns, sent):
    body, changes = send(turns, endpoint("openai-chat", **provider_defaults("mistral")))
    assert [message["role"] for message in body["messages"]] == sent
    assert changes


def test_w10_mistral_gets_strict_tools():
    body, _ = send(
        "Go.", endpoint("openai-chat", **provider_defaults("mistral")), tools=[{"name": "f", "strict": True}]
    )
    assert body["tools"][0]["function"]["strict"] is True


def test_s12_what_a_model_lacks_is_on_the_error():
    for options, feature in (({"tools": [add]}, "tools"), ({"n": 2}, "n")):
        with pytest.raises(UnsupportedFeatureError) as caught:
            send("Go.", model("openai-chat", capabilities={feature: False}), **options)
        assert (caught.value.model, caught.value.feature) == ("lab/m", feature)


def test_s13_a_long_conversation_is_trimmed_where_the_caller_wants_it(provider):
    provider.says(whole(), whole(), whole())
    adapter = provider.adapter("openai/gpt-4", protocol="openai-chat")  # a context of 8,192 tokens
    long = [
        turn
        for number in range(30)
        for turn in (f"Question {number}: " + "word " * 400, {"role": "assistant", "content": "Yes."})
    ]
    completion = adapter.execute([*long, "Well?"], context="trim")
    sent = provider.requests[0][2]["messages"]
    assert 1 < len(sent) < 40
    assert (sent[0]["role"], sent[-1]["content"]) == ("user", "Well?")
    (change,) = completion.changes
    assert (change.kind, change.what) == ("dropped", f"{61 - len(sent)} turns")
    assert "longer than the model's context of 8192 tokens" in change.why
    assert adapter.execute("Hi", context="trim").changes == ()
    unknown = provider.adapter().execute("Hi", context="trim")
    assert [change.what for change in unknown.changes] == ["context"]
    with pytest.raises(ConfigError, match="option context"):
        Chat("demo/swift", context="cut")
