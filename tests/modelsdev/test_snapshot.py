from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from nbkit.errors import CatalogError
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, FIELDS, Factor, Meta, build, read, read_date, write

META = Meta("https://models.dev/api.json", "2026-09-30", '"tag"')


@pytest.fixture
def small(api):
    return build(parse(api), META)


def test_a_file_gives_back_every_record_and_where_it_is_from(small, api, tmp_path):
    path = tmp_path / "a" / "s.gz"
    write(path, small)
    again = read(path)
    assert again.meta == META
    assert len(again) == 3
    assert [again.record(model_id) for model_id in again.ids] == parse(api)
    assert again.record("acme/nothing") is None


def test_one_model_is_read_like_all_of_them(small, tmp_path):
    """Before anything else is read, after a column was, and when so many were that all are indexed."""
    write(tmp_path / "s", small)
    for read_before in ([], ["model", "tiers"], list(FIELDS)):
        for model_id in small.ids:
            snapshot = read(tmp_path / "s")
            for name in read_before:
                snapshot.values(name)
            assert snapshot.record("acme/nothing") is snapshot.record("9.bare/claude") is snapshot.record("x") is None
            assert snapshot.record(model_id) == small.record(model_id)
            assert [snapshot.record(name) for name in small.ids * 4] == [small.record(name) for name in small.ids * 4]
    bundled = read(BUNDLED)
    for row in range(0, len(bundled), 501):  # each time in a snapshot of which nothing has been read
        assert read(BUNDLED).record(bundled.ids[row]) == bundled.record_of(row)


def test_files_are_for_this_user_only_and_nothing_else_is_left(small, tmp_path):
    path = tmp_path / "a" / "s.gz"
    write(path, small)
    write(path, small)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing_behind(small, tmp_path):
    (tmp_path / "s.gz" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "s.gz", small)
    assert [path.name for path in tmp_path.iterdir()] == ["s.gz"]


def test_the_same_data_gives_the_same_file(small, api, tmp_path):
    write(tmp_path / "one", small)
    write(tmp_path / "two", build(parse(api), META))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_broken_file_is_a_catalog_error(small, tmp_path):
    path = tmp_path / "s.gz"
    write(path, small)
    whole = path.read_bytes()
    first, head, packed = whole.split(b"\n", 2)
    other = json.dumps(json.loads(head) | {"rows": 2}).encode()
    cases = [
        b"",
        b"no snapshot",
        whole[:-20],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole.replace(b"acme", b"acmE", 1),
        whole.replace(b"models 3", b"models 2", 1),
        gzip.compress(whole),
        first,
        first + b"\n{",
        first + b"\n[]\n" + packed,
        first + b"\n{}\n" + packed,
        first + b"\n" + other + b"\n" + packed,
        first.replace(b"-09-", b"-19-") + b"\n" + head + b"\n" + packed,
    ]
    for case in cases:
        path.write_bytes(case)
        with pytest.raises(CatalogError, match=r"s\.gz") as raised:
            read(path)
        assert raised.value.__context__ is None
    with pytest.raises(CatalogError):
        read(tmp_path / "missing")


def test_the_date_is_in_the_first_bytes(small, tmp_path):
    write(tmp_path / "s", small)
    (tmp_path / "other").write_bytes(b"something else")
    assert read_date(tmp_path / "s") == "2026-09-30"
    assert read_date(BUNDLED) == read(BUNDLED).meta.date
    assert (read_date(tmp_path / "other"), read_date(tmp_path / "missing"), read_date(tmp_path)) == ("", "", "")


def test_age_counts_days():
    today = datetime.now(UTC).date()
    assert Meta("", (today - timedelta(days=40)).isoformat()).age_days == 40
    assert Meta("", (today + timedelta(days=1)).isoformat()).age_days == 0  # a clock that is wrong


def test_a_factor_keeps_types_apart():
    rows = [1, True, 1.0, "1", None, {"a": 1}, 1, [True], [1]] + [f"v{number}" for number in range(300)]
    factor = Factor.of(rows)
    assert [(type(value), value) for value in factor.rows] == [(type(value), value) for value in rows]
    assert [factor[0], factor[4], factor[-1 + len(rows)]] == [1, None, "v299"]
    assert len(factor.values) == len(rows) - 1


def test_derive_calls_the_function_once_for_each_combination(small):
    calls = []

    def npm(provider, overrides):
        calls.append(provider.id)
        return overrides.get("npm", provider.npm)

    assert small.derive(npm, "provider", "overrides").rows == ["@ai-sdk/anthropic", "@ai-sdk/openai-compatible", ""]
    assert small.derive(len, "tiers").rows == [2, 0, 0]
    assert calls == ["acme", "acme", "9.bare"]


def test_the_bundled_snapshot_has_the_models_of_its_day():
    snapshot = read(BUNDLED)
    assert len(snapshot) == len(set(snapshot.ids)) == 8337
    assert len(snapshot.distinct("provider")) == 225
    assert snapshot.provenance["source"] == "bundled"
    assert (snapshot.meta.url, snapshot.meta.date) == ("https://models.dev/api.json", "2026-09-30")
    sonnet = snapshot.record("anthropic/claude-sonnet-5-5")
    assert sonnet.rates == {"input": 2.0, "output": 10.0, "cache_read": 0.2, "cache_write": 2.5}
    assert (sonnet.context, sonnet.max_output, sonnet.knowledge) == (1_000_000, 128_000, "2026-06")
    assert (sonnet.temperature, sonnet.provider.env) == (False, ("ANTHROPIC_API_KEY",))


def test_looking_up_a_record_loads_neither_pandas_nor_http():
    code = (
        "import sys; from nbkit.modelsdev.snapshot import BUNDLED, read; import nbkit.modelsdev.fetch\n"
        "assert read(BUNDLED).record('anthropic/claude-sonnet-5-5').rates['input'] == 2\n"
        "print({'pandas', 'numpy', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
