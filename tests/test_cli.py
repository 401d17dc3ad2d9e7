from __future__ import annotations

import gzip
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from nbkit.cli import main
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
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, capsys, content):
    source, out = tmp_path / "api.json", tmp_path / "out"
    if content is not None:
        source.write_bytes(content)
    assert main(["snapshot", "--from", str(source), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("nbkit: ")
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("arguments", [[], ["dance"], ["snapshot", "--date", "yesterday"]])
def test_what_is_not_understood_is_a_usage_error(capsys, arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: nbkit" in capsys.readouterr().err
