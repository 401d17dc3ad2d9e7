import os
import stat
import threading
import time

import pytest

from nbkit.modelsdev import logos
from nbkit.modelsdev.fetch import RETRY_AFTER
from nbkit.modelsdev.logos import AT_ONCE, KEPT, MAX_BYTES, fetch, fetch_soon, held
from nbkit.settings import override, settings

LOGO, STANDARD = b"<svg>acme</svg>", b"<svg>standard</svg>"


@pytest.fixture
def asked(models_dev, tmp_path):
    """The paths asked for; acme and "a/b" have a logo, any other provider the standard picture."""
    paths = []

    def reply(handler):
        paths.append(handler.path)
        body = LOGO if handler.path in ("/logos/acme.svg", "/logos/a%2Fb.svg") else STANDARD
        models_dev.answer(200, body)(handler)

    models_dev.reply = reply
    with override(offline=False, cache_dir=tmp_path, catalog_url=models_dev.url):
        yield paths


def wait_for(providers):
    """What `fetch_soon` says has come; None where it asks nobody or nothing comes."""
    came, there = [], threading.Event()
    fetch_soon(providers, lambda providers: (came.append(set(providers)), there.set()))
    for thread in threading.enumerate():
        if thread.name == "nbkit-logos":
            thread.join(10)
    return came[0] if there.is_set() else None


def files():
    return sorted((settings().cache_dir / "logos").iterdir())


def grow_old(seconds):
    for file in files():
        os.utime(file, (time.time() - seconds,) * 2)


def test_a_logo_is_fetched_once_in_the_background(asked):
    assert held(["acme"]) == {}
    assert wait_for(["acme", "acme"]) == {"acme"}
    assert held(["acme"]) == {"acme": LOGO}
    assert wait_for(["acme"]) is None
    assert asked == ["/logos/default.svg", "/logos/acme.svg"]


def test_the_request_says_nothing_of_the_user(asked, models_dev):
    fetch(["acme"], settings())
    assert not {"authorization", "cookie", "if-none-match"} & set(models_dev.requests[-1])


def test_the_standard_picture_is_no_logo_and_not_asked_for_again(asked):
    assert wait_for(["acme", "bare"]) == {"acme"}
    assert held(["acme", "bare"]) == {"acme": LOGO}
    assert wait_for(["bare"]) is None
    assert asked.count("/logos/bare.svg") == 1


def test_logos_are_asked_for_again_after_30_days_and_shown_meanwhile(asked, models_dev):
    fetch(["acme", "bare"], settings())
    grow_old(KEPT + 1)
    assert held(["acme"]) == {"acme": LOGO}
    models_dev.reply = models_dev.answer(404)
    assert wait_for(["acme", "bare"]) is None
    assert held(["acme"]) == {}


def test_two_that_want_the_same_are_both_told_and_it_is_fetched_once(asked, models_dev):
    told, let_go, answer = [], threading.Event(), models_dev.reply
    models_dev.reply = lambda handler: (let_go.wait(5), answer(handler))
    for _ in range(2):
        fetch_soon(["acme"], lambda providers: told.append(set(providers)))
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "nbkit-logos":
            thread.join(10)
    assert told == [{"acme"}, {"acme"}]
    assert asked.count("/logos/acme.svg") == 1


def test_a_few_at_a_time(asked, models_dev):
    running, most, answer, lock = [0], [0], models_dev.reply, threading.Lock()

    def reply(handler):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        answer(handler)
        with lock:
            running[0] -= 1

    models_dev.reply = reply
    fetch([f"p{number}" for number in range(12)], settings())
    assert 1 < most[0] <= AT_ONCE
    assert len(asked) == 13


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [(404, b"", {}), (200, b"x" * (MAX_BYTES + 1), {}), (302, b"", {"Location": "http://127.0.0.1:9/x.svg"})],
    ids=["missing", "too large", "elsewhere"],
)
def test_what_is_no_logo_is_remembered_as_none(asked, models_dev, status, body, headers):
    models_dev.reply = models_dev.answer(status, body, **headers)
    fetch(["acme"], settings())
    assert held(["acme"]) == {}
    assert [file.stat().st_size for file in files()] == [0]


@pytest.mark.parametrize("status", [429, 500])
def test_a_failure_ends_the_batch_and_is_not_repeated_for_ten_minutes(asked, models_dev, status):
    models_dev.reply = models_dev.answer(status)
    assert wait_for([f"p{number}" for number in range(50)]) is None
    assert len(models_dev.requests) == 1
    assert [file.name for file in files()] == ["failed"]
    wait_for(["acme"])
    assert len(models_dev.requests) == 1
    grow_old(RETRY_AFTER + 1)
    wait_for(["acme"])
    assert len(models_dev.requests) == 2


def test_nobody_there(asked):
    with override(catalog_url="http://127.0.0.1:9/api.json"):
        assert wait_for(["acme"]) is None
        assert [file.name for file in files()] == ["failed"]


def test_a_slow_answer_is_given_up(asked, models_dev, monkeypatch):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    models_dev.reply = drip
    monkeypatch.setattr(logos, "TIME_LIMIT", 0.1)
    fetch(["acme"], settings())
    assert [file.name for file in files()] == ["failed"]


def test_offline_never_asks_and_shows_what_is_there(asked):
    fetch(["acme"], settings())
    count = len(asked)
    with override(offline=True):
        assert wait_for(["acme", "a/b"]) is None
        assert held(["acme", "a/b"]) == {"acme": LOGO}
    assert len(asked) == count


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_files_are_this_users_alone(asked):
    before = os.umask(0)
    try:
        fetch(["acme", "bare"], settings())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files()} == {0o600}
    assert stat.S_IMODE(files()[0].parent.stat().st_mode) == 0o700


def test_names_cannot_leave_the_directory_or_meet(asked):
    names = ["../../x", "a/b", "A/B", "CON", "x\0y", "é" * 300, "..", ".", "a-b"]
    fetch(names, settings())
    assert len(files()) == len(names)
    assert all(len(file.name) < 64 for file in files())
    assert held(names) == {"a/b": LOGO}
    assert {path.count("/") for path in asked} == {2}
