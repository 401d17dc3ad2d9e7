"""A session of all features with a canary for each key and in each prompt: where the canaries are when it is over.

Every key variable of the catalog holds one. Every file below HOME and in the working directory is searched, also inside
of what is packed or coded. A prompt is where its owner put it, and nowhere else.
"""

import base64
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import threading
import zipfile
import zlib
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import canary
import nbformat
import pages
import pytest
from nbclient import NotebookClient

from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.providers.credentials import key_variables, list_plurals

STEM = "Q7Zt2mVx9LwK4nBc"
IN_CELL, IN_PROMPT = "G5hJ8pRs3TyW6vXe", "M4cF7kDq9ZbN2aUr"
KEEPS_PROMPTS = {
    "work/session.ipynb",
    "work/calls.txt",  # written by a function of the owner
    "work/kept.replay.jsonl",
    "work/calls.cassette.jsonl",
    "work/chat.json",
    "work/answers.html",
}


class Echo(BaseHTTPRequestHandler):
    """Refuses every request, and sends its headers back: as they are, coded, and in a header."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        sent = str(self.headers)
        codes = [sent, quote(sent), base64.b64encode(sent.encode()).decode(), sent.encode().hex()]
        body = json.dumps({"error": {"message": codes[int(self.path[1])], "code": codes[0]}}).encode()
        self.send_response(401)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", self.headers.get("authorization", ""))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass


CELLS = [
    # what a careful person switches on to find a fault: everything that is logged, in a file
    """
import asyncio, getpass, logging, os, pickle, sys, traceback, warnings
from pathlib import Path
logging.basicConfig(filename="debug.log", format="%(name)s %(message)s", level=logging.DEBUG, force=True)
logging.getLogger().handlers[0].addFilter(lambda record: not record.name.startswith(("Comm", "ipykernel", "traitlets")))
logging.captureWarnings(True)
warnings.simplefilter("always")
prompt, echo = os.environ["CANARY_PROMPT"], os.environ["CANARY_ECHO"]
failures = []
%xmode Verbose
""",
    "%load_ext nbkit",
    """
import nbkit, pandas
from nbkit.settings import override
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).setLevel(logging.DEBUG)
spans = TracerProvider()
spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=open("spans.json", "w"))))
nbkit.trace(tracer_provider=spans)
nbkit.on("completion", lambda call, completion: open("calls.txt", "a").write(f"{call!r} {completion!r}"))
MODELS = ["openai/gpt-6-luna", "anthropic/claude-haiku-4-5", "cohere/command-a-03-2025", "mistral/mistral-small-latest"]
"""
    + pages.KEYRING,
    # keys: typed, in the keyring, in a file, several
    """
getpass.getpass = lambda _: os.environ["CANARY_TYPED"]
print(nbkit.set_key("groq"), nbkit.set_key("xai", keyring=True), nbkit.set_key("xai", forget=True))
""",
    'print(nbkit.load_env(os.environ["CANARY_ENV"], override=True)); print(nbkit.health(["groq", "xai", "openai"]))',
    "%nbkit\n%nbkit settings\n%cost",
    # calls, on both engines
    """
async def call(model, engine):
    with override(http_engine=engine):
        adapter = nbkit.get_adapter(model)
        texts = [adapter.execute(prompt).text, (await adapter.aexecute(prompt)).text]
        with adapter.stream(prompt) as stream:
            texts += [chunk.text for chunk in stream]
        async with adapter.astream(prompt) as stream:
            texts += [chunk.text async for chunk in stream]
    print(adapter, vars(adapter), adapter.endpoint, stream.completion.bill)
    return adapter
for engine in ("httpx2", "aiohttp"):
    for model in [*MODELS, "groq/llama-3.3-70b-versatile", "xai/grok-4"]:
        adapter = await call(model, engine)
adapter
""",
    # failures: a server that sends the key back in every form, and one that is not there
    """
async def fail(model, url, headers):
    with override(base_url_override=url, max_retries=1, retry_wait=0):
        adapter = nbkit.get_adapter(model)
        for ask in (adapter.execute, adapter.aexecute, adapter.stream, adapter.astream):
            try:
                answer = ask("Hi", extra_headers=headers)
                print(await answer if hasattr(answer, "__await__") else list(answer))
            except nbkit.errors.NbkitError as error:
                failures.append(error)
for engine in ("httpx2", "aiohttp"):
    with override(http_engine=engine):
        for model in MODELS[1:3]:
            for url in (*(f"{echo}/{form}" for form in range(4)), "http://127.0.0.1:9"):
                await fail(model, url, {"x-lab": os.environ["OPENAI_API_KEY"]})
assert len(failures) == 80
Path("errors.pickle").write_bytes(pickle.dumps(failures))
for error in failures:
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    open("tracebacks.txt", "a").write("".join(line for line in lines if "ipykernel_" not in line))
failures[:8]
""",
    "with override(base_url_override=f'{echo}/0'):\n    nbkit.get_adapter(MODELS[0]).execute('Hi')",
    "%tb",
    """
with override(base_url_override="http://127.0.0.1:9", max_retries=0):
    try:
        nbkit.get_adapter(MODELS[0], fallback=MODELS[1:3]).execute("Hi")
    except nbkit.errors.NbkitError as error:
        print(repr(error), vars(error))
""",
    # the features
    'answers = nbkit.compare(prompt, MODELS)\nPath("answers.html").write_text(answers.wait().to_html()); answers',
    "answers.vote('openai/gpt-6-luna'); answers.judge('short', 'mistral/mistral-small-latest')",
    "%%compare openai/gpt-6-luna xai/grok-4\n{{prompt}}",
    "%%chat anthropic/claude-haiku-4-5 -o chat\n{{prompt}}",
    'chat.save("chat.json"); chat',
    'nbkit.grid("{word}", pandas.DataFrame({"word": [prompt, "again"]}), MODELS[:2]).start().wait()',
    'nbkit.pick(); nbkit.show(nbkit.search("gpt-6").head(3))',
    """
with nbkit.replay("kept.replay.jsonl"), nbkit.tag("canary"), nbkit.budget(usd=1):
    print([nbkit.get_adapter(MODELS[0]).execute(prompt).cost for _ in range(2)])
with nbkit.record("calls.cassette.jsonl"):
    nbkit.get_adapter(MODELS[1]).execute(prompt)
def look_up(word: str) -> str:
    return word
nbkit.get_adapter(MODELS[0]).run(prompt, tools=[look_up]).completion
""",
    "nbkit.ledger()",
    'nbkit.set_key("xai", keyring=True, forget=True)',
    f'key = "sk-proj-{IN_CELL}"',
    "get_ipython().history_manager.writeout_cache(); import gc; gc.collect(); spans.shutdown(); print(len(MODELS))",
]
MAY_FAIL = ("%tb", "with override(base_url_override=f", "key = ")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The home of a person whose session is over: the notebook is saved, and what commands printed stands in a file."""
    home = tmp_path_factory.mktemp("home")
    outside = tmp_path_factory.mktemp("outside")
    echo = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=echo.serve_forever, args=(0.01,), daemon=True).start()
    (home / "work").mkdir()
    with pages.serve_any_model() as address:
        environment = make_environment(address, f"http://127.0.0.1:{echo.server_port}", home, outside)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS])
        history = str(home / "history.sqlite")  # which nbclient keeps in memory unless it is told a file
        client = NotebookClient(
            notebook, timeout=300, startup_timeout=300, allow_errors=True, ipython_hist_file=history
        )
        client.execute(env=environment, cwd=str(home / "work"))
        nbformat.write(notebook, home / "work" / "session.ipynb")
        with (home / "commands.txt").open("w") as output:
            for words in ("ask openai/gpt-6-luna Hi", "ledger --by call --csv"):
                command = [Path(sys.executable).with_name("nbkit"), *words.split()]
                subprocess.run(command, cwd=home / "work", env=environment, stdout=output, stderr=output, check=False)
    echo.shutdown()
    echo.server_close()
    return home, notebook


def make_environment(address, echo, home, outside):
    own = {name: value for name, value in os.environ.items() if not name.startswith("NBKIT_")}
    usual = pages.make_environment(address, home)
    names = {name for provider in read(BUNDLED).distinct("provider") for name in provider.env}
    env_file = outside / ".env"
    env_file.touch(0o600)
    env_file.write_text(f"OPENROUTER_API_KEY=sk-or-{STEM}file\n")
    canaries = {name: f"sk-{STEM}{number:04x}" for number, name in enumerate(sorted(key_variables(names)))}
    canaries |= dict.fromkeys(list_plurals(["OPENAI_API_KEY", "COHERE_API_KEY"]), f"sk-{STEM}one,sk-{STEM}two")
    del canaries["XAI_API_KEY"]  # typed, and kept in the keyring
    return own | usual | canaries | {
        "AWS_SECRET_ACCESS_KEY": f"{STEM}aws",
        "CANARY_ECHO": echo,
        "CANARY_ENV": str(env_file),
        "CANARY_PROMPT": f"Say {IN_PROMPT} twice",
        "CANARY_TYPED": f"sk-{STEM}typed",
        "HOME": str(home),
        "NBKIT_LIVE": "1",
        "NBKIT_LOG_CONTENT": "0",
    }  # fmt: skip


def test_the_session_has_done_what_it_was_for(session):
    home, notebook = session
    failed = [cell.source for cell in notebook.cells if any(output.output_type == "error" for output in cell.outputs)]
    assert [source for source in failed if not source.startswith(MAY_FAIL)] == []
    for name in (
        *KEEPS_PROMPTS,
        "work/debug.log",
        "work/spans.json",
        "work/calls.txt",
        "work/errors.pickle",
        "ledger.sqlite3",
        "work/tracebacks.txt",
    ):
        assert (home / name).stat().st_size > 1000, name
    assert "chat gpt-6-luna" in (home / "work" / "spans.json").read_text()
    assert notebook.metadata.widgets


def test_no_key_is_anywhere(session):
    assert canary.find_files(session[0], STEM) == set()


def test_a_key_that_was_written_into_a_cell_is_in_the_notebook_only(session):
    assert canary.find_files(session[0], IN_CELL) == {"work/session.ipynb"}
    *_, cell, _ = session[1].cells
    assert IN_CELL not in str(cell.outputs)


def test_a_prompt_is_where_its_owner_put_it_and_nowhere_else(session):
    assert canary.find_files(session[0], IN_PROMPT) == KEEPS_PROMPTS


@pytest.mark.parametrize("packed", range(10))
def test_the_search_finds_what_is_hidden(tmp_path, packed):
    text = f"some words before sk-{STEM}0001 and behind".encode()
    forms = [
        lambda: text,
        lambda: text[3:].decode().encode("utf-16-le"),
        lambda: quote(text).encode(),
        lambda: base64.b64encode(text),
        lambda: base64.urlsafe_b64encode(text[1:]),
        lambda: json.dumps({"buffer": base64.b64encode(zlib.compress(text)).decode()}).encode(),
        lambda: gzip.compress(text),
        lambda: b"\x00\x01" + zlib.compress(base64.b64encode(text[2:])),
        lambda: text.hex().encode(),
    ]
    path = tmp_path / "file"
    if packed < len(forms):
        path.write_bytes(forms[packed]())
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", text)
    assert canary.find_files(tmp_path, STEM) == {"file"}
    assert canary.find_files(tmp_path, "another-" + STEM) == set()


def test_the_search_reads_databases_and_names(tmp_path):
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values (?)", ["y" * 4000 + STEM])
        connection.commit()
    Path(tmp_path / STEM).touch()
    assert canary.find_files(tmp_path, STEM) == {"rows.sqlite", STEM}
