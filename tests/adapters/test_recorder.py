"""`nbkit.record`: what is in a cassette, what is not, and that it can be played back."""

import asyncio
import json
import logging
import stat
import threading

import pytest
from cassette_player import play, read_cassette
from engines import engines
from scripted_provider import HELLO, Answer, piece, sse, streamed, whole
from vector_files import load

import nbkit
from nbkit import errors
from nbkit.adapters.call import Call
from nbkit.adapters.cassette import Cassette, fill_texts, read_pieces
from nbkit.http.frames import FrameDecoder, seal_frames
from nbkit.protocols import PROTOCOLS, protocol

CANARY = "sk-canary-1234567890"
DEMO = ("swift", "sage", "scholar", "tortoise", "brittle")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bug.cassette.jsonl"


def weather(city: str) -> str:
    """The weather in a city."""
    return city


def facts(completion):
    calls = [(call.name, call.arguments) for call in completion.tool_calls]
    return completion.text, completion.reasoning, calls, completion.finish_reason, completion.usage, completion.model


@engines
@pytest.mark.parametrize("model", DEMO)
def test_a_cassette_plays_back_as_what_was_answered(provider, path, model, engine):
    adapter, prompt = nbkit.get_adapter(f"demo/{model}"), "weather in Oslo, \u201cplease\u201d"

    async def ask():
        with nbkit.record(path):
            async with adapter.astream("Explain recursion") as stream:
                return [await adapter.aexecute(prompt, tools=[weather]), await stream]

    got = asyncio.run(ask())
    with nbkit.record(path.with_name("other.jsonl")):
        got += [adapter.execute(prompt, tools=[weather]), adapter.stream("Explain recursion").completion]
    lines = read_cassette(path)[1] + read_cassette(path.with_name("other.jsonl"))[1]
    assert [line["stream"] for line in lines] == [False, True] * 2
    for line, completion in zip(lines, got, strict=True):
        for asynchronous in (False, True):
            assert facts(play(provider, line, asynchronous)) == facts(completion)


def test_a_line_holds_the_request_and_the_response(provider, path):
    provider.says(streamed(headers={"retry-after": "1"}))
    with nbkit.record(path):
        provider.adapter().stream("Hi", temperature=0.5, extra_headers={"x-team": CANARY}).completion  # noqa: B018
    head, (line,) = read_cassette(path)
    assert head["nbkit"] == nbkit.__version__
    assert line.pop("seconds") >= 0
    assert b"".join(one.encode() for one in line["response"].pop("pieces")) == HELLO
    body = {"model": "m1", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip
    assert line == {
        "call": 1, "attempt": 1, "provider": "lab", "model": "m1", "protocol": "openai-chat", "stream": True,
        "request": {"method": "POST", "path": "/chat/completions", "headers": {"content-type": "application/json"},
                    "body": body},
        "response": {"status": 200, "headers": {"content-type": "text/event-stream", "retry-after": "1"}},
        "failure": None,
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


SECRETS = (
    "org-AbCdEf123456",
    "req_0123456789ab",
    "proj_zyxw9876vuts",
    "acme-corp-7",
    "123456789012",
    "cookie-canary",
    "127.0.0.1",
)


def test_keys_and_ids_are_not_in_it_and_lengths_stay(provider, path):
    message = (
        f"Incorrect API key provided: {CANARY}. Organization org-AbCdEf123456, project proj_zyxw9876vuts; "
        "arn:aws:bedrock:us-east-1:123456789012:x of projects/acme-corp-7/locations at 127.0.0.1"
    )
    body = {"error": {"message": message, "code": "x", "request_id": "acme-corp-7"}, "id": "req_0123456789ab"}
    provider.says(whole(body, 401, set_cookie="s=cookie-canary", openai_organization="org-AbCdEf123456",
                        x_request_id="req_0123456789ab"))  # fmt: skip
    with nbkit.record(path), pytest.raises(errors.AuthenticationError):
        provider.adapter().execute(f"My key is {CANARY}, yes", user="acme-corp-7")
    text = path.read_text("utf-8")
    assert [secret for secret in (CANARY, *SECRETS) if secret in text] == []
    (line,) = read_cassette(path)[1]
    assert len(line["response"]["pieces"][0]) == len(json.dumps(body))
    assert line["request"]["body"]["messages"][0]["content"] == f"My key is {'x' * len(CANARY)}, yes"
    with pytest.raises(errors.AuthenticationError, match="Incorrect API key provided: xxxx"):
        play(provider, line)


def test_a_key_that_stands_in_two_pieces_of_a_stream(path):
    line = {"model": "m", "failure": None, "request": {"path": "/", "body": b"{}"},
            "response": {"status": 200, "headers": {}}}  # fmt: skip
    pieces = [b"data: \xe2\x80", f"\u201c{CANARY[:9]}".encode()[1:], CANARY[9:].encode() + b"\n\n"]
    Cassette(path, content=True).write(line, pieces, (CANARY,))
    (written,) = read_cassette(path)[1]
    assert CANARY[:9] not in path.read_text("utf-8")
    assert list(map(len, read_pieces(written["response"]))) == list(map(len, pieces))


def test_each_attempt_has_a_line(provider, path):
    refusal = {"error": {"message": "slow down", "code": "rate_limited"}}
    provider.says(
        whole(refusal, 429), Answer(0), Answer(0), whole()
    )  # a lost connection is tried once more for nothing
    with nbkit.record(path):
        assert provider.adapter().execute("Hi").timing.attempts == 3
        provider.says(whole())
        provider.adapter().execute("Hi")
    lines = read_cassette(path)[1]
    assert [(line["call"], line["attempt"]) for line in lines] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert [line["response"] and line["response"]["status"] for line in lines] == [429, None, 200, 200]
    assert lines[0]["failure"] == "RateLimitError: slow down"
    assert lines[1]["failure"].startswith("Failure: LOST")
    assert lines[2]["failure"] is None


def test_what_arrived_of_a_stream_that_is_left_or_broke_off(provider, path):
    adapter = provider.adapter()
    with nbkit.record(path):
        provider.says(streamed())
        with adapter.stream("Hi") as stream:
            next(iter(stream))
        provider.says(streamed(sse(piece("Hel")), cut=True))
        with pytest.raises(errors.StreamError):
            list(adapter.stream("Hi"))
    left, broken = read_cassette(path)[1]
    assert '"Hel"' in left["response"]["pieces"][0]
    assert broken["failure"]
    assert '"Hel"' in broken["response"]["pieces"][0]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_without_content_texts_are_crosses_and_an_answer_stays_an_answer(provider, path, name):
    vectors = [one for one in load(name).decode if not one.dialect]
    module, canary = protocol(name), "Wien-Kanarienvogel"
    for vector in vectors:
        body = vector.body(module.FRAMING)
        kind = "application/vnd.amazon.eventstream" if b":event-type" in body[:60] else "text/event-stream"
        provider.says(Answer(200, body, kind))
        adapter = nbkit.get_adapter("lab/m", base_url=provider.url, protocol=name, api_key=CANARY)
        with nbkit.record(path, content=False):
            adapter.stream(canary).completion  # noqa: B018
        (line,) = read_cassette(path)[1]
        assert canary not in path.read_text("utf-8")
        assert line["request"]["body"] != {}
        played, expected = play(provider, line), vector.completion
        assert played.finish_reason == expected.finish_reason
        assert [call.name for call in played.tool_calls] == [name for _, name, _ in expected.tool_calls]
        words = {word for word in expected.text.split() if len(word) > 3 and word.isalpha() and set(word) != {"x"}}
        assert not words & set(played.text.split())
        if vector is vectors[0]:
            assert (expected.text, played.text) == ("Hello", "xxxxx")


def test_fillers_are_as_long_as_the_texts():
    for text, filled in (
        (
            '{"role":"user","content":"Hi, 42 \\"a\\" \\n\\u00e9!"}',
            '{"role":"user","content":"xx, 11 \\"x\\" \\nxxxxxx!"}',
        ),
        ('{"arguments":"{\\"city\\":\\"Os\\\\nlo\\"}"}', '{"arguments":"{\\"xxxx\\":\\"xx\\\\nxx\\"}"}'),
        ('{"token":"Hi","bytes":[72, 105]}', '{"token":"xx","bytes":[11, 111]}'),
        ("<html>Hello</html>", "<xxxx>xxxxx</xxxx>"),
        ("event: x\ndata: oops, no JSON\n\ndata: [DONE]\n\n", "event: x\ndata: xxxx, xx xxxx\n\ndata: [DONE]\n\n"),
    ):
        assert fill_texts(text) == filled
        assert len(fill_texts(text)) == len(text)


def test_frames_whose_texts_are_replaced_have_the_right_checksums():
    (vector, *_) = load("bedrock-converse").decode
    body = vector.body(protocol("bedrock-converse").FRAMING)
    changed = seal_frames(body.replace(b"Hel", b"xxx"))
    events = FrameDecoder().feed(changed)
    assert len(events) == len(FrameDecoder().feed(body))
    assert b"xxx" in b"".join(data for _, data in events)
    assert seal_frames(b"not frames at all") == b"not frames at all"


def test_where_it_is_written(provider, path, tmp_path, caplog):
    with pytest.raises(errors.ArgumentError, match=r"ends with \.jsonl"), nbkit.record(tmp_path / "a.txt"):
        pass
    path.write_text('{"request": "of a replay"}\n')
    with pytest.raises(errors.ArgumentError, match="is not a cassette"), nbkit.record(path):
        pass
    path.unlink()
    for _ in range(2):  # an older cassette is replaced
        provider.says(whole())
        with nbkit.record(str(path)) as cassette:
            provider.adapter().execute("Hi")
        assert (cassette.calls, len(read_cassette(path)[1])) == (1, 1)
    with nbkit.record(path):
        path.unlink()
        path.mkdir()
        with caplog.at_level(logging.WARNING, "nbkit"):
            for _ in range(2):
                provider.says(whole())
                assert provider.adapter().execute("Hi").text == "Hello"
    assert len([one for one in caplog.messages if "cannot be written" in one]) == 1


def test_calls_of_threads_belong_to_the_block_and_others_do_not(provider, path):
    plain = provider.adapter()
    with nbkit.record(path):
        provider.says(whole())
        thread = threading.Thread(target=plain.execute, args=("Hi",))
        thread.start()
        thread.join()
    provider.says(whole())
    assert type(plain._call("Hi", {}, stream=False)) is Call
    plain.execute("Hi")
    assert len(read_cassette(path)[1]) == 1
