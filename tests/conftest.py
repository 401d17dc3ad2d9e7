"""Test mode: no models.dev, no waiting, and nothing of the user's machine is read or written."""

import pytest

from nbkit.settings import override


@pytest.fixture(autouse=True, scope="session")
def test_mode(tmp_path_factory):
    with override(
        offline=True,
        cache_dir=tmp_path_factory.mktemp("cache"),
        retry_wait=0,
        demo_tokens_per_second=0,
        live=False,
        overrides=tmp_path_factory.mktemp("config") / "none.toml",
    ):
        yield
