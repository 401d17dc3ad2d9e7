"""Several keys for one provider: which one a call carries, when it takes the next, and what an error says of them."""

import asyncio
import pickle
import traceback
from contextlib import closing

import pytest
from scripted_provider import HELLO, sse, streamed, whole
from test_calls import astream, four, stream

from nbkit import errors
from nbkit.adapters.rotation import REFUSED_REST, KeyState, Verdict
from nbkit.http.bounded import read_limited
from nbkit.http.clients import sync_client
from nbkit.settings import override

FIRST, SECOND, THIRD = KEYS = ["sk-first-canary-000001", "sk-second-canary-00002", "sk-third-canary-000003"]
LIMITED = whole({"error": {"message": "slow down"}}, 429, retry_after="50")


def failing(status, message="bad", **more):
    return whole({"error": {"message": message, **more}}, status)


def send(call):
    with closing(call.begin(sync_client(call.endpoint.base_url, call.auth).send(call.request()))) as reply:
        return call.read(read_limited(reply, call.exchange))


def carried(provider):
    """The keys of the requests, in their order."""
    return [headers["Authorization"].removeprefix("Bearer ") for _, headers, _ in provider.requests]


@four
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(LIMITED, id="S12-429"),
        pytest.param(failing(429), id="S12-429-without-retry-after"),
        pytest.param(failing(429, code="insufficient_quota"), id="S12-429-quota"),
        pytest.param(failing(401), id="S12-401"),
        pytest.param(failing(402), id="S12-402"),
        pytest.param(failing(403, "Quota exceeded for this project"), id="S12-403-quota"),
        pytest.param(failing(403, "Your API key was reported as leaked"), id="S12-403-leaked"),
        pytest.param(failing(400, "API key not valid. Please pass a valid API key."), id="S12-400-gemini"),
        pytest.param(failing(400, "Incorrect API key provided: sk***1"), id="S12-400-xai"),
        pytest.param(failing(400, "Your credit balance is too low to access the API"), id="S12-400-anthropic"),
    ],
)
@pytest.mark.parametrize("max_retries", [0, 2])
def test_the_next_key_is_tried_at_once(provider, call, good, failure, max_retries):
    provider.says(failure, good())
    with override(http_deadline=9.0, retry_wait=8.0):  # a wait would end in the error
        completion = call(provider.adapter(api_key=KEYS, max_retries=max_retries), "Hi")
    assert (completion.text, completion.timing.attempts) == ("Hello", 2)
    assert carried(provider) == [FIRST, SECOND]


@pytest.mark.parametrize("call", [stream, astream])
@pytest.mark.parametrize("code", [401, 429])
def test_the_next_key_is_tried_also_where_a_stream_says_it(provider, call, code):
    provider.says(streamed(sse({"error": {"message": "bad", "code": code}})), streamed())
    with override(http_deadline=9.0, retry_wait=8.0):
        assert call(provider.adapter(api_key=KEYS), "Hi").text == "Hello"
    assert carried(provider) == [FIRST, SECOND]


@four
@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        pytest.param(failing(400), 1, id="400"),
        pytest.param(failing(403, "this model is not for you"), 1, id="403"),
        pytest.param(failing(403, "flagged by our content policy"), 1, id="403-filter"),
        pytest.param(failing(404), 1, id="404"),
        pytest.param(failing(500), 3, id="500"),
        pytest.param(failing(529), 3, id="529"),
    ],
)
def test_what_is_not_about_the_key_stays_with_the_key(provider, call, good, failure, attempts):
    provider.says(*[failure] * 3)
    with pytest.raises(errors.AdapterError) as caught:
        call(provider.adapter(api_key=KEYS), "Hi")
    assert carried(provider) == [FIRST] * attempts
    assert "key" not in caught.value.message


@four
def test_a_key_that_rests_is_not_tried_by_the_next_calls(provider, call, good):
    adapter = provider.adapter(api_key=KEYS)
    provider.says(failing(401), LIMITED, *[good() for _ in range(3)])
    for _ in range(3):
        assert call(adapter, "Hi").text == "Hello"
    assert carried(provider) == [FIRST, SECOND, THIRD, THIRD, THIRD]


def test_a_limit_is_one_models_and_a_refusal_is_for_all(provider):
    provider.says(LIMITED, whole(), whole(), failing(401), whole(), whole())
    for model in ("lab/m1", "lab/m2", "lab/m2"):
        provider.adapter(model, api_key=KEYS[:2]).execute("Hi")
    # the key that answered last comes first, also for another model, until it is refused
    assert carried(provider) == [FIRST, SECOND, SECOND, SECOND, FIRST]
    provider.adapter("lab/m3", api_key=KEYS[:2]).execute("Hi")
    assert carried(provider)[-1] == FIRST


def test_a_call_is_sent_also_where_all_keys_rest(provider):
    adapter = provider.adapter(api_key=KEYS[:2])
    provider.says(failing(401), failing(401), whole(), whole())
    with pytest.raises(errors.AuthenticationError):
        adapter.execute("Hi")
    assert [adapter.execute("Hi").text for _ in range(2)] == ["Hello"] * 2
    assert carried(provider) == [FIRST, SECOND, FIRST, FIRST]


def test_other_servers_and_other_keys_start_fresh(provider):
    provider.says(failing(401), whole(), whole())
    provider.adapter(api_key=KEYS[:2]).execute("Hi")
    provider.adapter(api_key=KEYS[1:]).execute("Hi")
    assert carried(provider) == [FIRST, SECOND, SECOND]


@four
def test_each_key_has_its_own_retries(provider, call, good):
    provider.says(*[failing(429)] * 9)
    with pytest.raises(errors.RateLimitError) as caught:
        call(provider.adapter(api_key=KEYS, max_retries=1), "Hi")
    assert carried(provider) == KEYS * 2
    assert caught.value.attempts == 6


def test_a_key_without_budget_is_not_tried_again(provider):
    adapter = provider.adapter(api_key=KEYS[:2], max_retries=1)
    for _ in range(100):  # a retry after a 429 takes 5 of the 500 units of a key
        provider.says(*[failing(429)] * 4)
        with pytest.raises(errors.RateLimitError):
            adapter.execute("Hi")
        assert sorted(carried(provider)) == sorted(KEYS[:2] * 2)
    provider.says(*[failing(429)] * 4)
    with pytest.raises(errors.RateLimitError):
        adapter.execute("Hi")
    assert sorted(carried(provider)) == sorted(KEYS[:2])


def test_where_no_key_is_ready_the_call_waits_for_the_first_that_will_be(provider):
    waits = [whole({}, 429, retry_after=seconds) for seconds in ("30", "7", "40")]
    call = provider.adapter(api_key=KEYS)._call("Hi", {}, stream=False)
    with call:
        waited = []
        for answer in waits:
            provider.says(answer)
            with call.attempt() as attempt:
                send(call)
            waited.append(attempt.wait())
        with call.attempt():
            assert call.auth.key == SECOND
    assert waited == [0.0, 0.0, pytest.approx(7, abs=1)]


def test_a_wait_that_is_too_long_is_not_started(provider):
    provider.says(*[whole({}, 429, retry_after="3600")] * 2)
    with pytest.raises(errors.RateLimitError, match="all 2 keys were tried"):
        provider.adapter(api_key=KEYS[:2]).execute("Hi")
    assert carried(provider) == KEYS[:2]


@four
def test_the_error_says_how_many_keys_were_tried_and_shows_none(provider, call, good):
    provider.says(
        failing(401, f"wrong key {FIRST}"), failing(401, f"{SECOND} and {FIRST} and {THIRD}"), failing(500, "broken")
    )
    with pytest.raises(errors.ProviderError, match=r"broken \(all 3 keys were tried\)") as caught:
        call(provider.adapter(api_key=KEYS, max_retries=0), "Hi")
    provider.says(failing(401, f"{SECOND} and {FIRST} and {THIRD}"), failing(400, f"no: {THIRD}"))
    with pytest.raises(errors.BadRequestError, match=r"2 of 3 keys tried") as second:
        call(provider.adapter("lab/m2", api_key=[key.replace("first", "fresh") for key in KEYS]), "Hi")
    for error in (caught.value, second.value):
        texts = f"{error} {vars(error)} {pickle.dumps(error)!r} {''.join(traceback.format_exception(error))}"
        assert "canary" not in texts


def test_calls_at_the_same_time_spread_over_the_keys(provider):
    """One after the other they stay with one key, so that the provider's cache of the prompt is used."""
    provider.says(*[whole() for _ in range(12)])
    adapter = provider.adapter(api_key=KEYS)

    async def ask():
        await asyncio.gather(*(adapter.aexecute("Hi") for _ in range(9)))

    asyncio.run(ask())
    assert sorted(carried(provider)) == sorted(KEYS * 3)
    for _ in range(3):
        adapter.execute("Hi")
    assert len(set(carried(provider)[9:])) == 1


def test_a_stream_that_is_left_frees_its_key(provider):
    provider.says(streamed(), streamed(), streamed(HELLO))
    adapter = provider.adapter(api_key=KEYS[:2])
    with adapter.stream("Hi") as left:
        next(iter(left))
        with adapter.stream("Hi") as other:
            list(other)
    list(adapter.stream("Hi"))
    assert carried(provider) == [FIRST, SECOND, SECOND]
    assert (left.completion.bill is None, left._call._retries._keys.state.busy) == (False, 0)


@pytest.mark.parametrize(
    "given",
    [
        KEYS[:2],
        tuple(KEYS[:2]),
        f"{FIRST},{SECOND}",
        f" {FIRST} , {SECOND},",
        [f"{FIRST},{SECOND}"],
        [FIRST, *KEYS[:2]],
    ],
)
def test_keys_are_given_as_a_list_or_with_commas(provider, given):
    provider.says(failing(401), whole())
    adapter = provider.adapter(api_key="sk-other-canary-000000")
    adapter.set_api_key(given)
    adapter.execute("Hi")
    assert carried(provider) == [FIRST, SECOND]
    assert "canary" not in f"{adapter!r} {adapter._call('Hi', {}, stream=False).auth!r}"


@pytest.mark.parametrize("given", [[], [FIRST, 5], {FIRST}, b"sk", 5, [None]])
def test_what_is_not_a_key_is_refused(provider, given):
    with pytest.raises(errors.ArgumentError, match=r"api_key: expected text or a list of texts") as caught:
        provider.adapter(api_key=given)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"OPENROUTER_API_KEYS": f"{FIRST}, {SECOND}"}, [FIRST, SECOND], id="S12-plural"),
        pytest.param({"OPENROUTER_API_KEYS": SECOND, "OPENROUTER_API_KEY": FIRST}, [FIRST, SECOND], id="S12-both"),
        pytest.param({"OPENROUTER_API_KEYS": f"{FIRST},{FIRST},{SECOND}"}, [FIRST, SECOND], id="S12-twice"),
    ],
)
@four
def test_the_plural_of_the_variable_holds_several_keys(provider, monkeypatch, call, good, variables, expected):
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    provider.says(failing(401), good())
    call(provider.adapter("openrouter/openai/gpt-6-luna", api_key=None), "Hi")
    assert carried(provider) == expected


def test_the_rest_of_a_key_ends():
    state, now = KeyState(), 1000.0
    assert state.ready_at("m1") < now
    state.rest(Verdict.LIMITED, "m1", now, 7)
    assert (state.ready_at("m1"), state.ready_at("m2") < now, state.is_refused(now)) == (1007, True, False)
    state.rest(Verdict.REFUSED, "m1", now, REFUSED_REST)
    assert (state.ready_at("m1"), state.ready_at("m2")) == (1000 + REFUSED_REST,) * 2
    assert (state.is_refused(now + 299), state.is_refused(now + 301)) == (True, False)
