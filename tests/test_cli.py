from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest

import nbkit
from nbkit.cli.main import main
from nbkit.cli.table import print_rows
from nbkit.modelsdev.snapshot import read
from nbkit.settings import override

API = {"acme": {"npm": "@ai-sdk/openai", "models": {"alpha": {"cost": {"input": 1, "output": 2}}, "beta": {}}}}


@pytest.mark.parametrize(
    ("name", "options", "date"),
    [
        ("models.dev-2026-08-01.json.gz", [], "2026-08-01"),
        ("models.dev-2026-08-01.json", ["--date", "2026-08-02"], "2026-08-02"),
        ("api.json", [], None),
    ],
)
def test_snapshot_from_a_file(tmp_path, capsys, name, options, date):
    source, out = tmp_path / name, tmp_path / "out.gz"
    body = json.dumps(API).encode()
    source.write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    assert main(["snapshot", "--from", str(source), "--out", str(out), *options]) == 0
    built = read(out)
    assert built.ids == ["acme/alpha", "acme/beta"]
    assert built.meta.date == (date or datetime.now(UTC).date().isoformat())
    assert f"2 models of 1 providers, {built.meta.date}" in capsys.readouterr().out


def test_snapshot_from_the_network(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(API).encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        with override(catalog_url=url):
            assert main(["snapshot", "--out", str(tmp_path / "out")]) == 0
        thread.join()
    built = read(tmp_path / "out")
    assert (built.record("acme/alpha").rates, built.meta.url) == ({"input": 1.0, "output": 2.0}, url)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\x1f\x8bno"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, capsys, content):
    source, out = tmp_path / "api.json", tmp_path / "out"
    if content is not None:
        source.write_bytes(content)
    assert main(["snapshot", "--from", str(source), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("nbkit: ")
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("arguments", [[], ["dance"], ["snapshot", "--date", "yesterday"]])
def test_wrong_usage_is_exit_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert "usage: nbkit" in capsys.readouterr().err


# The catalog


def rows(text):
    """Tab-separated text as dicts."""
    head, *lines = (line.split("\t") for line in text.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def run(capsys, *arguments):
    status = main(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_models_that_fit(capsys):
    options = ["--vision", "--tools", "--max-input-cost", "1", "--max-output-cost", "5", "--min-context", "200000"]
    status, out, _ = run(capsys, "models", *options, "--vendor", "google", "--limit", "0")
    catalog = nbkit.catalog
    fits = catalog.vision & catalog.tools & (catalog.input_cost <= 1) & (catalog.output_cost <= 5)
    fits &= (catalog.vendor == "google") & catalog.context.ge(200_000).fillna(False)
    assert status == 0
    assert {row["id"] for row in rows(out)} == set(catalog.index[fits])
    dates = [row["release_date"] for row in rows(out)]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    ("option", "column"),
    [("--audio", "audio_in"), ("--pdf", "pdf_in"), ("--open", "open_weights"), ("--has-key", "has_key")],
)
def test_each_filter_is_a_column(capsys, option, column):
    _, out, _ = run(capsys, "models", option, "--json", "--limit", "0")
    printed = json.loads(out)
    assert {row["id"] for row in printed} == set(nbkit.catalog.index[nbkit.catalog[column]])
    assert all(row[column] for row in printed)


def test_words_rank(capsys):
    status, out, err = run(capsys, "models", "sonet", "5.5", "vision", "--limit", "1")
    assert status == 0
    assert [row["id"] for row in rows(out)] == [nbkit.search("sonet 5.5 vision").index[0]]
    assert "claude-sonnet-5" in out
    assert "more; --limit 0 shows all" in err


def test_json_has_every_column_and_null_for_the_unknown(capsys):
    _, out, _ = run(capsys, "models", "--provider", "openai", "--json", "--limit", "0")
    by_id = {row["id"]: row for row in json.loads(out)}
    openai = nbkit.catalog[nbkit.catalog.provider == "openai"]
    assert by_id.keys() == set(openai.index)
    assert all(row.keys() == {"id", *openai.columns} for row in by_id.values())
    for column in ("input_cost", "context", "structured_output", "release_date", "tiers"):
        assert sum(row[column] is None for row in by_id.values()) == int(openai[column].isna().sum())
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["release_date"]) for row in by_id.values() if row["release_date"])


def test_no_result_is_exit_status_1_and_a_line(capsys):
    assert run(capsys, "models", "--min-context", "10000000000") == (1, "", "nbkit: no model fits\n")
    assert run(capsys, "models", "--min-context", "10000000000", "--json") == (1, "[]\n", "nbkit: no model fits\n")


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--provider", "opnai"], "the catalog has no provider 'opnai'; did you mean openai?"),
        (["--provider", "nobody-at-all"], "the catalog has no provider 'nobody-at-all'; `nbkit models WORD` finds"),
        (["--vendor", "antropic"], "the catalog has no vendor 'antropic'; did you mean anthropic?"),
        (["--vendor", "nope"], "the catalog has no vendor 'nope'; `nbkit models WORD` finds"),
    ],
    ids=lambda value: f"A34: {value[1]}" if isinstance(value, list) and value else "",
)
@pytest.mark.parametrize("command", [["models"], ["estimate", "--input-tokens", "1", "--output-tokens", "1"]])
def test_a_name_that_the_catalog_does_not_have(capsys, command, options, message, json):
    status, out, err = run(capsys, *command, *options, *json)
    assert (status, out) == (1, "[]\n" if json else "")
    assert err.startswith(f"nbkit: {message}")


@pytest.mark.parametrize(
    ("options", "column", "name"),
    [
        (["--provider", "OpenAI"], "provider", "openai"),
        (["--provider", "Amazon Bedrock"], "provider", "amazon-bedrock"),
        (["--provider", "gemini"], "provider", "google"),
        (["--vendor", "Meta-Llama"], "vendor", "meta"),
        (["--vendor", "z-ai"], "vendor", "zhipuai"),
    ],
    ids=lambda value: f"A34, S16: {value[1]}" if isinstance(value, list) else "",
)
def test_names_as_people_write_them(capsys, options, column, name):
    status, out, _ = run(capsys, "models", *options, "--limit", "0")
    assert status == 0
    assert {row["id"] for row in rows(out)} == set(nbkit.catalog.index[nbkit.catalog[column] == name])


def test_what_a_workload_costs(capsys):
    workload = ["--input-tokens", "50000", "--cached-tokens", "1000", "--output-tokens", "2000", "--calls", "100"]
    status, out, _ = run(
        capsys, "estimate", *workload, "--reasoning-tokens", "9", "--provider", "openai", "--limit", "0"
    )
    openai = nbkit.catalog[nbkit.catalog.provider == "openai"]
    cost = nbkit.estimate(
        openai, input_tokens=50_000, cached_tokens=1000, output_tokens=2000, reasoning_tokens=9, calls=100
    )
    assert status == 0
    assert {row["id"] for row in rows(out)} == set(cost.index)
    assert [float(row["cost"] or "nan") for row in rows(out)] == pytest.approx(
        cost.cost.tolist(), nan_ok=True, rel=1e-5
    )
    assert rows(out)[-1]["cost"] == ""
    assert rows(out)[-1]["note"] == "price unknown"


def test_a_prompt_is_counted_from_a_file_or_standard_input(tmp_path, capsys, monkeypatch):
    text = "How high is the highest mountain? " * 50
    (tmp_path / "prompt.txt").write_text(text, "utf-8")
    end = ["--output-tokens", "5", "--provider", "anthropic", "--json"]
    _, from_file, _ = run(capsys, "estimate", "--prompt", str(tmp_path / "prompt.txt"), *end)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    _, from_input, _ = run(capsys, "estimate", "--prompt", "-", *end)
    assert from_file == from_input
    counted = {row["id"]: row["input_tokens"] for row in json.loads(from_file)}
    assert counted["anthropic/claude-opus-5"] == int(nbkit.count_tokens(text, "claude-opus-5"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["offers", "no-such-model-at-all"], "no-such-model-at-all"),
        (["estimate", "--prompt", "no/such/file", "--output-tokens", "1"], "no/such/file"),
        (["estimate", "--input-tokens", "1", "--cached-tokens", "2", "--output-tokens", "1"], "must not be negative"),
        (["models", "--limit", "-1"], "--limit"),
        (["changes", "no/such/file"], "no/such/file"),
    ],
)
def test_failures_are_one_line(capsys, arguments, why):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("nbkit: ")
    assert why in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["estimate", "--output-tokens", "1"],
        ["estimate", "--input-tokens", "1", "--prompt", "-", "--output-tokens", "1"],
        ["estimate", "--input-tokens", "1"],
        ["models", "--min-context", "large"],
        ["--completion", "tcsh"],
    ],
)
def test_usage_errors(capsys, arguments):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert "usage: nbkit" in capsys.readouterr().err


def test_offers_of_a_model(capsys):
    status, out, _ = run(capsys, "offers", "anthropic/claude-sonnet-5")
    assert status == 0
    assert [row["id"] for row in rows(out)] == list(nbkit.offers("anthropic/claude-sonnet-5").index)


def test_changes_between_two_files(tmp_path, capsys):
    files = []
    for cost in (1, 3):
        api = {"acme": {"npm": "@ai-sdk/openai", "models": {"alpha": {"cost": {"input": cost, "output": 2}}}}}
        files.append(str(tmp_path / f"{cost}.json"))
        (tmp_path / f"{cost}.json").write_text(json.dumps(api), "utf-8")
    status, out, _ = run(capsys, "changes", *files)
    assert status == 0
    assert [(row["id"], row["change"], row["before"], row["after"]) for row in rows(out)] == [
        ("acme/alpha", "repriced", "1", "3")
    ]
    status, out, err = run(capsys, "changes", files[0], files[0])
    assert (status, out, err) == (1, "", "nbkit: no changes\n")


# What is printed

HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \u202eeman\u2069 [bold]rich[/bold] :smile: [link=file:///etc]x[/link]\r\n\tnew\x9b2J"
)


def hostile():
    index = pd.Index([f"acme/{HOSTILE}"], name="id")
    return pd.DataFrame({"name": [HOSTILE], "cost": [1e-07], "tiers": [({"size": 5, "rates": {HOSTILE: 1.0}},)]}, index)


def test_names_reach_a_pipe_on_one_line_and_visible(capsys):
    print_rows(hostile(), ("name", "cost", "tiers", "missing"), as_json=False)
    out = capsys.readouterr().out
    assert [len(line.split("\t")) for line in out.splitlines()] == [4, 4]
    assert not set(out) & set("\x1b\x07\r\x9b\u202e\u2069")
    assert "⟨U+001B⟩[31mred" in out
    assert "0.0000001" in out
    assert "[bold]rich[/bold] :smile:" in out


def test_json_is_ascii_and_complete(capsys):
    print_rows(hostile(), (), as_json=True)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == [
        {"id": f"acme/{HOSTILE}", "name": HOSTILE, "cost": 1e-07, "tiers": [{"size": 5, "rates": {HOSTILE: 1.0}}]}
    ]


def in_terminal(code, columns=100):
    """What a terminal is sent: standard output is a real one."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=environment) as child:
        os.close(theirs)
        sent = b""
        try:
            while piece := os.read(ours, 65536):
                sent += piece
        except OSError:  # Linux says so when the other side has left
            pass
    os.close(ours)
    assert child.returncode == 0
    return sent.decode()


def test_a_terminal_gets_a_table_that_fits_and_no_control_sequences_of_the_catalog():
    code = f"""
import pandas as pd
from nbkit.cli.table import print_rows
index = pd.Index(["acme/alpha", {HOSTILE!r}], name="id")
frame = pd.DataFrame({{"input_cost": [1.5, None], "vision": [True, False], "name": [{HOSTILE!r}] * 2}}, index)
print_rows(frame, ("input_cost", "vision", "name"), as_json=False)
"""
    wide, narrow = in_terminal(code, 250), in_terminal(code, 70)
    for sent in (wide, narrow):
        bare = re.sub(r"\x1b\[[\d;]*m", "", sent)  # rich's own: bold headers
        assert not set(bare) & set("\x1b\x07\x9b\u202e\u2069")
        assert "[31m" not in sent.replace("⟩[31m", "")
        assert "in $/M" in bare
        assert "1.50" in bare
    assert "[bold]rich[/bold] :smile: [link=file:///etc]x[/link]" in wide
    assert "name" not in narrow.replace("eman", "")
    assert max(len(line) for line in re.sub(r"\x1b\[[\d;]*m", "", narrow).splitlines()) <= 70


def test_a_closed_pipe_is_not_an_error():
    code = "import sys; from nbkit.cli.main import main; sys.exit(main(['models', '--limit', '0']))"
    environment = os.environ | {"NBKIT_OFFLINE": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


# The shell


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_option(capsys, shell):
    with pytest.raises(SystemExit) as exited:
        main(["--completion", shell])
    assert exited.value.code == 0
    script = capsys.readouterr().out
    for word in ("models", "offers", "estimate", "changes", "snapshot", "has-key", "max-input-cost", "cached-tokens"):
        assert word in script


def test_bash_completes(capsys):
    with pytest.raises(SystemExit):
        main(["--completion", "bash"])
    script = capsys.readouterr().out
    for words, completed in (("nbkit es", "estimate"), ("nbkit models --max-i", "--max-input-cost")):
        ask = f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _nbkit; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == completed


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert (exited.value.code, capsys.readouterr().out) == (0, f"nbkit {nbkit.__version__}\n")
