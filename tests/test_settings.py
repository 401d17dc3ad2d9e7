import threading
from pathlib import Path

import pytest

from nbkit.errors import ConfigError
from nbkit.settings import Scoped, override, read_settings, renew, settings


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


def test_blocks_of_equal_settings_end_in_their_order():
    with override() as outer, override():
        with override(max_retries=9) as inner:
            assert settings() is inner
        assert settings() == outer


# ---- caches that follow the settings


def test_a_cache_is_made_anew_in_a_block_that_changes_its_settings_and_restored_after_it(tmp_path):
    cache = Scoped(list, "cache_dir", "offline")
    cache().append("outer")
    with override(cache_dir=tmp_path):
        assert cache() == []
        cache().append("inner")
        with override(max_retries=9):
            assert cache() == ["inner"]
        with override(offline=not settings().offline):
            assert cache() == []
        assert cache() == ["inner"]
    assert cache() == ["outer"]
    with override(cache_dir=tmp_path):
        assert cache() == []


def test_a_cache_is_shared_with_blocks_that_leave_its_settings_alone():
    cache = Scoped(list, "cache_dir")
    with override(demo_tokens_per_second=7, cache_dir=settings().cache_dir):
        cache().append("kept")  # first used inside, and still there after it
    assert cache() == ["kept"]


def test_a_cache_of_no_settings_is_made_anew_in_every_block():
    cache = Scoped(list)
    cache().append("outer")
    with override():
        assert cache() == []
    assert cache() == ["outer"]


def test_a_block_can_begin_with_a_copy():
    cache = Scoped(dict, copy=dict)
    cache()["outer"] = 1
    with override():
        cache()["inner"] = 2
        with override():
            assert cache() == {"outer": 1, "inner": 2}
            cache().clear()
        assert cache() == {"outer": 1, "inner": 2}
    assert cache() == {"outer": 1}


def test_a_block_that_fails_leaves_nothing_behind():
    cache, before = Scoped(list), settings()
    with pytest.raises(ZeroDivisionError), override(max_retries=9):
        cache().append(1 / 0)
    assert (cache(), settings()) == ([], before)


def test_threads_that_come_first_together_share_one_value():
    meeting = threading.Barrier(8)
    made = []

    def make():
        made.append(meeting.wait(60))  # every thread has found nothing by now
        return []

    cache = Scoped(make)
    threads = [threading.Thread(target=lambda number=number: cache().append(number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (sorted(cache()), len(made)) == (list(range(8)), 8)


def test_a_cache_names_settings_that_there_are():
    with pytest.raises(ValueError, match="unknown settings: cache_folder"):
        Scoped(list, "cache_folder", "offline")


# ---- variables that change


@pytest.fixture
def variables(monkeypatch):
    """The environment, to change: the settings are as before after the test."""
    yield monkeypatch
    monkeypatch.undo()
    renew()


def test_variables_are_read_again(variables):
    variables.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
    assert settings().http_timeout == 60
    renew()
    assert settings().http_timeout == 7.5
    variables.delenv("NBKIT_HTTP_TIMEOUT")
    renew()
    assert settings().http_timeout == 60


def test_a_wrong_variable_is_named_and_the_others_count(variables):
    variables.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
    variables.setenv("NBKIT_HTTP_DEADLINE", "soon")
    variables.setenv("NBKIT_MAX_CONNECTIONS", "0")
    with pytest.raises(ConfigError) as caught:
        renew()
    assert str(caught.value) == (
        "NBKIT_HTTP_DEADLINE: expected a number, got 'soon'; it stays 600.0. "
        "NBKIT_MAX_CONNECTIONS: expected 1 or more, got 0; it stays 1000"
    )
    assert (settings().http_timeout, settings().http_deadline, settings().max_connections) == (7.5, 600, 1000)


def test_a_block_stays_in_force_and_the_rest_of_its_settings_follow(variables):
    with override(http_timeout=3), override(retry_wait=0.25):
        variables.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
        variables.setenv("NBKIT_MAX_KEEPALIVE_CONNECTIONS", "9")
        renew()
        now = settings()
        assert (now.http_timeout, now.retry_wait, now.max_keepalive_connections) == (3, 0.25, 9)
    assert (settings().http_timeout, settings().max_keepalive_connections) == (7.5, 9)


def test_a_cache_follows_variables_that_it_depends_on(variables):
    follows, stays, own = Scoped(list, "http_timeout"), Scoped(list, "max_retries"), Scoped(list)
    for cache in (follows, stays, own):
        cache().append("kept")
    with override(http_timeout=3):
        follows().append("inner")
        variables.setenv("NBKIT_HTTP_TIMEOUT", "7.5")
        renew()
        assert follows() == ["inner"]
    assert (follows(), stays(), own()) == ([], ["kept"], ["kept"])


# ---- what a block is given


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ofline": True}, r"override\(\): unknown setting 'ofline'; did you mean offline\?"),
        ({"http_timeout": None}, "http_timeout: expected a number, got None"),
        ({"live": "yes"}, "live: expected 0 or 1, got 'yes'"),
        ({"http_engine": "aiohtp"}, r"NBKIT_HTTP_ENGINE: .* got 'aiohtp'; did you mean aiohttp\?"),
    ],
)
def test_a_wrong_setting_is_named_and_the_nearest(changes, problem):
    with pytest.raises(ConfigError, match=f"^{problem}$"), override(**changes):
        pass


def test_a_path_may_be_text():
    with override(cache_dir="~/nbkit-cache") as now:
        assert now.cache_dir == Path.home() / "nbkit-cache"
