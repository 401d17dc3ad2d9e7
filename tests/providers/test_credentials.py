"""Keys, what stands in for them, and the variables of addresses."""

from __future__ import annotations

import sys

import pytest

from nbkit.errors import ApiKeyNotFoundError, ConfigError
from nbkit.http.exchange import Exchange, Request
from nbkit.http.google import google_auth
from nbkit.http.signing import aws_auth
from nbkit.modelsdev.records import Provider
from nbkit.providers.credentials import authorize, fill, has_key, key_variables, list_plurals
from nbkit.providers.tables import table
from nbkit.secret import Secret

VERTEX = "https://${GOOGLE_VERTEX_ENDPOINT}/v1/projects/${GOOGLE_VERTEX_PROJECT}/locations/${GOOGLE_VERTEX_LOCATION}"
BEDROCK = "https://bedrock-runtime.${AWS_REGION}.amazonaws.com"
KEY = Secret("key-of-this-test")


def provider(*env):
    return Provider("lab", "Lab", "npm", None, env, None)


AWS = provider("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_BEARER_TOKEN_BEDROCK")
GOOGLE = provider("GOOGLE_VERTEX_API_KEY", "GOOGLE_VERTEX_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in {*AWS.env, *GOOGLE.env, "AWS_DEFAULT_REGION", "AWS_PROFILE"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def added(auth):
    """The headers that credentials put on a request."""
    request = Request("POST", "https://h.example", Exchange.within(9))
    auth.authorize(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.mark.parametrize(
    ("scheme", "header"),
    [
        ("bearer", {"authorization": "Bearer key-of-this-test"}),
        ("none", {"authorization": "Bearer key-of-this-test"}),
        ("x-api-key", {"x-api-key": "key-of-this-test"}),
        ("aws", {"authorization": "Bearer key-of-this-test"}),
        ("aws:bedrock-mantle", {"authorization": "Bearer key-of-this-test"}),
        ("google", {"x-goog-api-key": "key-of-this-test"}),
    ],
)
def test_a_given_key_is_sent_as_its_scheme_requires(scheme, header):
    assert added(authorize("lab", (), scheme, KEY)) == header


def test_a_key_needs_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "google.auth", None)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key")
    monkeypatch.setenv("GOOGLE_VERTEX_API_KEY", "vertex-key")
    assert added(authorize("lab", key_variables(AWS.env), "aws", None)) == {"authorization": "Bearer bedrock-key"}
    assert added(authorize("lab", key_variables(GOOGLE.env), "google", None)) == {"x-goog-api-key": "vertex-key"}


def test_without_a_key_requests_are_signed_or_carry_a_token(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret, and no key for a header")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/a/file")
    assert authorize("lab", key_variables(AWS.env), "aws", None) is aws_auth("bedrock")
    assert authorize("lab", key_variables(AWS.env), "aws:bedrock-mantle", None) is aws_auth("bedrock-mantle")
    assert authorize("lab", key_variables(GOOGLE.env), "google", None) is google_auth()
    with pytest.raises(ApiKeyNotFoundError, match="set AWS_BEARER_TOKEN_BEDROCK, or pass api_key="):
        authorize("lab", key_variables(AWS.env), "bearer", None)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"])
def test_credentials_count_as_a_key(monkeypatch, name):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert not has_key(AWS)
    monkeypatch.setenv(name, "x")
    assert has_key(AWS)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
@pytest.mark.parametrize("prefix", ["GOOGLE_VERTEX", "GOOGLE_CLOUD"])
def test_vertex_is_served_where_its_location_says(location, host, prefix):
    filled = fill(VERTEX, "p", {f"{prefix}_LOCATION": location, f"{prefix}_PROJECT": "p1"})
    assert filled == f"https://{host}/v1/projects/p1/locations/{location}"


def test_a_variable_counts_more_than_the_one_that_stands_for_it():
    both = {"GOOGLE_VERTEX_LOCATION": "eu", "GOOGLE_CLOUD_LOCATION": "us", "GOOGLE_VERTEX_PROJECT": "p"}
    assert fill(VERTEX, "p", both) == "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"
    proxy = both | {"GOOGLE_VERTEX_ENDPOINT": "https://proxy.example/"}
    assert fill(VERTEX, "p", proxy) == "https://proxy.example/v1/projects/p/locations/eu"


def test_a_missing_variable_is_named_once():
    with pytest.raises(ConfigError, match=r": set GOOGLE_VERTEX_LOCATION and GOOGLE_VERTEX_PROJECT, or pass base_url="):
        fill(VERTEX, "p", {})


def test_the_region_comes_from_either_variable_or_from_the_configuration_file(monkeypatch, tmp_path):
    assert fill(BEDROCK, "p", {"AWS_DEFAULT_REGION": "eu-west-1"}) == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    with pytest.raises(ConfigError, match=r"p: its address is .*: set AWS_REGION, or pass base_url="):
        fill(BEDROCK, "p")
    (tmp_path / "config").write_text("[default]\nregion = sa-east-1\n")
    assert fill(BEDROCK, "p") == "https://bedrock-runtime.sa-east-1.amazonaws.com"
    with pytest.raises(ConfigError):
        fill(BEDROCK, "p", {})  # a given environment is complete
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert fill(BEDROCK, "p") == "https://bedrock-runtime.us-west-2.amazonaws.com"


@pytest.mark.parametrize(
    "environment",
    [
        {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"},
        {"AZURE_OPENAI_ENDPOINT": "me.openai.azure.com"},
        {"AZURE_RESOURCE_NAME": "me"},
        {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com", "AZURE_RESOURCE_NAME": "other"},
    ],
)
def test_azure_takes_the_variables_of_openais_own_package(environment):
    """S8. OPENAI_API_VERSION names a version of older paths; the v1 path takes none, so it is not sent."""
    row = table("provider_defaults")["azure"]
    assert fill(row["base_url"], "azure", environment) == "https://me.openai.azure.com/openai/v1"
    assert key_variables(row["env"]) == ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")


def test_the_rows_of_the_table_can_be_read():
    for row in table("variables").values():
        assert set(row) in ({"instead"}, {"of", "values", "otherwise"})


def test_several_keys_are_in_the_plural_of_the_variable(monkeypatch):
    monkeypatch.delenv("A_API_KEY", raising=False)
    assert not has_key(provider("A_API_KEY", "A_HOST"))
    monkeypatch.setenv("A_HOSTS", "no key")
    assert not has_key(provider("A_API_KEY", "A_HOST"))
    assert list_plurals(("A_API_KEY", "A_HOST", "AWS_SECRET_ACCESS_KEY")) == ("A_API_KEYS",)
    with pytest.raises(ApiKeyNotFoundError, match=r"set A_API_KEY, or pass api_key= \(A_API_KEYS for several keys"):
        authorize("lab", ("A_API_KEY",), "bearer", None)
    monkeypatch.setenv("A_API_KEYS", "key-one,key-two")
    assert has_key(provider("A_API_KEY", "A_HOST"))
    assert authorize("lab", ("A_API_KEY",), "bearer", None).secrets == ("key-one", "key-two")
    with pytest.raises(ConfigError, match="A_API_KEYS is a secret"):
        fill("https://${A_API_KEYS}.example", "p")
