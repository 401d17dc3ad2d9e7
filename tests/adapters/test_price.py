"""What a call costs, from the wire to the bill: reported prices, lanes, what tokens do not explain, and free models."""

import json

import pytest
from scripted_provider import USAGE, WHOLE, piece, sse, streamed, whole

from nbkit.adapters.factory import get_adapter
from nbkit.adapters.prepare import prepare
from nbkit.adapters.price import price_completion
from nbkit.billing.cost import Cost
from nbkit.conversation.completion import NO_CHARGES, Charges, ChatCompletion, Timing, Usage
from nbkit.errors import StreamError
from nbkit.protocols import protocol

# 0.001 M x 2 + 0.00005 M x 10 = 0.002 + 0.0005
RATES, LISTED = {"input": 2.0, "output": 10.0}, 0.0025
BYOK = {"is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}


def in_both_forms(provider, usage, model, **more):
    """The completion of a usage object, whole and streamed."""
    adapter = provider.adapter(model, **more)
    end = {"id": "c1", "model": "m1", "choices": [], "usage": usage}
    provider.says(whole(WHOLE | {"usage": usage}), streamed(sse(piece("Hello", "stop"), end, b"[DONE]")))
    answer = adapter.execute("Hi")
    with adapter.stream("Hi") as stream:
        list(stream)
    return answer, stream.completion


@pytest.mark.parametrize(
    ("model", "extra", "total", "source"),
    [
        pytest.param("openrouter/a/b", {"cost": 0.0021}, 0.0021, "provider", id="A7: reported"),
        pytest.param("openrouter/a/b", {"cost": 0, **BYOK}, 0.036, "provider", id="A7: through one's own key"),
        pytest.param("openrouter/a/b", {"cost": 0.0018, **BYOK}, 0.0378, "provider", id="A7: with the gateway's fee"),
        pytest.param(
            "openrouter/a/b", {"cost": 0.5, **BYOK, "is_byok": False}, 0.5, "provider", id="A7: not one's own key"
        ),
        pytest.param(
            "openrouter/a/b", {"cost": 0.5, "cost_details": BYOK["cost_details"]}, 0.5, "provider", id="A7: not said"
        ),
        pytest.param("openrouter/a/b", {"cost": 0, "is_byok": True}, LISTED, "user", id="A7: only the fee is known"),
        pytest.param("vercel/a/b", {"cost": 0.003642}, 0.003642, "provider", id="W6: Vercel"),
        pytest.param("vercel/a/b", {"cost": 0, **BYOK}, 0.036, "provider", id="W6: Vercel, one's own key"),
        pytest.param("deepinfra/a/b", {"estimated_cost": 0.0004}, 0.0004, "provider", id="W6: DeepInfra"),
        pytest.param("avian/a/b", {"cost": 0.0004127}, 0.0004127, "provider", id="W6: Avian"),
        pytest.param(
            "pydantic/m", {"pydantic_ai_gateway": {"cost_estimate": 0.00431125}}, 0.00431125, "provider",
            id="W6: Pydantic's gateway",
        ),
        pytest.param("llmgateway/m", {"cost_usd_total": 0.000125}, 0.000125, "provider", id="W6: LLM Gateway"),
        pytest.param("xai/m", {"cost_in_usd_ticks": 3950400}, 0.00039504, "provider", id="W6: xAI"),
        pytest.param("deepinfra/a/b", {"estimated_cost": -1}, LISTED, "user", id="W6: a negative price is none"),
        pytest.param("lab/m", {"cost": 0.5}, 0.5, "provider", id="a gateway of one's own"),
        pytest.param("groq/m", {"cost": 0.5}, LISTED, "user", id="W6: not where no row says so"),
    ],
)  # fmt: skip
def test_reported_prices_whole_and_streamed(provider, model, extra, total, source):
    for completion in in_both_forms(provider, USAGE | extra, model, cost=RATES):
        assert completion.cost == pytest.approx(total, rel=1e-12)
        assert completion.bill.source == source


def test_a_users_price_counts_where_the_catalog_has_none(provider):
    for completion in in_both_forms(provider, USAGE, "lab/m1", cost=RATES | {"request": 0.01}):
        assert (completion.cost, completion.bill.source) == (LISTED + 0.01, "user")
    for completion in in_both_forms(provider, USAGE, "lab/m1"):
        assert (completion.cost, completion.bill.source) == (None, "unknown")


FREE = {"input": 0, "output": 0}


@pytest.mark.parametrize("usage", [None, USAGE, USAGE | {"prompt_tokens_details": {"cached_tokens": 900}}])
def test_a_free_model_costs_nothing_whatever_is_counted(provider, usage):
    """R3."""
    for completion in in_both_forms(provider, usage, "lab/m1", cost=FREE):
        assert (completion.cost, completion.bill.source, completion.bill.notes) == (0.0, "user", ())


def test_a_free_answer_that_breaks_off_costs_nothing_and_its_counts_are_estimates(provider):
    """R3."""
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError) as caught, provider.adapter("lab/m1", cost=FREE).stream("Hi") as stream:
        list(stream)
    bill = caught.value.partial.bill
    assert (bill.total, bill.source) == (0.0, "partial")
    assert any("estimated" in note for note in bill.notes)


def price(provider, options=None, *, cost=None, **answer):
    """Price an answer as a decoder gives it."""
    endpoint = provider.adapter("openai/gpt-5.4", cost=cost, protocol="openai-chat").endpoint
    prepared = prepare("Hi", {"extra_body": options or {}}, endpoint, False)
    completion = ChatCompletion("Hi", usage=Usage(input=100_000, output=1_000), **answer)
    return price_completion(completion, prepared, endpoint, Timing(None, 1.0))


@pytest.mark.parametrize(
    ("request_body", "answer", "total", "source"),
    [
        # gpt-5.4 in models.dev: 2.5 and 15, its mode "fast": 5 and 30
        pytest.param({}, {}, 0.265, "catalog", id="A8: no word about it"),
        pytest.param({}, {"service_tier": "default"}, 0.265, "catalog", id="A8: default"),
        pytest.param({"service_tier": "priority"}, {"service_tier": "default"}, 0.265, "catalog", id="A8: downgraded"),
        pytest.param({}, {"service_tier": "priority"}, 0.53, "catalog", id="A8: priority"),
        pytest.param({}, {"service_tier": "flex"}, 0.1325, "estimate", id="A8: flex"),
        pytest.param({"service_tier": "priority"}, {}, 0.53, "estimate", id="A8: requested, not confirmed"),
        pytest.param({"serviceTier": {"type": "flex"}}, {}, 0.1325, "estimate", id="W7: Bedrock's form"),
        pytest.param({"service_tier": "auto"}, {}, 0.265, "catalog", id="A8: auto"),
        # 0.265 + 3 x 0.01
        pytest.param({}, {"charges": Charges({"web_search": 3})}, 0.295, "catalog", id="W7: searches"),
        pytest.param({}, {"charges": Charges({"dowsing": 3})}, 0.265, "estimate", id="W7: a tool without a price"),
        pytest.param({}, {"charges": Charges(region="moon")}, 0.265, "estimate", id="W7: a region without a price"),
        pytest.param({}, {"charges": Charges(notes=("magic",))}, 0.265, "estimate", id="W7: something else"),
        pytest.param(
            {}, {"charges": Charges({"dowsing": 3}), "reported_cost": 0.3}, 0.3, "provider", id="W7: reported"
        ),
        pytest.param({"tools": [{"type": "browser_search"}]}, {}, 0.265, "estimate", id="W7: asked for, not counted"),
        pytest.param({"guardrailConfig": {}}, {}, 0.265, "estimate", id="W7: guardrails"),
    ],
)
def test_what_tokens_do_not_explain_is_priced_or_an_estimate(provider, request_body, answer, total, source):
    completion = price(provider, request_body, **answer)
    assert (completion.cost, completion.bill.source) == (total, source)
    assert bool(completion.bill.notes) == (source == "estimate")
    if "dowsing" in answer.get("charges", NO_CHARGES).tools and source == "estimate":
        assert completion.bill.notes == ("3 dowsing: not in the price",)


def test_the_users_rates_have_no_lanes_of_the_catalog(provider):
    completion = price(provider, cost={"input": 1.0, "output": 1.0}, service_tier="priority")
    assert (completion.cost, completion.bill.source) == (0.101, "estimate")


@pytest.mark.parametrize(
    ("raw", "created"),
    [
        ({"created": 1_700_000_000}, 1_700_000_000),
        ({"created_at": 1_700_000_000.5}, 1_700_000_000),
        ({"created_at": "2026-10-01T00:00:00.5+00:00"}, 1_790_812_800),
        ({"createTime": "2026-10-01T00:00:00Z"}, 1_790_812_800),
        *(
            (raw, None)
            for raw in ({"created": 0}, {"created": "soon"}, {"created": 10**30}, {"created": [1]}, [], None)
        ),
    ],
)
def test_when_an_answer_was_made(provider, raw, created):
    """S10: as the provider says it, else when it was complete here."""
    completion = price(provider, raw=raw)
    assert completion.created == created or (created is None and completion.created > 1_790_000_000)


def test_chunks_know_the_answer_that_they_are_of(provider):
    """S10."""
    provider.says(streamed())
    with provider.adapter().stream("Hi") as stream:
        assert {(chunk.id, chunk.model, chunk.index) for chunk in stream} == {("c1", "m1", 0)}


def test_an_adapter_describes_its_model(provider):
    """S12."""
    listed = provider.adapter("openai/gpt-6-luna", cost={"input": 7}).model
    assert (listed.vendor_name, listed.provider_name, listed.cost.rates["input"]) == ("openai", "openai", 7.0)
    assert listed.context_length
    own = provider.adapter("lab/m1").model
    assert (own.name, own.provider_name, own.cost, own.context_length) == ("m1", "lab", None, None)
    assert provider.adapter("lab/m1", cost=Cost({"input": 1.0})).model.cost.prompt == 1e-6


# ---- usage objects of three protocols, whole and streamed


def answer_responses(usage, **more):
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    body = {"id": "r1", "model": "gpt-5.4", "status": "completed", "output": [item], "usage": usage, **more}
    return body, [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
        {"type": "response.completed", "response": body},
    ]


def answer_anthropic(usage, **more):
    body = {
        "id": "a1",
        "model": "claude-opus-5",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
    }
    return body | {"usage": usage, **more}, [
        {"type": "message_start", "message": body | {"content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]


def answer_gemini(usage, **more):
    body = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
    return body | {"usageMetadata": usage, **more}, [body | {"usageMetadata": usage, **more}]


GPT = "openai/gpt-5.4"
GPT_USAGE = {"input_tokens": 100_000, "output_tokens": 1_000, "total_tokens": 101_000}
CLAUDE_USAGE = {"input_tokens": 10_000, "output_tokens": 2_000}
HOUR = {"cache_creation_input_tokens": 10_000, "cache_creation": {"ephemeral_1h_input_tokens": 10_000}}
GEMINI_USAGE = {"promptTokenCount": 100_000, "candidatesTokenCount": 1_000, "totalTokenCount": 101_000}


@pytest.mark.parametrize(
    ("model", "answer", "total", "source"),
    [
        # gpt-5.4: 0.1 M x 2.5 + 0.001 M x 15; priority 5 and 30
        pytest.param(GPT, answer_responses(GPT_USAGE, service_tier="default"), 0.265, "catalog", id="A8: default tier"),
        pytest.param(GPT, answer_responses(GPT_USAGE, service_tier="priority"), 0.53, "catalog", id="A8: priority"),
        pytest.param(GPT, answer_responses(GPT_USAGE, service_tier="flex"), 0.1325, "estimate", id="A8: flex tier"),
        # claude-opus-5: 0.01 M x 5 + 0.002 M x 25; fast 10 and 50
        pytest.param("anthropic/claude-opus-5", answer_anthropic(CLAUDE_USAGE), 0.1, "catalog", id="W7: usual"),
        pytest.param(
            "anthropic/claude-opus-5", answer_anthropic(CLAUDE_USAGE | {"service_tier": "standard", "speed": "fast"}),
            0.2, "catalog", id="W7: speed fast",
        ),
        pytest.param(
            "anthropic/claude-opus-5", answer_anthropic(CLAUDE_USAGE | {"service_tier": "priority"}),
            0.1, "estimate", id="W7: Anthropic's priority tier",
        ),
        pytest.param(
            "anthropic/claude-opus-5", answer_anthropic(CLAUDE_USAGE | {"inference_geo": "us"}),
            0.11, "catalog", id="W7: inference_geo",
        ),
        pytest.param(
            "anthropic/claude-opus-5",
            answer_anthropic(CLAUDE_USAGE | {"server_tool_use": {"web_search_requests": 3}}),
            0.13, "catalog", id="W7: web searches",
        ),
        # 0.1 x 1.1; 0.1 + 3 x 0.01; 0.1 + 0.01 M x 2 x 5
        pytest.param(
            "anthropic/claude-opus-5", answer_anthropic(CLAUDE_USAGE | HOUR), 0.2, "estimate", id="S11: an hour"
        ),
        # gemini-2.5-flash: 0.1 M x 0.3 + 0.001 M x 2.5 = 0.0325
        pytest.param("google/gemini-2.5-flash", answer_gemini(GEMINI_USAGE), 0.0325, "catalog", id="W7: Gemini"),
        pytest.param(
            "google/gemini-2.5-flash", answer_gemini(GEMINI_USAGE | {"serviceTier": "flex"}), 0.01625, "estimate",
            id="W7: Gemini flex",
        ),
        pytest.param(
            "google/gemini-2.5-flash", answer_gemini(GEMINI_USAGE | {"trafficType": "PROVISIONED_THROUGHPUT"}), 0.0325,
            "estimate", id="W7: Vertex provisioned",
        ),
        pytest.param(
            "google/gemini-2.5-flash", answer_gemini(GEMINI_USAGE | {"candidatesTokenCount": 1e30}), None, "unknown",
            id="F9: an absurd count at Gemini",
        ),
    ],
)  # fmt: skip
def test_usage_objects_whole_and_streamed(model, answer, total, source):
    endpoint, (body, events) = get_adapter(model, api_key="k").endpoint, answer
    module = protocol(endpoint.protocol)
    decoder = module.Decoder(endpoint.dialect)
    for event in events:
        decoder.feed(event.get("type", ""), json.dumps(event).encode())
    prepared = prepare("Hi", {}, endpoint, False)
    for decoded in (module.decode(body, endpoint.dialect), decoder.finish()):
        priced = price_completion(decoded, prepared, endpoint, Timing(None, 1.0))
        assert (priced.text, priced.cost, priced.bill.source) == ("Hi", total, source)
        assert bool(priced.bill.notes) == (source == "estimate")
