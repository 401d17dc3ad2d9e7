"""`.env` files: which variables are taken, and which never."""

import os

import pytest

from nbkit.adapters.factory import get_adapter
from nbkit.choose.frame import catalog
from nbkit.errors import ApiKeyNotFoundError, ConfigError, NbkitError
from nbkit.http.exchange import Exchange, Request
from nbkit.providers.credentials import authorize, fill
from nbkit.providers.env_file import load_env
from nbkit.settings import override

NAMES = ("OPENAI_API_KEY", "GROQ_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_RESOURCE_NAME")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in (*NAMES, "AZURE_OPENAI_ENDPOINT", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with override():  # what is loaded is forgotten
        yield monkeypatch


@pytest.fixture
def env_file(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / ".env"
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return path

    return write


def key(provider, *variables):
    """The key that a call to the provider would carry."""
    request = Request("POST", "https://h.example", Exchange.within(9))
    authorize(provider, variables, "bearer", None).authorize(request)
    return request.headers["Authorization"].removeprefix("Bearer ")


def test_keys_are_taken_for_calls_and_the_environment_stays_as_it_is(env_file):
    path = env_file('# mine\nexport OPENAI_API_KEY="sk-1"\nGROQ_API_KEY=gsk # cheap\nEMPTY=\n')
    before = dict(os.environ)
    loaded = load_env(path)
    assert (loaded.taken, loaded.kept, loaded.ignored) == (("OPENAI_API_KEY", "GROQ_API_KEY"), (), ("EMPTY",))
    assert (key("openai", "OPENAI_API_KEY"), key("groq", "GROQ_API_KEY")) == ("sk-1", "gsk")
    assert dict(os.environ) == before
    assert "sk-1" not in f"{loaded!r} {loaded}"
    assert "took OPENAI_API_KEY, GROQ_API_KEY; ignored EMPTY" in str(loaded)


def test_what_is_set_stays_unless_it_is_overridden(env_file, environment):
    environment.setenv("OPENAI_API_KEY", "sk-mine")
    path = env_file("OPENAI_API_KEY=sk-file")
    assert load_env(path).kept == ("OPENAI_API_KEY",)
    assert key("openai", "OPENAI_API_KEY") == "sk-mine"
    assert load_env(path, override=True).taken == ("OPENAI_API_KEY",)
    assert key("openai", "OPENAI_API_KEY") == "sk-file"


def test_a_key_that_is_set_later_wins_over_the_files(env_file, environment):
    load_env(env_file("OPENAI_API_KEY=sk-file"))
    environment.setenv("OPENAI_API_KEY", "sk-later")
    assert key("openai", "OPENAI_API_KEY") == "sk-later"


@pytest.mark.parametrize(
    "name",
    ["OPENAI_BASE_URL", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE",
     "PATH", "PYTHONPATH", "LD_PRELOAD", "HOME", "NBKIT_BASE_URL_OVERRIDE", "NBKIT_CATALOG_URL", "NBKIT_OVERRIDES",
     "NBKIT_CACHE_DIR", "NO_SUCH_API_KEY", "OLLAMA_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_SECRET_ACCESS_KEY"],
)  # fmt: skip
def test_what_decides_where_requests_go_is_never_taken(env_file, name):
    before = os.environ.get(name)
    loaded = load_env(env_file(f"{name}=https://evil.test/v1"), override=True)
    assert (loaded.taken, loaded.ignored) == ((), (name,))
    assert os.environ.get(name) == before


def test_a_host_is_taken_with_the_key_of_the_same_file_only(env_file, environment):
    both = "AZURE_OPENAI_ENDPOINT=https://mine.openai.azure.com/\nAZURE_OPENAI_API_KEY=k"
    environment.setenv("AZURE_API_KEY", "set elsewhere")
    assert load_env(env_file(both)).ignored == ("AZURE_OPENAI_ENDPOINT",)
    assert load_env(env_file("AZURE_RESOURCE_NAME=evil")).ignored == ("AZURE_RESOURCE_NAME",)
    environment.delenv("AZURE_API_KEY")
    assert load_env(env_file(both)).ignored == ()
    assert get_adapter("azure/gpt-6-luna").endpoint.base_url == "https://mine.openai.azure.com/openai/v1"


def test_a_value_does_not_pick_up_other_variables(env_file, environment):
    environment.setenv("GROQ_API_KEY", "secret")
    load_env(env_file("OPENAI_API_KEY=x-${GROQ_API_KEY}"))
    assert key("openai", "OPENAI_API_KEY") == "x-${GROQ_API_KEY}"


def test_accounts_are_filled_into_addresses(env_file):
    load_env(env_file("CLOUDFLARE_ACCOUNT_ID=abc\nCLOUDFLARE_API_KEY=k"))
    assert fill("https://h.example/${CLOUDFLARE_ACCOUNT_ID}/v1", "cloudflare-workers-ai") == "https://h.example/abc/v1"


def test_what_was_loaded_is_forgotten_with_the_settings_block(env_file):
    with override():
        load_env(env_file("OPENAI_API_KEY=sk-1"))
    with pytest.raises(ApiKeyNotFoundError):
        key("openai", "OPENAI_API_KEY")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_can_write_is_refused(env_file, mode):
    with pytest.raises(ConfigError, match=r"load_env: .*\.env: others can write to it"):
        load_env(env_file("OPENAI_API_KEY=sk-1", mode))


def test_what_is_not_a_file_of_text_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    for path, problem in [
        ("nowhere/.env", "no such file: .*nowhere"),
        (tmp_path, "Is a directory|Permission denied"),
        (tmp_path / "binary", "can't decode"),
        (tmp_path / "large", "larger than 1 MB"),
        (None, "expected the path of a .env file, got None"),
        (b"x", "expected the path of a .env file, got bytes"),
    ]:
        with pytest.raises(NbkitError, match=problem) as caught:
            load_env(path)
        assert caught.value.__context__ is None


def test_the_catalog_sees_loaded_keys(env_file):
    assert not catalog().loc["openai/gpt-6-luna"].has_key
    load_env(env_file("OPENAI_API_KEY=sk-1"))
    assert catalog().loc["openai/gpt-6-luna"].has_key


def test_several_keys_are_taken(env_file, environment):
    both = "AZURE_OPENAI_ENDPOINT=https://mine.openai.azure.com/\nAZURE_API_KEYS=k1,k2"
    assert load_env(env_file(f"{both}\nNO_SUCH_API_KEYS=k")).ignored == ("NO_SUCH_API_KEYS",)
    assert key("azure", "AZURE_API_KEY") == "k1"
    environment.setenv("AZURE_API_KEYS", "set,elsewhere")
    assert load_env(env_file(both)).ignored == ("AZURE_OPENAI_ENDPOINT",)
