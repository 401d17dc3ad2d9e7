"""Limits that a person sets: `nbkit.limit`, NBKIT_LIMITS, the overrides file, and what `%nbkit` says of them."""

from __future__ import annotations

import re
import time

import pytest
from scripted_provider import whole
from test_limits import find_host

from nbkit import errors
from nbkit.adapters.limits import change_limit, describe_lines, limit, list_lines, read_limits
from nbkit.http.throttle import Allowance
from nbkit.settings import override

LIMITED = whole({"error": {"message": "slow down"}}, 429)


@pytest.fixture(autouse=True)
def no_line_yet():
    with override():
        yield


def test_what_is_limited_is_listed_and_changed(provider):
    with override(limits="lab=300rpm; 127.0.0.1:1=7"):
        provider.says(whole(), LIMITED, whole(), whole())
        adapter = provider.adapter()
        adapter.execute("Hi")
        assert describe_lines()[0].endswith(": 300 requests a minute, 0 of 20 under way")
        adapter.execute("Hi")
        assert describe_lines()[0].endswith("a minute, 0 of 16 under way (learned from its 429s)")
        assert change_limit("lab", "20rpm,40000tpm,4") == "lab: 20 requests and 40,000 tokens a minute, 4 at once"
        adapter.execute("Hi")
        assert describe_lines() == [
            f"lab (127.0.0.1:{provider.http.server_port}): 20 requests and 40,000 tokens a minute, 4 at once, "
            "0 of 4 under way"
        ]
        list_lines()[0].pause("m1", time.monotonic(), 3600)
        assert re.search(r": 20 requests .* 0 of 4 under way, m1 paused for 3\d\d\d s$", change_limit())
        assert change_limit("lab", "off") == "lab: 300 requests a minute"
        assert change_limit("LAB", "5") == "LAB: 300 requests a minute, 5 at once"


def test_tokens_are_counted_by_what_a_call_has_used(provider):
    provider.says(whole(), whole())
    limit(find_host(provider), tokens=2000)
    adapter = provider.adapter()
    adapter.execute("Hi", max_tokens=100)
    (line,) = list_lines()
    assert line.enter("m1", time.monotonic(), 951) is None  # it has used 1,050
    assert line.enter("m1", time.monotonic(), 949)


def test_the_overrides_file_sets_limits(provider, tmp_path):
    path = tmp_path / "overrides.toml"
    path.write_text("[providers.lab]\nlimits = { requests = 30, at_once = 2 }\n")
    with override(overrides=path, limits="lab=4"):
        provider.says(whole())
        provider.adapter().execute("Hi")
        assert list_lines()[0].allowance == Allowance(30, None, 4)
    path.write_text("[providers.lab]\nlimits = { requests = 0 }\n")
    with override(overrides=path), pytest.raises(errors.ConfigError, match="limits of lab: requests: expected 1 or mo"):
        provider.adapter().execute("Hi")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("openai=20rpm", {"openai": Allowance(20)}),
        ("openai = 20 RPM, 40000tpm, 4;", {"openai": Allowance(20, 40_000, 4)}),
        ("a=1; localhost:11434=2", {"a": Allowance(at_once=1), "localhost:11434": Allowance(at_once=2)}),
    ],
)
def test_limits_are_read(text, expected):
    assert read_limits(text) == expected


@pytest.mark.parametrize("text", ["openai", "=4", "openai=", "openai=4x", "openai=-1", "openai=0", "openai=4;x"])
def test_wrong_limits_are_refused(text):
    with pytest.raises(errors.ConfigError, match="NBKIT_LIMITS: "):
        read_limits(text)


def test_a_misspelled_provider_is_refused():
    with pytest.raises(errors.ConfigError, match=r"limit\(\): no provider 'opnai'; did you mean openai"):
        limit("opnai", at_once=4)
    with pytest.raises(errors.ConfigError, match="at_once: expected 1 or more, got 0"):
        limit("openai", at_once=0)
