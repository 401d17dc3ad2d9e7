"""A catalog that is in force while another one is fetched, and one catalog for each set of settings."""

import asyncio
import json
import threading

import pytest

import nbkit
from nbkit.modelsdev.records import CatalogWarning
from nbkit.settings import override, settings


def api(model):
    return json.dumps({"acme": {"npm": "@ai-sdk/openai-compatible", "models": {model: {"name": "M"}}}}).encode()


@pytest.fixture
def models_dev(json_server, tmp_path):
    """`answers`: what models.dev answers, once `gate` is open; `request_seen`: it has a request."""
    server = json_server({})
    server.gate, server.request_seen = threading.Event(), threading.Event()
    server.gate.set()

    class Gated(dict):
        def get(self, path, default):
            server.request_seen.set()
            server.gate.wait(30)
            return super().get(path, default)

    server.answers = Gated({"/api.json": api("old")})
    with override(catalog_url=f"{server.url}/api.json", cache_dir=tmp_path, offline=False):
        nbkit.load_catalog(refresh=True, accept=True)
        yield server


def test_callers_without_refresh_get_the_catalog_in_force_while_another_one_is_fetched(models_dev):
    before = nbkit.catalog
    models_dev.answers["/api.json"] = api("new")
    models_dev.gate.clear()
    models_dev.request_seen.clear()

    async def main():
        refreshing = asyncio.create_task(nbkit.aload_catalog(refresh=True))
        await asyncio.to_thread(models_dev.request_seen.wait, 30)
        for _ in range(20):  # the event loop goes on, too
            await asyncio.sleep(0)
            assert nbkit.catalog is before
        assert not refreshing.done()
        models_dev.gate.set()
        return await refreshing

    frame = asyncio.run(main())
    assert list(frame.index) == ["acme/new"]
    assert {name: frame.attrs[name] for name in ("source", "age_days", "rows", "reason")} == {
        "source": "fetched",
        "age_days": 0,
        "rows": 1,
        "reason": None,
    }
    assert list(nbkit.catalog.index) == ["acme/new"]


def test_a_failed_refresh_never_takes_the_catalog_away(models_dev, tmp_path):
    kept = nbkit.load_catalog(refresh=True, accept=True)
    (tmp_path / "models.dev.snapshot").unlink()  # all that is left on disk is the bundled one, which is older
    models_dev.answers["/api.json"] = (500, {})
    with pytest.warns(CatalogWarning, match="HTTP 500"):
        again = nbkit.load_catalog(refresh=True)
    assert (list(again.index), again.attrs["date"]) == (list(kept.index), kept.attrs["date"])


# ---- settings.override


@pytest.mark.parametrize(
    "changes", [{"demo_tokens_per_second": 7}, {"http_timeout": 7, "max_retries": 0}, {"catalog_ttl": 7}, {}]
)
def test_a_block_that_does_not_change_where_the_catalog_is_from_has_the_same_catalog(changes):
    before = nbkit.catalog
    with override(**changes):
        assert nbkit.catalog is before
    assert nbkit.catalog is before


@pytest.mark.parametrize("changed", ["cache_dir", "catalog_url", "offline", "overrides"])
def test_a_block_that_changes_where_the_catalog_is_from_has_its_own(models_dev, tmp_path, changed):
    before = nbkit.catalog
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "models.dev.snapshot").write_bytes((tmp_path / "models.dev.snapshot").read_bytes())
    values = {
        "cache_dir": other,
        "catalog_url": f"{models_dev.url}/other.json",
        "offline": not settings().offline,
        "overrides": tmp_path / "overrides.toml",
    }
    (tmp_path / "overrides.toml").write_text('[vendors]\n"old" = "me"\n')
    with override(**{changed: values[changed]}):
        inside = nbkit.catalog
        assert inside is not before
        assert nbkit.catalog is inside
    assert nbkit.catalog is before
    assert before.vendor.tolist() == ["unknown"]
    if changed == "overrides":
        assert inside.vendor.tolist() == ["me"]


def test_a_provider_that_is_registered_in_a_block_vanishes_with_it_and_earlier_ones_stay(unregistered):
    provider = {"npm": "@ai-sdk/openai-compatible", "models": {"m": {}}}
    nbkit.AdapterFactory.register_provider({"id": "mine", **provider}, "http://127.0.0.1:1/v1")
    with override(demo_tokens_per_second=7):
        nbkit.AdapterFactory.register_provider({"id": "inner", **provider}, "http://127.0.0.1:1/v1")
        assert [nbkit.get_adapter(f"{name}/m").model_id for name in ("mine", "inner")] == ["mine/m", "inner/m"]
    assert nbkit.get_adapter("mine/m").model_id == "mine/m"
    with pytest.raises(nbkit.errors.ModelNotFoundError):
        nbkit.get_adapter("inner/m")
