import pytest

from nbkit.errors import ConfigError
from nbkit.settings import Settings, override, settings


def test_variables_are_read(monkeypatch):
    monkeypatch.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
    monkeypatch.setenv("NBKIT_LIVE", "0")
    monkeypatch.setenv("NBKIT_BASE_URL_OVERRIDE", "")
    read = Settings()
    assert (read.http_timeout, read.live, read.base_url_override) == (7.5, False, None)


def test_a_wrong_value_names_its_variable():
    with pytest.raises(ConfigError, match="NBKIT_MAX_CONNECTIONS"), override(max_connections=0):
        pass


def test_overrides_nest_and_end():
    before = settings()
    with override(max_retries=7) as outer:
        assert settings() is outer
        with override(retry_wait=0.25):
            assert (settings().max_retries, settings().retry_wait) == (7, 0.25)
        assert settings() is outer
    assert settings() is before
