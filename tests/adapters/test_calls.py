"""The four calls over real HTTP: what comes back, what is retried, what an error reports, and what it never shows."""

import asyncio
import contextlib
import pickle
import threading
import traceback
from urllib.parse import urlsplit

import pytest
from engines import engines, on_engines
from scripted_provider import Answer, piece, sse, streamed, whole

from nbkit import AdapterFactory, errors
from nbkit.http.bounded import read_limited
from nbkit.http.clients import sync_client
from nbkit.settings import override

KEY = "sk-canary-1234567890"
PRICED = "openrouter/openai/gpt-6-luna"


def execute(adapter, *args, **options):
    return adapter.execute(*args, **options)


def aexecute(adapter, *args, **options):
    return asyncio.run(adapter.aexecute(*args, **options))


def stream(adapter, *args, **options):
    with adapter.stream(*args, **options) as chunks:
        text = "".join(chunk.text for chunk in chunks)
    assert text == chunks.completion.text
    return chunks.completion


def astream(adapter, *args, **options):
    async def pump():
        async with adapter.astream(*args, **options) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert text == chunks.completion.text
        return chunks.completion

    return asyncio.run(pump())


FOUR = [(execute, whole), (aexecute, whole), (stream, streamed), (astream, streamed)]
four = on_engines("call,good", *FOUR)
both = on_engines("call", stream, astream)


@four
def test_one_answer_is_the_same_in_all_four_calls(provider, call, good):
    provider.says(good())
    completion = call(provider.adapter(PRICED), "Hi", max_tokens=100)
    assert (completion.text, completion.finish_reason, completion.model) == ("Hello", "stop", "m1")
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1000, 50)
    assert completion.cost == pytest.approx(0.000125, rel=1e-12)
    assert (completion.bill.source, completion.bill.catalog_date) == ("catalog", "2026-09-30")
    assert completion.timing.total > 0
    assert completion.timing.attempts == 1
    assert (completion.timing.first_token is not None) == (good is streamed)
    path, headers, body = provider.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


@four
def test_an_unknown_model_is_callable_and_its_cost_unknown(provider, call, good):
    provider.says(good())
    completion = call(provider.adapter("lab/brand-new"), "Hi")
    assert (completion.text, completion.cost) == ("Hello", None)


@four
def test_an_image_that_is_not_public_is_not_fetched_and_the_call_not_sent(provider, call, good):
    url = f"http://127.0.0.1:{urlsplit(provider.url).port}/cat.png"
    prompt = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    with pytest.raises(errors.ConversationError, match="not a public IP address"):
        call(provider.adapter(protocol="ollama-chat"), prompt)
    assert provider.requests == []


@four
@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_passing_faults_are_tried_three_times(provider, call, good, status):
    fault = whole({"error": {"message": "busy"}}, status)
    provider.says(fault, fault, good())
    assert call(provider.adapter(), "Hi").timing.attempts == 3
    provider.says(fault, fault, fault, good())
    with pytest.raises(errors.AdapterError, match="busy") as caught:
        call(provider.adapter(), "Hi")
    assert (caught.value.status, caught.value.attempts) == (status, 3)


@four
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "bad"}}, errors.BadRequestError),
        (401, {"error": {"message": "bad"}}, errors.AuthenticationError),
        (404, {"error": {"message": "bad"}}, errors.BadRequestError),
        (429, {"error": {"message": "bad", "code": "insufficient_quota"}}, errors.RateLimitError),
    ],
)
def test_lasting_faults_are_not_repeated(provider, call, good, status, body, kind):
    provider.says(whole(body, status, x_request_id="req_7"), good())
    with pytest.raises(kind, match="lab/m1: bad") as caught:
        call(provider.adapter(), "Hi")
    assert (caught.value.attempts, caught.value.request_id, len(provider.requests)) == (1, "req_7", 1)


def test_the_server_may_say_whether_to_retry(provider):
    provider.says(whole({}, 500, x_should_retry="false"))
    with pytest.raises(errors.ProviderError):
        provider.adapter().execute("Hi")
    provider.says(whole({}, 400, x_should_retry="true"), whole())
    assert provider.adapter().execute("Hi").text == "Hello"


def test_retry_after_is_waited_for_or_reported(provider):
    provider.says(whole({}, 429, retry_after_ms="120"), whole())
    call = provider.adapter()._call("Hi", {}, stream=False)
    client = sync_client(call.endpoint.base_url, None)
    with override(throttle=False), call:  # test_limits.py has the wait in line
        with call.attempt() as attempt, contextlib.closing(call.begin(client.send(call.request()))) as reply:
            call.read(read_limited(reply, call.exchange))
        assert attempt.wait() == 0.12
        with call.attempt(), contextlib.closing(call.begin(client.send(call.request()))) as reply:
            assert call.read(read_limited(reply, call.exchange)).text == "Hello"
    provider.says(whole({}, 429, retry_after="3600"), whole())
    with pytest.raises(errors.RateLimitError) as caught:
        provider.adapter().execute("Hi")
    assert (caught.value.retry_after, caught.value.attempts) == (3600, 1)


@four
def test_a_lost_connection_before_the_answer_is_tried_again(provider, call, good):
    provider.says(Answer(0), Answer(0), good())
    assert call(provider.adapter(), "Hi").timing.attempts == 3


@four
def test_an_answer_that_began_and_broke_off_is_not_requested_again(provider, call, good):
    kind = "text/event-stream" if good is streamed else "application/json"
    provider.says(Answer(200, b"", cut=True, kind=kind), good())
    with pytest.raises(errors.TransportError, match="lost the connection to 127"):
        call(provider.adapter(), "Hi")
    assert len(provider.requests) == 1  # it may have been billed


@both
def test_a_stream_that_breaks_off_is_an_error_with_its_part(provider, call):
    for broken in (sse(piece("Hel")), sse(piece("Hel"), b"[DONE]"), sse(piece("Hel"), {"error": {"message": "boom"}})):
        for cut in (False, True):
            provider.says(streamed(broken, cut=cut), streamed())
            with pytest.raises(errors.StreamError) as caught:
                call(provider.adapter(PRICED), "Hi")
            assert caught.value.partial.text == "Hel"
            assert caught.value.partial.bill.source == "partial"
            assert caught.value.partial.cost > 0
            assert len(provider.requests) == 1  # text was delivered: never again


@both
def test_an_error_event_before_any_text_is_tried_again(provider, call):
    provider.says(streamed(sse({"error": {"message": "overloaded", "code": 503}})), streamed())
    assert call(provider.adapter(), "Hi").text == "Hello"


@both
def test_a_whole_answer_to_a_stream_is_taken(provider, call):
    provider.says(whole())
    assert call(provider.adapter(), "Hi").text == "Hello"


@four
def test_a_trickle_of_bytes_ends_with_the_deadline(provider, call, good):
    quiet = threading.Event()
    slow = Answer(200, b"", "text/event-stream", hold=quiet)
    with override(http_timeout=60, http_deadline=0.6):
        provider.says(slow, slow, slow)
        with pytest.raises(errors.TransportError) as caught:  # comment bytes keep coming: the deadline ends it
            call(provider.adapter(), "Hi")
        assert "deadline" in str(caught.value)
    quiet.set()


def test_leaving_a_stream_closes_its_socket_and_prices_the_part(provider):
    go_on = threading.Event()
    provider.says(streamed(sse(piece("Hello there, friend")), hold=go_on))
    with provider.adapter(PRICED).stream("Hi") as chunks:
        for chunk in chunks:
            assert chunk.text
            break
    assert provider.hung_up.wait(60)
    assert (chunks.completion.text, chunks.completion.bill.source) == ("Hello there, friend", "partial")
    assert 0 < chunks.completion.cost < 1e-4


@engines
def test_cancelling_an_async_stream_closes_its_socket(provider):
    go_on = threading.Event()
    provider.says(streamed(sse(piece("Hello")), hold=go_on))
    seen = []

    async def pump(stream):
        async with stream as chunks:
            async for chunk in chunks:
                seen.append(chunk.text)

    async def main():
        stream = provider.adapter(PRICED).astream("Hi")
        task = asyncio.create_task(pump(stream))
        while not seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return stream.completion

    completion = asyncio.run(main())
    assert provider.hung_up.wait(60)
    assert (completion.text, completion.bill.source) == ("Hello", "partial")


@four
def test_no_error_tells_the_key(provider, call, good):
    provider.says(whole({"error": {"message": f"Incorrect API key: {KEY}"}}, 401))
    with pytest.raises(errors.AuthenticationError) as caught:
        call(provider.adapter(), "Hi")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame.locals for frame in frames if "/tests/" not in frame.filename]
    assert ours
    assert KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)} {ours} {provider.adapter()!r}"
    assert "Incorrect API key" in str(caught.value)
    assert KEY.encode() not in pickle.dumps(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("bad", ["sk-canary-1234567890\n123", "sk-canary-1234567890é"])
def test_a_key_that_no_header_can_carry_is_not_shown_either(provider, bad):
    with pytest.raises(errors.ConfigError) as caught:
        provider.adapter(api_key=bad).execute("Hi")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame.locals for frame in frames if "/tests/" not in frame.filename]
    assert KEY not in f"{caught.value} {ours}"
    assert KEY not in repr(vars(provider.adapter(api_key=KEY)))


@four
def test_a_redirect_is_refused_and_names_its_host(provider, call, good):
    provider.says(Answer(307, b"", headers={"location": "https://elsewhere.example/v1"}))
    with pytest.raises(errors.AdapterError, match=r"elsewhere\.example"):
        call(provider.adapter(), "Hi")
    assert len(provider.requests) == 1


@four
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1, 2", b"null", b"[" * 100_000])
def test_an_answer_that_is_none_says_so(provider, call, good, body):
    provider.says(Answer(200, body, "text/html"))
    with pytest.raises(errors.AdapterError, match="lab/m1"):
        call(provider.adapter(), "Hi")
    assert len(provider.requests) == 1


def test_stream_options_are_not_sent_twice_where_they_are_refused(provider):
    refusal = whole({"error": {"message": "Unknown parameter: stream_options"}}, 400)
    provider.says(refusal, streamed(), streamed())
    adapter = provider.adapter()
    assert stream(adapter, "Hi").text == "Hello"
    assert stream(adapter, "Hi").text == "Hello"
    assert ["stream_options" in body for _, _, body in provider.requests] == [True, False, False]


def test_an_answer_of_a_registered_provider_is_priced(provider, unregistered):
    row = {"id": "m", "name": "M", "attachment": False, "reasoning": False, "tool_call": True, "open_weights": False,
           "modalities": {"input": ["text"], "output": ["text"]}, "limit": {"context": 100, "output": 10},
           "cost": {"input": 1000, "output": 2000}}  # fmt: skip
    listed = {"id": "ours", "name": "Ours", "env": [], "npm": "@ai-sdk/openai-compatible", "models": {"m": row}}
    AdapterFactory.register_provider(listed, provider.url)
    provider.says(whole())
    assert AdapterFactory.get_adapter("ours/m", api_key="x").execute("Hi").cost == pytest.approx(1.1)


def test_calls_from_many_threads_share_a_client(provider):
    provider.says(*[whole() for _ in range(40)])
    adapter, answers = provider.adapter(), []
    threads = [threading.Thread(target=lambda: answers.append(adapter.execute("Hi").text)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Hello"] * 40


def test_a_key_can_be_replaced_between_calls(provider, monkeypatch):
    """S12: the next call has it; None goes back to the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment-1")
    adapter = AdapterFactory.get_adapter(
        "openai/gpt-6-luna", base_url=provider.url, protocol="openai-chat", api_key=KEY
    )
    sent = []
    for change in ({}, {"api_key": "sk-second-2"}, {"api_key": None}):
        if change:
            adapter.set_api_key(**change)
        provider.says(whole())
        adapter.execute("Hi")
        sent.append(provider.requests[-1][1]["Authorization"])
    assert sent == [f"Bearer {KEY}", "Bearer sk-second-2", "Bearer sk-environment-1"]
    assert "sk-second-2" not in repr(vars(adapter))
