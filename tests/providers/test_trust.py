"""A catalog that was fetched may name any host and any variable: which keys go where."""

import json
import os
import pickle
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import nbkit
from nbkit import get_adapter, trust
from nbkit.errors import ApiKeyNotFoundError, ConfigError, NbkitError, TransportError, UntrustedEndpointError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import CatalogWarning
from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.providers.credentials import fill
from nbkit.providers.registered import register_provider
from nbkit.providers.trust import Trusted, find_host
from nbkit.settings import override

CANARY = "canary-0123456789"
OPENAI = {"npm": "@ai-sdk/openai-compatible", "api": "https://api.openai.com/v1", "env": ["OPENAI_API_KEY"]}
NEWCO = {"npm": "@ai-sdk/openai-compatible", "api": "https://api.newco.test/v1", "env": ["NEWCO_API_KEY"]}


@pytest.fixture(autouse=True)
def environment(monkeypatch, users_file):
    """Every variable that the bundled snapshot knows holds a canary, and the user has no trust file yet."""
    names = {name for provider in read(BUNDLED).distinct("provider") for name in provider.env}
    for name in {*names, "NEWCO_API_KEY", "GOOGLE_VERTEX_ENDPOINT"}:
        monkeypatch.setenv(name, f"{CANARY}-{name}")


@pytest.fixture
def fetched(json_server, tmp_path):
    """Puts providers in force as a catalog that was fetched from models.dev."""
    server = json_server({})

    def fetch(**providers):
        models = {"m": {"tool_call": True}}
        server.answers["/api.json"] = {name: {"models": models} | row for name, row in providers.items()}
        assert current_snapshot(refresh=True, accept=True).meta.source == "fetched"

    with override(catalog_url=f"{server.url}/api.json", cache_dir=tmp_path / "cache", offline=False):
        yield fetch


@pytest.fixture
def proxy(monkeypatch):
    """A proxy for all requests to other hosts: it writes them down and refuses them."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def refuse(self):
            requests.append(f"{self.requestline}\n{self.headers}")
            self.send_error(502)

        do_CONNECT = do_GET = do_POST = refuse

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield requests
    server.shutdown()
    server.server_close()


def at(address, **changes):
    return "openai", OPENAI | {"api": address} | changes


def own(**changes):
    """A model that says otherwise than its provider."""
    return "openai", OPENAI | {"models": {"m": {"provider": changes}}}


HOSTILE = {
    "another host": at("https://evil.test/v1"),
    "a longer host": at("https://api.openai.com.evil.test/v1"),
    "a host in front": at("https://evil.api.openai.com/v1"),
    "the host as a user": at("https://api.openai.com@evil.test/v1"),
    "the host as user and password": at("https://api.openai.com:443@evil.test/v1"),
    "a user at the host": at("https://evil@api.openai.com/v1"),
    "a backslash": at("https://evil.test\\@api.openai.com/v1"),
    "a backslash for a slash": at("https://api.openai.com\\.evil.test/v1"),
    "a fragment": at("https://evil.test#@api.openai.com/v1"),
    "a query": at("https://evil.test?@api.openai.com/v1"),
    "a port": at("https://api.openai.com:8443/v1"),
    "http": at("http://api.openai.com/v1"),
    "http on this machine": at("http://127.0.0.1:9/v1"),
    "Cyrillic": at("https://\u0430pi.openai.com/v1"),
    "full width": at("https://\uff41\uff50\uff49.openai.com/v1"),
    "a percent sign": at("https://api%2eopenai.com/v1"),
    "a dot in the end": at("https://api.openai.com./v1"),
    "no scheme": at("//evil.test/v1"),
    "one slash": at("https:/evil.test/v1"),
    "an address in IPv6": at("https://[::ffff:1.2.3.4]/v1"),
    "an address as a number": at("https://2130706433/v1"),
    "dots in the path": at("https://evil.test/%2e%2e/"),
    "a key in the query": at("https://api.openai.com/v1?x=${OPENAI_API_KEY}"),
    "a key in the host": at("https://${OPENAI_API_KEY}.evil.test/v1"),
    "a key in the path": at("https://api.openai.com/v1/${OPENAI_API_KEY}"),
    "a secret in the path": at("https://api.openai.com/${AWS_SECRET_ACCESS_KEY}/v1"),
    "a region in the path": at("https://api.openai.com/${AWS_REGION}/v1"),
    "a key as the whole address": at("${OPENAI_API_KEY}/v1"),
    "another's whole address": at("${NEON_AI_GATEWAY_BASE_URL}/v1"),
    "a file": at("file:///etc/passwd"),
    "a socket": at("unix:/tmp/s"),
    "a tab": at("https://api.open\tai.com/v1"),
    "a line end": at("https://api.openai.com/v1\nx"),
    "a line end in the host": at("https://api.openai.com\n.evil.test/v1"),
    "another's package": at(None, npm="@ai-sdk/anthropic"),
    "a model elsewhere": own(api="https://evil.test/v1"),
    "a model of another package": own(api="https://evil.test/v1", npm="@ai-sdk/anthropic"),
    "a model at no address": own(api="https://"),
    "signed for another": ("amazon-bedrock", {"npm": "@ai-sdk/amazon-bedrock", "api": "https://evil.test"}),
    "a token for another": ("google-vertex", {"npm": "@ai-sdk/google-vertex", "api": "https://evil.test"}),
    "a secret for a label": ("snowflake-cortex", NEWCO | {"api": "https://${SNOWFLAKE_CORTEX_PAT}.snowflakecomputing.com"}),
    "a tenant": ("azure-cognitive-services", OPENAI | {"models": {"m": {"provider": {"api": "https://evil.openai.azure.com"}}}}),
    "a server of this machine": ("lmstudio", NEWCO | {"env": ["LMSTUDIO_API_KEY"]}),
    "a new provider that needs no key": ("newco", {"npm": "@qvac/ai-sdk-provider", "api": "https://evil.test/v1"}),
    "a new provider with another's variable": ("evil", NEWCO | {"env": ["OPENAI_API_KEY"]}),
    "a new provider": ("newco", NEWCO),
    "a new provider of this machine": ("newco", NEWCO | {"api": "http://127.0.0.1:9/v1"}),
}  # fmt: skip


SOURCES = {  # the host is the shipped one
    "another's variable": at("https://api.openai.com/v1", env=["ANTHROPIC_API_KEY"]),
    "credentials of the machine": at("https://api.openai.com/v1", npm="@ai-sdk/google-vertex", env=[]),
    "requests signed": at("https://api.openai.com/v1", npm="@ai-sdk/amazon-bedrock", env=[]),
}
EVERY = HOSTILE | SOURCES


@pytest.mark.parametrize("given", [{}, {"api_key": f"{CANARY}-given"}], ids=["environment", "given"])
@pytest.mark.parametrize("row", EVERY)
def test_catalog_guard(fetched, proxy, row, given):
    name, provider = EVERY[row]
    fetched(**{name: provider})
    if given and row in SOURCES:
        assert get_adapter(f"{name}/m", **given).endpoint.auth in ("bearer", "x-goog-api-key")
        return
    with pytest.raises(UntrustedEndpointError) as caught:
        get_adapter(f"{name}/m", **given).execute("hi")
    message, error = str(caught.value), caught.value
    assert error.host in message
    assert all(host in message for host in error.shipped)
    assert ("api.openai.com" in error.shipped) == (name == "openai")
    assert f"nbkit.trust('{name}')" in message
    assert CANARY not in message
    assert proxy == []


@pytest.mark.parametrize(
    "provider",
    [
        OPENAI,
        OPENAI | {"api": "HTTPS://API.OpenAI.COM/v1"},
        OPENAI | {"api": "https://api.openai.com/v1/"},
        OPENAI | {"api": "https://api.openai.com:443/v2"},
        OPENAI | {"api": None, "npm": "@ai-sdk/openai"},
        OPENAI | {"env": ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]},
        OPENAI | {"npm": "@ai-sdk/google-vertex"},
        OPENAI | {"name": "Open\u202eAI", "models": {"m": {"cost": {"input": 9}}}},
    ],
)
def test_what_is_reviewed_is_called(fetched, proxy, provider, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", f"{CANARY}-{tmp_path.name}")  # clients are kept by it
    fetched(openai=provider)
    adapter = get_adapter("openai/m", max_retries=0)
    assert adapter.endpoint.auth in ("bearer", "x-goog-api-key")
    assert adapter.endpoint.variables == ("OPENAI_API_KEY",)
    with pytest.raises(TransportError):
        adapter.execute("hi")
    assert [request.split("\n")[0] for request in proxy] == ["CONNECT api.openai.com:443 HTTP/1.1"]
    assert CANARY not in proxy[0]


def test_the_error_says_what_is_new():
    error = UntrustedEndpointError("openai", "evil.test", ("api.openai.com",), ("X_KEY",))
    assert str(error) == (
        "openai now points to evil.test (shipped: api.openai.com), with X_KEY;"
        " pass base_url= and api_key= yourself, or nbkit.trust('openai')"
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert "evil, which did not come with nbkit, points to evil.test;" in str(
        UntrustedEndpointError("evil", "evil.test", ())
    )


def server_saying_hello(json_server):
    hello = {"choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}
    return json_server({"/v1/chat/completions": hello})


def test_who_names_the_host_may_use_either_key(fetched, json_server):
    server = server_saying_hello(json_server)
    fetched(openai=OPENAI | {"api": "https://evil.test", "env": ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]}, newco=NEWCO)
    here = {"base_url": f"{server.url}/v1", "protocol": "openai-chat"}
    assert get_adapter("openai/m", **here).execute("hi").text == "hello"
    assert get_adapter("newco/m", api_key="given", **here).execute("hi").text == "hello"
    keys = [headers["Authorization"] for _, _, headers in server.requests]
    assert keys == [f"Bearer {CANARY}-OPENAI_API_KEY", "Bearer given"]
    with pytest.raises(ApiKeyNotFoundError):
        get_adapter("newco/m", **here).execute("hi")  # its variable is only what the catalog says


def test_headers_of_the_catalog_are_sent_as_they_are(fetched, json_server):
    server = server_saying_hello(json_server)
    headers = {"x-mode": "${ANTHROPIC_API_KEY}"}
    with pytest.warns(CatalogWarning, match=r"dropped 1 bad rows: 'openai/moved' \(headers\)"):
        fetched(openai=OPENAI | {"models": {
            "m": {"provider": {"headers": headers}},
            "moved": {"provider": {"headers": {"Host": "evil.test"}}},
        }})  # fmt: skip
    get_adapter("openai/m", base_url=f"{server.url}/v1", protocol="openai-chat").execute("hi")
    assert server.requests[0][2]["x-mode"] == "${ANTHROPIC_API_KEY}"


# ---- what the user trusts


def trust_file():
    return nbkit.settings.settings().overrides.with_name("trust.json")


def test_trust_is_for_one_provider_host_and_set_of_variables(fetched):
    fetched(newco=NEWCO)
    assert trust("newco") == Trusted("newco", ("api.newco.test",), ("NEWCO_API_KEY",))
    assert stat.S_IMODE(trust_file().stat().st_mode) == 0o600
    assert [path.name for path in trust_file().parent.iterdir() if "trust" in path.name] == ["trust.json"]
    assert get_adapter("newco/m").endpoint.variables == ("NEWCO_API_KEY",)
    assert get_adapter("newco/m", api_key="k").endpoint.base_url == "https://api.newco.test/v1"

    fetched(newco=NEWCO | {"api": "https://api2.newco.test/v1"})
    with pytest.raises(UntrustedEndpointError, match=r"points to api2\.newco\.test, with NEWCO_API_KEY;"):
        get_adapter("newco/m")
    fetched(newco=NEWCO | {"env": ["OPENAI_API_KEY", "NEWCO_API_KEY"]})
    assert get_adapter("newco/m").endpoint.variables == ("NEWCO_API_KEY",)
    fetched(newco=NEWCO | {"env": ["OPENAI_API_KEY"]})
    with pytest.raises(UntrustedEndpointError, match="with OPENAI_API_KEY;"):
        get_adapter("newco/m")
    fetched(newco2=NEWCO)
    with pytest.raises(UntrustedEndpointError):
        get_adapter("newco2/m")

    fetched(newco=NEWCO)
    assert trust("newco", forget=True) == Trusted("newco")
    with pytest.raises(UntrustedEndpointError):
        get_adapter("newco/m")


def test_a_variable_in_a_trusted_address_is_filled_in(fetched, monkeypatch):
    fetched(
        newco=NEWCO | {"api": "https://${NEWCO_ACCOUNT}.newco.test/v1"}, evil=NEWCO | {"api": "https://x/${A_TOKEN}"}
    )
    trust("newco")
    trust("evil")
    monkeypatch.setenv("NEWCO_ACCOUNT", "mine")
    assert get_adapter("newco/m").endpoint.base_url == "https://mine.newco.test/v1"
    for value in ("evil.test/x", "evil.test#", "a@evil.test", "x" * 129, "http://a", "a b"):
        monkeypatch.setenv("NEWCO_ACCOUNT", value)
        with pytest.raises(ConfigError, match="the value of NEWCO_ACCOUNT is not a host or name that fits"):
            get_adapter("newco/m")
    with pytest.raises(UntrustedEndpointError):  # a secret never is
        get_adapter("evil/m")


def test_a_moved_provider_that_is_trusted_keeps_its_old_host(fetched):
    fetched(openai=OPENAI | {"api": "https://eu.openai.test/v1"})
    assert trust("openai").hosts == ("eu.openai.test",)
    assert get_adapter("openai/m").endpoint.variables == ("OPENAI_API_KEY",)
    fetched(openai=OPENAI)
    assert get_adapter("openai/m").endpoint.base_url == "https://api.openai.com/v1"


def test_what_cannot_be_trusted(fetched):
    fetched(newco=NEWCO | {"api": "http://newco.test/v1"})
    for name in ("newco", "nobody"):
        with pytest.raises(ConfigError, match="whose address is one that a key may be sent to"):
            trust(name)
    assert not trust_file().exists()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"newco": []}', '{"newco": {"hosts": "api.newco.test", "variables": []}}']
)
def test_a_broken_file_is_named(fetched, text):
    fetched(newco=NEWCO)
    trust_file().write_text(text)
    with pytest.raises(ConfigError, match=r"trust\.json: .*; correct or delete it"):
        get_adapter("newco/m")


def test_a_file_that_others_can_write_does_not_count(fetched):
    fetched(newco=NEWCO)
    trust("newco")
    trust_file().chmod(0o666)
    with pytest.raises(ConfigError, match="others can write to it"):
        get_adapter("newco/m")


def test_what_the_user_registers_or_writes_down_is_trusted(fetched, unregistered, users_file):
    fetched(newco=NEWCO, openai=OPENAI)
    register_provider({"id": "lab", "models": {"m": {}}} | NEWCO)
    assert get_adapter("lab/m").endpoint.variables == ("NEWCO_API_KEY",)
    users_file('[providers.newco]\nbase_url = "https://api.newco.test/v1"\nenv = ["NEWCO_API_KEY"]\n')
    assert get_adapter("newco/m").endpoint.variables == ("NEWCO_API_KEY",)
    users_file('[providers.openai]\nbase_url = "https://proxy.example/v1"\nenv = ["MY_KEY"]\n')
    assert get_adapter("openai/m").endpoint.base_url == "https://proxy.example/v1"
    assert get_adapter("openai/m").endpoint.variables == ("MY_KEY",)


# ---- addresses


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://H.example:443/v1/", "h.example"),
        ("https://h.example:8443", "h.example:8443"),
        ("http://localhost:1234/v1", "http://localhost:1234"),
        ("http://[::1]:1234/v1", "http://[::1]:1234"),
        ("http://localhost.evil.test/v1", None),
        ("https://h.example/v1?x=1", None),
        ("https://h.example/v1#x", None),
        ("https://h.example\\v1", None),
        ("${WHOLE_URL}/v1", "${WHOLE_URL}"),
        ("${WHOLE_URL}.evil.test/v1", None),
        ("${WHOLE_URL}@evil.test/v1", None),
        ("https://b\u00fccher.example", "xn--bcher-kva.example"),
        ("x" * 70_000, None),
    ],
)
def test_hosts_are_compared_whole(address, host):
    assert find_host(address) == host


def test_what_is_filled_in_fits():
    neon = "${NEON_AI_GATEWAY_BASE_URL}/v1"
    whole = {"NEON_AI_GATEWAY_BASE_URL": "https://ep-1.neon.example:8443/gateway/"}
    assert fill(neon, "neon", whole) == "https://ep-1.neon.example:8443/gateway/v1"
    for value in (
        "http://neon.example",
        "https://a@neon.example",
        "neon.example?x=",
        "neon.example//x",
        "neon.example#",
    ):
        with pytest.raises(NbkitError, match="neon: the value of NEON_AI_GATEWAY_BASE_URL is not a host"):
            fill(neon, "neon", {"NEON_AI_GATEWAY_BASE_URL": value})
    with pytest.raises(ConfigError, match="X_TOKEN is a secret") as caught:
        fill("https://h.example/${X_TOKEN}", "p", {"X_TOKEN": CANARY})
    assert CANARY not in str(caught.value)


def test_the_bundled_catalog_is_trusted_without_a_file(proxy):
    assert not trust_file().exists()
    assert json.dumps(dict(os.environ)).count(CANARY) > 200
    for name in ("openai/gpt-6-luna", "anthropic/claude-sonnet-5-5", "openai/a-model-of-tomorrow"):
        assert get_adapter(name).endpoint.variables
    assert proxy == []
