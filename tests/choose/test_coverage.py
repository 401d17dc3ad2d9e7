"""The table of all providers."""

from pathlib import Path

import pytest

import nbkit
from nbkit.choose.coverage import group_routes, list_reach
from nbkit.modelsdev.snapshot import BUNDLED, read

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def snapshot():
    return read(BUNDLED)


def test_every_provider_has_a_row(snapshot):
    rows = list_reach(snapshot)
    assert [row.provider.id for row in rows] == sorted({model_id.partition("/")[0] for model_id in snapshot.ids})
    assert (len(rows), sum(row.models for row in rows)) == (225, 8337)
    for row in rows:
        assert row.callable or row.why_not
        assert bool(row.callable) == bool(row.protocols) == bool(row.hosts)
        assert row.callable == row.models or row.why_not
        assert not row.callable or row.variables or set(row.auths) & {"none", "aws", "google"}, row


def test_99_percent_of_the_models_resolve(snapshot):
    pairs = [pair for _, routes in group_routes(snapshot) for pair in routes]
    cannot = [(record.id, route.why_not) for record, route in pairs if route.why_not]
    assert len(cannot) <= 0.01 * len(snapshot)
    assert {model_id.partition("/")[0] for model_id, _ in cannot} == {"gitlab", "sap-ai-core", "watsonx"}
    assert all(len(why) > 40 for _, why in cannot)


def test_no_address_holds_a_key(snapshot):
    for row in list_reach(snapshot):
        assert not set(row.needs) & set(row.variables)


def test_credentials_in_words(snapshot):
    words = {row.provider.id: row.credentials for row in list_reach(snapshot)}
    assert words["openai"] == "OPENAI_API_KEY"
    assert words["azure"] == "AZURE_API_KEY or AZURE_OPENAI_API_KEY, and AZURE_RESOURCE_NAME"
    assert words["lmstudio"] == "none"
    assert words["amazon-bedrock"] == "AWS_BEARER_TOKEN_BEDROCK or AWS's own chain of credentials, and AWS_REGION"


def test_the_public_table():
    table = nbkit.provider_table()
    assert table.index.name == "provider"
    assert list(table.columns) == ["name", "protocols", "hosts", "credentials", "models", "callable", "why_not", "doc"]
    assert table.loc["groq"].tolist()[:-1] == ["Groq", "openai-chat", "api.groq.com", "GROQ_API_KEY", 16, 16, ""]
    assert table.loc["groq", "doc"].startswith("https://")
    assert table.loc["gitlab", "callable"] == 0
    assert "GitLab Duo" in table.loc["gitlab", "why_not"]
