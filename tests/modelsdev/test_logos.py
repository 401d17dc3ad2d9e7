import os
import stat
import threading
import time
from contextlib import suppress

import pytest

from nbkit.modelsdev.fetch import RETRY_AFTER
from nbkit.modelsdev.logos import MAX_AGE, MAX_BYTES, MAX_PARALLEL, fetch, fetch_soon, read_logos
from nbkit.settings import override, settings

LOGO, STANDARD = b"<svg>acme</svg>", b"<svg>standard</svg>"


@pytest.fixture
def paths(models_dev, tmp_path):
    """The paths of the requests; acme and "a/b" have a logo, any other provider the standard picture."""
    paths = []

    def reply(handler):
        paths.append(handler.path)
        body = LOGO if handler.path in ("/logos/acme.svg", "/logos/a%2Fb.svg") else STANDARD
        models_dev.answer(200, body)(handler)

    models_dev.reply = reply
    with override(offline=False, cache_dir=tmp_path, catalog_url=models_dev.url):
        yield paths


def wait_for(providers):
    """The providers that `fetch_soon` reports; None where it reports none."""
    reports = []
    fetch_soon(providers, lambda providers: reports.append(set(providers)))
    join_batches()
    return reports[0] if reports else None


def join_batches():
    for thread in threading.enumerate():
        if thread.name == "nbkit-logos":
            thread.join(30)


def files():
    return sorted((settings().cache_dir / "logos").iterdir())


def grow_old(seconds):
    for file in files():
        os.utime(file, (time.time() - seconds,) * 2)


def test_a_logo_is_fetched_once_in_the_background(paths):
    assert read_logos(["acme"]) == {}
    assert wait_for(["acme", "acme"]) == {"acme"}
    assert read_logos(["acme"]) == {"acme": LOGO}
    assert wait_for(["acme"]) is None
    assert paths == ["/logos/default.svg", "/logos/acme.svg"]


def test_the_request_says_nothing_about_the_user(paths, models_dev):
    fetch(["acme"], settings())
    assert not {"authorization", "cookie", "if-none-match"} & set(models_dev.requests[-1])


def test_the_standard_picture_is_not_a_logo_and_not_fetched_again(paths):
    assert wait_for(["acme", "bare"]) == {"acme"}
    assert read_logos(["acme", "bare"]) == {"acme": LOGO}
    assert wait_for(["bare"]) is None
    assert paths.count("/logos/bare.svg") == 1


def test_logos_are_fetched_again_after_30_days_and_shown_meanwhile(paths, models_dev):
    fetch(["acme", "bare"], settings())
    grow_old(MAX_AGE + 1)
    assert read_logos(["acme"]) == {"acme": LOGO}
    models_dev.reply = models_dev.answer(404)
    assert wait_for(["acme", "bare"]) is None
    assert read_logos(["acme"]) == {}


def test_two_that_want_the_same_logo_both_get_it_and_it_is_fetched_once(paths, models_dev):
    reports, gate, answer = [], threading.Event(), models_dev.reply
    models_dev.reply = lambda handler: (gate.wait(30), answer(handler))
    for _ in range(2):
        fetch_soon(["acme"], lambda providers: reports.append(set(providers)))
    gate.set()
    join_batches()
    assert reports == [{"acme"}, {"acme"}]
    assert paths.count("/logos/acme.svg") == 1


def test_four_at_a_time(paths, models_dev):
    """Each request waits until three others have come; a fifth at the same time would be counted."""
    together, running, most, lock, answer = (
        threading.Barrier(MAX_PARALLEL),
        [0],
        [0],
        threading.Lock(),
        models_dev.reply,
    )

    def reply(handler):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        if not handler.path.endswith("default.svg"):
            together.wait(30)
        with lock:
            running[0] -= 1
        answer(handler)

    models_dev.reply = reply
    fetch([f"p{number}" for number in range(3 * MAX_PARALLEL)], settings())
    assert (most[0], len(paths), together.broken) == (MAX_PARALLEL, 3 * MAX_PARALLEL + 1, False)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [(404, b"", {}), (200, b"x" * (MAX_BYTES + 1), {}), (302, b"", {"Location": "http://127.0.0.1:9/x.svg"})],
    ids=["missing", "too large", "elsewhere"],
)
def test_an_answer_that_is_not_a_logo_is_kept_as_none(paths, models_dev, status, body, headers):
    models_dev.reply = models_dev.answer(status, body, **headers)
    fetch(["acme"], settings())
    assert read_logos(["acme"]) == {}
    assert [file.stat().st_size for file in files()] == [0]


@pytest.mark.parametrize("status", [429, 500])
def test_a_failure_ends_the_batch_and_is_not_repeated_for_ten_minutes(paths, models_dev, status):
    models_dev.reply = models_dev.answer(status)
    assert wait_for([f"p{number}" for number in range(50)]) is None
    assert len(models_dev.requests) == 1
    assert [file.name for file in files()] == ["failed"]
    wait_for(["acme"])
    assert len(models_dev.requests) == 1
    grow_old(RETRY_AFTER + 1)
    wait_for(["acme"])
    assert len(models_dev.requests) == 2


def test_nobody_there(paths):
    with override(catalog_url="http://127.0.0.1:9/api.json"):
        assert wait_for(["acme"]) is None
        assert [file.name for file in files()] == ["failed"]


def test_a_slow_answer_is_given_up(paths, models_dev):
    """Each byte comes within the time, but not all of them."""
    given_up = threading.Event()

    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        with suppress(ConnectionError):
            while not given_up.wait(0.02):
                handler.wfile.write(b"x")

    models_dev.reply = trickle
    with override(catalog_timeout=0.3):
        fetch(["acme"], settings())
    given_up.set()
    assert [file.name for file in files()] == ["failed"]


def test_offline_never_asks_and_shows_what_is_there(paths):
    fetch(["acme"], settings())
    count = len(paths)
    with override(offline=True):
        assert wait_for(["acme", "a/b"]) is None
        assert read_logos(["acme", "a/b"]) == {"acme": LOGO}
    assert len(paths) == count


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_files_are_this_users_alone(paths):
    before = os.umask(0)
    try:
        fetch(["acme", "bare"], settings())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files()} == {0o600}
    assert stat.S_IMODE(files()[0].parent.stat().st_mode) == 0o700


def test_names_cannot_leave_the_directory_or_meet(paths):
    names = ["../../x", "a/b", "A/B", "CON", "x\0y", "é" * 300, "..", ".", "a-b"]
    fetch(names, settings())
    assert len(files()) == len(names)
    assert all(len(file.name) < 64 for file in files())
    assert read_logos(names) == {"a/b": LOGO}
    assert {path.count("/") for path in paths} == {2}
