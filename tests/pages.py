"""Runs the code of the documentation as its readers do: `python tests/pages.py OUTPUT PAGE ...`.

The Python blocks of a page are cells of one shell, in a process of its own, so that a page may set keys, hooks and
settings. What it prints stands in OUTPUT/NUMBER.txt, and an error ends it. Where requests go, and the keys, are those
of the environment: `serve_any_model` and `make_environment` are for the test that starts this.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from nbkit.demo import face, server
from nbkit.demo.models import PROVIDER
from nbkit.modelsdev.fetch import CACHED
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, Meta, build, read, write
from nbkit.protocols import PROTOCOLS

CANARY = "canary"
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
KEYRING = """
import keyring
from keyring.backend import KeyringBackend
class Ring(KeyringBackend):
    priority, kept = 9, {}
    def get_password(self, service, name):
        return self.kept.get(name)
    def set_password(self, service, name, key):
        self.kept[name] = key
    def delete_password(self, service, name):
        del self.kept[name]
keyring.set_keyring(Ring())
"""
"""A keyring that keeps passwords in the process."""
READERS_OWN = (
    KEYRING
    + """
import asyncio, getpass, os
from pathlib import Path
import matplotlib, pandas, pydantic
matplotlib.use("agg")
from matplotlib.figure import Figure
import nbkit
%load_ext nbkit
prompt, models = "Explain recursion", ["demo/swift", "demo/sage"]
figure = Figure(figsize=(1, 1))
figure.savefig("cat.png")
Path("paper.pdf").write_bytes(b"%PDF-1.4\\n%%EOF")
Path(".env").touch(mode=0o600)
getpass.getpass = lambda prompt: "sk-typed-canary"
def weather(city: str) -> str:
    return "4 degrees"
look_up = weather
class City(pydantic.BaseModel):
    name: str
"""
)
"""What pages presuppose: the names and files of the reader, who types a key where one is asked for."""


def list_blocks(page: Path) -> list[str]:
    """List the blocks of Python of a page."""
    return [textwrap.dedent(match[2]) for match in BLOCK.finditer(page.read_text("utf-8"))]


def make_environment(address: str, folder: Path) -> dict[str, str]:
    """Make a machine in a folder: all keys are set, a canary each, and the catalog has a provider that came later."""
    shipped = read(BUNDLED)
    newco = {"env": ["NEWCO_API_KEY"], "npm": "@ai-sdk/openai-compatible", "api": "https://api.newco.ai/v1"}
    records = [*map(shipped.record_of, range(len(shipped))), *parse({"newco": newco | {"models": {"m": {}}}})]
    (folder / "cache").mkdir(mode=0o700)
    write(folder / "cache" / CACHED, build(records, Meta(shipped.meta.url, shipped.meta.date)))
    names = {name for provider in shipped.distinct("provider") for name in provider.env}
    return {name: f"{CANARY}-{name}" for name in names if name.endswith(("KEY", "TOKEN"))} | {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_REGION": "us-east-1",
        "CLOUDSDK_CONFIG": str(folder),
        "GOOGLE_APPLICATION_CREDENTIALS": str(_write_google_account(address, folder)),
        "HOME": str(folder),
        "NBKIT_BASE_URL_OVERRIDE": f"{address}/v1",
        "NBKIT_CACHE_DIR": str(folder / "cache"),
        "NBKIT_DEMO_TOKENS_PER_SECOND": "0",
        "NBKIT_LEDGER": str(folder / "ledger.sqlite3"),
        "NBKIT_OFFLINE": "1",
        "NBKIT_OVERRIDES": str(folder / "overrides.toml"),
        "OLLAMA_HOST": address,
    }


def _write_google_account(address: str, folder: Path) -> Path:
    """Write the file of a service account whose tokens come from the same server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    account = {"type": "service_account", "project_id": "project", "client_email": "a@b.example", "private_key_id": "1"}
    secret = {"private_key": key.private_bytes(*form).decode(), "token_uri": f"{address}/token"}
    path = folder / "google.json"
    path.write_text(json.dumps(account | secret), "utf-8")
    return path


MORE = {
    "/token": {"access_token": "google", "expires_in": 3600, "token_type": "Bearer"},
    "/api/tags": {"models": [{"model": "llama3.2"}]},
    "/api/show": {"capabilities": ["completion", "tools", "vision"]},
}
"""What is asked besides answers: Google's tokens, Ollama's models."""


class _AnyModel(server._DemoHandler):
    """The simulated provider, at which any model answers: one that it does not know is its Sage."""

    def do_GET(self) -> None:
        return self._send(200, MORE[self.path]) if self.path in MORE else super().do_GET()

    def do_POST(self) -> None:
        if self.path in MORE:
            return self._send(200, MORE[self.path])
        self.path = re.sub(r"(/models?/)[^:/]+", r"\1sage", self.path)
        return super().do_POST()

    def _read_body(self) -> bytes:
        body = json.loads(super()._read_body())
        if "model" in body and body["model"] not in PROVIDER["models"]:
            body["model"] = "sage"
        return json.dumps(body).encode()


@contextmanager
def serve_any_model() -> Iterator[str]:
    """Serve all faces of the simulated provider, also those of the tests; gives the address."""
    for protocol, row in PROTOCOLS.items():
        if (Path(__file__).parent / "demo" / "faces" / f"{row.module}.py").exists():
            face.add_face(protocol, face.import_face(protocol, "faces"))
    provider = ThreadingHTTPServer(("127.0.0.1", 0), _AnyModel)
    threading.Thread(target=provider.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{provider.server_port}"
    provider.shutdown()
    provider.server_close()


def run_page(page: Path, output: Path) -> None:
    """Run a page in this process."""
    from IPython.core.interactiveshell import InteractiveShell

    folder = output.with_suffix("")
    folder.mkdir()
    os.chdir(folder)
    with output.open("w") as text:
        os.dup2(text.fileno(), 1)
        os.dup2(text.fileno(), 2)
        shell = InteractiveShell.instance(ipython_dir=str(folder), colors="nocolor")
        shell.run_cell(READERS_OWN).raise_error()
        for block in list_blocks(page):
            print(f"--- {block}", flush=True)
            if not shell.run_cell(block).success:
                sys.stdout.flush()
                os._exit(1)
        sys.stdout.flush()
        os._exit(0)  # the servers and threads of a page are not waited for


if __name__ == "__main__":
    import matplotlib  # noqa: F401  (what pages need is loaded once, before the processes part)
    import pandas  # noqa: F401
    from IPython.core import interactiveshell  # noqa: F401

    import nbkit.choose.frame
    import nbkit.notebook.extension
    import nbkit.notebook.plots  # noqa: F401

    output, *pages = map(Path, sys.argv[1:])
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=run_page, args=(page.resolve(), output / f"{number}.txt"))
        for number, page in enumerate(pages)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(json.dumps([process.exitcode for process in processes]))
