"""The route to each model: protocol, address, and how the key is sent."""

import pytest

from nbkit.modelsdev.records import Provider
from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.protocols import PROTOCOLS
from nbkit.providers.endpoints import resolve_endpoint
from nbkit.providers.resolve import resolve_model
from nbkit.providers.routes import find_route
from nbkit.providers.tables import npm_package

VERTEX = "https://${GOOGLE_VERTEX_ENDPOINT}/v1/projects/${GOOGLE_VERTEX_PROJECT}/locations/${GOOGLE_VERTEX_LOCATION}"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
BEDROCK = "https://bedrock-runtime.${AWS_REGION}.amazonaws.com"
MANTLE = "https://bedrock-mantle.${AWS_REGION}.api.aws/openai/v1"
CLOUDFLARE = "https://api.cloudflare.com/client/v4/accounts/${CLOUDFLARE_ACCOUNT_ID}/ai/v1"
AZURE = "https://${AZURE_RESOURCE_NAME}"
AZURE_OPENAI = "https://${AZURE_OPENAI_ENDPOINT}/openai/v1"


def route_to(name):
    resolved = resolve_model(name)
    return find_route(resolved.provider, resolved.model, resolved.record)


@pytest.mark.parametrize(
    ("name", "protocol", "address", "auth"),
    [
        ("openai/gpt-6-luna", "openai-responses", "https://api.openai.com/v1", "bearer"),
        ("openai/model-of-tomorrow", "openai-responses", "https://api.openai.com/v1", "bearer"),
        ("google/gemini-3.8-flash", "gemini-generate", GOOGLE, "x-goog-api-key"),
        ("groq/openai/gpt-oss-120b", "openai-chat", "https://api.groq.com/openai/v1", "bearer"),
        ("lmstudio/model-of-tomorrow", "openai-chat", "http://127.0.0.1:1234/v1", "none"),
        ("amazon-bedrock/amazon.nova-lite-v1:0", "bedrock-converse", BEDROCK, "aws"),
        ("amazon-bedrock/openai.gpt-6-luna", "openai-responses", MANTLE, "aws:bedrock-mantle"),
        # one provider, several routes: each with the scheme that its address understands
        ("azure/gpt-6.1-sol", "openai-responses", AZURE_OPENAI, "api-key"),
        ("azure/grok-4.6", "openai-chat", AZURE_OPENAI, "api-key"),
        ("azure/claude-opus-5-5", "anthropic-messages", f"{AZURE}.services.ai.azure.com/anthropic/v1", "x-api-key"),
        ("azure/kimi-k2.6", "openai-chat", f"{AZURE}.services.ai.azure.com/models", "bearer"),
        ("google-vertex/gemini-3.8-flash", "gemini-generate", f"{VERTEX}/publishers/google", "google"),
        ("google-vertex/openai/gpt-oss-120b-maas", "openai-chat", f"{VERTEX}/endpoints/openapi", "google"),
        ("cloudflare-ai-gateway/openai/gpt-6-luna", "openai-responses", CLOUDFLARE, "bearer"),
        ("cloudflare-ai-gateway/anthropic/claude-opus-5", "anthropic-messages", CLOUDFLARE, "bearer"),
        ("cloudflare-ai-gateway/xai/grok-4.7", "openai-chat", CLOUDFLARE, "bearer"),
        # nbkit's table knows better than models.dev's `api`, a model's own `api` better than the table
        ("merge-gateway/openai/gpt-5.5", "openai-chat", "https://api-gateway.merge.dev/v1/openai", "bearer"),
        ("cohere/north-mini-code-1-0", "openai-chat", "https://api.cohere.ai/compatibility/v1", "bearer"),
        ("xai/grok-4.7", "openai-chat", "https://api.x.ai/v1", "bearer"),
        ("xai/grok-4.20-multi-agent-0309", "openai-responses", "https://api.x.ai/v1", "bearer"),
    ],
)  # fmt: skip
def test_routes(name, protocol, address, auth):
    route = route_to(name)
    assert (route.protocol, route.address, route.auth, route.why_not) == (protocol, address, auth, "")


def test_what_requests_carry_besides():
    assert route_to("cloudflare-ai-gateway/xai/grok-4.7").headers == {"cf-aig-gateway-id": "${CLOUDFLARE_GATEWAY_ID}"}
    assert route_to("perplexity/sonar-pro").body == {"model": "perplexity/sonar", "preset": "fast"}
    assert route_to("github-copilot/gpt-5.4").variables == ("COPILOT_GITHUB_TOKEN",)  # models.dev: GITHUB_TOKEN


@pytest.mark.parametrize(
    ("npm", "api", "reason"),
    [
        ("gitlab-ai-provider", None, "GitLab Duo exchanges"),
        ("npm-of-tomorrow", "https://x.example", "nbkit does not know the npm package 'npm-of-tomorrow'"),
        ("@ai-sdk/openai-compatible", None, "nbkit does not know its address"),
    ],
)
def test_why_not(npm, api, reason):
    assert reason in find_route(Provider("lab", "Lab", npm, api, (), None), "m", None).why_not


def test_with_an_address_of_ones_own_nothing_else_has_to_be_known():
    strange = Provider("lab", "Lab", "npm-of-tomorrow", None, ("LAB_API_KEY",), None)
    route = find_route(strange, "m", None, addressed=True)
    assert (route.protocol, route.address, route.why_not) == ("openai-chat", None, "")
    assert route.variables == ("LAB_API_KEY",)
    assert (
        find_route(
            Provider("gitlab", "GitLab", "gitlab-ai-provider", None, (), None), "m", None, addressed=True
        ).why_not
        == ""
    )
    endpoint = resolve_endpoint(strange, "m", None, address=lambda: "http://127.0.0.1:1/v1")
    assert (endpoint.protocol, endpoint.base_url) == ("openai-chat", "http://127.0.0.1:1/v1")


def test_every_npm_package_of_models_dev_is_known():
    """A new one in the bundled models fails here: it needs a row in npm_packages.toml."""
    snapshot = read(BUNDLED)
    packages = {record.npm for record in map(snapshot.record, snapshot.ids)}
    assert len(packages) == 29
    assert not {npm for npm in packages if not npm_package(npm)}


def test_adapters_take_the_same_route(monkeypatch):
    """With its variables set, every model that has a route resolves, to the same protocol and host."""
    for name in ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_GATEWAY_ID", "INFOMANIAK_PRODUCT_ID", "GOOGLE_VERTEX_PROJECT"):
        monkeypatch.setenv(name, "a-project")
    for name in ("AZURE_RESOURCE_NAME", "AZURE_COGNITIVE_SERVICES_RESOURCE_NAME", "SNOWFLAKE_ACCOUNT", "AWS_REGION"):
        monkeypatch.setenv(name, "a-name")
    monkeypatch.setenv("DATABRICKS_HOST", "db.example")
    monkeypatch.setenv("NEON_AI_GATEWAY_BASE_URL", "https://neon.example")
    monkeypatch.setenv("GOOGLE_VERTEX_LOCATION", "global")
    snapshot, resolved = read(BUNDLED), 0
    for record in map(snapshot.record, snapshot.ids):
        route = find_route(record.provider, record.model, record)
        if not route.why_not:
            endpoint = resolve_endpoint(record.provider, record.model, record)
            assert (endpoint.protocol, endpoint.auth) == (route.protocol, route.auth)
            assert endpoint.base_url == route.address.rstrip("/") or "${" in route.address, record.id
            resolved += 1
    assert resolved >= 0.99 * 8337
    assert {route_to(name).protocol for name in ("openai/gpt-6-luna", "cohere/command-a-03-2025")} <= set(PROTOCOLS)
