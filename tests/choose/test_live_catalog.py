"""C1, C2, S4: the catalog says what a call would, of a catalog that was fetched after the release, and follows what the
user does: a key, the overrides file, trust, a provider or a server of this machine that was registered.
"""

from __future__ import annotations

import re
import warnings

import pytest

import nbkit
from nbkit import ModelFilter, get_adapter, trust
from nbkit.errors import ApiKeyNotFoundError, NbkitError, UntrustedEndpointError
from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.notebook.widgets.pick import _offer_all
from nbkit.providers.models import get_model
from nbkit.providers.registered import register_provider
from nbkit.settings import override

GROQ = {"npm": "@ai-sdk/groq", "env": ["GROQ_API_KEY"], "name": "Groq"}
COMPATIBLE = {"npm": "@ai-sdk/openai-compatible"}
PROVIDERS = {  # as models.dev might list them later, and the beginning of `why_not`
    "groq": (GROQ, ""),
    "newco": (
        {"npm": "@ai-sdk/openai-compatible", "api": "https://api.newco.test/v1", "env": ["NEWCO_API_KEY"]},
        "new",
    ),
    "xai": ({"npm": "@ai-sdk/openai-compatible", "api": "https://moved.test/v1", "env": ["XAI_API_KEY"]}, "moved to"),
    "mistral": ({"npm": "@ai-sdk/mistral", "env": ["OPENAI_API_KEY"]}, "wants OPENAI_API_KEY"),
    "lmstudio": (COMPATIBLE | {"api": "https://lm.test/v1", "env": ["LMSTUDIO_API_KEY"]}, "moved to"),
    "strange": ({"npm": "npm-of-tomorrow", "env": ["STRANGE_API_KEY"]}, "nbkit does not know the npm package"),
    "plain": (COMPATIBLE | {"api": "http://plain.test/v1", "env": ["PLAIN_API_KEY"]}, "new"),
}
MODELS = {"m": {"tool_call": True}, "elsewhere": {"provider": {"api": "https://other.test/v1"}}}


@pytest.fixture
def fetched(json_server, tmp_path, users_file):
    """A catalog of PROVIDERS that was fetched; `cached` as a later process finds it."""
    api = {name: {"id": name, "models": MODELS} | row for name, (row, _) in PROVIDERS.items()}
    server = json_server({"/api.json": api})
    with override(catalog_url=f"{server.url}/api.json", cache_dir=tmp_path / "cache", offline=False):
        yield nbkit.load_catalog(refresh=True, accept=True)


def open_by_call(model_id):
    try:
        get_adapter(model_id)
    except UntrustedEndpointError:
        return False
    except NbkitError as other:
        return isinstance(other, ApiKeyNotFoundError)
    return True


def assert_all_say_the_same():
    """The catalog, the table of providers and the supported models say what `get_adapter` does."""
    rows = nbkit.catalog
    assert nbkit.load_catalog()["callable"].tolist() == rows["callable"].tolist()
    can = {model_id: open_by_call(model_id) for model_id in rows.index}
    assert rows["callable"].to_dict() == can
    assert (rows["why_not"].isna() == rows["callable"]).all()
    table = nbkit.provider_table()
    for provider, row in table.iterrows():
        assert row["callable"] == sum(can[model_id] for model_id in rows.index[rows["provider"] == provider])
        assert bool(row["why_not"]) == (row["callable"] < row["models"])
    supported = [f"{model.provider_name}/{model.name}" for model in nbkit.AdapterFactory.get_supported_models()]
    assert {name for name in supported if not name.startswith("demo/")} == {name for name, yes in can.items() if yes}


def test_c1_nothing_says_yes_where_a_call_is_refused(fetched):
    assert fetched.attrs["source"] == "fetched"
    for provider, (_, why) in PROVIDERS.items():
        reason = fetched["why_not"].fillna("")[f"{provider}/m"]
        assert reason.startswith(why), provider
        assert not fetched.loc[f"{provider}/elsewhere", "callable"]
        if "since this release" in reason:
            with pytest.raises(UntrustedEndpointError):
                get_adapter(f"{provider}/m")
            assert f"nbkit.trust({provider!r})" in reason
    assert_all_say_the_same()


def test_c1_a_later_process_finds_the_same(fetched, tmp_path):
    with override(cache_dir=tmp_path / "cache", offline=True):
        assert nbkit.catalog.attrs["source"] == "cached"
        assert nbkit.catalog["why_not"].tolist() == fetched["why_not"].tolist()
        assert_all_say_the_same()


def test_c1_trust_counts_at_once(fetched):
    before = nbkit.catalog
    assert not before.loc["newco/m", "callable"]
    trust("newco")
    assert nbkit.catalog.loc["newco/m", "callable"]
    assert_all_say_the_same()
    trust("newco", forget=True)
    assert not nbkit.catalog.loc["newco/m", "callable"]


def test_c1_a_refresh_says_in_one_line_what_is_new(fetched, capsys):
    nbkit.load_catalog()
    assert capsys.readouterr().err.count("nbkit: ") <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nbkit.load_catalog(refresh=True, accept=True)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "since this release" in line]
    assert re.match(r"nbkit: providers since this release: 2 new and \d moved \(", line)
    assert "nbkit.trust(" in line


def test_c1_the_bundled_catalog_has_nothing_new(capsys):
    rows, snapshot = nbkit.catalog, read(BUNDLED)
    assert not rows["why_not"].str.contains("since this release").any()
    assert len(rows) == len(snapshot)
    assert capsys.readouterr().err == ""


def test_c1_a_broken_file_of_trust_is_named_and_stops_no_catalog(fetched, tmp_path):
    (tmp_path / "trust.json").write_text("{")
    rows = nbkit.catalog
    assert rows["why_not"].str.contains(r"trust\.json: ").any()


# ---- C2


@pytest.mark.parametrize(
    "look",
    [lambda: nbkit.catalog, lambda: nbkit.search("gpt oss", limit=None), lambda: nbkit.offers("openai/gpt-oss-120b")],
)
def test_c2_a_key_counts_as_soon_as_it_is_set(look, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    assert not look().loc["groq/openai/gpt-oss-120b", "has_key"]
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert look().loc["groq/openai/gpt-oss-120b", "has_key"]
    monkeypatch.setenv("GROQ_API_KEY", "")
    assert not look().loc["groq/openai/gpt-oss-120b", "has_key"]


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ('[models."groq/openai/*"]\nwhy_not = "closed today"', "callable", False),
        ('[models."groq/openai/*"]\nproperties = { is_nsfw = true }', "is_nsfw", True),
        ("[providers.groq]\nproperties = { gdpr_compliant = true, chinese = true }", "gdpr_compliant", True),
        ("[providers.groq]\nproperties = { gdpr_compliant = true, chinese = true }", "chinese", True),
        ('[vendors]\n"gpt-oss" = "me"', "vendor", "me"),
        ('[models."groq/openai/gpt-oss-120b"]\ncost = { input = 7 }', "input_cost", 7),
        ('[providers.groq]\nenv = ["MY_GROQ_KEY"]', "has_key", True),
    ],
)
def test_c2_the_overrides_file_counts_as_soon_as_it_is_written(users_file, monkeypatch, text, column, value):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    monkeypatch.setenv("MY_GROQ_KEY", "k")
    before = nbkit.catalog.loc["groq/openai/gpt-oss-120b", column]
    users_file(text)
    row = nbkit.catalog.loc["groq/openai/gpt-oss-120b"]
    assert row[column] == value
    assert str(before) != str(value)
    model = get_model("groq/openai/gpt-oss-120b")
    if column in ("gdpr_compliant", "chinese", "is_nsfw"):
        assert getattr(model.properties, column) == value


def test_c2_nothing_changed_is_the_same_object(monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    before = nbkit.catalog
    assert nbkit.catalog is before
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    assert nbkit.catalog is before


# ---- S4


def test_s4_registered_models_are_in_catalog_search_offers_and_picker(unregistered, row, seller):
    lab = seller(
        {"openai/gpt-oss-120b": row(canonical_model_id="openai/gpt-oss-120b", cost={"input": 0.001, "output": 0.001})},
        id="lab",
    )
    register_provider(lab, "http://127.0.0.1:1/v1")
    name = "lab/openai/gpt-oss-120b"
    assert nbkit.catalog.attrs["registered"] == {"lab": "registered"}
    assert nbkit.catalog.loc[name, ["provider", "vendor", "callable"]].tolist() == ["lab", "openai", True]
    assert nbkit.search("gpt-oss 120 on lab").index.tolist() == [name]
    assert nbkit.offers("openai/gpt-oss-120b").index[0] == name
    assert _offer_all().index[len(nbkit.demo_models())] == name
    assert [model.name for model in nbkit.AdapterFactory.get_supported_models(ModelFilter(provider="lab"))] == [
        "openai/gpt-oss-120b"
    ]
    assert "lab" in nbkit.provider_table().index
    assert nbkit.estimate(nbkit.catalog, input_tokens=5, output_tokens=5).index[0] == name


def test_s4_local_models_come_and_go_with_their_server(unregistered, json_server, monkeypatch):
    server = json_server({"/v1/models": {"data": [{"id": "qwen3-8b"}, {"id": "gemma-4b"}]}})
    others = dict.fromkeys(("ollama", "lmstudio", "llamacpp"), server.port + 1 if server.port < 65_000 else 1)
    assert set(nbkit.local_models(others | {"vllm": server.port}, seconds=30).index) == {
        "vllm/qwen3-8b",
        "vllm/gemma-4b",
    }
    assert set(nbkit.catalog.index[-2:]) == {"vllm/qwen3-8b", "vllm/gemma-4b"}
    assert nbkit.catalog.attrs["registered"] == {"vllm": "local"}
    server.answers["/v1/models"] = {"data": [{"id": "gemma-4b"}]}
    nbkit.local_models(others | {"vllm": server.port}, seconds=30)
    assert "vllm/qwen3-8b" not in nbkit.catalog.index
    assert "vllm/gemma-4b" in nbkit.search("gemma 4", limit=None).index


def test_s4_what_is_registered_does_not_change_what_a_name_means(unregistered, row, seller):
    before = get_adapter("claude-sonnet-5", api_key="k").endpoint
    register_provider(seller({"claude-sonnet-5": row(), "lab-only-7b": row()}, id="lab"), "http://127.0.0.1:1/v1")
    assert get_adapter("claude-sonnet-5", api_key="k").endpoint.base_url == before.base_url
    assert get_adapter("lab-only-7b").endpoint.base_url == "http://127.0.0.1:1/v1"
    assert get_adapter("lab/Lab-Only-7B").model_id == "lab/lab-only-7b"


def test_s4_a_registered_id_does_not_open_fetched_rows_of_its_provider(fetched, unregistered):
    """What the user registers is trusted; models.dev's further rows of that provider are not."""
    register_provider({"id": "newco", "env": ["NEWCO_API_KEY"], "models": {"mine": {}}} | PROVIDERS["newco"][0])
    assert open_by_call("newco/mine")
    with pytest.raises(UntrustedEndpointError):
        get_adapter("newco/m")
    assert_all_say_the_same()
