from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from nbkit.http.retry import RetryBudget, compute_backoff, compute_wait, is_retryable, read_retry_after

NOW = 1_445_412_470.0  # Wed, 21 Oct 2015 07:27:50 GMT


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529, 599])
def test_passing_failures_are_retried(status):
    assert is_retryable(status, {})


@pytest.mark.parametrize("status", [200, 206, 301, 307, 400, 401, 402, 403, 404, 413, 422, 451, 499])
def test_others_are_not(status):
    assert not is_retryable(status, {})


@pytest.mark.parametrize(
    ("status", "hint", "code", "expected"),
    [
        (400, "true", None, True),
        (503, "false", None, False),
        (429, " FALSE ", None, False),
        (429, "maybe", None, True),
        (400, "", None, False),
        (200, "true", None, False),  # a response that arrived was paid, however broken
        (429, "", "insufficient_quota", False),
        (429, "true", "Insufficient_Quota", False),
        (429, "", "rate_limit_exceeded", True),
        (529, "", "overloaded_error", True),
    ],
)
def test_the_hint_of_the_provider_and_its_code(status, hint, code, expected):
    assert is_retryable(status, {"x-should-retry": hint}, code) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 09:28:00 +0200"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, None),
        # this machine's clock is years behind, or ahead, of the server's
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:57 GMT"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2009 07:28:00 GMT", "date": "Wed, 21 Oct 2009 07:27:57 GMT"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "yesterday"}, 10.0),
        ({"retry-after": "4", "date": "Wed, 21 Oct 2026 07:27:57 GMT"}, 4.0),
        *(
            ({"retry-after": odd}, None)
            for odd in ("nan", "inf", "-inf", "-5", "", "soon", "1, 2", "1e999", "Wed, 21 Oct 99999 07:28:00 GMT")
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +999999999"}, None),
    ],
)
def test_retry_after(headers, expected):
    assert read_retry_after(headers, NOW) == expected


def test_backoff_doubles_up_to_eight_seconds_less_up_to_a_quarter():
    assert [compute_backoff(attempt, 0.5, 0.0) for attempt in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert compute_backoff(1, 0.5, 1.0) == 0.75
    assert compute_backoff(10_000, 0.5, 0.0) == 8
    assert compute_backoff(3, 0.0, 0.5) == 0


@pytest.mark.parametrize(
    ("requested", "remaining", "expected"),
    [
        (None, 600.0, 1.0),
        (0.0, 600.0, 1.0),
        (0.02, 600.0, 0.02),
        (60.0, 600.0, 60.0),
        (60.1, 600.0, None),
        (60.0, 59.0, None),
        (None, 0.9, None),
        (None, -1.0, None),
    ],
)
def test_wait(requested, remaining, expected):
    assert compute_wait(1, requested, base=0.5, rand=0.0, remaining=remaining) == expected


def test_without_backoff_the_provider_is_still_obeyed_and_so_is_the_deadline():
    assert compute_wait(5, None, base=0, rand=0.5, remaining=1) == 0
    assert compute_wait(5, 0.5, base=0, rand=0.5, remaining=1) == 0.5
    assert compute_wait(5, None, base=0, rand=0.5, remaining=0) is None


def retries(budget: RetryBudget, throttled: bool) -> list[int]:
    return list(iter(lambda: budget.take(throttled=throttled), 0))


def test_the_budget_ends_and_successes_refill_it():
    budget = RetryBudget()
    assert retries(budget, throttled=False) == [14] * 35  # of 500 units, 10 are left
    assert retries(budget, throttled=True) == [5, 5]
    budget.give_back(14)
    assert budget.take(throttled=False) == 14
    for _ in range(5):
        budget.give_back(0)
    assert retries(budget, throttled=True) == [5]
    budget.give_back(10_000)
    assert len(retries(budget, throttled=True)) == 100


def test_threads_share_the_budget():
    budget = RetryBudget()
    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(lambda _: sum(budget.take(throttled=True) for _ in range(50)), range(8)))
    assert taken == 500
