from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress

import httpx2
import pytest

from nbkit.errors import CatalogError
from nbkit.modelsdev.fetch import decide, download, load
from nbkit.modelsdev.records import CatalogWarning, parse
from nbkit.modelsdev.snapshot import Meta, build, write
from nbkit.settings import override

DAY = 24 * 3600.0


@pytest.fixture
def fresh_cache(models_dev, tmp_path):
    """The cache file; settings point to the local server and to an empty directory."""
    with override(catalog_url=models_dev.url, cache_dir=tmp_path / "nbkit", catalog_ttl=DAY, offline=False):
        yield tmp_path / "nbkit" / "models.dev.snapshot"


@pytest.fixture
def cache(models_dev, fresh_cache):
    """The same, after the one warning that the bundled snapshot is old."""
    with pytest.warns(CatalogWarning, match="days old"):
        load()
    shutil.rmtree(fresh_cache.parent)
    models_dev.requests.clear()
    return fresh_cache


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        ({"offline": True, "refresh": True}, "stay"),
        ({"offline": True, "checked": 10.0}, "use"),
        ({"offline": True, "checked": DAY + 1}, "stay"),
        ({"refresh": True, "checked": 0.0, "failed": 0.0}, "fetch"),
        ({"checked": DAY - 1}, "use"),
        ({"checked": DAY - 1, "failed": 1.0}, "use"),
        ({"checked": DAY + 1}, "fetch"),
        ({}, "fetch"),
        ({"failed": 599.0}, "stay"),
        ({"checked": 2 * DAY, "failed": 599.0}, "stay"),
        ({"checked": 2 * DAY, "failed": 601.0}, "fetch"),
    ],
)
def test_decide(facts, action):
    nothing = {"refresh": False, "offline": False, "checked": None, "failed": None, "ttl": DAY}
    decided, reason = decide(**nothing | facts)
    assert decided == action
    assert (reason is not None) == (action == "stay")


def test_a_fetched_catalog_is_kept_and_used_until_it_is_old(models_dev, cache, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api, ETag='"one"')
    fetched = load()
    assert (fetched.meta.source, fetched.meta.reason, len(fetched)) == ("fetched", None, 4200)
    assert fetched.record("acme/alpha-7").rates["output"] == 5
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700

    cached = load()
    assert (cached.meta.source, cached.meta.reason, cached.ids) == ("cached", None, fetched.ids)
    assert len(models_dev.requests) == 1
    assert not {"authorization", "cookie"} & set(models_dev.requests[0])


def test_an_old_file_is_checked_by_its_etag(models_dev, cache, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api, ETag='"one"')
    load()
    two_days_ago = time.time() - 2 * DAY
    os.utime(cache, (two_days_ago, two_days_ago))
    models_dev.reply = models_dev.answer(304)
    unchanged = load()
    assert (unchanged.meta.source, unchanged.meta.reason, len(unchanged)) == ("cached", None, 4200)
    assert [request.get("if-none-match") for request in models_dev.requests] == [None, '"one"']
    load()
    assert len(models_dev.requests) == 2  # confirmed for another day


BAD_ANSWERS = {
    "HTTP 500": (500, lambda whole: whole),
    "Unterminated string": (200, lambda whole: whole[:-100]),
    "Expecting value": (200, lambda whole: b"<html>"),
    "expected an object": (200, lambda whole: b"[]"),
}


@pytest.mark.parametrize("reason", BAD_ANSWERS)
def test_a_bad_answer_leaves_the_catalog_and_the_request_is_not_repeated(models_dev, cache, whole_api, reason):
    status, change = BAD_ANSWERS[reason]
    models_dev.reply = models_dev.answer(status, change(whole_api))
    for _ in range(2):
        kept = load()
        assert (kept.meta.source, len(kept)) == ("bundled", 8337)
    assert len(models_dev.requests) == 1
    assert "minutes ago" in kept.meta.reason
    assert not cache.exists()

    with pytest.warns(CatalogWarning, match=reason):
        kept = load(refresh=True)
    assert reason in kept.meta.reason
    assert kept.provenance["reason"] == kept.meta.reason
    assert len(models_dev.requests) == 2


def test_a_catalog_that_has_lost_half_is_taken_only_when_the_caller_accepts_it(models_dev, cache, whole_api):
    half = whole_api.split(b', "alpha-4100"')[0] + b"}}}"
    models_dev.reply = models_dev.answer(200, half, ETag='"half"')
    with pytest.warns(
        CatalogWarning, match=r"has only 4100 models, the catalog on this machine 8337; load_catalog\(refresh=True, a"
    ):
        assert load().meta.source == "bundled"  # without a refresh, too
    assert not cache.exists()
    assert load().meta.reason.endswith("minutes ago")
    taken = load(refresh=True, accept=True)
    assert (len(taken), taken.meta.source, load().meta.source) == (4100, "fetched", "cached")


def test_one_warning_says_that_the_catalog_is_old_but_not_to_those_who_want_to_be_offline(fresh_cache):
    with override(offline=True):
        assert load().meta.age_days > 14
    with pytest.warns(CatalogWarning, match=r"that of 2026-09-30, \d+ days old: http://.*: HTTP 500") as warned:
        assert [load().meta.source for _ in range(3)] == ["bundled"] * 3
    assert len(warned) == 1
    with override(max_retries=1):
        load()
    with override(catalog_url="http://127.0.0.1:9/api.json"), pytest.warns(CatalogWarning, match="minutes ago"):
        load()  # another catalog


def test_no_warning_says_that_todays_catalog_is_old(models_dev, fresh_cache, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api)
    load(refresh=True)
    models_dev.reply = models_dev.answer(500)
    os.utime(fresh_cache, (time.time() - 2 * DAY,) * 2)
    assert load().meta.reason.endswith("HTTP 500")


def test_a_success_forgets_the_failure(models_dev, cache, whole_api):
    load()
    models_dev.reply = models_dev.answer(200, whole_api)
    assert load(refresh=True).meta.source == "fetched"
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_offline_never_asks(models_dev, cache):
    with override(offline=True):
        assert load().meta.reason == "offline (NBKIT_OFFLINE)"
        with pytest.warns(CatalogWarning, match=r"2026-09-30, \d+ days old: offline"):
            assert load(refresh=True).meta.source == "bundled"
    assert models_dev.requests == []


def test_nobody_listens(cache):
    closed = "http://127.0.0.1:9/api.json"
    with override(catalog_url=closed), pytest.warns(CatalogWarning, match=f"{closed}: .*[Cc]onne"):
        assert load().meta.source == "bundled"


def test_a_broken_cached_file_is_replaced(models_dev, cache, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api)
    load()
    cache.write_bytes(cache.read_bytes()[:1000])
    assert load().meta.source == "fetched"
    assert load().meta.source == "cached"


def test_a_cached_file_older_than_the_bundled_one_does_not_count(cache, api):
    write(cache, build(parse(api), Meta("https://models.dev/api.json", "2026-09-29")))
    with override(offline=True):
        assert load().meta.source == "bundled"
    write(cache, build(parse(api), Meta("https://models.dev/api.json", "2026-10-01")))
    with override(offline=True):
        assert (load().meta.source, load().meta.date) == ("cached", "2026-10-01")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_neither_read_nor_written(models_dev, cache, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api)
    load()
    os.chown(cache.parent, 65534, 65534)
    before = cache.read_bytes()
    with pytest.warns(CatalogWarning, match="fetch it again; not kept: .*it belongs to another user"):
        assert load().meta.source == "fetched"
    assert "it belongs to another user" in load().meta.reason  # it was said once
    assert cache.read_bytes() == before


def test_a_directory_that_cannot_be_made_costs_only_the_keeping(models_dev, tmp_path, whole_api):
    (tmp_path / "file").write_text("in the way")
    with override(catalog_url=models_dev.url, cache_dir=tmp_path / "file", offline=False):
        models_dev.reply = models_dev.answer(200, whole_api)
        with pytest.warns(CatalogWarning, match="fetch it again; not kept: "):
            assert "not kept" in load().meta.reason
        models_dev.reply = models_dev.answer(500)
        with pytest.warns(CatalogWarning, match="HTTP 500"):
            assert load().meta.source == "bundled"


@pytest.fixture
def halting(models_dev):
    """Answers with half of a body of 60 bytes; the other half waits until `gate` is open."""
    gate = threading.Event()

    def halt(handler):
        handler.send_response(200)
        handler.send_header("content-length", "60")
        handler.end_headers()
        with suppress(ConnectionError):  # a reader that has had enough hangs up
            handler.wfile.write(b"[]" * 15)
            handler.wfile.flush()
            gate.wait(30)
            handler.wfile.write(b"[]" * 15)

    models_dev.reply = halt
    yield gate
    gate.set()


def test_a_bomb_is_not_unpacked_to_the_end(models_dev):
    bomb = gzip.compress(b"[" + b" " * (65 << 20), 1)
    models_dev.reply = models_dev.answer(200, bomb, Content_Encoding="gzip")
    with pytest.raises(CatalogError, match="more than 64 MiB"):
        download(models_dev.url, seconds=30)


def test_a_server_that_halts_is_given_up(models_dev, halting):
    with pytest.raises(CatalogError, match=r"timed out after 0\.2 s"):
        download(models_dev.url, seconds=0.2)
    assert not halting.is_set()  # the server was still waiting


def test_a_server_that_trickles_is_given_up(models_dev):
    """Each byte comes within the time, but not all of them."""
    given_up = threading.Event()

    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        with suppress(ConnectionError):
            while not given_up.wait(0.02):
                handler.wfile.write(b"x")

    models_dev.reply = trickle
    with pytest.raises(CatalogError, match=r"timed out after 0\.3 s"):
        download(models_dev.url, seconds=0.3)
    given_up.set()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "socksio"),
        ("ALL_PROXY", "ftp://h", "scheme"),
        ("SSL_CERT_FILE", "/no", "No "),
    ],
    ids=lambda value: f"A23: {value}",
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_a_failed_fetch(models_dev, monkeypatch, name, value, problem):
    monkeypatch.setenv(name, value)
    with pytest.raises(CatalogError, match=problem):
        download(models_dev.url)


def test_progress_is_not_called_for_a_quick_download(models_dev):
    models_dev.reply = models_dev.answer(200, b"{}")
    download(models_dev.url, patience=30, progress=lambda *sizes: pytest.fail("it did not take long"))


def test_progress_is_called_while_a_download_takes_long(models_dev, halting):
    calls = []

    def progress(size, expected):
        calls.append((size, expected))
        if size and len(calls) > 2:
            halting.set()

    assert download(models_dev.url, patience=0, progress=progress).body == b"[]" * 30
    assert (30, 60) in calls
    assert calls == sorted(calls, key=lambda sizes: sizes[0])
    assert calls[-1] == (60, 60)


def test_progress_ends_where_the_time_does(models_dev, halting):
    calls = []
    with pytest.raises(CatalogError, match=r"timed out after 0\.5 s"):
        download(models_dev.url, seconds=0.5, patience=0, progress=lambda *sizes: calls.append(sizes))
    assert calls[-1][0] == calls[-1][1] < 60
    assert not halting.is_set()


class Screen(io.StringIO):
    """Standard error that says when the first line of progress has been written."""

    def __init__(self):
        super().__init__()
        self.shown = threading.Event()

    def write(self, text):
        if "models.dev" in text:
            self.shown.set()
        return super().write(text)


def test_in_a_terminal_progress_is_a_line_that_goes_away(models_dev, cache, whole_api, monkeypatch):
    screen, answer = Screen(), models_dev.answer(200, whole_api)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)  # as IPython has it, in notebooks too
    models_dev.reply = lambda handler: screen.shown.wait(30) and answer(handler)
    with override(catalog_timeout=30):
        assert load().meta.source == "fetched"
    lines = screen.getvalue().split("\r")
    assert lines[1].startswith("nbkit: models.dev, 0.0")
    assert (lines[-2].strip(), lines[-1]) == ("", "")


def test_nobody_sees_progress_without_a_terminal(models_dev, cache, halting, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delattr(sys, "ps1", raising=False)  # IPython in this process has set it for good
    with override(catalog_timeout=1.3), pytest.warns(CatalogWarning, match=r"timed out after 1\.3 s"):
        load(refresh=True)
    assert not screen.shown.is_set()


def test_a_cell_waits_no_longer_than_the_setting_says(models_dev, cache, halting):
    with override(catalog_timeout=0.3), pytest.warns(CatalogWarning, match=r"timed out after 0\.3 s"):
        assert load(refresh=True).meta.source == "bundled"
    assert not halting.is_set()  # models.dev would have gone on waiting


def redirecting(locations):
    """A transport that knows these redirects, and answers {} elsewhere; and the URLs of its requests."""
    urls = []

    def handle(request):
        urls.append(str(request.url))
        to = locations.get(str(request.url))
        return httpx2.Response(302, headers={"location": to}) if to else httpx2.Response(200, content=b"{}")

    return httpx2.MockTransport(handle), urls


def test_redirects_are_followed_but_never_to_http():
    transport, urls = redirecting({"https://a.test/": "https://b.test/", "https://b.test/": "http://c.test/"})
    with pytest.raises(CatalogError, match="redirected to http"):
        download("https://a.test/", transport=transport)
    assert urls == ["https://a.test/", "https://b.test/"]
    assert download("https://c.test/", transport=transport).body == b"{}"


def test_five_redirects_are_enough():
    hops = {f"https://a.test/{number}": f"https://a.test/{number + 1}" for number in range(6)}
    transport, urls = redirecting(hops)
    with pytest.raises(CatalogError, match="redirect"):
        download("https://a.test/0", transport=transport)
    assert len(urls) == 6
    assert download("https://a.test/1", transport=transport).body == b"{}"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://", "https://[", "nonsense"])
def test_an_address_that_is_none(url):
    with pytest.raises(CatalogError):
        download(url)


@pytest.mark.parametrize(
    "setting", [{"NBKIT_OFFLINE": "1"}, {"NBKIT_CATALOG_URL": "https://models.dev.invalid/api.json"}]
)
def test_without_a_network_no_http_is_loaded(tmp_path, setting):
    code = (
        "import sys; from nbkit.modelsdev.fetch import load\n"
        "assert len(load()) == 8337\n"
        "print({'httpx2', 'pandas'} & set(sys.modules))"
    )
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    environment |= {"NBKIT_CACHE_DIR": str(tmp_path), "NBKIT_OFFLINE": "0"} | setting
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
