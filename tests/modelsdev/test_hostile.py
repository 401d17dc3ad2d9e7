"""Answers of a hostile models.dev: sizes, counts, numbers and characters that must do no harm."""

from __future__ import annotations

import json
import warnings

import pytest

from nbkit.errors import CatalogError
from nbkit.modelsdev.fetch import decode, load
from nbkit.modelsdev.records import CatalogWarning
from nbkit.modelsdev.snapshot import read, write
from nbkit.settings import override

URL = "https://models.dev/api.json"
GOOD = '"good": {"id": "good", "env": ["GOOD_API_KEY"], "npm": "n", "name": "Good", "models": {"m": {"name": "M"}}}'


def decode_with(*providers):
    """The snapshot of an api.json with these providers and a good one, and the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        snapshot = decode(f"{{{', '.join([GOOD, *providers])}}}".encode(), url=URL)
    return snapshot, [str(warning.message) for warning in caught if warning.category is CatalogWarning]


def bad(model="m", **facts):
    return f'"bad": {{"npm": "n", "models": {{"{model}": {json.dumps(facts)}}}}}'


BAD = {
    "NaN": '"bad": {"npm": "n", "models": {"m": {"cost": {"input": NaN}}}}',
    "infinity": '"bad": {"npm": "n", "models": {"m": {"cost": {"input": 1e999}}}}',
    "minus infinity": '"bad": {"npm": "n", "models": {"m": {"cost": {"input": -Infinity}}}}',
    "1e308": bad(cost={"input": 1e308}),
    "less than nothing": bad(cost={"output": -1}),
    "a number of 4000 digits": bad(limit={"context": 0}).replace('"context": 0', f'"context": {"9" * 4000}'),
    "a price of 4000 digits": bad(cost={"input": 0}).replace('"input": 0', f'"input": {"9" * 4000}'),
    "60 MB of name": bad(name="x" * 60_000_000),
    "10 MB of model id": bad("x" * 10_000_000),
    "10 MB of modes": bad(experimental={"modes": {"fast": "x" * 10_000_000}}),
    "many fields in a body": bad(provider={"body": dict.fromkeys(map(str, range(100_000)))}),
    "a million variables": bad().replace('"npm"', f'"env": {json.dumps(["A"] * 1_000_000)}, "npm"'),
    "a prototype": bad().replace('"bad"', '"__proto__"'),
    "a path": bad("../../etc/passwd"),
    "a path as a provider": bad().replace('"bad"', '"../x"'),
    "a device's line end": bad("m\\n"),
    "a NUL": bad("m\\u0000"),
    "bidi in an id": bad("m\\u202egpj"),
    "markup in an id": bad("<img src=x>"),
    "another host by header": bad(provider={"headers": {"hOsT": "evil.test"}}),
    "a second header": bad(provider={"headers": {"x": "a\r\nHost: evil.test"}}),
    "a proxy's header": bad(provider={"headers": {"Proxy-Authorization": "x"}}),
    "models in a list": '"bad": {"npm": "n", "models": [1, 2, 3]}',
    "nothing": '"bad": null',
}


@pytest.mark.parametrize("row", BAD.values(), ids=BAD)
def test_a_bad_row_is_dropped_with_one_warning(row):
    snapshot, texts = decode_with(row)
    assert snapshot.ids == ["good/m"]
    assert len(texts) == 1
    assert texts[0].startswith("models.dev: dropped 1 bad rows: ")
    assert len(texts[0]) < 200


@pytest.mark.parametrize(
    "options", [[{"type": "effort", "values": ["x" * 100_000]}], [{"type": "toggle", "more": ["x"] * 100_000}]]
)
def test_a_large_option_is_not_kept(options):
    snapshot, texts = decode_with(bad(reasoning_options=options))
    assert (snapshot.record("bad/m").reasoning_options, texts) == ((), [])


def test_of_two_rows_of_the_same_name_the_last_counts():
    snapshot, texts = decode_with(bad(name="first"), bad(name="last"))
    assert (snapshot.record("bad/m").name, len(snapshot), texts) == ("last", 2, [])


def test_names_carry_nothing_unseen():
    text = "GPT\u202e\u2066-6\x1b[31m \x9b\x00\U000e0041\u200f <b>caf\u00e9</b>\n\u4e2d"
    snapshot, texts = decode_with(
        bad(name=text, description=text).replace('"npm"', f'"name": {json.dumps(text)}, "npm"')
    )
    record = snapshot.record("bad/m")
    clean = "GPT-6[31m  <b>caf\u00e9</b>\n\u4e2d"  # markup is escaped where it is shown
    assert (record.name, record.description, record.provider.name, texts) == (clean, clean, clean, [])


def test_a_written_snapshot_is_the_same_when_read_again(tmp_path):
    snapshot, _ = decode_with(bad(experimental={"x": '"\\\u2028'}, name="\u2028</script>"))
    write(tmp_path / "x.gz", snapshot)
    assert [read(tmp_path / "x.gz").record(name) for name in snapshot.ids] == [
        snapshot.record(name) for name in snapshot.ids
    ]


WHOLE = {
    "100,000 levels": b'{"a": ' * 100_000,
    "100,000 lists": b"[" * 100_000,
    "half a letter": b'{"a": {"name": "\\ud800"}}',
    "not UTF-8": b'{"a": "\xff"}',
    "2,000 providers": json.dumps({f"p{number}": {"models": {"m": {}}} for number in range(2_000)}).encode(),
    "60,000 models": json.dumps({"p": {"npm": "n", "models": {f"m{number}": {} for number in range(60_000)}}}).encode(),
    "60,000 bad models": json.dumps(
        {"p": {"env": 1, "models": {str(number): {} for number in range(60_000)}}}
    ).encode(),
    "10 million numbers": b"[" + b"1," * 10_000_000 + b"1]",
    "a number of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_a_file_that_cannot_be_the_catalog_is_refused(body):
    with pytest.raises(CatalogError):
        decode(body, url=URL)


def test_a_hostile_answer_leaves_the_last_good_file(models_dev, tmp_path, whole_api):
    with override(catalog_url=models_dev.url, cache_dir=tmp_path, offline=False):
        models_dev.reply = models_dev.answer(200, whole_api)
        load()
        kept = (tmp_path / "models.dev.snapshot").read_bytes()
        for body in (WHOLE["100,000 levels"], WHOLE["half a letter"], f"{{{GOOD}}}".encode()):
            models_dev.reply = models_dev.answer(200, body)
            with pytest.warns(CatalogWarning) as caught:
                assert len(load(refresh=True)) == 4200
            assert len(caught) == 1
            assert (tmp_path / "models.dev.snapshot").read_bytes() == kept
        assert load().meta.source == "cached"
