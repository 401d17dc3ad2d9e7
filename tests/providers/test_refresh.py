"""A catalog that is in force while another one is fetched."""

import asyncio
import json
import threading
import time

import pytest

import nbkit
from nbkit.modelsdev import current
from nbkit.modelsdev.records import CatalogWarning
from nbkit.settings import override


@pytest.fixture
def models_dev(json_server, tmp_path, monkeypatch):
    """`answers`: what models.dev says; `gate`: it waits for it to be open."""
    monkeypatch.setattr(current, "_snapshots", [])
    server = json_server({})
    server.gate = threading.Event()
    server.gate.set()
    body = json.dumps({"acme": {"npm": "@ai-sdk/openai-compatible", "models": {"m": {"name": "M"}}}}).encode()

    class Late(dict):
        def get(self, path, default):
            server.gate.wait(5)
            return super().get(path, default)

    server.answers = Late({"/api.json": body})
    with override(catalog_url=f"{server.url}/api.json", cache_dir=tmp_path, offline=False):
        yield server


def test_who_does_not_refresh_does_not_wait(models_dev):
    with override(offline=True):
        before = nbkit.catalog
    models_dev.gate.clear()

    async def main():
        refreshing = asyncio.create_task(nbkit.aload_catalog(refresh=True, accept=True))
        pauses = []
        for _ in range(20):
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            assert nbkit.catalog is before
            pauses.append(time.monotonic() - begun)
        assert not refreshing.done()
        models_dev.gate.set()
        return await refreshing, max(pauses)

    frame, longest = asyncio.run(main())
    assert longest < 0.5
    assert list(frame.index) == ["acme/m"]
    assert {name: frame.attrs[name] for name in ("source", "age_days", "rows", "reason")} == {
        "source": "fetched",
        "age_days": 0,
        "rows": 1,
        "reason": None,
    }
    assert list(nbkit.catalog.index) == ["acme/m"]


def test_a_failed_refresh_never_takes_the_catalog_away(models_dev, tmp_path):
    kept = nbkit.load_catalog(refresh=True, accept=True)
    (tmp_path / "models.dev.gz").unlink()  # all that is left on disk is the bundled one, which is older
    models_dev.answers["/api.json"] = (500, {})
    with pytest.warns(CatalogWarning, match="HTTP 500"):
        again = nbkit.load_catalog(refresh=True)
    assert (list(again.index), again.attrs["date"]) == (list(kept.index), kept.attrs["date"])
