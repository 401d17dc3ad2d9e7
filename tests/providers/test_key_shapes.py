"""Keys in texts: which are seen, and what only looks like one."""

import random
import string

import pytest

from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.providers.key_shapes import find_keys, hide_shapes, is_random, mask_keys
from nbkit.providers.tables import table

SHAPES = dict(table("key_shapes"))
LETTERS = string.ascii_letters + string.digits
HEX = "9f3b61c07de24a58b1c6e0d2a7f4853c"
WRITTEN = (
    'get_adapter("openai/gpt-6-luna", api_key="{}")',
    "get_adapter(m, api_key='{}')",
    "os.environ['MISTRAL_API_KEY'] = '{}'",
    'os.environ["X_TOKEN"]="{}"',
    'os.environ.setdefault("ABLIT_KEY", "{}")',
    "%env MISTRAL_API_KEY={}",
    "%env MISTRAL_API_KEY {}",
    "%set_env LAB_KEY = {}",
    "!export TOGETHER_API_KEY={} && python x.py",
    "%llm --api-key {} what is this",
    'headers = {{"x-api-key": "{}"}}',
    'headers = {{"Authorization": "Bearer {}"}}',
    '!curl -H "Authorization: Bearer {}" https://api.test',
    "AWS_SECRET_ACCESS_KEY={}",
    "aws_secret_access_key = {}",
    "API_TOKEN: {}",
    "getpass_password = '{}'",
)


def make(prefix, size, letters=LETTERS, seed=1):
    """A key as a provider makes it."""
    return prefix + "".join(random.Random(seed).choices(letters, k=size))  # noqa: S311


@pytest.mark.parametrize(
    "cell", ["use {} please", "client('{}')", "f({},1)", "%%chat demo/swift\n{}", "https://x.test/?key={}&a=1"]
)
def test_a_key_of_a_known_shape_is_seen_anywhere(cell):
    for prefix, row in SHAPES.items():
        letters = string.ascii_uppercase + string.digits if prefix in ("AKIA", "ASIA") else LETTERS
        key = make(prefix, row["least"] + 2, letters)
        (match,) = find_keys(cell.format(key))
        assert (match.prefix, match.provider) == (prefix, row["provider"])
        assert mask_keys(cell.format(key), [match]) == cell.format(f"{prefix}...")


def test_in_a_log_whatever_begins_as_a_key_is_hidden():
    for prefix in SHAPES:
        assert hide_shapes(f"use {prefix}counted-1234567890, please") == "use [key], please"
        for word in (f"{prefix}words-without-numbers", f"x{prefix}counted-1234567890"):
            assert hide_shapes(word) == word


def test_every_shape_names_a_provider_of_the_catalog():
    known = {provider.id for provider in read(BUNDLED).distinct("provider")}
    assert {row["provider"] for row in SHAPES.values()} - known == {""}


@pytest.mark.parametrize("cell", WRITTEN)
def test_a_key_of_no_known_shape_is_seen_by_the_name_that_it_gets(cell):
    for key in (HEX, make("", 32), make("", 40), "8d1f0b7e-44c2-49a1-9e3d-7b0c5f2a61d8"):
        assert mask_keys(cell.format(key), find_keys(cell.format(key))) == cell.format("...")


def test_hardly_a_key_is_missed():
    assert all(is_random(make("", size, LETTERS, seed)) for seed in range(1000) for size in (20, 32, 64))
    assert all(is_random(make("", 32, "0123456789abcdef", seed)) for seed in range(1000))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "...",
        "sk-...",
        "sk-…",
        "YOUR_KEY",
        "sk-YOUR-API-KEY-GOES-HERE",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1",
        "<your key here>",
        "your-api-key-goes-here-2026",
        "sk-proj-XXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "sk-1234567890abcdef1234567890abcdef",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "sk-learn-estimators-and-pipelines",
        "risk-4567890123456789012345",
        "sk-ant-api03-abc123def456ghi789jkl012",
        "claude-sonnet-5-5-20261022-thinking",
        "gpt-4-turbo-2024-04-09-preview",
        "text-embedding-ada-002-and-more",
        "00000000000000000000000000000000",
        "{os.environ['OPENAI_API_KEY']}",
        "settings.openai_api_key_of_team_24",
        "readTheKeyFromTheEnvironment2",
        "/home/me/keys/openai20261022key.txt",
        "AIzaSyD-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIAIOSFODNNEXAMPLE",
        "{{key}}",
        "getpass.getpass('the key of OpenAI, 32 characters')",
    ],
)
def test_placeholders_words_and_names_pass(value):
    assert [cell for cell in WRITTEN if find_keys(cell.format(value))] == []


@pytest.mark.parametrize(
    "cell",
    [
        "sha = '3f786850e387550fdab836ed7e6dc881de23001b'",
        "digest == 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'",
        "catalog.loc['anthropic/claude-sonnet-5-5']",
        "completion = adapter.execute('Hello', max_tokens=200)",
        "nbkit.replay('demo.replay.jsonl')",
        "from transformers import AutoTokenizer; tokenizer = AutoTokenizer.from_pretrained('meta-llama/Llama-3.2-1B')",
        "data:image/png;base64," + make("", 3000),
        "tokens = 123456789012345678901234567890",
        'url = "/oauth1/server/request_token", OAuth1ServerRequestTokenHandler',
        "token=handle, dwLogonFlags=win32.LOGON_WITH_PROFILE",
    ],
)
def test_what_is_random_without_being_called_a_key_passes(cell):
    assert find_keys(cell) == []


def test_a_key_that_is_known_is_seen_whatever_its_shape():
    text = "first lab-key-of-ours, then lab-key-of-ours"
    matches = find_keys(text, ["lab-key-of-ours"])
    assert mask_keys(text, matches) == "first ..., then ..."


def test_a_key_is_seen_once_and_every_one_of_several():
    one, two = make("sk-proj-", 48), make("gsk_", 52)
    text = f'os.environ["OPENAI_API_KEY"] = "{one}"; groq(api_key="{two}")'
    assert [match.provider for match in find_keys(text, [one])] == ["openai", "groq"]
    assert mask_keys(text, find_keys(text)) == 'os.environ["OPENAI_API_KEY"] = "sk-proj-..."; groq(api_key="gsk_...")'


def test_a_large_cell_is_looked_through():
    text = "api_key=" * 50_000 + make("", 500_000) + "\n" + "token " * 50_000
    assert len(find_keys(text)) <= 1
