"""A list of models: which failures let the next one answer, which end the call, and what is known of it afterwards."""

import asyncio
import contextlib
import pickle
import socket
import threading
import traceback

import pytest
from engines import engines
from scripted_provider import WHOLE, Answer, piece, sse, streamed, whole
from test_calls import KEY, both, four

import nbkit
from nbkit import errors
from nbkit.adapters import observers
from nbkit.adapters.fallback import FallbackAdapter
from nbkit.conversation.completion import Change
from nbkit.http.bounded import read_limited
from nbkit.http.clients import sync_client
from nbkit.settings import override

pytestmark = pytest.mark.usefixtures("unregistered")  # circuits of its own for each test

OTHER_KEY, THIRD_KEY = "sk-other-canary-567890", "sk-third-canary-7890ab"
COST = {"input": 1, "output": 2}
SECOND = {**WHOLE, "model": "m2"}
TOOL_CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
WANTS_TOOL = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}


def failing(status, message="bad", **more):
    return whole({"error": {"message": message, **more}}, status)


BUSY = failing(503, "busy")


def chain(provider, other, **more):
    first = provider.adapter("lab/m1", max_retries=0, cost=COST, **more)
    return nbkit.get_adapter(first, fallback=other.adapter("den/m2", max_retries=0, cost=COST, api_key=OTHER_KEY))


def send(call):
    return call.begin(sync_client(call.endpoint.base_url, call.auth).send(call.request()))


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


PASSED_ON = {
    "408": failing(408),
    "409": failing(409),
    "429": failing(429),
    "429-quota": failing(429, code="insufficient_quota"),
    "500": failing(500),
    "502-html": Answer(502, b"<html>Bad gateway</html>", "text/html"),
    "503": BUSY,
    "529": failing(529, "Overloaded"),
    "500-not-to-be-retried": whole({}, 500, x_should_retry="false"),
    "401": failing(401),
    "402": failing(402),
    "403-key": failing(403, "Your API key does not have permission to use the specified resource"),
    "403-quota": failing(403, "Quota exceeded for this project"),
    "400-key": failing(400, "API key not valid. Please pass a valid API key."),
    "400-balance": failing(400, "Your credit balance is too low to access the API"),
    "closed-before-an-answer": Answer(0),
}
ENDS = {
    "400": (failing(400), errors.BadRequestError),
    "400-said-to-be-worth-it": (whole({}, 400, x_should_retry="true"), errors.BadRequestError),
    "404": (failing(404), errors.BadRequestError),
    "413": (failing(413), errors.BadRequestError),
    "422": (failing(422), errors.BadRequestError),
    "400-filter": (failing(400, code="content_filter"), errors.ContentFilterError),
    "400-context": (failing(400, code="context_length_exceeded"), errors.ContextLengthError),
    "403-policy": (failing(403, "flagged by our content policy"), errors.AdapterError),
    "307": (Answer(307, b"", headers={"location": "https://elsewhere.example/v1"}), errors.TransportError),
    "200-not-json": (Answer(200, b"<html>hello</html>", "text/html"), errors.AdapterError),
    "200-broken": (Answer(200, b'{"id": ', cut=True), errors.TransportError),
}


@four
@pytest.mark.parametrize("failure", PASSED_ON.values(), ids=PASSED_ON)
def test_the_next_model_answers_where_the_first_made_no_answer(provider, other, call, good, failure):
    provider.says(failure)
    other.says(good())
    completion = call(chain(provider, other), "Hi")
    assert (completion.text, len(provider.requests), len(other.requests)) == ("Hello", 1, 1)
    ((kind, what, why),) = [(one.kind, one.what, one.why) for one in completion.changes]
    assert (kind, what) == ("answered", "by den/m2")
    assert why.startswith("lab/m1 failed: ")
    assert completion.cost == pytest.approx(1000e-6 + 50 * 2e-6)
    assert OTHER_KEY not in str(provider.requests)
    assert KEY not in str(other.requests)


@four
@pytest.mark.parametrize(("failure", "kind"), ENDS.values(), ids=ENDS)
def test_what_another_model_could_not_make_good_ends_the_call(provider, other, call, good, failure, kind):
    provider.says(failure, failure)
    with pytest.raises(kind) as caught:
        call(chain(provider, other), "Hi")
    assert (caught.value.model, caught.value.errors, other.requests) == ("m1", (), [])


@four
def test_no_connection_and_no_key_let_the_next_model_answer(other, call, good, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    absent = nbkit.get_adapter("lab/m1", base_url=f"http://127.0.0.1:{closed_port()}/v1", max_retries=0)
    other.says(good(), good())
    adapter = nbkit.get_adapter([absent, "openai/gpt-6-luna", other.adapter("den/m2")])
    completion = call(adapter, "Hi")
    (change,) = completion.changes
    assert str(change).startswith("answered by den/m2: lab/m1 failed: ")
    assert change.why.endswith("; openai/gpt-6-luna failed: no API key for openai")
    assert str(completion.changes[0].why).count("127.0.0.1") == 1
    assert call(nbkit.get_adapter("openai/gpt-6-luna", fallback=[other.adapter()]), "Hi").text == "Hello"


@four
def test_a_time_out_after_the_request_was_sent_may_be_paid_and_is_not_repeated(provider, other, call, good):
    quiet = threading.Event()
    with override(http_timeout=0.3, http_answer_timeout=0.3):
        provider.script[:] = [Answer(200, b"", "text/event-stream")]
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the request, and says nothing
            first = nbkit.get_adapter("lab/m1", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
            with pytest.raises(errors.TransportError, match="timed out"):
                call(nbkit.get_adapter(first, fallback=other.adapter()), "Hi")
    quiet.set()
    assert other.requests == []


@both
def test_an_error_in_a_stream_passes_before_the_first_text_and_not_after_it(provider, other, call):
    fault = {"error": {"message": "overloaded", "code": 503}}
    provider.says(streamed(sse(fault)))
    other.says(streamed())
    assert call(chain(provider, other), "Hi").text == "Hello"
    provider.says(streamed(sse(piece("Hel"), fault)))
    other.says(streamed())
    with pytest.raises(errors.StreamError) as caught:
        call(chain(provider, other), "Hi")
    assert (caught.value.partial.text, other.requests) == ("Hel", [])


@four
def test_each_model_has_its_own_retries(provider, other, call, good):
    adapter = nbkit.get_adapter([provider.adapter(max_retries=1), other.adapter("den/m2", max_retries=2)])
    provider.says(BUSY, BUSY)
    other.says(BUSY, BUSY, good())
    completion = call(adapter, "Hi")
    assert (len(provider.requests), completion.timing.attempts) == (2, 3)
    assert completion.changes == (Change("answered", "by den/m2", "lab/m1 failed: busy (HTTP 503, 2 attempts)"),)


def test_models_by_name_take_the_retries_of_the_list():
    adapter = nbkit.get_adapter(["demo/swift", "demo/sage"], max_retries=7)
    assert [one.max_retries for one in adapter.adapters] == [7, 7]


@four
def test_where_all_fail_the_error_is_the_last_ones_and_names_the_others(provider, other, call, good):
    third = other.adapter("groq/m3", api_key=THIRD_KEY, max_retries=1)
    provider.says(failing(503, f"busy with {KEY}"))
    other.says(failing(401, f"wrong key {OTHER_KEY}"), *[failing(429, f"{THIRD_KEY}: slow down")] * 2)
    with pytest.raises(errors.RateLimitError) as caught:
        call(nbkit.get_adapter(chain(provider, other), fallback=third), "Hi")
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert str(error) == str(caught.value)
    assert str(error) == (
        "groq/m3: [key]: slow down (HTTP 429, 2 attempts); before it lab/m1: busy with [key] (HTTP 503); "
        "den/m2: wrong key [key] (HTTP 401)"
    )
    assert [type(one) for one in error.errors] == [errors.ProviderError, errors.AuthenticationError]
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert "canary" not in f"{error!r} {vars(error)} {''.join(traceback.format_exception(caught.value))}"


def test_where_no_key_is_set_the_error_names_all(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    adapter = nbkit.get_adapter(["openai/gpt-6-luna", "anthropic/claude-haiku-4-5"])
    with pytest.raises(errors.ApiKeyNotFoundError, match=r"for anthropic.*; before it no API key for openai") as caught:
        adapter.stream("Hi")
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(error), error.provider, error.errors[0].provider) == (str(caught.value), "anthropic", "openai")


@four
def test_a_wrong_request_of_a_later_model_ends_the_call_and_names_the_first(provider, other, call, good):
    provider.says(BUSY)
    other.says(failing(400, "no such option"))
    with pytest.raises(errors.BadRequestError, match=r"den/m2: no such option .*; before it lab/m1: busy") as caught:
        call(chain(provider, other), "Hi")
    assert caught.value.errors[0].status == 503


@four
def test_each_model_gets_a_request_of_its_own(provider, other, call, good):
    """The conversation and the options are fitted to the one that is asked."""
    first = provider.adapter("anthropic/claude-haiku-4-5", protocol="anthropic-messages", max_retries=0)
    second = other.adapter("openai/gpt-6-luna", protocol="openai-chat")
    provider.says(failing(529, "Overloaded"))
    other.says(good())
    completion = call(nbkit.get_adapter([first, second]), [{"role": "system", "content": "Be brief"}, "Hi"], top_k=5)
    assert [(body["system"], body["top_k"]) for _, _, body in provider.requests] == [("Be brief", 5)]
    assert [turn["content"] for turn in other.requests[0][2]["messages"]] == ["Be brief", "Hi"]
    assert [(one.kind, one.what) for one in completion.changes] == [
        ("dropped", "top_k"),
        ("renamed", "role system"),
        ("answered", "by openai/gpt-6-luna"),
    ]


@four
def test_observers_see_two_calls(provider, other, call, good, monkeypatch):
    ends = []

    class Notes:
        def begin(self, facts):
            pass

        def end(self, facts, completion, error):
            ends.append((facts.model_id, completion, error))

    monkeypatch.setattr(observers, "OBSERVERS", (Notes(),))
    provider.says(BUSY)
    other.says(good())
    completion = call(chain(provider, other), "Hi")
    assert [(model, done) for model, done, _ in ends] == [("lab/m1", None), ("den/m2", completion)]
    assert [error and error.status for *_, error in ends] == [503, None]


@four
def test_the_ledger_has_a_row_for_each_model(provider, other, call, good, tmp_path):
    with override(ledger=str(tmp_path / "ledger.sqlite3")):
        provider.says(BUSY)
        other.says(good())
        call(chain(provider, other), "Hi")
        rows = nbkit.ledger()
    assert rows.model.tolist() == ["lab/m1", "den/m2"]
    assert rows.cost.tolist() == pytest.approx([0, 1000e-6 + 50 * 2e-6], nan_ok=True)


@four
def test_a_budget_counts_for_each_model_and_ends_the_call(provider, other, call, good):
    provider.says(BUSY, BUSY)
    other.says(good())
    dear = nbkit.get_adapter(
        [provider.adapter(max_retries=0, cost=COST), other.adapter("den/m2", cost={"input": 1000, "output": 1000})]
    )
    with nbkit.budget(0.01) as budget:
        with pytest.raises(errors.BudgetExceededError, match=r"den/m2.*; before it lab/m1: busy") as caught:
            call(dear, "Hi", max_tokens=100)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301
        assert (budget.spent, other.requests) == (0, [])
        call(chain(provider, other), "Hi", max_tokens=100)
        assert budget.spent == pytest.approx(1000e-6 + 50 * 2e-6)


def test_leaving_a_stream_asks_no_other_model(provider, other):
    go_on = threading.Event()
    provider.says(streamed(sse(piece("Hello there")), hold=go_on))
    with chain(provider, other).stream("Hi") as chunks:
        next(iter(chunks))
    assert provider.hung_up.wait(60)
    assert (chunks.completion.text, chunks.completion.bill.source, other.requests) == ("Hello there", "partial", [])
    with pytest.raises(errors.StreamError, match="read or closed before"):
        iter(chunks)


@engines
def test_cancelling_asks_no_other_model(provider, other):
    provider.says(streamed(b"", hold=threading.Event()))

    async def main():
        task = asyncio.create_task(chain(provider, other).aexecute("Hi"))
        while not provider.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main())
    assert provider.hung_up.wait(60)
    assert other.requests == []


@pytest.mark.parametrize("passed", [False, True])
def test_all_models_share_one_deadline(provider, other, passed):
    one, deadlines = chain(provider, other)._begin("Hi", {}, stream=False), []
    with contextlib.suppress(errors.ProviderError):
        for _ in range(2):
            with one as call, call:
                deadlines.append(call.deadline)
                provider.says(BUSY)
                other.says(BUSY)
                with call.attempt() as attempt, contextlib.closing(send(call)) as reply:
                    call.read(read_limited(reply, call.exchange))
                if passed:
                    call.deadline -= 10_000
                attempt.wait()
    assert len(set(deadlines)) == 1
    assert len(deadlines) == (1 if passed else 2)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def run(adapter, *args, **options):
    return adapter.run(*args, **options).completion


def arun(adapter, *args, **options):
    async def main():
        return await adapter.arun(*args, **options)

    return asyncio.run(main())


@pytest.mark.parametrize("call", [run, arun])
def test_a_run_with_tools_stays_with_the_model_that_answers(provider, other, call):
    adapter = chain(provider, other)
    for _ in range(2):  # the next run begins with the first model again
        provider.says(BUSY)
        wants = {**WHOLE, "choices": [{"index": 0, "message": WANTS_TOOL, "finish_reason": "tool_calls"}]}
        other.says(whole(wants), whole())
        completion = call(adapter, "1 + 2?", tools=[add])
        assert (completion.text, len(provider.requests), len(other.requests)) == ("Hello", 1, 2)
        assert other.requests[1][2]["messages"][-1]["content"] == "3"


def test_an_adapter_with_fallbacks_is_like_the_first_model(provider, other):
    first, second = provider.adapter(max_retries=4), other.adapter("den/m2")
    adapter = nbkit.get_adapter(first, fallback=second)
    assert isinstance(adapter, FallbackAdapter)
    assert (adapter.model_id, adapter.name, adapter.endpoint) == ("lab/m1", "m1", first.endpoint)
    assert (adapter.max_retries, adapter.model.name, adapter.adapters) == (4, "m1", (first, second))
    assert repr(adapter) == "<FallbackAdapter lab/m1, else den/m2>"
    assert nbkit.get_adapter([adapter, "demo/swift"]).adapters[:2] == (first, second)
    assert nbkit.get_adapter([first]) is nbkit.get_adapter(first) is nbkit.get_adapter(first, fallback=[]) is first
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(adapter)


def test_a_new_key_goes_to_the_first_models_server_only(provider, other):
    adapter = nbkit.get_adapter([provider.adapter(), provider.adapter("lab/m3"), other.adapter("lab/m2")])
    adapter.set_api_key("sk-new-1234567")
    keys = [one._api_key[0].reveal() for one in adapter.adapters]
    assert keys == ["sk-new-1234567", "sk-new-1234567", KEY]


@pytest.mark.parametrize(
    ("model", "options", "problem"),
    [
        ([], {}, "expected a model, or several, got an empty list"),
        (["demo/swift", 5], {}, "expected a model id such as .*, got 5"),
        (["demo/swift", ["demo/sage"]], {}, "got a list of 1 value"),
        (["demo/swift", "demo/sage"], {"api_key": "sk-canary-123456"}, r"api_key: it is for one model of the list"),
        (["demo/swift", "demo/sage"], {"base_url": "http://a"}, r"base_url: it is for one model of the list"),
    ],
)
def test_what_belongs_to_one_model_is_not_given_for_several(model, options, problem):
    with pytest.raises(errors.ArgumentError, match=problem) as caught:
        nbkit.get_adapter(model, **options)
    assert "canary" not in str(caught.value)
