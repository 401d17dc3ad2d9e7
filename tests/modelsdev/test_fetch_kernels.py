"""The catalog on a machine that is not tidy: several kernels, a clock that was set, links."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

import nbkit
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.fetch import load
from nbkit.modelsdev.records import CatalogWarning, parse
from nbkit.modelsdev.snapshot import Meta, build, read, write
from nbkit.settings import override

DAY = 24 * 3600.0
YEAR = 365 * DAY


@pytest.fixture
def cache(models_dev, tmp_path, whole_api):
    models_dev.reply = models_dev.answer(200, whole_api, ETag='"one"')
    with override(catalog_url=models_dev.url, cache_dir=tmp_path / "nbkit", catalog_ttl=DAY, offline=False):
        yield tmp_path / "nbkit" / "models.dev.snapshot"


KERNEL = """
import sys
import nbkit

sys.stdin.readline()
print(*[len(nbkit.load_catalog(refresh=True)) for _ in range(2)], nbkit.catalog.attrs["source"])
"""


def test_kernels_that_refresh_at_once_all_get_a_frame_and_never_break_the_file(models_dev, cache):
    environment = os.environ | {"NBKIT_CACHE_DIR": str(cache.parent), "NBKIT_CATALOG_URL": models_dev.url}
    environment |= {"NBKIT_OFFLINE": "0"}
    command = [sys.executable, "-c", KERNEL]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    kernels = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    load()
    for kernel in kernels:
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    while any(kernel.poll() is None for kernel in kernels):
        assert len(read(cache)) == 4200  # CatalogError where it is not whole
        time.sleep(0.02)
    printed = [kernel.communicate() for kernel in kernels]
    assert [output.split() for output, _ in printed] == [["4200", "4200", "fetched"]] * 2
    assert not any("rror" in errors for _, errors in printed)
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


@pytest.mark.parametrize("seconds", [YEAR, -YEAR])
def test_a_file_of_a_clock_that_was_wrong_is_checked_again(models_dev, cache, seconds):
    load()
    os.utime(cache, (time.time() + seconds,) * 2)
    models_dev.reply = models_dev.answer(304)
    assert load().meta.source == "cached"
    assert len(models_dev.requests) == 2
    load()
    assert len(models_dev.requests) == 2  # its time is right now
    os.utime(cache, (time.time() + 60,) * 2)  # the clock of a file server
    load()
    assert len(models_dev.requests) == 2


def test_a_failure_of_a_clock_that_was_ahead_does_not_stop_fetching(models_dev, cache):
    cache.parent.mkdir()
    failed = cache.with_name("models.dev.failed")
    failed.touch()
    os.utime(failed, (time.time() + YEAR,) * 2)
    assert load().meta.source == "fetched"
    assert not failed.exists()


def test_a_refresh_replaces_a_catalog_that_is_dated_in_the_future(cache, api):
    write(cache, build(parse(api), Meta("https://models.dev/api.json", "2999-01-01")))
    assert (current_snapshot().meta.date, current_snapshot().meta.age_days) == ("2999-01-01", 0)
    assert nbkit.load_catalog(refresh=True).attrs["source"] == "fetched"
    assert len(current_snapshot()) == 4200


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
def test_a_link_in_the_cache_is_replaced_and_a_cache_behind_a_link_is_used(models_dev, cache, tmp_path):
    cache.parent.mkdir()
    (tmp_path / "notes").write_bytes(b"mine")
    cache.symlink_to(tmp_path / "notes")
    assert load(refresh=True).meta.source == "fetched"
    assert not cache.is_symlink()
    assert (tmp_path / "notes").read_bytes() == b"mine"

    cache.parent.rename(tmp_path / "disk")
    cache.parent.symlink_to(tmp_path / "disk")  # a user who has put it on another disk
    assert load().meta.source == "cached"
    assert load(refresh=True).meta.source == "fetched"
    assert cache.parent.is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_cache_that_everybody_can_write_to_is_neither_read_nor_written(models_dev, cache):
    load()
    before = cache.read_bytes()
    cache.parent.chmod(0o1777)  # where others can put files, as in /tmp
    with pytest.warns(CatalogWarning, match="not kept: .*everybody can write to it"):
        assert load().meta.source == "fetched"
    assert cache.read_bytes() == before
