"""Keys wherever people put them: no error, traceback with locals, repr or pickle has one, in whatever form."""

import asyncio
import base64
import pickle
import traceback
from urllib.parse import quote

import pytest
from engines import on_engines
from fault_server import ANSWER, aexecute, astream, execute, respond, stream

import nbkit
from nbkit.bookkeeping.ledger import ledger
from nbkit.errors import AuthenticationError, NbkitError
from nbkit.modelsdev.records import CatalogWarning
from nbkit.settings import Settings, override

KEY = "sk-proj-q7Zt2mVx9+wK4n/c8RyP1hGd="
HEADERS = {"Authorization": f"Bearer {KEY}"}
REFUSED = "http://127.0.0.1:9/v1"


def write_forms(key):
    """A key as it is, as in a URL, in hexadecimal, and in base64 with other bytes in front of it."""
    yield from (key, quote(key, safe=""), key.encode().hex())
    for before in range(3):
        coded = base64.b64encode(b" " * before + key.encode()).decode()
        yield coded[4 if before else 0 : -4]


FORMS = list(write_forms(KEY))


def holds_key(text):
    return any(form in text for form in FORMS)


def check_error(error):
    """All that an error gives away."""
    shown = {"str": str(error), "repr": repr(error), "vars": repr(vars(error)), "pickle": repr(pickle.dumps(error))}
    assert (error.__context__, error.__cause__) == (None, None)
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if "/tests/" not in frame.filename:
            shown |= {f"{frame.name}: {name}": value for name, value in (frame.locals or {}).items()}
    return [place for place, text in shown.items() if holds_key(text)]


def at(url=REFUSED, **more):
    return nbkit.get_adapter("lab/m1", **{"base_url": url, "max_retries": 0} | more)


ECHOES = {
    "as it is": lambda text: text,
    "as in a URL": lambda text: quote(text, safe=""),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    "in hexadecimal": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("echo", ECHOES)
@on_engines("call", execute, stream, aexecute, astream)
def test_a_server_that_sends_a_key_back_is_not_quoted(server, monkeypatch, call, echo):
    text = ECHOES[echo](f"Bearer {KEY} x")
    answer = respond({"error": {"message": f"bad key {text}", "code": text}}, 401, **{"x-request-id": text})
    for adapter, options in (
        (server.adapter(api_key=KEY, max_retries=0), {}),
        (server.adapter(api_key=None, max_retries=0), {"extra_headers": HEADERS}),
        (server.adapter(api_key=None, max_retries=0), {"extra_headers": {"x-lab": KEY}}),
        (server.adapter(api_key=None, max_retries=0, base_url=f"{server.url}?key={quote(KEY, safe='')}"), {}),
    ):
        server.says(answer)
        with pytest.raises(AuthenticationError, match="bad key") as refused:
            call(adapter, **options)
        assert "[key]" in refused.value.message
        assert check_error(refused.value) == []
    monkeypatch.setenv("ANOTHER_API_KEY", KEY)  # of a proxy in between, perhaps
    server.says(answer)
    with pytest.raises(AuthenticationError, match=r"\[key\]") as refused:
        call(server.adapter(max_retries=0))
    assert not holds_key(str(refused.value))


WRONG = {
    "a user and password": lambda: at(f"https://me:{quote(KEY)}@lab.test/v1"),
    "another scheme": lambda: at(f"ftp://lab.test/?key={KEY}"),
    "a space in the address": lambda: at(f"https://lab .test/v1?key={KEY}"),
    "a port that is none": lambda: at(f"https://lab.test:99999/v1?key={KEY}"),
    "a list of keys and more": lambda: at(api_key=[KEY, 3]),
    "another key later": lambda: at().set_api_key([KEY, None]),
    "the place of a model": lambda: nbkit.get_adapter(KEY),
    "the place of a fallback": lambda: nbkit.get_adapter("demo/swift", fallback=[KEY]),
    "the place of a model it is like": lambda: at(same_as=KEY),
    "a model that does not exist": lambda: nbkit.get_adapter("nope/nothing-x", api_key=KEY),
    "an unknown protocol": lambda: at(api_key=KEY, protocol="telepathy"),
    "a header that cannot be sent": lambda: at().execute("Hi", extra_headers={"Authorization": f"Bearer {KEY}\u2026"}),
    "a name of a header": lambda: at().execute("Hi", extra_headers={"Auth orization": KEY}),
    "a wrong option beside it": lambda: at().execute("Hi", extra_headers=HEADERS, temperature="hot"),
    "an unknown option beside it": lambda: at().execute("Hi", extra_headers=HEADERS, temprature=1),
    "a key that cannot be sent": lambda: at(api_key=f"{KEY}\x01").execute("Hi"),
    "nobody there": lambda: at(api_key=KEY).execute("Hi", extra_headers=HEADERS),
    "nobody there, streamed": lambda: list(at(f"{REFUSED}?key={KEY}").stream("Hi", extra_headers=HEADERS)),
    "nobody there, awaited": lambda: asyncio.run(at(api_key=KEY).aexecute("Hi", extra_headers=HEADERS)),
    "a run": lambda: at(api_key=KEY).run("Hi", extra_headers=HEADERS).completion,
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_no_frame_of_an_error_holds_the_key(what):
    with pytest.raises(NbkitError) as refused:
        WRONG[what]()
    assert check_error(refused.value) == []


@pytest.mark.parametrize(
    "address", ["htp://me:{}@lab.test:1", "http://me:{}@127.0.0.1:9", "socks5://me:{}@127.0.0.1:9", "http://me:{}@[x"]
)
@on_engines("call", execute, aexecute)
def test_the_password_of_a_proxy_is_in_no_frame(monkeypatch, call, address):
    monkeypatch.setenv("HTTP_PROXY", address.format(quote(KEY, safe="")))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(NbkitError, match="HTTP_PROXY") as refused:
        call(at())
    assert check_error(refused.value) == []


@pytest.mark.parametrize("end", [b"\xff", b"\n" * 1_000_001])
def test_a_file_of_keys_that_cannot_be_read_is_in_no_frame(tmp_path, end):
    (tmp_path / ".env").write_bytes(f"OPENAI_API_KEY={KEY}\n".encode() + end)
    with pytest.raises(NbkitError, match="load_env") as refused:
        nbkit.load_env(tmp_path / ".env")
    assert check_error(refused.value) == []


@pytest.mark.parametrize("row", ['api_key = "{}"', 'auth = "{}"', 'headers = {{"x-lab" = "{}"}}', 'api_key = "{}'])
def test_a_key_in_the_overrides_file_is_in_no_frame(tmp_path, row):
    (tmp_path / "overrides.toml").write_text(f"[providers.openai]\n{row.format(KEY)}\n")
    with (
        override(overrides=tmp_path / "overrides.toml"),
        pytest.raises(NbkitError, match=r"overrides\.toml") as refused,
    ):
        nbkit.get_adapter("openai/gpt-6-luna")
    assert check_error(refused.value) == []


@pytest.mark.parametrize("address", ["postgresql://me:{}@127.0.0.1:9/db", "postgresql://me:{}/x@127.0.0.1:9/db"])
def test_the_password_of_a_ledger_is_in_no_frame(address):
    with override(ledger=address.format(quote(KEY, safe=""))), pytest.raises(NbkitError) as refused:
        ledger()
    assert check_error(refused.value) == []


def test_no_repr_shows_what_is_secret_in_an_address(tmp_path):
    secret = f"https://me:{KEY}@lab.test/v1?key={KEY}"
    adapter = at(f"https://lab.test/v1?key={KEY}", api_key=KEY)
    prepared = adapter._call("Hi", {"extra_headers": HEADERS}, stream=False).prepared
    shown = [repr(adapter), repr(vars(adapter)), repr(adapter.endpoint), repr(prepared)]
    assert shown[0] == "<BaseAdapter lab/m1, openai-chat at https://lab.test/v1?...>"
    shown += [repr(Settings(base_url_override=secret, catalog_url=secret, ledger=secret))]
    shown += [
        repr(nbkit.ExecuteOptions(extra_headers=HEADERS)),
        repr(vars(nbkit.Chat("demo/swift", extra_headers=HEADERS))),
    ]
    with (
        override(
            catalog_url=f"https://me:{quote(KEY, safe='')}@127.0.0.1:9/api.json?key={KEY}",
            offline=False,
            cache_dir=tmp_path,
        ),
        pytest.warns(CatalogWarning, match=r"https://\.\.\.@127\.0\.0\.1:9/api\.json\?\.\.\.:") as warned,
    ):
        shown.append(repr(nbkit.load_catalog(refresh=True).attrs))
    shown += [str(one.message) for one in warned]
    assert [text for text in shown if holds_key(text)] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: at(api_key=KEY),
        lambda: nbkit.Chat(at(api_key=KEY)),
        lambda: at(api_key=KEY)._call("Hi", {}, stream=False).auth,
    ],
)
def test_nothing_that_holds_a_key_is_pickled(make):
    with pytest.raises(TypeError) as refused:
        pickle.dumps(make())
    assert not holds_key(str(refused.value))


def test_an_answer_is_left_as_it_is(server):
    server.says(
        respond(
            ANSWER
            | {"choices": [{"index": 0, "message": {"role": "assistant", "content": KEY}, "finish_reason": "stop"}]}
        )
    )
    assert server.adapter(api_key=KEY).execute("Hi").text == KEY
