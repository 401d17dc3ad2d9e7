"""The log of calls: a line for each that ends, more at DEBUG; never a key, and content only where asked for."""

import logging
import re
import subprocess
import sys

import pytest
from scripted_provider import WHOLE, Answer, piece, sse, streamed, whole
from test_calls import KEY, PRICED, four

import nbkit
from nbkit.errors import AdapterError, BadRequestError, BudgetExceededError, ReplayMissError, StreamError
from nbkit.settings import override
from nbkit.telemetry.content import hide_keys, strip_url

PROMPT, ANSWER = "canary-of-the-prompt", "canary-of-the-answer"
TOKEN = "gsk_" + "a1B2" * 8  # a key that stands in a prompt


def lines(caplog):
    """What was logged, with `ID` and `S` for what differs from call to call."""
    return [
        f"{one.levelname} " + re.sub(r"\d+\.\d\d s", "S s", re.sub(r"^call [0-9a-f]{8} ", "call ID ", one.getMessage()))
        for one in caplog.records
        if one.name == "nbkit"
    ]


@pytest.fixture
def info(caplog):
    caplog.set_level(logging.INFO, "nbkit")
    return caplog


@pytest.fixture
def debug(caplog):
    caplog.set_level(logging.DEBUG, "nbkit")
    return caplog


@four
def test_a_call_is_one_line(provider, info, call, good):
    provider.says(good())
    call(provider.adapter(PRICED), PROMPT)
    assert lines(info) == [f"INFO call ID {PRICED}: stop, 1000 + 50 tokens, cost $0.00013, 1 attempt, id c1, S s"]


def test_below_info_nothing_is_written(provider, caplog):
    provider.says(whole())
    provider.adapter().execute("Hi")
    assert caplog.records == []


@four
def test_a_failed_call_is_one_line_without_the_providers_words(provider, info, call, good):
    fault = {"error": {"message": f"no such thing: {PROMPT}", "code": "bad_thing"}}
    provider.says(whole(fault, 400, x_request_id="req_7"))
    with pytest.raises(BadRequestError):
        call(provider.adapter(), PROMPT)
    assert lines(info) == [
        "INFO call ID lab/m1: failed, 1 attempt, S s, BadRequestError, HTTP 400, code bad_thing, request req_7"
    ]


def test_the_words_of_nbkit_itself_are_there(provider, info):
    provider.says()
    with nbkit.budget(usd=1e-9), pytest.raises(BudgetExceededError):
        provider.adapter(PRICED).execute(PROMPT)
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError):
        list(provider.adapter(PRICED).stream(PROMPT))
    refused, broken = lines(info)
    assert f"failed, S s, BudgetExceededError: {PRICED}: nothing was sent. It may cost up to" in refused
    assert "tokens, cost $0.0" in broken
    assert "S s, StreamError, HTTP 200: the stream ended without" in broken


@four
def test_an_answer_that_cannot_be_read_is_not_quoted(provider, debug, call, good):
    for body in (f"{ANSWER} is not JSON", f'["{ANSWER}"]', f'{{"said": "{ANSWER}"}}', f"'{ANSWER}'", f"<p>{ANSWER}"):
        broken = streamed(sse(piece("Hel"), body.encode())) if good is streamed else Answer(200, body.encode())
        provider.says(*[broken] * 3)
        with pytest.raises(AdapterError):
            call(provider.adapter(), PROMPT)
    assert len([line for line in lines(debug) if "Error, HTTP 200: " in line]) >= 5
    assert not [word for word in (ANSWER, PROMPT) if word in debug.text]


def test_a_missing_recording_does_not_show_its_prompt(debug, tmp_path):
    path = tmp_path / "demo.replay.jsonl"
    path.touch()
    with nbkit.replay(path, mode="only"), pytest.raises(ReplayMissError):
        nbkit.get_adapter("demo/swift").execute(PROMPT)
    assert lines(debug)[-1] == "INFO call ID demo/swift: failed, S s, ReplayMissError"
    assert PROMPT not in debug.text


def test_a_call_that_waited_for_its_turn_says_how_long(provider, info):
    provider.says(whole({"error": {"message": "slow down"}}, 429, retry_after="0.05"), whole())
    with override(throttle=True):
        provider.adapter(PRICED).execute("Hi")
    assert lines(info)[-1].endswith(" 2 attempts, waited S s, id c1, S s")


def test_a_replayed_and_a_left_call_say_so(provider, info, tmp_path):
    with override(ledger="off", replay=str(tmp_path / "a.replay.jsonl")):
        for _ in range(2):
            with nbkit.replay(tmp_path / "demo.replay.jsonl"):
                nbkit.get_adapter("demo/swift").execute("Hi")
    provider.says(streamed())
    with provider.adapter(PRICED).stream("Hi") as stream:
        next(iter(stream))
    _, replayed, left = lines(info)
    assert re.search(r"demo/swift: replayed, \d+ \+ \d+ tokens, cost \$0, saved \$0\.0\d+, ", replayed)
    assert re.search(r"left, \d+ \+ \d+ tokens, cost \$0\.0\d+, 1 attempt, id c1, S s$", left)


@four
def test_debug_has_begin_attempts_waits_and_changes(provider, debug, call, good):
    provider.says(whole({"error": {"message": "busy"}}, 503), good())
    call(provider.adapter(PRICED), PROMPT, temperature=0.5)
    begin, retry, end, *changes = lines(debug)
    kind = "streamed" if good is streamed else "whole"
    assert begin == f"DEBUG call ID {PRICED}: begins, openai-chat, {kind}, {provider.url}/chat/completions"
    assert retry == f"DEBUG call ID {PRICED}: attempt 1 failed, ProviderError, HTTP 503; the next in S s"
    assert end.startswith(f"INFO call ID {PRICED}: stop, ")
    assert "2 attempts" in end
    assert any(change.startswith(f"DEBUG call ID {PRICED}: dropped temperature: ") for change in changes)
    assert PROMPT not in debug.text
    assert KEY not in debug.text


@four
def test_content_is_written_where_it_is_wanted_and_keys_are_replaced(provider, debug, call, good):
    answer = WHOLE | {"choices": [{"index": 0, "message": {"content": f"{ANSWER} {KEY}"}, "finish_reason": "stop"}]}
    stream = sse(piece(f"{ANSWER} {KEY}", "stop"), b"[DONE]")
    provider.says(streamed(stream) if good is streamed else whole(answer))
    image = "data:image/png;base64," + "iVBORw0KGgo" * 100
    content = [
        {"type": "text", "text": f"{PROMPT} {KEY} {TOKEN}"},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    with override(log_content=True):
        call(provider.adapter(PRICED), [{"role": "user", "content": content}])
    written = [line for line in lines(debug) if "prompt" in line or "answer" in line]
    assert f'prompt [{{"role":"user","content":[{{"type":"text","text":"{PROMPT} [key] [key]"' in written[0]
    assert "image/png;base64,[1100 characters]" in written[0]
    assert f'"content":"{ANSWER} [key]"' in written[1]
    assert KEY not in debug.text
    assert TOKEN not in debug.text


def test_keys_of_the_environment_are_replaced_whatever_they_look_like(monkeypatch):
    monkeypatch.setenv("ACME_API_KEYS", "plain words here,second-secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "correct horse")
    text = "a plain words here b second-secret c correct horse d"
    assert hide_keys(text) == "a [key] b [key] c [key] d"


def test_an_address_is_written_without_user_and_query():
    assert strip_url("https://user:word@host.test:8443/v1/x?key=secret#part") == "https://host.test:8443/v1/x"


def test_nbkit_adds_no_handler_and_a_warning_is_seen_without_any():
    program = """
import logging, nbkit
nbkit.get_adapter("demo/swift").execute("Hi")
logger = logging.getLogger("nbkit")
print(logger.handlers, logger.level, logger.propagate)
logger.warning("seen")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 0 True\n"
    assert done.stderr == "seen\n"
