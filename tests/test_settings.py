import pytest

from nbkit.errors import ConfigError
from nbkit.settings import override, read_settings, settings


def test_variables_are_read(monkeypatch):
    monkeypatch.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
    monkeypatch.setenv("NBKIT_LIVE", "0")
    monkeypatch.setenv("NBKIT_BASE_URL_OVERRIDE", "")
    read = read_settings()
    assert (read.http_timeout, read.live, read.base_url_override) == (7.5, False, None)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("HTTP_TIMEOUT", "soon", "a number"),
        ("LIVE", "maybe", "0 or 1"),
        ("MAX_RETRIES", "2.5", "a whole number"),
        ("MAX_RETRIES", "-1", "0 or more"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, name, text, expected):
    monkeypatch.setenv(f"NBKIT_{name}", text)
    with pytest.raises(ConfigError, match=f"NBKIT_{name}: expected {expected}"):
        read_settings()


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
